package compat

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// customerKey is a key of SSE-C as the SDK wants it.
type customerKey struct{ algorithm, key, md5 *string }

func newCustomerKey(seed byte) customerKey {
	raw := pattern(32, seed)
	sum := md5.Sum(raw)
	return customerKey{aws.String("AES256"), aws.String(base64.StdEncoding.EncodeToString(raw)), aws.String(base64.StdEncoding.EncodeToString(sum[:]))}
}

func (k customerKey) put(t *testing.T, c *s3.Client, bucket, key string, body []byte) *s3.PutObjectOutput {
	t.Helper()
	out, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: bytes.NewReader(body), SSECustomerAlgorithm: k.algorithm, SSECustomerKey: k.key, SSECustomerKeyMD5: k.md5,
	})
	if err != nil {
		t.Fatalf("PutObject with a key: %v", err)
	}
	if aws.ToString(out.SSECustomerAlgorithm) != "AES256" || aws.ToString(out.SSECustomerKeyMD5) != *k.md5 || out.ServerSideEncryption != "" {
		t.Errorf("PutObject answers %v %v %q", aws.ToString(out.SSECustomerAlgorithm), aws.ToString(out.SSECustomerKeyMD5), out.ServerSideEncryption)
	}
	return out
}

func (k customerKey) get(t *testing.T, c *s3.Client, in s3.GetObjectInput) ([]byte, error) {
	t.Helper()
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = k.algorithm, k.key, k.md5
	out, err := c.GetObject(t.Context(), &in)
	if err != nil {
		return nil, err
	}
	if aws.ToString(out.SSECustomerKeyMD5) != *k.md5 {
		t.Errorf("GetObject shows %q", aws.ToString(out.SSECustomerKeyMD5))
	}
	return readAll(t, out.Body), nil
}

func (k customerKey) want(t *testing.T, c *s3.Client, bucket, key string, want []byte) {
	t.Helper()
	got, err := k.get(t, c, s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatalf("GetObject with the key: %v", err)
	}
	wantBytes(t, key, got, want)
}

// TestEncryptionWithCustomerKeys is SSE-C: nothing is read, described or copied
// without the key.
func TestEncryptionWithCustomerKeys(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	one, other := newCustomerKey(1), newCustomerKey(2)
	for _, size := range []int{0, 1, 9 << 10, 65_520, 65_521, 5*mib + 17} {
		key, body := fmt.Sprintf("object-%d", size), pattern(size, 7)
		if tag := aws.ToString(one.put(t, c, bucket, key, body).ETag); tag == `"`+md5Hex(body)+`"` {
			t.Errorf("%s: the entity tag is the MD5 of the plaintext", key)
		}
		one.want(t, c, bucket, key, body)
		if size > 100 {
			first, last := size/2-20, size/2+20
			got, err := one.get(t, c, s3.GetObjectInput{Bucket: &bucket, Key: &key, Range: aws.String(fmt.Sprintf("bytes=%d-%d", first, last))})
			if err != nil {
				t.Fatal(err)
			}
			wantBytes(t, "range of "+key, got, body[first:last+1])
		}
		_, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
		wantError(t, err, http.StatusBadRequest, "InvalidRequest")
		_, err = other.get(t, c, s3.GetObjectInput{Bucket: &bucket, Key: &key})
		wantError(t, err, http.StatusBadRequest, "InvalidRequest")
		_, err = c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
		wantError(t, err, http.StatusBadRequest, "BadRequest")
		_, err = c.GetObjectAttributes(t.Context(), &s3.GetObjectAttributesInput{Bucket: &bucket, Key: &key, ObjectAttributes: []types.ObjectAttributes{types.ObjectAttributesEtag}})
		wantError(t, err, http.StatusBadRequest, "InvalidRequest")
	}
	put(t, c, bucket, "plain", []byte("plain"))
	_, err := one.get(t, c, s3.GetObjectInput{Bucket: &bucket, Key: aws.String("plain")})
	wantError(t, err, http.StatusBadRequest, "InvalidRequest")

	// What is kept beside the bytes is not encrypted, and needs no key.
	named := aws.String("object-1")
	tags := &types.Tagging{TagSet: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}
	if _, err := c.PutObjectTagging(t.Context(), &s3.PutObjectTaggingInput{Bucket: &bucket, Key: named, Tagging: tags}); err != nil {
		t.Error(err)
	}
	if out, err := c.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: &bucket, Key: named}); err != nil || len(out.TagSet) != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	if _, err := c.GetObjectAcl(t.Context(), &s3.GetObjectAclInput{Bucket: &bucket, Key: named}); err != nil {
		t.Error(err)
	}

	source, key := bucket+"/object-65521", "copied"
	in := &s3.CopyObjectInput{
		Bucket: &bucket, Key: &key, CopySource: &source,
		SSECustomerAlgorithm: other.algorithm, SSECustomerKey: other.key, SSECustomerKeyMD5: other.md5,
	}
	_, err = c.CopyObject(t.Context(), in)
	wantError(t, err, http.StatusBadRequest, "InvalidRequest")
	in.CopySourceSSECustomerAlgorithm, in.CopySourceSSECustomerKey, in.CopySourceSSECustomerKeyMD5 = one.algorithm, one.key, one.md5
	out, err := c.CopyObject(t.Context(), in)
	if err != nil || aws.ToString(out.SSECustomerKeyMD5) != *other.md5 {
		t.Fatalf("copy under another key: %+v, %v", out, err)
	}
	other.want(t, c, bucket, key, pattern(65_521, 7))
}

