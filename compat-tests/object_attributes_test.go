package compat

import (
	"bytes"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

var allAttributes = types.ObjectAttributes("").Values()

func TestObjectAttributesOfSinglePut(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	body := []byte("hello")
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: aws.String("k"), Body: bytes.NewReader(body), ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.GetObjectAttributes(t.Context(), &s3.GetObjectAttributesInput{Bucket: &bucket, Key: aws.String("k"), ObjectAttributes: allAttributes})
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(out.ETag) != md5Hex(body) || aws.ToInt64(out.ObjectSize) != 5 || out.StorageClass != types.StorageClassStandard ||
		out.ObjectParts != nil || out.LastModified == nil {
		t.Errorf("attributes %+v", out)
	}
	if out.Checksum == nil || aws.ToString(out.Checksum.ChecksumSHA256) != checksumOf("SHA256", body) || out.Checksum.ChecksumType != types.ChecksumTypeFullObject {
		t.Errorf("checksum %+v", out.Checksum)
	}
	some, err := c.GetObjectAttributes(t.Context(), &s3.GetObjectAttributesInput{
		Bucket: &bucket, Key: aws.String("k"), ObjectAttributes: []types.ObjectAttributes{types.ObjectAttributesObjectSize},
	})
	if err != nil || some.ETag != nil || some.Checksum != nil || some.StorageClass != "" || aws.ToInt64(some.ObjectSize) != 5 {
		t.Errorf("only ObjectSize asked: %+v, %v", some, err)
	}
}

func TestObjectAttributesOfMultipart(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	parts := [][]byte{pattern(5*mib, 1), pattern(5*mib, 2), pattern(5*mib, 3), pattern(9, 4)}
	u := beginUpload(t, c, bucket, "k", func(in *s3.CreateMultipartUploadInput) { in.ChecksumAlgorithm = types.ChecksumAlgorithmSha256 })
	for i, p := range parts {
		u.part(int32(2*i+1), p) // with gaps
	}
	u.complete()
	in := &s3.GetObjectAttributesInput{Bucket: &bucket, Key: aws.String("k"), ObjectAttributes: allAttributes, MaxParts: aws.Int32(3)}
	out, err := c.GetObjectAttributes(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	p := out.ObjectParts
	if aws.ToInt64(out.ObjectSize) != int64(len(join(parts))) || p == nil || aws.ToInt32(p.TotalPartsCount) != 4 {
		t.Fatalf("attributes %+v, parts %+v", out, p)
	}
	if len(p.Parts) != 3 || !aws.ToBool(p.IsTruncated) || aws.ToInt32(p.MaxParts) != 3 || aws.ToString(p.NextPartNumberMarker) == "" {
		t.Fatalf("first page %+v", p)
	}
	seen := p.Parts
	in.PartNumberMarker = p.NextPartNumberMarker
	out, err = c.GetObjectAttributes(t.Context(), in)
	if err != nil || out.ObjectParts == nil || aws.ToBool(out.ObjectParts.IsTruncated) {
		t.Fatalf("second page: %v", err)
	}
	seen = append(seen, out.ObjectParts.Parts...)
	if len(seen) != 4 {
		t.Fatalf("%d parts, want 4", len(seen))
	}
	for i, part := range seen {
		if aws.ToInt32(part.PartNumber) != int32(2*i+1) || aws.ToInt64(part.Size) != int64(len(parts[i])) ||
			aws.ToString(part.ChecksumSHA256) != checksumOf("SHA256", parts[i]) {
			t.Errorf("part %d: %+v", i, part)
		}
	}
}

func TestObjectAttributesErrors(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	put(t, c, bucket, "k", nil)
	ask := func(key string, h map[string]string) *rawResponse {
		return s.raw(t, &rawRequest{Path: "/" + bucket + "/" + key, Query: "attributes=", Header: h})
	}
	ask("k", nil).want(t, "no header", 400, "InvalidRequest", "InvalidArgument")
	ask("k", header("x-amz-object-attributes", "ETag,Weight")).want(t, "unknown attribute", 400, "InvalidArgument")
	ask("none", header("x-amz-object-attributes", "ETag")).want(t, "missing object", 404, "NoSuchKey")
}
