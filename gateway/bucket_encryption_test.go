package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

func encryptionRule(elements string) string {
	return "<ServerSideEncryptionConfiguration><Rule>" + elements + "</Rule></ServerSideEncryptionConfiguration>"
}

// byDefault is the element of a default encryption; more follows the algorithm.
func byDefault(algorithm, more string) string {
	return "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>" + algorithm + "</SSEAlgorithm>" + more + "</ApplyServerSideEncryptionByDefault>"
}

const (
	kmsByDefault = "<KMSMasterKeyID>bucket-key</KMSMasterKeyID>"
	withKeys     = "<BucketKeyEnabled>true</BucketKeyEnabled>"
	withoutSSEC  = "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>"
)

func TestBucketEncryption(t *testing.T) {
	s := newServer(t)
	s.expect(s3.ServerSideEncryptionConfigurationNotFoundError, "GET", "/bucket?encryption", "")
	s.ok("DELETE", "/bucket?encryption", "")
	for _, rule := range []string{
		byDefault("AES256", ""), byDefault("aws:kms", kmsByDefault) + withKeys, byDefault("AES256", "") + "<BucketKeyEnabled>false</BucketKeyEnabled>" + withoutSSEC, withoutSSEC,
	} {
		s.ok("PUT", "/bucket?encryption", encryptionRule(rule))
		if a := s.ok("GET", "/bucket?encryption", ""); !strings.HasSuffix(a.body, "<Rule>"+rule+"</Rule></ServerSideEncryptionConfiguration>") {
			t.Errorf("%s became %s", rule, a.body)
		}
	}
	s.ok("DELETE", "/bucket?encryption", "")
	s.expect(s3.ServerSideEncryptionConfigurationNotFoundError, "GET", "/bucket?encryption", "")
	s.expect(s3.NotImplemented, "PUT", "/bucket?encryption", encryptionRule(byDefault("aws:kms:dsse", "")))
	s.expect(s3.InvalidArgument, "PUT", "/bucket?encryption", encryptionRule(byDefault("AES256", kmsByDefault)))
	s.expect(s3.MalformedXML, "PUT", "/bucket?encryption", encryptionRule(""))
	s.expect(s3.MissingRequestBodyError, "PUT", "/bucket?encryption", "")
	s.expect(s3.NoSuchBucket, "PUT", "/missing?encryption", encryptionRule(byDefault("AES256", "")))
}

