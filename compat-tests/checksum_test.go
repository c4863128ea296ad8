package compat

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/minio/crc64nvme"
)

var checksumNames = []string{"CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"}

func rawChecksum(name string, data []byte) []byte {
	var h hash.Hash
	switch name {
	case "CRC32":
		return binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(data))
	case "CRC32C":
		return binary.BigEndian.AppendUint32(nil, crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
	case "CRC64NVME":
		return binary.BigEndian.AppendUint64(nil, crc64nvme.Checksum(data))
	case "SHA1":
		h = sha1.New()
	case "SHA256":
		h = sha256.New()
	default:
		panic(name)
	}
	h.Write(data)
	return h.Sum(nil)
}

func checksumOf(name string, data []byte) string {
	return base64.StdEncoding.EncodeToString(rawChecksum(name, data))
}

// compositeOf is the checksum of checksums that AWS gives to a multipart object.
func compositeOf(name string, parts [][]byte) string {
	var all []byte
	for _, p := range parts {
		all = append(all, rawChecksum(name, p)...)
	}
	return checksumOf(name, all) + "-" + strconv.Itoa(len(parts))
}

func TestChecksumHeaderAndTrailer(t *testing.T) {
	t.Parallel()
	_, bucket := newBucket(t)
	s := shared(t)
	for i, name := range checksumNames {
		field := "x-amz-checksum-" + strings.ToLower(name)
		for j, size := range []int{0, 11, 8193, 5*mib + 3} {
			body := pattern(size, byte(10*i+j))
			sum := checksumOf(name, body)
			path := "/" + bucket + "/" + name
			check := func(what string, resp *rawResponse) {
				resp.want(t, what, 200)
				if got := resp.Header.Get(field); got != sum {
					t.Errorf("%s: answered %s %q, want %q", what, field, got, sum)
				}
				head := s.raw(t, &rawRequest{Method: "HEAD", Path: path, Header: header("x-amz-checksum-mode", "ENABLED")})
				if head.Header.Get(field) != sum || head.Header.Get("X-Amz-Checksum-Type") != "FULL_OBJECT" {
					t.Errorf("%s: HEAD has %q, type %q", what, head.Header.Get(field), head.Header.Get("X-Amz-Checksum-Type"))
				}
				got := s.raw(t, &rawRequest{Path: path, Header: header("x-amz-checksum-mode", "ENABLED")})
				if got.Header.Get(field) != sum {
					t.Errorf("%s: GET has %q", what, got.Header.Get(field))
				}
				wantBytes(t, what, got.Body, body)
				if plain := s.raw(t, &rawRequest{Method: "HEAD", Path: path}); plain.Header.Get(field) != "" {
					t.Errorf("%s: sent although the mode was not asked for", what)
				}
			}
			check(name+" header", s.raw(t, &rawRequest{Method: "PUT", Path: path, Body: body, Header: header(field, sum)}))
			check(name+" header, unsigned payload", s.raw(t, &rawRequest{
				Method: "PUT", Path: path, Body: body, Header: header(field, sum), SHA256: "UNSIGNED-PAYLOAD",
			}))
			check(name+" trailer", s.putChunked(t, path, &chunkedBody{data: body, size: 65536, trailer: field + ":" + sum}, nil))
			check(name+" signed trailer", s.putChunked(t, path, &chunkedBody{data: body, size: 65536, signed: true, trailer: field + ":" + sum}, nil))
		}
	}
}

func TestChecksumMismatchStoresNothing(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	body := []byte("hello")
	for _, name := range checksumNames {
		field := "x-amz-checksum-" + strings.ToLower(name)
		for _, size := range []int{5, 100000} {
			body := pattern(size, 9)
			resp := s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/k", Body: body, Header: header(field, checksumOf(name, []byte("other")))})
			resp.want(t, name+" wrong", 400, "BadDigest")
		}
		for _, bad := range []string{"!!!", "AAAA", checksumOf(name, body) + "AAAA"} {
			resp := s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/k", Body: body, Header: header(field, bad)})
			resp.want(t, name+" "+bad, 400, "BadDigest")
		}
	}
	two := header("x-amz-checksum-crc32", checksumOf("CRC32", body), "x-amz-checksum-sha1", checksumOf("SHA1", body))
	s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/k", Body: body, Header: two}).want(t, "two checksums", 400, "InvalidRequest")
	s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/k", Body: body, Header: header("x-amz-sdk-checksum-algorithm", "SHA256", "x-amz-checksum-crc32", checksumOf("CRC32", body))}).
		want(t, "another algorithm than announced", 400, "BadDigest")
	wantAbsent(t, c, bucket, "k")
}

