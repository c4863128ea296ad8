package gateway

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sse"
)

// TestKeysAreInNoLog: at the lowest level and with every request logged, a log
// has nothing of a client's keys, whatever becomes of the request.
func TestKeysAreInNoLog(t *testing.T) {
	s := newServer(t, func(o *Options) { o.AccessLog = true })
	key := customer(customerKey, customerMD5)
	s.ok("PUT", "/bucket/key", "body", key...)
	s.ok("GET", "/bucket/key", "", key...)
	s.ok("PUT", "/bucket/copy", "", append(append([]string{"x-amz-copy-source", "/bucket/key"}, sourceCustomer(customerKey, customerMD5)...), key...)...)
	s.expect(s3.InvalidArgument, "GET", "/bucket", "", key...)
	s.expect(s3.InvalidArgument, "PUT", "/bucket/key", "body", customer(customerKey, otherMD5)...)
	s.expect(s3.InvalidArgument, "PUT", "/bucket/key", "body", customer(customerKey[1:], customerMD5)...)
	s.expect(s3.InvalidArgument, "PUT", "/bucket/key", "body", append([]string{sseHeader, "AES256"}, key...)...)
	query := url.Values{}
	for i := 0; i < len(key); i += 2 {
		query.Set(key[i], key[i+1])
	}
	if a := s.send(s.presigned("GET", "/bucket/key?"+query.Encode())); a.StatusCode != http.StatusOK {
		t.Errorf("presigned: %d %s", a.StatusCode, a.body)
	}
	stranger := s.presigned("GET", "/bucket/key?"+query.Encode())
	stranger.URL.RawQuery += "0"
	if f := s.send(stranger).failure(t); f.Code != s3.SignatureDoesNotMatch {
		t.Errorf("a wrong signature: %s", f.Code)
	}
	fields, conditions := []string{"key", "form"}, []string(nil)
	for i := 0; i < len(key); i += 2 {
		fields, conditions = append(fields, key[i], key[i+1]), append(conditions, `["eq", "$`+key[i]+`", "`+key[i+1]+`"]`)
	}
	for _, conditions := range [][]string{conditions, conditions[1:], conditions[:1]} {
		s.post(signedV4(conditions, append(fields, "file", "hello")...))
	}
	s.objects.fail = s3.NewError(s3.InternalError)
	s.expect(s3.InternalError, "PUT", "/bucket/key", "body", key...)
	put, _ := lastAsked[objects.PutObjectInput](s.objects)
	if put.Encryption.Customer.MD5() != customerMD5 {
		t.Fatal("the last request had no key")
	}
	log := s.log.String()
	if !strings.Contains(log, "PutObject") || !strings.Contains(log, "PostObject") || !strings.Contains(log, "SignatureDoesNotMatch") {
		t.Errorf("the requests are not logged:\n%s", log)
	}
	raw, err := base64.StdEncoding.DecodeString(customerKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{customerKey, customerKey[1:20], url.QueryEscape(customerKey), string(raw), hex.EncodeToString(raw), customerMD5} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q:\n%s", secret, log)
		}
	}
}

