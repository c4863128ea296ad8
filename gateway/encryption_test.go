package gateway

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// The keys of Ceph's suite, and another one.
const (
	customerKey = "pO3upElrwuEXSoFwCfnZPdSsmt/xWeFa0N9KgDijwVs="
	customerMD5 = "DWygnHRtgiJ77HCm+1rvHw=="
	otherKey    = "6b+WOZ1T3cqZMxgThRcXAQBrS5mXKdDUphvpxptl9/4="
	otherMD5    = "arxBvwY2V4SiOne6yppVPQ=="
)

const sseHeader = "x-amz-server-side-encryption"

// customer are the headers of a key of SSE-C.
func customer(key, sum string) []string {
	return []string{sseHeader + "-customer-algorithm", "AES256", sseHeader + "-customer-key", key, sseHeader + "-customer-key-MD5", sum}
}

// sourceCustomer are those of the source of a copy.
func sourceCustomer(key, sum string) []string {
	headers := customer(key, sum)
	for i := 0; i < len(headers); i += 2 {
		headers[i] = strings.Replace(headers[i], "x-amz-", "x-amz-copy-source-", 1)
	}
	return headers
}

func kms(id string, more ...string) []string {
	return append([]string{sseHeader, "aws:kms", sseHeader + "-aws-kms-key-id", id}, more...)
}

// encryptedAs is how objects that keep to an input show their encryption.
func encryptedAs(e *objects.Encryption) objects.Encrypted {
	out := objects.Encrypted{Mode: e.Mode, KeyID: e.KeyID, Context: e.Context, BucketKey: e.BucketKey}
	if e.Customer != nil {
		out.CustomerMD5 = e.Customer.MD5()
	}
	return out
}

// encryptionOf are the headers of an answer that are of encryption.
func encryptionOf(a *answer) map[string]string {
	out := make(map[string]string)
	for name := range a.Header {
		if rest, ok := strings.CutPrefix(name, s3.HeaderSSE); ok {
			out[rest] = a.Header.Get(name)
		}
	}
	return out
}

func TestEncryptionOfNewObjects(t *testing.T) {
	s := newServer(t)
	encoded := base64.StdEncoding.EncodeToString([]byte(` {"b": "<2>", "a":"1"} `))
	canonical := `{"a":"1","b":"<2>"}`
	for _, tt := range []struct {
		headers []string
		want    objects.Encrypted
		shown   map[string]string
	}{
		{nil, objects.Encrypted{}, map[string]string{}},
		{[]string{sseHeader, "AES256"}, objects.Encrypted{Mode: objects.EncryptedS3}, map[string]string{"": "AES256"}},
		{[]string{sseHeader, "AES256", sseHeader + "-bucket-key-enabled", "true"}, objects.Encrypted{Mode: objects.EncryptedS3}, map[string]string{"": "AES256"}},
		{
			kms("key-1"),
			objects.Encrypted{Mode: objects.EncryptedKMS, KeyID: "key-1"},
			map[string]string{"": "aws:kms", "-Aws-Kms-Key-Id": "key-1"},
		},
		{
			kms("key-1", sseHeader+"-context", encoded, sseHeader+"-bucket-key-enabled", "true"),
			objects.Encrypted{Mode: objects.EncryptedKMS, KeyID: "key-1", Context: []byte(canonical), BucketKey: true},
			map[string]string{
				"": "aws:kms", "-Aws-Kms-Key-Id": "key-1", "-Bucket-Key-Enabled": "true",
				"-Context": base64.StdEncoding.EncodeToString([]byte(canonical)),
			},
		},
		{
			kms("key-1", sseHeader+"-context", "e30=", sseHeader+"-bucket-key-enabled", "False"),
			objects.Encrypted{Mode: objects.EncryptedKMS, KeyID: "key-1"},
			map[string]string{"": "aws:kms", "-Aws-Kms-Key-Id": "key-1"},
		},
		{
			customer(customerKey, customerMD5),
			objects.Encrypted{Mode: objects.EncryptedC, CustomerMD5: customerMD5},
			map[string]string{"-Customer-Algorithm": "AES256", "-Customer-Key-Md5": customerMD5},
		},
	} {
		check := func(operation string, a *answer, in *objects.Encryption) {
			t.Helper()
			if d := cmp.Diff(tt.want, encryptedAs(in)); d != "" {
				t.Errorf("%s %q: %s", operation, tt.headers, d)
			}
			if d := cmp.Diff(tt.shown, encryptionOf(a)); d != "" {
				t.Errorf("%s %q shows: %s", operation, tt.headers, d)
			}
		}
		a := s.ok("PUT", "/bucket/key", "body", tt.headers...)
		put, _ := lastAsked[objects.PutObjectInput](s.objects)
		check("PutObject", a, &put.Encryption)
		a = s.ok("POST", "/bucket/key?uploads", "", tt.headers...)
		create, _ := lastAsked[objects.CreateUploadInput](s.objects)
		check("CreateMultipartUpload", a, &create.Encryption)
		a = s.ok("PUT", "/bucket/copy", "", append([]string{"x-amz-copy-source", "/bucket/key"}, tt.headers...)...)
		copied, _ := lastAsked[objects.CopyObjectInput](s.objects)
		check("CopyObject", a, &copied.Encryption)

		fields := []string{"key", "key"}
		var conditions []string
		for i := 0; i < len(tt.headers); i += 2 {
			fields = append(fields, tt.headers[i], tt.headers[i+1])
			conditions = append(conditions, `["starts-with", "$`+tt.headers[i]+`", ""]`)
		}
		if a = s.post(signedV4(conditions, append(fields, "file", "hello")...)); a.StatusCode != http.StatusNoContent {
			t.Fatalf("PostObject %q: %d %s", tt.headers, a.StatusCode, a.body)
		}
		put, _ = lastAsked[objects.PutObjectInput](s.objects)
		check("PostObject", a, &put.Encryption)
	}
}

