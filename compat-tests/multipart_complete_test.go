package compat

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func TestMultipartWholeLife(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	parts := [][]byte{pattern(5*mib, 1), pattern(5*mib+1, 2), pattern(7*mib, 3), pattern(1, 4)}
	u := beginUpload(t, c, bucket, "dir/k", func(in *s3.CreateMultipartUploadInput) {
		in.ContentType, in.Metadata = aws.String("text/x-test"), map[string]string{"a": "b"}
	})
	for _, i := range []int{2, 0, 3, 1} { // in any order
		u.part(int32(i+1), parts[i])
	}
	wantAbsent(t, c, bucket, "dir/k")
	slices.SortFunc(u.done, func(a, b types.CompletedPart) int { return int(*a.PartNumber - *b.PartNumber) })
	out := u.complete()
	if aws.ToString(out.ETag) != multipartETag(parts) || aws.ToString(out.Bucket) != bucket || aws.ToString(out.Key) != "dir/k" || aws.ToString(out.Location) == "" {
		t.Errorf("Complete answered %+v, want ETag %s", out, multipartETag(parts))
	}
	wantBytes(t, "object", get(t, c, bucket, "dir/k"), join(parts))
	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("dir/k")})
	if err != nil || aws.ToString(head.ETag) != multipartETag(parts) || aws.ToString(head.ContentType) != "text/x-test" || head.Metadata["a"] != "b" {
		t.Errorf("HEAD %+v, %v", head, err)
	}
	_, err = u.tryPart(5, []byte("late"))
	wantError(t, err, 404, "NoSuchUpload")
	_, err = c.ListParts(t.Context(), &s3.ListPartsInput{Bucket: &bucket, Key: aws.String("dir/k"), UploadId: &u.id})
	wantError(t, err, 404, "NoSuchUpload")
	uploads, err := c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil || len(uploads.Uploads) != 0 {
		t.Errorf("%d uploads left, %v", len(uploads.Uploads), err)
	}
}

func TestMultipartZeroByteSinglePart(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	out := uploadParts(t, c, bucket, "empty", [][]byte{{}})
	if aws.ToString(out.ETag) != multipartETag([][]byte{{}}) {
		t.Errorf("ETag %s, want %s", aws.ToString(out.ETag), multipartETag([][]byte{{}}))
	}
	wantBytes(t, "empty object", get(t, c, bucket, "empty"), nil)
	uploadParts(t, c, bucket, "tiny", [][]byte{[]byte("x")}) // the last part may be small
	wantBytes(t, "one byte", get(t, c, bucket, "tiny"), []byte("x"))
}

func TestMultipartPartOverwrittenAndLeftOut(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	u := beginUpload(t, c, bucket, "k")
	first, second, last := pattern(5*mib, 1), pattern(6*mib, 2), pattern(10, 3)
	old := *u.part(1, first).ETag
	u.done = nil
	u.part(1, second)
	u.part(2, pattern(5*mib, 9))
	u.done = u.done[:1] // part 2 is not named in Complete
	u.part(10000, last)
	stale := []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: &old}, u.done[1]}
	_, err := u.tryComplete(stale)
	wantError(t, err, 400, "InvalidPart")
	wantAbsent(t, c, bucket, "k")
	out := u.complete()
	if want := multipartETag([][]byte{second, last}); aws.ToString(out.ETag) != want {
		t.Errorf("ETag %s, want %s", aws.ToString(out.ETag), want)
	}
	wantBytes(t, "object", get(t, c, bucket, "k"), slices.Concat(second, last))
}

// TestMultipartPartListedTwice: of a part that was sent again and is listed each
// time, the last entry counts. AWS documents only that the list ascends.
func TestMultipartPartListedTwice(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	u := beginUpload(t, c, bucket, "k")
	first, again, last := pattern(5*mib, 1), pattern(5*mib, 2), pattern(100, 3)
	u.part(1, first)
	u.part(1, again)
	u.part(2, last)
	stale, current, end := u.done[0], u.done[1], u.done[2]
	_, err := u.tryComplete([]types.CompletedPart{current, stale, end})
	wantError(t, err, 400, "InvalidPart")
	wantAbsent(t, c, bucket, "k")
	out, err := u.tryComplete([]types.CompletedPart{stale, current, end})
	if err != nil {
		t.Fatal(err)
	}
	if want := multipartETag([][]byte{again, last}); aws.ToString(out.ETag) != want {
		t.Errorf("ETag %s, want %s", aws.ToString(out.ETag), want)
	}
	wantBytes(t, "object", get(t, c, bucket, "k"), slices.Concat(again, last))
}

func TestMultipartManyParts(t *testing.T) {
	t.Parallel()
	notShort(t)
	c, bucket := newBucket(t)
	parts := make([][]byte, 24)
	for i := range parts {
		parts[i] = pattern(5*mib, byte(i))
	}
	parts[23] = parts[23][:3]
	out := uploadParts(t, c, bucket, "k", parts)
	if aws.ToString(out.ETag) != multipartETag(parts) {
		t.Errorf("ETag %s, want %s", aws.ToString(out.ETag), multipartETag(parts))
	}
	all := join(parts)
	wantBytes(t, "object", get(t, c, bucket, "k"), all)
	for _, at := range []int{5*mib - 1, 10 * mib, 23*5*mib - 2, len(all) - 1} { // over the seams
		end := min(at+4, len(all))
		r := fmt.Sprintf("bytes=%d-%d", at, end-1)
		got, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("k"), Range: &r})
		if err != nil {
			t.Fatal(err)
		}
		wantBytes(t, r, readAll(t, got.Body), all[at:end])
	}
}