// TestEncryptionOfUploads: each part needs the key of its upload.
func TestEncryptionOfUploads(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	one, other, key := newCustomerKey(1), newCustomerKey(2), "parts"
	created, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{
		Bucket: &bucket, Key: &key, SSECustomerAlgorithm: one.algorithm, SSECustomerKey: one.key, SSECustomerKeyMD5: one.md5,
	})
	if err != nil || aws.ToString(created.SSECustomerKeyMD5) != *one.md5 {
		t.Fatalf("%+v, %v", created, err)
	}
	one.put(t, c, bucket, "source", pattern(6*mib, 3))
	upload := func(number int32, k customerKey, body []byte) (*s3.UploadPartOutput, error) {
		return c.UploadPart(t.Context(), &s3.UploadPartInput{
			Bucket: &bucket, Key: &key, UploadId: created.UploadId, PartNumber: &number, Body: bytes.NewReader(body),
			SSECustomerAlgorithm: k.algorithm, SSECustomerKey: k.key, SSECustomerKeyMD5: k.md5,
		})
	}
	for _, k := range []customerKey{{}, other} {
		_, err := upload(1, k, []byte("x"))
		wantError(t, err, http.StatusBadRequest, "InvalidRequest")
	}
	first, err := upload(1, one, pattern(5*mib, 1))
	if err != nil || aws.ToString(first.SSECustomerKeyMD5) != *one.md5 {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := c.UploadPartCopy(t.Context(), &s3.UploadPartCopyInput{
		Bucket: &bucket, Key: &key, UploadId: created.UploadId, PartNumber: aws.Int32(2), CopySource: aws.String(bucket + "/source"),
		CopySourceRange:      aws.String("bytes=1-5242881"),
		SSECustomerAlgorithm: one.algorithm, SSECustomerKey: one.key, SSECustomerKeyMD5: one.md5,
		CopySourceSSECustomerAlgorithm: one.algorithm, CopySourceSSECustomerKey: one.key, CopySourceSSECustomerKeyMD5: one.md5,
	})
	if err != nil {
		t.Fatal(err)
	}
	third, err := upload(3, one, []byte("end"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: &bucket, Key: &key, UploadId: created.UploadId, SSECustomerAlgorithm: one.algorithm, SSECustomerKey: one.key, SSECustomerKeyMD5: one.md5,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{
			{PartNumber: aws.Int32(1), ETag: first.ETag}, {PartNumber: aws.Int32(2), ETag: second.CopyPartResult.ETag}, {PartNumber: aws.Int32(3), ETag: third.ETag},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	whole := bytes.Join([][]byte{pattern(5*mib, 1), pattern(6*mib, 3)[1:5242882], []byte("end")}, nil)
	one.want(t, c, bucket, key, whole)
	got, err := one.get(t, c, s3.GetObjectInput{Bucket: &bucket, Key: &key, Range: aws.String("bytes=5242870-10485762")})
	if err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "range over parts", got, whole[5242870:10485763])
	// Whether there is a part is told without the key, what is in it is not.
	for part, code := range map[int32]string{3: "InvalidRequest", 4: "InvalidPart"} {
		_, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key, PartNumber: &part})
		wantError(t, err, http.StatusBadRequest, code)
	}
}

