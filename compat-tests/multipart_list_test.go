package compat

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func TestMultipartListParts(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	u := beginUpload(t, c, bucket, "k")
	sizes := map[int32]int{1: 10, 2: 0, 5: 70000, 9: 6 * mib, 10: 1, 10000: 3}
	for _, n := range []int32{10000, 5, 1, 9, 2, 10} {
		u.part(n, pattern(sizes[n], byte(n)))
	}
	var numbers []int32
	in := &s3.ListPartsInput{Bucket: &bucket, Key: aws.String("k"), UploadId: &u.id, MaxParts: aws.Int32(4)}
	pages := 0
	for ; ; pages++ {
		out, err := c.ListParts(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range out.Parts {
			n := aws.ToInt32(p.PartNumber)
			numbers = append(numbers, n)
			if aws.ToInt64(p.Size) != int64(sizes[n]) || aws.ToString(p.ETag) != `"`+md5Hex(pattern(sizes[n], byte(n)))+`"` || p.LastModified == nil {
				t.Errorf("part %d: %+v", n, p)
			}
		}
		if aws.ToString(out.UploadId) != u.id || aws.ToString(out.Key) != "k" || out.Initiator == nil || out.Owner == nil {
			t.Errorf("page %+v", out)
		}
		if !aws.ToBool(out.IsTruncated) {
			break
		}
		in.PartNumberMarker = out.NextPartNumberMarker
	}
	if !slices.Equal(numbers, []int32{1, 2, 5, 9, 10, 10000}) || pages != 1 {
		t.Errorf("parts %v in %d pages", numbers, pages+1)
	}
	in.PartNumberMarker, in.MaxParts = aws.String("9"), nil
	out, err := c.ListParts(t.Context(), in)
	if err != nil || len(out.Parts) != 2 {
		t.Errorf("after 9: %d parts, %v", len(out.Parts), err)
	}
	s := shared(t)
	for _, q := range []string{"max-parts=-1", "max-parts=x", "part-number-marker=-1", "part-number-marker=x"} {
		s.raw(t, &rawRequest{Path: "/" + bucket + "/k", Query: q + "&uploadId=" + u.id}).want(t, q, 400, "InvalidArgument")
	}
}

// TestMultipartListUploadsWithAllMarkers pages through uploads of several keys,
// some with more uploads than a page.
func TestMultipartListUploadsWithAllMarkers(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	type pair struct{ key, id string }
	ids := map[string][]string{} // of each key in order of their creation
	for i := range 11 {
		key := []string{"a/1", "a/2", "b", "ü"}[i%4]
		ids[key] = append(ids[key], beginUpload(t, c, bucket, key).id)
	}
	var all []pair
	for in := (&s3.ListMultipartUploadsInput{Bucket: &bucket, MaxUploads: aws.Int32(2)}); ; {
		out, err := c.ListMultipartUploads(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range out.Uploads {
			all = append(all, pair{*u.Key, *u.UploadId})
			if u.Initiated == nil || u.Owner == nil || u.Initiator == nil || u.StorageClass != "STANDARD" {
				t.Errorf("upload %+v", u)
			}
		}
		if !aws.ToBool(out.IsTruncated) {
			break
		}
		if len(out.Uploads) != 2 || aws.ToString(out.NextKeyMarker) == "" || aws.ToString(out.NextUploadIdMarker) == "" {
			t.Fatalf("truncated page: %d uploads, markers %q %q", len(out.Uploads), aws.ToString(out.NextKeyMarker), aws.ToString(out.NextUploadIdMarker))
		}
		in.KeyMarker, in.UploadIdMarker = out.NextKeyMarker, out.NextUploadIdMarker
	}
	if len(all) != 11 || !slices.IsSortedFunc(all, func(a, b pair) int { return strings.Compare(a.key, b.key) }) {
		t.Errorf("listed %v", all)
	}
	for key, want := range ids {
		var got []string
		for _, p := range all {
			if p.key == key {
				got = append(got, p.id)
			}
		}
		slices.Sort(got)
		if slices.Sort(want); !slices.Equal(got, want) {
			t.Errorf("%s: uploads %v, want %v", key, got, want)
		}
	}
	list := func(in *s3.ListMultipartUploadsInput) *s3.ListMultipartUploadsOutput {
		in.Bucket = &bucket
		out, err := c.ListMultipartUploads(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	// A key marker alone leaves out that key; with an upload id it goes on within it.
	if out := list(&s3.ListMultipartUploadsInput{KeyMarker: aws.String("a/2")}); len(out.Uploads) != 5 || *out.Uploads[0].Key != "b" {
		t.Errorf("after key a/2: %d uploads", len(out.Uploads))
	}
	if out := list(&s3.ListMultipartUploadsInput{KeyMarker: aws.String("a/1"), UploadIdMarker: &all[0].id}); len(out.Uploads) != 10 {
		t.Errorf("after the first upload: %d uploads", len(out.Uploads))
	}
	if out := list(&s3.ListMultipartUploadsInput{Prefix: aws.String("a/")}); len(out.Uploads) != 6 {
		t.Errorf("prefix a/: %d uploads", len(out.Uploads))
	}
	out := list(&s3.ListMultipartUploadsInput{Delimiter: aws.String("/")})
	if len(out.Uploads) != 5 || len(out.CommonPrefixes) != 1 || *out.CommonPrefixes[0].Prefix != "a/" {
		t.Errorf("delimiter: %d uploads, prefixes %v", len(out.Uploads), out.CommonPrefixes)
	}
	s := shared(t)
	for _, q := range []string{"max-uploads=-1", "max-uploads=x", "encoding-type=rot13"} {
		s.raw(t, &rawRequest{Path: "/" + bucket, Query: q + "&uploads="}).want(t, q, 400, "InvalidArgument")
	}
}

// TestMultipartListUploadsWithoutKeyMarker: an upload id marker alone is ignored,
// which the Docker registry's paging meets.
func TestMultipartListUploadsWithoutKeyMarker(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	for i := range 3 {
		beginUpload(t, c, bucket, "k"+strconv.Itoa(i))
	}
	all, err := c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	for i := range all.Uploads {
		out, err := c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &bucket, UploadIdMarker: all.Uploads[i].UploadId})
		if err != nil || len(out.Uploads) != 3 {
			t.Errorf("marker %d: %d uploads, %v", i, len(out.Uploads), err)
		}
	}
}

func TestMultipartPartCopy(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	src := pattern(12*mib+77, 1)
	put(t, c, bucket, "src one", src)
	parts := [][]byte{pattern(5*mib, 2), pattern(6*mib+5, 3)}
	uploadParts(t, c, bucket, "multi", parts)
	multi := join(parts)
	put(t, c, bucket, "tiny", []byte("0123456789"))

	u := beginUpload(t, c, bucket, "dst")
	steps := []struct {
		source, byteRange string
		want              []byte
	}{
		{"src%20one", "", src},
		{"src%20one", fmt.Sprintf("bytes=%d-%d", 3, 5*mib+2), src[3 : 5*mib+3]},
		{"multi", fmt.Sprintf("bytes=%d-%d", mib, 7*mib-1), multi[mib : 7*mib]}, // over a seam
		{"multi", fmt.Sprintf("bytes=%d-%d", 5*mib, len(multi)-1), multi[5*mib:]},
		{"tiny", "bytes=2-4", []byte("234")},
	}
	var want []byte
	for i, step := range steps {
		out, err := u.copyPart(int32(i+1), bucket+"/"+step.source, step.byteRange)
		if err != nil {
			t.Fatalf("copy %s %s: %v", step.source, step.byteRange, err)
		}
		if aws.ToString(out.CopyPartResult.ETag) == "" || out.CopyPartResult.LastModified == nil {
			t.Errorf("copy %s: %+v", step.source, out.CopyPartResult)
		}
		want = append(want, step.want...)
	}
	listed, err := c.ListParts(t.Context(), &s3.ListPartsInput{Bucket: &bucket, Key: aws.String("dst"), UploadId: &u.id})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range listed.Parts {
		if aws.ToInt64(p.Size) != int64(len(steps[i].want)) {
			t.Errorf("part %d: size %d, want %d", i+1, aws.ToInt64(p.Size), len(steps[i].want))
		}
	}
	// The sources may go before the upload is completed.
	for _, key := range []string{"src one", "multi"} {
		if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
			t.Fatal(err)
		}
	}
	u.complete()
	wantBytes(t, "object of copied parts", get(t, c, bucket, "dst"), want)
}

func TestMultipartPartCopyErrors(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	put(t, c, bucket, "src", []byte("0123456789"))
	u := beginUpload(t, c, bucket, "dst")
	for _, r := range []string{"bytes=0-10", "bytes=5-2", "bytes=10-10", "bytes=-3", "bytes=3-", "0-3", "bytes=0-1,3-4", "bytes=a-b"} {
		_, err := u.copyPart(1, bucket+"/src", r)
		if r == "bytes=0-10" || r == "bytes=10-10" { // beyond the end
			wantError(t, err, 416, "InvalidRange")
			continue
		}
		wantError(t, err, 400, "InvalidArgument")
	}
	_, err := u.copyPart(1, bucket+"/none", "")
	wantError(t, err, 404, "NoSuchKey")
	for name, h := range map[string]map[string]string{
		"if-match": header("x-amz-copy-source-if-match", `"00000000000000000000000000000000"`), "if-none-match": header("x-amz-copy-source-if-none-match", `"`+md5Hex([]byte("0123456789"))+`"`),
	} {
		h["x-amz-copy-source"] = bucket + "/src"
		s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/dst", Query: "partNumber=1&uploadId=" + u.id, Header: h}).
			want(t, name, 412, "PreconditionFailed")
	}
	if parts, err := c.ListParts(t.Context(), &s3.ListPartsInput{Bucket: &bucket, Key: aws.String("dst"), UploadId: &u.id}); err != nil || len(parts.Parts) != 0 {
		t.Errorf("refused copies are listed: %+v, %v", parts, err)
	}
}