func TestDefaultEncryption(t *testing.T) {
	encrypted := func(o *Options) { o.DefaultEncryption = s3.SSES3 }
	plain, always := newServer(t), newServer(t, encrypted)
	if a := always.ok("GET", "/bucket?encryption", ""); !strings.Contains(a.body, byDefault("AES256", "")+"<BucketKeyEnabled>false</BucketKeyEnabled>") {
		t.Error(a.body)
	}
	sseS3, sseKMS := objects.Encrypted{Mode: objects.EncryptedS3}, objects.Encrypted{Mode: objects.EncryptedKMS, KeyID: "bucket-key", BucketKey: true}
	for _, tt := range []struct {
		server  *server
		rule    string
		headers []string
		want    objects.Encrypted
	}{
		{plain, "", nil, objects.Encrypted{}},
		{plain, withoutSSEC, nil, objects.Encrypted{}},
		{always, "", nil, sseS3},
		{always, withoutSSEC, nil, sseS3},
		{plain, byDefault("AES256", ""), nil, sseS3},
		{plain, byDefault("aws:kms", kmsByDefault) + withKeys, nil, sseKMS},
		{always, byDefault("aws:kms", kmsByDefault) + withKeys, nil, sseKMS},
		{plain, byDefault("aws:kms", kmsByDefault), []string{sseHeader + "-bucket-key-enabled", "true"}, sseKMS},
		{plain, byDefault("aws:kms", kmsByDefault) + withKeys, []string{sseHeader + "-bucket-key-enabled", "false"}, objects.Encrypted{Mode: objects.EncryptedKMS, KeyID: "bucket-key"}},
		{plain, byDefault("aws:kms", kmsByDefault) + withKeys, []string{sseHeader, "AES256"}, sseS3},
		{plain, byDefault("aws:kms", kmsByDefault) + withKeys, kms("own"), objects.Encrypted{Mode: objects.EncryptedKMS, KeyID: "own", BucketKey: true}},
		// Who names no key does not get the bucket's, but that of the store.
		{plain, byDefault("aws:kms", kmsByDefault), []string{sseHeader, "aws:kms"}, objects.Encrypted{Mode: objects.EncryptedKMS}},
		{plain, byDefault("AES256", ""), customer(customerKey, customerMD5), objects.Encrypted{Mode: objects.EncryptedC, CustomerMD5: customerMD5}},
	} {
		delete(tt.server.objects.configs, objects.ConfigEncryption)
		if tt.rule != "" {
			tt.server.ok("PUT", "/bucket?encryption", encryptionRule(tt.rule))
		}
		tt.server.ok("PUT", "/bucket/key", "body", tt.headers...)
		put, _ := lastAsked[objects.PutObjectInput](tt.server.objects)
		tt.server.ok("POST", "/bucket/key?uploads", "", tt.headers...)
		create, _ := lastAsked[objects.CreateUploadInput](tt.server.objects)
		tt.server.ok("PUT", "/bucket/copy", "", append([]string{"x-amz-copy-source", "/bucket/key"}, tt.headers...)...)
		copied, _ := lastAsked[objects.CopyObjectInput](tt.server.objects)
		for operation, in := range map[string]*objects.Encryption{"PutObject": &put.Encryption, "CreateMultipartUpload": &create.Encryption, "CopyObject": &copied.Encryption} {
			if d := cmp.Diff(tt.want, encryptedAs(in)); d != "" {
				t.Errorf("%s into %q with %q: %s", operation, tt.rule, tt.headers, d)
			}
		}
	}
}

func TestBlockedCustomerKeys(t *testing.T) {
	s := newServer(t)
	key := customer(customerKey, customerMD5)
	s.ok("PUT", "/bucket/before", "body", key...)
	s.ok("PUT", "/bucket?encryption", encryptionRule(withoutSSEC))
	s.expect(s3.AccessDenied, "PUT", "/bucket/key", "body", key...)
	s.expect(s3.AccessDenied, "POST", "/bucket/key?uploads", "", key...)
	s.expect(s3.AccessDenied, "PUT", "/bucket/key", "", append([]string{"x-amz-copy-source", "/bucket/before"}, key...)...)
	s.ok("PUT", "/bucket/key", "", append([]string{"x-amz-copy-source", "/bucket/before"}, sourceCustomer(customerKey, customerMD5)...)...)
	s.ok("PUT", "/bucket/key", "body", sseHeader, "AES256")
	s.ok("GET", "/bucket/before", "", key...)
	s.ok("PUT", "/bucket?encryption", encryptionRule("<BlockedEncryptionTypes><EncryptionType>NONE</EncryptionType></BlockedEncryptionTypes>"))
	s.ok("PUT", "/bucket/key", "body", key...)
}

// TestUnreadableEncryptionIsNotForgotten: what a configuration asks for is not
// forgotten because it cannot be read.
func TestUnreadableEncryptionIsNotForgotten(t *testing.T) {
	s := newServer(t)
	s.objects.configs[objects.ConfigEncryption] = []byte("<Else/>")
	for _, a := range []*answer{s.do("PUT", "/bucket/key", "body"), s.do("GET", "/bucket?encryption", "")} {
		if a.StatusCode/100 == 2 || a.StatusCode == http.StatusNotFound {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	}
	if keys := s.objects.keys(); len(keys) != 0 {
		t.Errorf("stored %q", keys)
	}
}