// TestBucketEncryption: what is written is encrypted as the bucket says, and as
// the request says where it does.
func TestBucketEncryption(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c, bucket := s.bucket(t)
	named := "compat-" + randomHex(4)
	if _, err := s.administer(t, "keys", "create", named); err != nil {
		t.Fatal(err)
	}
	_, err := c.GetBucketEncryption(t.Context(), &s3.GetBucketEncryptionInput{Bucket: &bucket})
	wantError(t, err, http.StatusNotFound, "ServerSideEncryptionConfigurationNotFoundError")
	configure := func(rule types.ServerSideEncryptionRule) {
		t.Helper()
		_, err := c.PutBucketEncryption(t.Context(), &s3.PutBucketEncryptionInput{
			Bucket: &bucket, ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{Rules: []types.ServerSideEncryptionRule{rule}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	body := pattern(300_000, 5)
	check := func(want types.ServerSideEncryption, key string) {
		t.Helper()
		out := put(t, c, bucket, "object", body)
		head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("object")})
		if err != nil {
			t.Fatal(err)
		}
		copied, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &bucket, Key: aws.String("copy"), CopySource: aws.String(bucket + "/object")})
		if err != nil {
			t.Fatal(err)
		}
		begun, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: aws.String("upload")})
		if err != nil {
			t.Fatal(err)
		}
		for operation, got := range map[string][2]string{
			"PutObject":  {string(out.ServerSideEncryption), aws.ToString(out.SSEKMSKeyId)},
			"HeadObject": {string(head.ServerSideEncryption), aws.ToString(head.SSEKMSKeyId)},
			"CopyObject": {string(copied.ServerSideEncryption), aws.ToString(copied.SSEKMSKeyId)},
			"Create":     {string(begun.ServerSideEncryption), aws.ToString(begun.SSEKMSKeyId)},
		} {
			if got != [2]string{string(want), key} {
				t.Errorf("%s shows %q, want %s %s", operation, got, want, key)
			}
		}
		wantBytes(t, "object", get(t, c, bucket, "object"), body)
		wantBytes(t, "copy", get(t, c, bucket, "copy"), body)
		if same := aws.ToString(out.ETag) == `"`+md5Hex(body)+`"`; same != (want != types.ServerSideEncryptionAwsKms) {
			t.Errorf("%s: ETag %s", want, aws.ToString(out.ETag))
		}
		if _, err := c.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: aws.String("upload"), UploadId: begun.UploadId}); err != nil {
			t.Error(err)
		}
	}
	check("", "")
	configure(types.ServerSideEncryptionRule{ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryptionAes256}})
	check(types.ServerSideEncryptionAes256, "")
	configure(types.ServerSideEncryptionRule{
		ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryptionAwsKms, KMSMasterKeyID: &named},
		BucketKeyEnabled:                   aws.Bool(true),
	})
	check(types.ServerSideEncryptionAwsKms, named)
	out, err := c.GetBucketEncryption(t.Context(), &s3.GetBucketEncryptionInput{Bucket: &bucket})
	if err != nil || aws.ToString(out.ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault.KMSMasterKeyID) != named {
		t.Errorf("%+v, %v", out, err)
	}
	if _, err := c.DeleteBucketEncryption(t.Context(), &s3.DeleteBucketEncryptionInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	check("", "")
}