func TestEncryptionHeadersThatAreRefused(t *testing.T) {
	s := newServer(t)
	without := func(headers []string, name string) []string {
		i := slices.Index(headers, sseHeader+name)
		return slices.Delete(slices.Clone(headers), i, i+2)
	}
	with := func(headers []string, name, value string) []string {
		return append(without(headers, name), sseHeader+name, value)
	}
	key := customer(customerKey, customerMD5)
	text := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, tt := range []struct {
		name    string
		code    s3.Code
		headers []string
	}{
		{"unknown", s3.InvalidArgument, []string{sseHeader, "aes:kms"}},
		{"two layers", s3.NotImplemented, []string{sseHeader, "aws:kms:dsse"}},
		{"key id alone", s3.InvalidArgument, []string{sseHeader + "-aws-kms-key-id", "k"}},
		{"context alone", s3.InvalidArgument, []string{sseHeader + "-context", text(`{"a":"b"}`)}},
		{"key id with AES256", s3.InvalidArgument, []string{sseHeader, "AES256", sseHeader + "-aws-kms-key-id", "k"}},
		{"SSE-C with SSE-S3", s3.InvalidArgument, append([]string{sseHeader, "AES256"}, key...)},
		{"SSE-C with SSE-KMS", s3.InvalidArgument, append(kms("k"), key...)},
		{"SSE-C with a key id", s3.InvalidArgument, append(without(kms("k"), ""), key...)},
		{"bucket key", s3.InvalidArgument, kms("k", sseHeader+"-bucket-key-enabled", "perhaps")},
		{"context without base64", s3.InvalidArgument, kms("k", sseHeader+"-context", "{}")},
		{"context that is a list", s3.InvalidArgument, kms("k", sseHeader+"-context", text(`["a"]`))},
		{"context of null", s3.InvalidArgument, kms("k", sseHeader+"-context", text(`null`))},
		{"context of numbers", s3.InvalidArgument, kms("k", sseHeader+"-context", text(`{"a":1}`))},
		{"context of nothing", s3.InvalidArgument, kms("k", sseHeader+"-context", text(`{"a":null}`))},
		{"long context", s3.InvalidArgument, kms("k", sseHeader+"-context", text(`{"a":"`+strings.Repeat("b", 9000)+`"}`))},
		{"no algorithm", s3.InvalidArgument, without(key, "-customer-algorithm")},
		{"other algorithm", s3.InvalidEncryptionAlgorithmError, with(key, "-customer-algorithm", "AES192")},
		{"no key", s3.InvalidArgument, without(key, "-customer-key")},
		{"no MD5", s3.InvalidArgument, without(key, "-customer-key-MD5")},
		{"short key", s3.InvalidArgument, with(key, "-customer-key", text("short"))},
		{"key without base64", s3.InvalidArgument, with(key, "-customer-key", "!")},
		{"another MD5", s3.InvalidArgument, with(key, "-customer-key-MD5", otherMD5)},
		{"MD5 without base64", s3.InvalidArgument, with(key, "-customer-key-MD5", "?")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, request := range [][]string{
				{"PUT", "/bucket/key"}, {"POST", "/bucket/key?uploads"}, {"PUT", "/bucket/key", "x-amz-copy-source", "/bucket/source"},
			} {
				a := s.expect(tt.code, request[0], request[1], "", append(request[2:], tt.headers...)...)
				if strings.Contains(a.body, customerKey) {
					t.Errorf("the answer has the key: %s", a.body)
				}
			}
		})
	}
	if len(s.objects.asked) != 0 {
		t.Errorf("objects was asked %v", s.objects.asked)
	}
}

