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
