package compat

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// upload is a multipart upload under way.
type upload struct {
	t           *testing.T
	c           *s3.Client
	bucket, key string
	id          string
	algorithm   types.ChecksumAlgorithm // declared at the start; empty: none
	done        []types.CompletedPart
}

func beginUpload(t *testing.T, c *s3.Client, bucket, key string, opts ...func(*s3.CreateMultipartUploadInput)) *upload {
	t.Helper()
	in := &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key}
	for _, f := range opts {
		f(in)
	}
	out, err := c.CreateMultipartUpload(t.Context(), in)
	if err != nil {
		t.Fatalf("CreateMultipartUpload: %v", err)
	}
	if aws.ToString(out.UploadId) == "" || aws.ToString(out.Bucket) != bucket || aws.ToString(out.Key) != key {
		t.Fatalf("CreateMultipartUpload answered %+v", out)
	}
	return &upload{t: t, c: c, bucket: bucket, key: key, id: *out.UploadId, algorithm: in.ChecksumAlgorithm}
}

// part uploads one part and notes it for complete.
func (u *upload) part(number int32, body []byte) *s3.UploadPartOutput {
	u.t.Helper()
	out, err := u.tryPart(number, body)
	if err != nil {
		u.t.Fatalf("UploadPart %d: %v", number, err)
	}
	if want := `"` + md5Hex(body) + `"`; aws.ToString(out.ETag) != want {
		u.t.Errorf("part %d: ETag %s, want %s", number, aws.ToString(out.ETag), want)
	}
	done := types.CompletedPart{PartNumber: &number, ETag: out.ETag}
	if u.algorithm != "" {
		done.ChecksumCRC32, done.ChecksumCRC32C, done.ChecksumCRC64NVME = out.ChecksumCRC32, out.ChecksumCRC32C, out.ChecksumCRC64NVME
		done.ChecksumSHA1, done.ChecksumSHA256 = out.ChecksumSHA1, out.ChecksumSHA256
	}
	u.done = append(u.done, done)
	return out
}

func (u *upload) tryPart(number int32, body []byte) (*s3.UploadPartOutput, error) {
	return u.c.UploadPart(u.t.Context(), &s3.UploadPartInput{
		Bucket: &u.bucket, Key: &u.key, UploadId: &u.id, PartNumber: &number, Body: bytes.NewReader(body),
		ChecksumAlgorithm: u.algorithm,
	})
}

// copyPart copies a range of source ("bucket/key"), all of it when empty.
func (u *upload) copyPart(number int32, source, byteRange string) (*s3.UploadPartCopyOutput, error) {
	in := &s3.UploadPartCopyInput{Bucket: &u.bucket, Key: &u.key, UploadId: &u.id, PartNumber: &number, CopySource: &source}
	if byteRange != "" {
		in.CopySourceRange = &byteRange
	}
	out, err := u.c.UploadPartCopy(u.t.Context(), in)
	if err == nil {
		u.done = append(u.done, types.CompletedPart{PartNumber: &number, ETag: out.CopyPartResult.ETag})
	}
	return out, err
}

func (u *upload) complete() *s3.CompleteMultipartUploadOutput {
	u.t.Helper()
	out, err := u.tryComplete(u.done)
	if err != nil {
		u.t.Fatalf("CompleteMultipartUpload: %v", err)
	}
	return out
}

func (u *upload) tryComplete(parts []types.CompletedPart, opts ...func(*s3.CompleteMultipartUploadInput)) (*s3.CompleteMultipartUploadOutput, error) {
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &u.bucket, Key: &u.key, UploadId: &u.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	}
	for _, f := range opts {
		f(in)
	}
	return u.c.CompleteMultipartUpload(u.t.Context(), in)
}

func (u *upload) abort() error {
	_, err := u.c.AbortMultipartUpload(u.t.Context(), &s3.AbortMultipartUploadInput{Bucket: &u.bucket, Key: &u.key, UploadId: &u.id})
	return err
}

// uploadParts uploads and completes an object of these parts.
func uploadParts(t *testing.T, c *s3.Client, bucket, key string, parts [][]byte) *s3.CompleteMultipartUploadOutput {
	t.Helper()
	u := beginUpload(t, c, bucket, key)
	for i, p := range parts {
		u.part(int32(i+1), p)
	}
	return u.complete()
}

// multipartETag is the ETag that AWS gives to an object of these parts.
func multipartETag(parts [][]byte) string {
	all := md5.New()
	for _, p := range parts {
		sum := md5.Sum(p)
		all.Write(sum[:])
	}
	return `"` + hex.EncodeToString(all.Sum(nil)) + "-" + strconv.Itoa(len(parts)) + `"`
}