func TestEncryptionHeadersWhereTheyMeanNothing(t *testing.T) {
	s := newServer(t)
	for _, target := range []string{"/bucket", "/bucket/key", "/bucket/key?tagging", "/bucket/key?acl", "/bucket/key?attributes"} {
		s.expect(s3.InvalidArgument, "GET", target, "", sseHeader, "AES256")
	}
	for _, target := range []string{"/bucket", "/bucket/key?tagging"} {
		s.expect(s3.InvalidArgument, "GET", target, "", customer(customerKey, customerMD5)...)
	}
	s.expect(s3.InvalidArgument, "PUT", "/bucket/key", "body", sourceCustomer(customerKey, customerMD5)...)
	if a := s.do("HEAD", "/bucket/key", "", sseHeader, "AES256"); a.StatusCode != http.StatusBadRequest {
		t.Errorf("HEAD: %d", a.StatusCode)
	}
	s.expect(s3.NotImplemented, "PUT", "/bucket/key", "body", sseHeader+"-more", "1")
	s.expect(s3.NotImplemented, "PUT", "/bucket/key", "body", sseHeader+"-customer-more", "1")
	if len(s.objects.asked) != 0 {
		t.Errorf("objects was asked %v", s.objects.asked)
	}
}

func TestReadsOfEncryptedObjects(t *testing.T) {
	s := newServer(t)
	key := customer(customerKey, customerMD5)
	s.ok("PUT", "/bucket/key", "body", key...)
	for _, method := range []string{"GET", "HEAD"} {
		a := s.ok(method, "/bucket/key", "", key...)
		in, _ := lastAsked[objects.GetObjectInput](s.objects)
		if in.CustomerKey.MD5() != customerMD5 || encryptionOf(a)["-Customer-Key-Md5"] != customerMD5 || encryptionOf(a)["-Customer-Algorithm"] != "AES256" {
			t.Errorf("%s: %v, %v", method, in.CustomerKey, a.Header)
		}
		if a := s.do(method, "/bucket/key", "", append(key[:4:4], sseHeader+"-customer-key-MD5", otherMD5)...); a.StatusCode != http.StatusBadRequest {
			t.Errorf("%s with a wrong digest: %d", method, a.StatusCode)
		}
	}
	s.ok("GET", "/bucket/key?attributes", "", append(key, "x-amz-object-attributes", "ETag")...)
	s.expect(s3.InvalidArgument, "GET", "/bucket/key?attributes", "", append(key[:4:4], "x-amz-object-attributes", "ETag")...)
	s.expect(s3.InvalidArgument, "GET", "/bucket/key?uploadId=u", "", key[:4]...)
	s.ok("GET", "/bucket/key?uploadId=u", "", key...)

	s.ok("PUT", "/bucket/copy", "", append(append([]string{"x-amz-copy-source", "/bucket/key"}, sourceCustomer(customerKey, customerMD5)...), customer(otherKey, otherMD5)...)...)
	in, _ := lastAsked[objects.CopyObjectInput](s.objects)
	if in.Source.CustomerKey.MD5() != customerMD5 || in.Encryption.Customer.MD5() != otherMD5 {
		t.Errorf("copy: %+v", in)
	}
	s.expect(s3.InvalidArgument, "PUT", "/bucket/copy", "", append([]string{"x-amz-copy-source", "/bucket/key"}, sourceCustomer(customerKey, otherMD5)...)...)
	// Another encryption is a change: the object may be copied onto itself.
	s.expect(s3.InvalidRequest, "PUT", "/bucket/key", "", "x-amz-copy-source", "/bucket/key")
	s.ok("PUT", "/bucket/key", "", "x-amz-copy-source", "/bucket/key", sseHeader, "AES256")
	s.ok("PUT", "/bucket/key", "", append([]string{"x-amz-copy-source", "/bucket/key"}, key...)...)
}