func TestContentMD5AndSHA256Mismatch(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	for _, size := range []int{5, 9000, 2 * mib} {
		body := pattern(size, 8)
		put := func(h map[string]string, sum string) *rawResponse {
			return s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/k", Body: body, Header: h, SHA256: sum})
		}
		other := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 16))
		put(header("content-md5", other), "").want(t, "Content-MD5 of something else", 400, "BadDigest")
		if size < mib { // such a header may be answered before a body is read
			put(header("content-md5", "not base64!"), "").want(t, "Content-MD5 not base64", 400, "InvalidDigest")
			put(header("content-md5", "AAAA"), "").want(t, "Content-MD5 too short", 400, "InvalidDigest")
		}
		put(nil, sha256Hex([]byte("other"))).want(t, "x-amz-content-sha256 of something else", 400, "XAmzContentSHA256Mismatch")
		wantAbsent(t, c, bucket, "k")
	}
}

func TestChecksumMultipartComposite(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	parts := [][]byte{pattern(5*mib, 1), pattern(5*mib, 2), pattern(77, 3)}
	for _, name := range []string{"CRC32", "CRC32C", "SHA1", "SHA256"} {
		u := beginUpload(t, c, bucket, name, func(in *s3.CreateMultipartUploadInput) {
			in.ChecksumAlgorithm = types.ChecksumAlgorithm(name)
			in.ChecksumType = types.ChecksumTypeComposite
		})
		for i, p := range parts {
			u.part(int32(i+1), p)
		}
		out := u.complete()
		want := compositeOf(name, parts)
		if got := checksumField(name, out); got != want {
			t.Errorf("%s: Complete answered %q, want %q", name, got, want)
		}
		if aws.ToString(out.ETag) != multipartETag(parts) {
			t.Errorf("ETag %s, want %s", aws.ToString(out.ETag), multipartETag(parts))
		}
		head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &name, ChecksumMode: types.ChecksumModeEnabled})
		if err != nil {
			t.Fatal(err)
		}
		got := checksumField(name, head)
		if got != want || head.ChecksumType != types.ChecksumTypeComposite {
			t.Errorf("%s: HEAD has %q %s, want %q COMPOSITE", name, got, head.ChecksumType, want)
		}
		wantBytes(t, name, get(t, c, bucket, name), join(parts))
	}
}

func TestChecksumMultipartFullObject(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	parts := [][]byte{pattern(5*mib, 1), pattern(5*mib+9, 2), pattern(77, 3)}
	all := join(parts)
	for _, name := range []string{"CRC32", "CRC32C", "CRC64NVME"} {
		begin := func() *upload {
			u := beginUpload(t, c, bucket, name, func(in *s3.CreateMultipartUploadInput) {
				in.ChecksumAlgorithm = types.ChecksumAlgorithm(name)
				in.ChecksumType = types.ChecksumTypeFullObject
			})
			for i, p := range parts {
				u.part(int32(i+1), p)
			}
			return u
		}
		expect := func(sum string) func(*s3.CompleteMultipartUploadInput) {
			return func(in *s3.CompleteMultipartUploadInput) {
				in.ChecksumType = types.ChecksumTypeFullObject
				switch name {
				case "CRC32":
					in.ChecksumCRC32 = &sum
				case "CRC32C":
					in.ChecksumCRC32C = &sum
				default:
					in.ChecksumCRC64NVME = &sum
				}
			}
		}
		want := checksumOf(name, all)
		u := begin()
		_, err := u.tryComplete(u.done, expect(checksumOf(name, []byte("other"))))
		wantError(t, err, 400, "BadDigest")
		wantAbsent(t, c, bucket, name)
		out, err := u.tryComplete(u.done, expect(want))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := checksumField(name, out); got != want || out.ChecksumType != types.ChecksumTypeFullObject {
			t.Errorf("%s: Complete answered %q %s, want %q", name, got, out.ChecksumType, want)
		}
		head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &name, ChecksumMode: types.ChecksumModeEnabled})
		if err != nil {
			t.Fatal(err)
		}
		got := checksumField(name, head)
		if got != want || head.ChecksumType != types.ChecksumTypeFullObject {
			t.Errorf("%s: HEAD has %q %s, want %q", name, got, head.ChecksumType, want)
		}
		if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &name}); err != nil {
			t.Fatal(err)
		}
	}
}