func TestKeysAreWiped(t *testing.T) {
	s := newServer(t)
	s.ok("PUT", "/bucket/key", "body", customer(customerKey, customerMD5)...)
	s.objects.onPut = func() { panic("told to") }
	s.expect(s3.InternalError, "PUT", "/bucket/key", "body", customer(otherKey, otherMD5)...)
	blank, err := sse.NewCustomerKey(make([]byte, sse.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	var seen int
	for _, in := range s.objects.asked {
		if put, ok := in.(objects.PutObjectInput); ok {
			seen++
			if !put.Encryption.Customer.Equal(blank) {
				t.Errorf("key %d is still there after the request", seen)
			}
		}
	}
	if seen != 2 {
		t.Errorf("%d keys", seen)
	}
}

func TestKeysWithoutTLS(t *testing.T) {
	for _, tt := range []struct {
		choice PlainKeys
		remote string
		tls    bool
		want   bool
	}{
		{"", "127.0.0.1:5", false, true},
		{"", "[::1]:5", false, true},
		{PlainKeysLoopback, "127.8.8.8:5", false, true},
		{PlainKeysLoopback, "192.0.2.1:5", false, false},
		{PlainKeysLoopback, "[2001:db8::1%eth0]:5", false, false},
		{PlainKeysLoopback, "@", false, false},
		{PlainKeysLoopback, "192.0.2.1:5", true, true},
		{PlainKeysNever, "127.0.0.1:5", false, false},
		{PlainKeysNever, "192.0.2.1:5", true, true},
		{PlainKeysAlways, "192.0.2.1:5", false, true},
	} {
		x := &exchange{gateway: &Gateway{o: Options{PlainKeys: tt.choice}}, r: &http.Request{RemoteAddr: tt.remote}}
		if tt.tls {
			x.r.TLS = &tls.ConnectionState{}
		}
		if got := x.mayCarryKeys(); got != tt.want {
			t.Errorf("%+v: %t", tt, got)
		}
	}
	s := newServer(t, func(o *Options) { o.PlainKeys = PlainKeysNever })
	a := s.expect(s3.InvalidRequest, "PUT", "/bucket/key", "body", customer(customerKey, customerMD5)...)
	if !strings.Contains(a.body, "must be made over a secure connection") {
		t.Error(a.body)
	}
	if _, err := New(Options{PlainKeys: "sometimes"}); err == nil {
		t.Error("an unknown choice is taken")
	}
}

// TestEncryptionInPolicies: a policy sees what the request says of encryption,
// and for the parts of an upload what the upload says.
func TestEncryptionInPolicies(t *testing.T) {
	const complete = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>"
	s := newServer(t)
	key, none, account := customer(customerKey, customerMD5), []string(nil), string(iam.RootIdentity().AccountID)
	for _, tt := range []struct {
		condition string
		allowed   [][]string
		denied    [][]string
	}{
		{`"Null":{"s3:x-amz-server-side-encryption":"true"}`, [][]string{{sseHeader, "AES256"}, kms("k")}, [][]string{none, key}},
		{`"StringNotEquals":{"s3:x-amz-server-side-encryption":"AES256"}`, [][]string{{sseHeader, "AES256"}}, [][]string{none, kms("k"), {sseHeader, "AES192"}}},
		{
			`"StringNotEquals":{"s3:x-amz-server-side-encryption-aws-kms-key-id":"good"}`,
			[][]string{kms("good"), kms("arn:aws:kms:us-east-1:1:key/good"), kms("alias/good")},
			[][]string{kms("bad"), {sseHeader, "aws:kms"}, kms("arn:aws:kms:good:1:key/bad")},
		},
		{
			`"StringEquals":{"s3:x-amz-server-side-encryption-aws-kms-key-id":"bad"}`,
			[][]string{kms("good"), none},
			[][]string{kms("bad"), kms("alias/bad"), kms("arn:aws:kms:us-east-1:1:key/bad")},
		},
		{
			`"StringNotLike":{"s3:x-amz-server-side-encryption-aws-kms-key-id":"arn:aws:kms:us-east-1:` + account + `:key/g*"}`,
			[][]string{kms("arn:aws:kms:us-east-1:1:key/good"), kms("good")},
			[][]string{kms("bad"), none},
		},
		{ // what an ARN says besides the key is the client's word
			`"StringNotLike":{"s3:x-amz-server-side-encryption-aws-kms-key-id":["arn:aws:kms:*:key/good*","*:222222222222:*"]}`,
			[][]string{kms("good"), kms("arn:aws:kms:us-east-1:222222222222:key/good"), kms("arn:aws:kms:eu-west-1:1:alias/good")},
			[][]string{
				kms("arn:aws:kms::key/good:key/bad"), kms("arn:aws:kms:x:key/good:key/bad"), kms("arn:aws:kms:a:key/good:bad"),
				kms("arn:aws:kms:us-east-1:222222222222:key/bad"), kms("arn:222222222222:kms:us-east-1:1:key/bad"), none,
			},
		},
		{`"Null":{"s3:x-amz-server-side-encryption-customer-algorithm":"true"}`, [][]string{key}, [][]string{none, {sseHeader, "AES256"}}},
		{
			`"StringNotEquals":{"s3:x-amz-server-side-encryption-customer-algorithm":"AES256"}`,
			[][]string{key},
			[][]string{none, {sseHeader + "-customer-algorithm", "AES192"}},
		},
	} {
		s.objects.configs[objects.ConfigPolicy] = []byte(policy(when("Deny", "s3:PutObject", "bucket/*", tt.condition)))
		for _, headers := range tt.allowed {
			a := s.ok("POST", "/bucket/key?uploads", "", headers...)
			in, _ := lastAsked[objects.CreateUploadInput](s.objects)
			s.objects.parts.Upload.Encryption = encryptedAs(&in.Encryption)
			s.ok("PUT", "/bucket/key", "body", headers...)
			id := a.Header.Get(s3.HeaderSSEKeyID) // of which objects keep the name
			s.objects.parts.Upload.Encryption.KeyID = id[strings.LastIndex(id, "/")+1:]
			s.ok("PUT", "/bucket/key?uploadId=u&partNumber=1", "body")
			s.ok("PUT", "/bucket/key?uploadId=u&partNumber=1", "", "x-amz-copy-source", "/bucket/source")
			s.ok("POST", "/bucket/key?uploadId=u", complete)
		}
		for _, headers := range tt.denied {
			s.expect(s3.AccessDenied, "PUT", "/bucket/key", "body", headers...)
			s.expect(s3.AccessDenied, "POST", "/bucket/key?uploads", "", headers...)
		}
		s.objects.parts.Upload.Encryption = objects.Encrypted{}
		if len(tt.denied[0]) == 0 { // an upload without encryption, whatever its parts say
			s.expect(s3.AccessDenied, "PUT", "/bucket/key?uploadId=u&partNumber=1", "body")
			s.expect(s3.AccessDenied, "PUT", "/bucket/key?uploadId=u&partNumber=1", "body", key...)
		}
	}
	// What is a key, or of one, is no condition key.
	x := &exchange{op: &Operation{Name: "PutObject"}, r: &http.Request{Header: http.Header{}}}
	for i := 0; i < len(key); i += 2 {
		x.r.Header.Set(key[i], key[i+1])
		x.r.Header.Set(strings.Replace(key[i], "x-amz-", "x-amz-copy-source-", 1), key[i+1])
	}
	for name := range x.r.Header {
		values := (&conditions{x: x}).encryption(strings.ToLower(name))
		if strings.HasSuffix(name, "Customer-Key") && values != nil || strings.HasSuffix(name, "Md5") && values != nil {
			t.Errorf("%s: %q", name, values)
		}
	}
}