func TestEncryptionOfUploads(t *testing.T) {
	s := newServer(t)
	const complete = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>"
	key := customer(customerKey, customerMD5)
	s.objects.parts.Upload.Encryption = objects.Encrypted{Mode: objects.EncryptedC, CustomerMD5: customerMD5}
	a := s.ok("PUT", "/bucket/key?uploadId=u&partNumber=1", "body", key...)
	part, _ := lastAsked[objects.UploadPartInput](s.objects)
	if part.CustomerKey.MD5() != customerMD5 || encryptionOf(a)["-Customer-Key-Md5"] != customerMD5 {
		t.Errorf("part: %v", a.Header)
	}
	a = s.ok("PUT", "/bucket/key?uploadId=u&partNumber=1", "", append(append([]string{"x-amz-copy-source", "/bucket/source"}, key...), sourceCustomer(otherKey, otherMD5)...)...)
	copied, _ := lastAsked[objects.UploadPartCopyInput](s.objects)
	if copied.CustomerKey.MD5() != customerMD5 || copied.Source.CustomerKey.MD5() != otherMD5 || encryptionOf(a)["-Customer-Key-Md5"] != customerMD5 {
		t.Errorf("copied part: %+v, %v", copied, a.Header)
	}
	a = s.ok("POST", "/bucket/key?uploadId=u", complete, key...)
	done, _ := lastAsked[objects.CompleteUploadInput](s.objects)
	if done.CustomerKey.MD5() != customerMD5 || encryptionOf(a)["-Customer-Key-Md5"] != customerMD5 {
		t.Errorf("completion: %v, %v", done.CustomerKey, a.Header)
	}
	s.objects.parts.Upload.Encryption.CustomerMD5 = ""
	if a := s.ok("POST", "/bucket/key?uploadId=u", complete); len(encryptionOf(a)) != 0 {
		t.Errorf("completion without the key: %v", a.Header)
	}

	// The mode may be repeated, and is the upload's all the same.
	for mode, shown := range map[objects.EncryptionMode]string{objects.EncryptedKMS: "aws:kms", objects.EncryptedS3: "AES256"} {
		s.objects.parts.Upload.Encryption = objects.Encrypted{Mode: mode}
		for _, request := range [][]string{
			{"PUT", "/bucket/key?uploadId=u&partNumber=1", "body"},
			{"PUT", "/bucket/key?uploadId=u&partNumber=1", "", "x-amz-copy-source", "/bucket/source"},
			{"POST", "/bucket/key?uploadId=u", complete},
		} {
			a := s.ok(request[0], request[1], request[2], append(request[3:], sseHeader, shown)...)
			if got := encryptionOf(a)[""]; got != shown {
				t.Errorf("%s %s shows %q", request[0], request[1], got)
			}
			for _, other := range []string{"AES256", "aws:kms", "aws:kms:dsse", "x"} {
				if other != shown {
					s.expect(s3.InvalidArgument, request[0], request[1], request[2], append(request[3:], sseHeader, other)...)
				}
			}
			s.expect(s3.InvalidArgument, request[0], request[1], request[2], append(request[3:], sseHeader+"-aws-kms-key-id", "k")...)
			s.expect(s3.InvalidArgument, request[0], request[1], request[2], append(request[3:], sseHeader+"-context", "e30=")...)
		}
	}
	s.objects.parts.Upload.Encryption = objects.Encrypted{}
	s.expect(s3.InvalidArgument, "PUT", "/bucket/key?uploadId=u&partNumber=1", "body", sseHeader, "AES256")
}

func TestUpdateObjectEncryption(t *testing.T) {
	s := newServer(t, allowV2)
	document := func(elements string) string { return "<ObjectEncryption>" + elements + "</ObjectEncryption>" }
	s.ok("PUT", "/bucket/key?encryption&versionId=null", document("<SSE-KMS><KMSKeyArn>arn:aws:kms:us-east-1:1:key/k</KMSKeyArn><BucketKeyEnabled>true</BucketKeyEnabled></SSE-KMS>"))
	in, _ := lastAsked[objects.UpdateEncryptionInput](s.objects)
	if in.Access == nil || in.Key != "key" || in.VersionID != "null" || in.KeyID != "arn:aws:kms:us-east-1:1:key/k" || !in.BucketKey {
		t.Errorf("%+v", in)
	}
	s.expect(s3.InvalidRequest, "PUT", "/bucket/key?encryption", document(""))
	s.expect(s3.InvalidRequest, "PUT", "/bucket/key?encryption", document("<SSE-S3/>"))
	s.expect(s3.MalformedXML, "PUT", "/bucket/key?encryption", document("<SSE-X/>"))
	s.expect(s3.MissingRequestBodyError, "PUT", "/bucket/key?encryption", "")
	s.objects.configs[objects.ConfigPolicy] = []byte(statement("Deny", `"*"`, "s3:UpdateObjectEncryption", "bucket/*"))
	s.expect(s3.AccessDenied, "PUT", "/bucket/key?encryption", document("<SSE-KMS><KMSKeyArn>k</KMSKeyArn></SSE-KMS>"))
}