// checksumField picks the checksum of this name out of an answer of the SDK.
func checksumField(name string, answer any) string {
	switch a := answer.(type) {
	case *s3.CompleteMultipartUploadOutput:
		return aws.ToString(map[string]*string{
			"CRC32": a.ChecksumCRC32, "CRC32C": a.ChecksumCRC32C, "CRC64NVME": a.ChecksumCRC64NVME, "SHA1": a.ChecksumSHA1, "SHA256": a.ChecksumSHA256,
		}[name])
	case *s3.HeadObjectOutput:
		return aws.ToString(map[string]*string{
			"CRC32": a.ChecksumCRC32, "CRC32C": a.ChecksumCRC32C, "CRC64NVME": a.ChecksumCRC64NVME, "SHA1": a.ChecksumSHA1, "SHA256": a.ChecksumSHA256,
		}[name])
	default:
		panic(fmt.Sprintf("no checksums in %T", answer))
	}
}

func TestChecksumMultipartErrors(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	for _, tc := range []struct {
		algorithm types.ChecksumAlgorithm
		kind      types.ChecksumType
	}{
		{types.ChecksumAlgorithmSha1, types.ChecksumTypeFullObject},
		{types.ChecksumAlgorithmSha256, types.ChecksumTypeFullObject},
		{types.ChecksumAlgorithmCrc64nvme, types.ChecksumTypeComposite},
		{"CRC16", types.ChecksumTypeComposite},
	} {
		_, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{
			Bucket: &bucket, Key: aws.String("k"), ChecksumAlgorithm: tc.algorithm, ChecksumType: tc.kind,
		})
		wantError(t, err, 400, "InvalidRequest")
	}
	wantAbsent(t, c, bucket, "k")
}

func TestChecksumMultipartCompleteErrors(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	size := func(n int64) func(*s3.CompleteMultipartUploadInput) {
		return func(in *s3.CompleteMultipartUploadInput) { in.MpuObjectSize = &n }
	}
	for name, tc := range map[string]struct {
		code     string
		checksum *string
		opts     []func(*s3.CompleteMultipartUploadInput)
	}{
		"checksum of the part wrong": {"InvalidPart", aws.String(checksumOf("SHA256", []byte("other"))), nil},
		"object size wrong":          {"InvalidRequest", aws.String(checksumOf("SHA256", pattern(100, 1))), []func(*s3.CompleteMultipartUploadInput){size(99)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := beginUpload(t, c, bucket, name, func(in *s3.CreateMultipartUploadInput) { in.ChecksumAlgorithm = types.ChecksumAlgorithmSha256 })
			u.part(1, pattern(100, 1))
			_, err := u.tryComplete([]types.CompletedPart{{PartNumber: aws.Int32(1), ETag: u.done[0].ETag, ChecksumSHA256: tc.checksum}}, tc.opts...)
			wantError(t, err, 400, tc.code)
			wantAbsent(t, c, bucket, name)
			if _, err := u.tryComplete(u.done, size(100)); err != nil {
				t.Errorf("complete as it should be: %v", err)
			}
		})
	}
}

// TestChecksumOfPartsMayBeLeftOut: a part is named by its entity tag; what is
// said of its checksum must be right.
func TestChecksumOfPartsMayBeLeftOut(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	u := beginUpload(t, c, bucket, "k", func(in *s3.CreateMultipartUploadInput) { in.ChecksumAlgorithm = types.ChecksumAlgorithmSha256 })
	u.part(1, pattern(100, 1))
	out, err := u.tryComplete([]types.CompletedPart{{PartNumber: aws.Int32(1), ETag: u.done[0].ETag}})
	if err != nil {
		t.Fatal(err)
	}
	if sum := aws.ToString(out.ChecksumSHA256); !strings.HasSuffix(sum, "-1") {
		t.Errorf("checksum of the object: %q", sum)
	}
}
