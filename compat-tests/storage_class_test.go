package compat

import (
	"bytes"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// TestStorageClass: configured classes are kept and shown; a copy has the class
// that it is asked for, and never that of its source.
func TestStorageClass(t *testing.T) {
	t.Parallel()
	srv := startServer(t, "--storage-class", "STANDARD_IA=1+0", "--storage-class", "GLACIER_IR")
	c, bucket := srv.bucket(t)
	shown := func(key string, want types.StorageClass) {
		t.Helper()
		head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		if head.StorageClass != want {
			t.Errorf("HEAD %s: class %q, want %q", key, head.StorageClass, want)
		}
	}
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("cold"), StorageClass: "STANDARD_IA"})
	if err != nil {
		t.Fatal(err)
	}
	shown("cold", "STANDARD_IA")
	put(t, c, bucket, "plain", nil)
	shown("plain", "")
	u := beginUpload(t, c, bucket, "multi", func(in *s3.CreateMultipartUploadInput) { in.StorageClass = "GLACIER_IR" })
	u.part(1, []byte("x"))
	if _, err := u.tryComplete(u.done); err != nil {
		t.Fatal(err)
	}
	shown("multi", "GLACIER_IR")

	source := aws.String(bucket + "/cold")
	for key, class := range map[string]types.StorageClass{"copy": "", "frozen copy": "GLACIER_IR"} {
		in := &s3.CopyObjectInput{Bucket: &bucket, Key: &key, CopySource: source, StorageClass: class}
		if _, err := c.CopyObject(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		shown(key, class)
	}
	onto := &s3.CopyObjectInput{Bucket: &bucket, Key: aws.String("cold"), CopySource: source}
	_, err = c.CopyObject(t.Context(), onto)
	wantError(t, err, 400, "InvalidRequest")
	onto.StorageClass = types.StorageClassStandard
	if _, err = c.CopyObject(t.Context(), onto); err != nil {
		t.Fatal(err)
	}
	shown("cold", "")

	list, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]types.ObjectStorageClass{"cold": "STANDARD", "copy": "STANDARD", "frozen copy": "GLACIER_IR", "multi": "GLACIER_IR", "plain": "STANDARD"}
	if len(list.Contents) != len(want) {
		t.Errorf("%d objects are listed, want %d", len(list.Contents), len(want))
	}
	for _, o := range list.Contents {
		if o.StorageClass != want[*o.Key] {
			t.Errorf("listed %s: class %q, want %q", *o.Key, o.StorageClass, want[*o.Key])
		}
	}
	_, err = c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("k"), StorageClass: "GLACIER"})
	wantError(t, err, 400, "InvalidStorageClass")
}

// TestStorageClassOnDisks: what a class stores is in partitions of its scheme, as the
// status says; and is there when the class is not configured any more.
func TestStorageClassOnDisks(t *testing.T) {
	t.Parallel()
	dirs := makeDirs(t.TempDir())
	srv := startServerOn(t, dirs, "--scheme", "4+2", "--storage-class", "STANDARD_IA=5+1")
	c, bucket := srv.bucket(t)
	data := pattern(300_000, 7)
	class := types.StorageClassStandardIa
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("put"), StorageClass: class, Body: bytes.NewReader(data)})
	if err != nil {
		t.Fatal(err)
	}
	put(t, c, bucket, "plain", data)
	for _, key := range []string{"plain", "copy"} { // onto itself, too
		in := &s3.CopyObjectInput{Bucket: &bucket, Key: &key, CopySource: aws.String(bucket + "/plain"), StorageClass: class}
		if _, err := c.CopyObject(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	versions, err := c.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range versions.Versions {
		if string(v.StorageClass) != string(class) {
			t.Errorf("%s is listed in class %s", *v.Key, v.StorageClass)
		}
	}
	attributes, err := c.GetObjectAttributes(t.Context(), &s3.GetObjectAttributesInput{
		Bucket: &bucket, Key: aws.String("copy"), ObjectAttributes: []types.ObjectAttributes{types.ObjectAttributesStorageClass},
	})
	if err != nil || attributes.StorageClass != class {
		t.Errorf("attributes: %+v, %v", attributes, err)
	}
	status, err := srv.administer(t, "status")
	if err != nil || !strings.Contains(status, "STANDARD_IA 5+1, ") || !strings.Contains(status, "1.20 bytes stored for each") {
		t.Errorf("status: %v\n%s", err, status)
	}
	if err := srv.stop(); err != nil {
		t.Fatal(err)
	}
	srv = startServerOn(t, dirs)
	c = srv.client()
	for _, key := range []string{"put", "plain", "copy"} {
		wantBytes(t, key, get(t, c, bucket, key), data)
	}
	_, err = c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("k"), StorageClass: class})
	wantError(t, err, 400, "InvalidStorageClass")
	if status, err := srv.administer(t, "status"); err != nil || !strings.Contains(status, "not configured any more") {
		t.Errorf("status: %v\n%s", err, status)
	}
	check(t, srv)
}