// TestEncryptionWithNamedKeys is SSE-KMS: what is under a key that is deleted
// is not read any more.
func TestEncryptionWithNamedKeys(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c, bucket := s.bucket(t)
	if _, err := s.administer(t, "keys", "create", "payroll"); err != nil {
		t.Fatal(err)
	}
	write := func(key string) (*s3.PutObjectOutput, error) {
		return c.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: &bucket, Key: aws.String("object"), Body: strings.NewReader("secret"),
			ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSKeyId: &key,
			SSEKMSEncryptionContext: aws.String(base64.StdEncoding.EncodeToString([]byte(`{"team":"payroll"}`))),
		})
	}
	_, err := write("nobody")
	wantError(t, err, http.StatusBadRequest, "KMS.NotFoundException")
	// Without a name it is the store's own key, as AWS has one for each account.
	if out, err := write(""); err != nil || aws.ToString(out.SSEKMSKeyId) == "" {
		t.Errorf("without a name: %+v, %v", out, err)
	}
	for _, key := range []string{"payroll", "alias/payroll", "arn:aws:kms:us-east-1:123456789012:key/payroll"} {
		if out, err := write(key); err != nil || aws.ToString(out.SSEKMSKeyId) != "payroll" {
			t.Fatalf("%s: %+v, %v", key, out, err)
		}
		wantBytes(t, "object", get(t, c, bucket, "object"), []byte("secret"))
	}
	if _, err := s.administer(t, "keys", "delete", "payroll", "--yes"); err != nil {
		t.Fatal(err)
	}
	_, err = c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("object")})
	wantError(t, err, http.StatusBadRequest, "KMS.NotFoundException")
}

// TestKeysOfClientsAreNotLogged: at the lowest level, with every request.
func TestKeysOfClientsAreNotLogged(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--access-log", "--log-level", "debug", "--default-encryption", "AES256")
	c, bucket := s.bucket(t)
	k := newCustomerKey(9)
	k.put(t, c, bucket, "object", []byte("body"))
	k.want(t, c, bucket, "object", []byte("body"))
	other := newCustomerKey(10)
	_, err := other.get(t, c, s3.GetObjectInput{Bucket: &bucket, Key: aws.String("object")})
	wantError(t, err, http.StatusBadRequest, "InvalidRequest")
	presigner := s3.NewPresignClient(c)
	url, err := presigner.PresignGetObject(t.Context(), &s3.GetObjectInput{
		Bucket: &bucket, Key: aws.String("object"), SSECustomerAlgorithm: k.algorithm, SSECustomerKey: k.key, SSECustomerKeyMD5: k.md5,
	})
	if err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "presigned", fetch(t, http.MethodGet, url.URL, nil, url.SignedHeader).Body, []byte("body"))
	log := s.log.String()
	if !strings.Contains(log, "PutObject") || !strings.Contains(log, "GetObject") {
		t.Fatalf("nothing is logged:\n%s", log)
	}
	for _, secret := range []*string{k.key, k.md5, other.key} {
		if strings.Contains(log, *secret) || strings.Contains(log, (*secret)[1:20]) {
			t.Errorf("the log has a key:\n%s", log)
		}
	}
	if out := put(t, c, bucket, "by-default", []byte("body")); out.ServerSideEncryption != types.ServerSideEncryptionAes256 {
		t.Errorf("by default: %q", out.ServerSideEncryption)
	}
	rules, err := c.GetBucketEncryption(t.Context(), &s3.GetBucketEncryptionInput{Bucket: &bucket})
	if err != nil || rules.ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault.SSEAlgorithm != types.ServerSideEncryptionAes256 {
		t.Errorf("GetBucketEncryption: %+v, %v", rules, err)
	}
}

// TestKeysOfClientsNeedTLS: with the setting, also from this machine.
func TestKeysOfClientsNeedTLS(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--sse-c-without-tls", "off")
	c, bucket := s.bucket(t)
	k := newCustomerKey(1)
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: aws.String("object"), Body: strings.NewReader("body"), SSECustomerAlgorithm: k.algorithm, SSECustomerKey: k.key, SSECustomerKeyMD5: k.md5,
	})
	wantError(t, err, http.StatusBadRequest, "InvalidRequest")
	wantAbsent(t, c, bucket, "object")
}
