package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

func TestCreateMultipartUpload(t *testing.T) {
	s := newServer(t)
	a := s.ok("POST", "/bucket/key?uploads", "", "x-amz-checksum-algorithm", "sha256", "x-amz-checksum-type", "COMPOSITE", "Content-Type", "a/b", "x-amz-meta-x", "y")
	if !strings.Contains(a.body, "<Bucket>bucket</Bucket><Key>key</Key><UploadId>upload</UploadId>") || a.Header.Get("x-amz-checksum-algorithm") != "SHA256" || a.Header.Get("x-amz-checksum-type") != "COMPOSITE" {
		t.Errorf("%s %v", a.body, a.Header)
	}
	in, _ := lastAsked[objects.CreateUploadInput](s.objects)
	if in.Checksum != checksum.SHA256 || in.ChecksumType != "COMPOSITE" || in.Attributes.ContentType != "a/b" || len(in.Attributes.User) != 1 {
		t.Errorf("%+v", in)
	}
	for _, bad := range [][]string{
		{"x-amz-checksum-algorithm", "ROT13"},
		{"x-amz-checksum-type", "COMPOSITE"},
		{"x-amz-checksum-algorithm", "CRC32", "x-amz-checksum-type", "HALF"},
		{"x-amz-checksum-algorithm", "SHA1", "x-amz-checksum-type", "FULL_OBJECT"},
		{"x-amz-checksum-algorithm", "CRC64NVME", "x-amz-checksum-type", "COMPOSITE"},
	} {
		s.expect(s3.InvalidRequest, "POST", "/bucket/key?uploads", "", bad...)
	}
}

func TestUploadPart(t *testing.T) {
	s := newServer(t)
	a := s.ok("PUT", "/bucket/key?uploadId=u&partNumber=10000", "hello")
	if a.Header.Get("ETag") != `"5d41402abc4b2a76b9719d911017c592"` {
		t.Errorf("%v", a.Header)
	}
	in, _ := lastAsked[objects.UploadPartInput](s.objects)
	if in.Upload != "u" || in.Number != 10000 || in.Body.Size != 5 {
		t.Errorf("%+v", in)
	}
	for _, bad := range []string{"0", "10001", "-1", "x", ""} {
		s.expect(s3.InvalidArgument, "PUT", "/bucket/key?uploadId=u&partNumber="+bad, "x")
	}
	s.ok("PUT", "/bucket/key?uploadId=u&partNumber=1", "", "x-amz-copy-source", "/bucket/src", "x-amz-copy-source-range", "bytes=5-9")
	got, _ := lastAsked[objects.UploadPartCopyInput](s.objects)
	if got.Range == nil || *got.Range != (s3.ByteRange{First: 5, Last: 9}) || got.Source.Key != "src" {
		t.Errorf("%+v", got)
	}
	s.expect(s3.InvalidArgument, "PUT", "/bucket/key?uploadId=u&partNumber=1", "", "x-amz-copy-source", "/bucket/src", "x-amz-copy-source-range", "bytes=5-")
}

func TestCompleteMultipartUpload(t *testing.T) {
	s := newServer(t)
	body := `<CompleteMultipartUpload><Part><PartNumber>2</PartNumber><ETag>"a"</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part><Part><PartNumber>7</PartNumber><ETag>b</ETag></Part></CompleteMultipartUpload>`
	a := s.ok("POST", "/bucket/a%20key?uploadId=u", body, "x-amz-checksum-crc32", "BBBBBB==", "x-amz-checksum-type", "FULL_OBJECT", "x-amz-mp-object-size", "12")
	if !strings.Contains(a.body, "<Location>"+s.URL+"/bucket/a%20key</Location><Bucket>bucket</Bucket><Key>a key</Key><ETag>&quot;tag-2&quot;</ETag>") {
		t.Error(a.body)
	}
	in, _ := lastAsked[objects.CompleteUploadInput](s.objects)
	want := objects.CompleteUploadInput{
		Bucket: "bucket", Key: "a key", Upload: "u", Size: 12,
		Expected: objects.Checksum{Algorithm: "CRC32", Value: "BBBBBB==", Type: "FULL_OBJECT"},
		Parts: []objects.CompletedPart{
			{Number: 2, ETag: "a", Checksums: []objects.Checksum{{Algorithm: "CRC32", Value: "AAAAAA=="}}}, {Number: 7, ETag: "b"},
		},
	}
	if d := cmp.Diff(want, in); d != "" {
		t.Error(d)
	}
	s.expect(s3.MalformedXML, "POST", "/bucket/key?uploadId=u", "<CompleteMultipartUpload/>")
	s.expect(s3.InvalidArgument, "POST", "/bucket/key?uploadId=u", body, "x-amz-mp-object-size", "-5")
	s.expect(s3.MaxMessageLengthExceeded, "POST", "/bucket/key?uploadId=u", strings.Repeat(" ", s3.MaxCompleteBody+1))
}

func TestListPartsAndUploads(t *testing.T) {
	s := newServer(t)
	s.objects.parts = objects.ListPartsOutput{
		Truncated: true, Upload: objects.Upload{StorageClass: "STANDARD", ChecksumAlgorithm: "CRC32", ChecksumType: "COMPOSITE"},
		Parts: []objects.Part{{Number: 3, Size: 9, ETag: "e", Checksums: []objects.Checksum{{Algorithm: "CRC32", Value: "AAAAAA=="}}}},
	}
	a := s.ok("GET", "/bucket/key?uploadId=u&part-number-marker=2&max-parts=1", "")
	for _, want := range []string{
		"<PartNumberMarker>2</PartNumberMarker><NextPartNumberMarker>3</NextPartNumberMarker><MaxParts>1</MaxParts><IsTruncated>true</IsTruncated>",
		"<Part><PartNumber>3</PartNumber>", "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>", "<ChecksumType>COMPOSITE</ChecksumType>",
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %s in %s", want, a.body)
		}
	}
	s.expect(s3.InvalidArgument, "GET", "/bucket/key?uploadId=u&part-number-marker=x", "")
	s.objects.uploads = objects.ListUploadsOutput{Truncated: true, NextKey: "k&", NextUpload: "u2", Uploads: []objects.Upload{{Key: "k&", ID: "u2"}}, CommonPrefixes: []string{"p/"}}
	a = s.ok("GET", "/bucket?uploads&prefix=k&key-marker=k&upload-id-marker=u1&max-uploads=1", "")
	for _, want := range []string{"<NextKeyMarker>k&amp;</NextKeyMarker><NextUploadIdMarker>u2</NextUploadIdMarker>", "<Upload><Key>k&amp;</Key><UploadId>u2</UploadId>", "<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %s in %s", want, a.body)
		}
	}
	in, _ := lastAsked[objects.ListUploadsInput](s.objects)
	if d := cmp.Diff(objects.ListUploadsInput{Bucket: "bucket", Prefix: "k", KeyMarker: "k", UploadMark: "u1", Max: 1}, in); d != "" {
		t.Error(d)
	}
}

func TestAbortMultipartUpload(t *testing.T) {
	s := newServer(t)
	if a := s.ok("DELETE", "/bucket/key?uploadId=u", "", "x-amz-if-match-initiated-time", "Fri, 02 Jan 2026 03:04:05 GMT"); a.StatusCode != http.StatusNoContent {
		t.Errorf("%d", a.StatusCode)
	}
	in, _ := lastAsked[objects.AbortUploadInput](s.objects)
	if in.Upload != "u" || !in.InitiatedAt.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("%+v", in)
	}
}
