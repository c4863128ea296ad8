package s3_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/s3"
)

func encryptionDocument(rule string) []byte {
	return []byte(`<ServerSideEncryptionConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` + rule + `</ServerSideEncryptionConfiguration>`)
}

func TestBucketEncryptionXML(t *testing.T) {
	on, off := true, false
	for rule, want := range map[string]s3.BucketEncryption{
		"<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>": {Algorithm: s3.SSES3},
		"<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>a&amp;b</KMSMasterKeyID></ApplyServerSideEncryptionByDefault>" +
			"<BucketKeyEnabled>true</BucketKeyEnabled></Rule>": {Algorithm: s3.SSEKMS, KeyID: "a&b", BucketKey: &on},
		"<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms:dsse</SSEAlgorithm></ApplyServerSideEncryptionByDefault>" +
			"<BucketKeyEnabled>false</BucketKeyEnabled><BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes></Rule>": {Algorithm: s3.SSEDSSE, BucketKey: &off, Blocked: []string{s3.BlockedSSEC}},
		"<Rule><BlockedEncryptionTypes><EncryptionType>NONE</EncryptionType></BlockedEncryptionTypes></Rule>": {Blocked: []string{s3.BlockedNone}},
	} {
		got, err := s3.DecodeBucketEncryption(encryptionDocument(rule))
		if err != nil {
			t.Errorf("%s: %v", rule, err)
			continue
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("%s: %s", rule, diff)
		}
		if doc := string(got.AppendXML(nil)); !strings.HasSuffix(doc, string(encryptionDocument(rule))) {
			t.Errorf("%s became %s", rule, doc)
		}
		if got.BlocksCustomerKeys() != strings.Contains(rule, "SSE-C") {
			t.Errorf("%s blocks customer keys: %t", rule, got.BlocksCustomerKeys())
		}
	}
	if e, err := s3.DecodeBucketEncryption(nil); e != nil || err != nil || e.BlocksCustomerKeys() {
		t.Errorf("no document: %v, %v", e, err)
	}
}

func TestDecodeBucketEncryptionRefuses(t *testing.T) {
	const aes = "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault>"
	for _, rule := range []string{
		"", "<Rule/>", "<Rules/>", "<Rule>" + aes + "</Rule><Rule>" + aes + "</Rule>", "<Rule>" + aes + aes + "</Rule>",
		"<Rule><ApplyServerSideEncryptionByDefault/></Rule>", strings.Replace("<Rule>"+aes+"</Rule>", "AES256", "AES128", 1),
		"<Rule>" + aes + "<BucketKeyEnabled>perhaps</BucketKeyEnabled></Rule>", "<Rule>" + aes + "<Else/></Rule>",
		"<Rule><BlockedEncryptionTypes><EncryptionType>SSE-S3</EncryptionType></BlockedEncryptionTypes></Rule>",
		"<Rule><BlockedEncryptionTypes><EncryptionType>NONE</EncryptionType><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes></Rule>",
		"<Rule><BlockedEncryptionTypes><Type>NONE</Type></BlockedEncryptionTypes></Rule>",
		"<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><Key/></ApplyServerSideEncryptionByDefault></Rule>",
		"<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>" + strings.Repeat("k", 2049) + "</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule>",
	} {
		if _, err := s3.DecodeBucketEncryption(encryptionDocument(rule)); s3.CodeOf(err) != s3.MalformedXML {
			t.Errorf("%q: %v", rule, err)
		}
	}
	withKey := strings.Replace("<Rule>"+aes+"</Rule>", "</SSEAlgorithm>", "</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID>", 1)
	if _, err := s3.DecodeBucketEncryption(encryptionDocument(withKey)); s3.CodeOf(err) != s3.InvalidArgument {
		t.Errorf("a key with AES256: %v", err)
	}
}

func TestDecodeObjectEncryption(t *testing.T) {
	document := func(kms string) []byte {
		return []byte(`<ObjectEncryption xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` + kms + `</ObjectEncryption>`)
	}
	got, err := s3.DecodeObjectEncryption(document("<SSE-KMS><KMSKeyArn>arn:aws:kms:r:1:key/k</KMSKeyArn><BucketKeyEnabled>true</BucketKeyEnabled></SSE-KMS>"))
	if want := (s3.ObjectEncryption{KeyID: "arn:aws:kms:r:1:key/k", BucketKey: true}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for kms, code := range map[string]s3.Code{
		"": s3.InvalidRequest, "<SSE-KMS/>": s3.InvalidRequest, "<SSE-KMS><KMSKeyArn> </KMSKeyArn></SSE-KMS>": s3.InvalidRequest,
		"<SSE-S3/>": s3.InvalidRequest, "<DSSE-KMS/>": s3.InvalidRequest, "<SSE-KMS><Key/></SSE-KMS>": s3.MalformedXML, "<SSE-KMS/><SSE-KMS/>": s3.MalformedXML,
		"<SSE-KMS><KMSKeyArn>k</KMSKeyArn><BucketKeyEnabled>maybe</BucketKeyEnabled></SSE-KMS>": s3.InvalidRequest,
		"<SSE-KMS><KMSKeyArn>" + strings.Repeat("k", 3000) + "</KMSKeyArn></SSE-KMS>":           s3.InvalidRequest,
	} {
		if _, err := s3.DecodeObjectEncryption(document(kms)); s3.CodeOf(err) != code {
			t.Errorf("%q: %v, want %s", kms, err, code)
		}
	}
}

func FuzzDecodeBucketEncryption(f *testing.F) {
	f.Add("<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule>")
	f.Add("<Rule><BucketKeyEnabled>true</BucketKeyEnabled><BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes></Rule>")
	f.Fuzz(func(t *testing.T, rule string) {
		e, err := s3.DecodeBucketEncryption(encryptionDocument(rule))
		if err != nil {
			if code := s3.CodeOf(err); code != s3.MalformedXML && code != s3.InvalidArgument {
				t.Fatal(err)
			}
			return
		}
		again, err := s3.DecodeBucketEncryption(e.AppendXML(nil))
		if err != nil {
			t.Fatalf("%s: %v", e.AppendXML(nil), err)
		}
		if diff := cmp.Diff(e, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