func TestMultipartCompleteErrors(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	u := beginUpload(t, c, bucket, "k")
	u.part(1, pattern(5*mib, 1))
	u.part(2, pattern(5*mib, 2))
	u.part(4, pattern(100, 4))
	u.part(5, pattern(5*mib, 5))
	one, two, small, five := u.done[0], u.done[1], u.done[2], u.done[3]
	_, err := u.tryComplete([]types.CompletedPart{one, small, five})
	wantError(t, err, 400, "EntityTooSmall")
	_, err = u.tryComplete([]types.CompletedPart{two, one})
	wantError(t, err, 400, "InvalidPartOrder")
	_, err = u.tryComplete([]types.CompletedPart{one, two, one})
	wantError(t, err, 400, "InvalidPartOrder")
	_, err = u.tryComplete([]types.CompletedPart{one, {PartNumber: aws.Int32(3), ETag: two.ETag}})
	wantError(t, err, 400, "InvalidPart")
	_, err = u.tryComplete([]types.CompletedPart{{PartNumber: aws.Int32(1), ETag: two.ETag}})
	wantError(t, err, 400, "InvalidPart")
	send := func(body string) *rawResponse {
		return s.raw(t, &rawRequest{Method: "POST", Path: "/" + bucket + "/k", Query: "uploadId=" + u.id, Body: []byte(body)})
	}
	for name, body := range map[string]string{
		"no parts": "<CompleteMultipartUpload></CompleteMultipartUpload>", "no XML": "parts please", "unclosed": "<CompleteMultipartUpload><Part>",
		"number is a word": "<CompleteMultipartUpload><Part><PartNumber>one</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
	} {
		send(body).want(t, name, 400, "MalformedXML")
	}
	send("").want(t, "empty", 400, "MalformedXML", "InvalidRequest", "MissingRequestBodyError")
	wantAbsent(t, c, bucket, "k")
	_, err = c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: &bucket, Key: aws.String("k"), UploadId: aws.String("bm8gc3VjaA"), MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{one}},
	})
	wantError(t, err, 404, "NoSuchUpload")
	_, err = c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: &bucket, Key: aws.String("another"), UploadId: &u.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{one}},
	})
	wantError(t, err, 404, "NoSuchUpload")
	// After all that the upload still works, with ETags bare of quotes too.
	bare := md5Hex(pattern(5*mib, 1))
	if _, err := u.tryComplete([]types.CompletedPart{{PartNumber: aws.Int32(1), ETag: &bare}}); err != nil {
		t.Errorf("Complete after refusals: %v", err)
	}
}

func TestMultipartUploadPartErrors(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	u := beginUpload(t, c, bucket, "k")
	for _, n := range []string{"0", "10001", "-1", "x", "1.5", "99999999999999999999"} {
		s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/k", Query: "partNumber=" + n + "&uploadId=" + u.id, Body: []byte("x")}).
			want(t, "part number "+n, 400, "InvalidArgument")
	}
	for _, id := range []string{"bm8gc3VjaA", "%00", "..%2F..", u.id + "x"} {
		s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/k", Query: "partNumber=1&uploadId=" + id, Body: []byte("x")}).
			want(t, "upload id "+id, 404, "NoSuchUpload")
	}
	body := pattern(1000, 1)
	s.raw(t, &rawRequest{
		Method: "PUT", Path: "/" + bucket + "/k", Query: "partNumber=1&uploadId=" + u.id, Body: body,
		Header: header("content-md5", "AQEBAQEBAQEBAQEBAQEBAQ=="),
	}).want(t, "wrong Content-MD5", 400, "BadDigest")
	parts, err := c.ListParts(t.Context(), &s3.ListPartsInput{Bucket: &bucket, Key: aws.String("k"), UploadId: &u.id})
	if err != nil || len(parts.Parts) != 0 {
		t.Errorf("refused parts are listed: %+v, %v", parts, err)
	}
}

func TestMultipartAbort(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	put(t, c, bucket, "k", []byte("before"))
	u := beginUpload(t, c, bucket, "k")
	u.part(1, pattern(5*mib, 1))
	if err := u.abort(); err != nil {
		t.Fatal(err)
	}
	_, err := u.tryPart(2, []byte("x"))
	wantError(t, err, 404, "NoSuchUpload")
	_, err = u.tryComplete(u.done)
	wantError(t, err, 404, "NoSuchUpload")
	if err := u.abort(); err != nil { // AWS answers either
		wantError(t, err, 404, "NoSuchUpload")
	}
	wantBytes(t, "object under the aborted upload", get(t, c, bucket, "k"), []byte("before"))
}

// TestMultipartTwoUploadsOfOneKey: the later Complete wins.
func TestMultipartTwoUploadsOfOneKey(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	a, b := beginUpload(t, c, bucket, "k"), beginUpload(t, c, bucket, "k")
	a.part(1, []byte("from a"))
	b.part(1, []byte("from b"))
	b.complete()
	wantBytes(t, "after b", get(t, c, bucket, "k"), []byte("from b"))
	a.complete()
	wantBytes(t, "after a", get(t, c, bucket, "k"), []byte("from a"))
}
