package compat

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

// The tests of this file are the calls that the Docker registry's S3 driver
// makes, in the way it makes them. The driver uses an older SDK, which sends no
// checksums: so does registryClient.

func registryClient(t *testing.T) (*s3.Client, string) {
	t.Helper()
	_, bucket := newBucket(t)
	return shared(t).client(func(o *s3.Options) {
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	}), bucket
}

const layerPath = "docker/registry/v2/blobs/sha256/ab/abcd/data"

func TestRegistryPutObject(t *testing.T) {
	t.Parallel()
	c, bucket := registryClient(t)
	body := []byte("sha256:0123")
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: aws.String("docker/link"), Body: bytes.NewReader(body), ContentType: aws.String("application/octet-stream"),
		ACL: types.ObjectCannedACLPrivate, StorageClass: types.StorageClassStandard,
	})
	if err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "content", get(t, c, bucket, "docker/link"), body)
}

func TestRegistryGetObjectAlwaysWithRange(t *testing.T) {
	t.Parallel()
	c, bucket := registryClient(t)
	body := pattern(100000, 1)
	put(t, c, bucket, layerPath, body)
	put(t, c, bucket, "empty", nil)
	read := func(key string, offset int) (*s3.GetObjectOutput, error) {
		return c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key, Range: aws.String(fmt.Sprintf("bytes=%d-", offset))})
	}
	for _, offset := range []int{0, 1, 65536, 99999} {
		out, err := read(layerPath, offset)
		if err != nil {
			t.Fatal(err)
		}
		if aws.ToString(out.ContentRange) != fmt.Sprintf("bytes %d-99999/100000", offset) {
			t.Errorf("offset %d: Content-Range %q", offset, aws.ToString(out.ContentRange))
		}
		wantBytes(t, "body", readAll(t, out.Body), body[offset:])
	}
	_, err := read(layerPath, 100000) // the driver makes an empty reader of this code
	wantError(t, err, 416, "InvalidRange")
	_, err = read("empty", 0)
	wantError(t, err, 416, "InvalidRange")
	_, err = read("missing", 0)
	wantError(t, err, 404, "NoSuchKey")
}

func TestRegistryStatByHeadThenList(t *testing.T) {
	t.Parallel()
	c, bucket := registryClient(t)
	putKeys(t, c, bucket, []string{"a/file", "a/file-longer", "a/dir/x", "a/dir/y", "a/dir-z"})
	stat := func(path string) string {
		if head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &path}); err == nil && head.LastModified != nil {
			return "file"
		}
		out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &path, MaxKeys: aws.Int32(1)})
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case len(out.Contents) == 1 && *out.Contents[0].Key == path:
			return "file"
		case len(out.Contents) == 1:
			return "directory"
		default:
			return "none"
		}
	}
	for path, want := range map[string]string{"a/file": "file", "a/dir": "directory", "a": "directory", "b": "none", "a/file-longest": "none"} {
		if got := stat(path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	// The exact key sorts before longer ones.
	out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: aws.String("a/file"), MaxKeys: aws.Int32(1)})
	if err != nil || *out.Contents[0].Key != "a/file" {
		t.Errorf("first of prefix a/file: %+v, %v", out.Contents, err)
	}
}

func TestRegistryListAndWalk(t *testing.T) {
	t.Parallel()
	c, bucket := registryClient(t)
	var keys []string
	for _, repo := range []string{"alpine", "alpine-extra", "a", "b/c", "Zebra"} {
		for _, name := range []string{"_layers/1/link", "_manifests/tags/latest/current/link", "_uploads/x/data"} {
			keys = append(keys, "docker/registry/v2/repositories/"+repo+"/"+name)
		}
	}
	putKeys(t, c, bucket, keys)
	slices.Sort(keys)
	root := "docker/registry/v2/repositories/"
	list, _ := listV2(t, c, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &root, Delimiter: aws.String("/"), MaxKeys: aws.Int32(2)})
	if want := []string{root + "Zebra/*", root + "a/*", root + "alpine-extra/*", root + "alpine/*", root + "b/*"}; !slices.Equal(list, want) {
		t.Errorf("List: %q, want %q", list, want)
	}
	for i, after := range keys { // a walk may be resumed anywhere
		got, _ := listV2(t, c, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &root, StartAfter: &after, MaxKeys: aws.Int32(3)})
		if !slices.Equal(got, keys[i+1:]) {
			t.Errorf("Walk after %s: %d keys, want %d", after, len(got), len(keys)-i-1)
		}
	}
}

func TestRegistryZeroBytePartForEmptyBlob(t *testing.T) {
	t.Parallel()
	c, bucket := registryClient(t)
	uploadParts(t, c, bucket, layerPath, [][]byte{{}})
	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String(layerPath)})
	if err != nil || aws.ToInt64(head.ContentLength) != 0 {
		t.Errorf("empty blob: %+v, %v", head, err)
	}
}

// TestRegistryFindsUploadAtOnce pages by UploadIdMarker without KeyMarker under
// the exact key as prefix, right after another registry created the upload.
func TestRegistryFindsUploadAtOnce(t *testing.T) {
	t.Parallel()
	c, bucket := registryClient(t)
	other := shared(t).client()
	for i := range 5 {
		key := fmt.Sprintf("docker/_uploads/%d/data", i)
		beginUpload(t, other, bucket, key+"-longer")
		u := beginUpload(t, other, bucket, key)
		out, err := c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &bucket, Prefix: &key})
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, up := range out.Uploads {
			found = found || *up.Key == key && *up.UploadId == u.id
		}
		if !found {
			t.Errorf("upload of %s is not listed", key)
		}
	}
}

func TestRegistryListPartsToResume(t *testing.T) {
	t.Parallel()
	c, bucket := registryClient(t)
	u := beginUpload(t, c, bucket, layerPath)
	var want int64
	for n := int32(1); n <= 5; n++ {
		size := 5*mib + int(n)
		u.part(n, pattern(size, byte(n)))
		want += int64(size)
		var got int64
		in := &s3.ListPartsInput{Bucket: &bucket, Key: aws.String(layerPath), UploadId: &u.id, MaxParts: aws.Int32(2)}
		for {
			out, err := c.ListParts(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range out.Parts {
				got += aws.ToInt64(p.Size)
			}
			if !aws.ToBool(out.IsTruncated) {
				break
			}
			in.PartNumberMarker = out.NextPartNumberMarker
		}
		if got != want {
			t.Fatalf("after part %d: %d bytes listed, want %d", n, got, want)
		}
	}
}

// TestRegistryResumeAfterSmallLastPart: the driver completes early, makes a new
// upload of the same key and copies the object onto itself as part 1.
func TestRegistryResumeAfterSmallLastPart(t *testing.T) {
	t.Parallel()
	c, bucket := registryClient(t)
	first := [][]byte{pattern(5*mib, 1), pattern(2*mib, 2)}
	uploadParts(t, c, bucket, layerPath, first)
	u := beginUpload(t, c, bucket, layerPath)
	if _, err := u.copyPart(1, bucket+"/"+layerPath, ""); err != nil {
		t.Fatal(err)
	}
	rest := pattern(3*mib, 3)
	u.part(2, rest)
	u.complete()
	wantBytes(t, "resumed blob", get(t, c, bucket, layerPath), append(join(first), rest...))

	// Below 5 MiB it reads what is there and sends it again as part 1.
	put(t, c, bucket, "small", []byte("begun "))
	s := beginUpload(t, c, bucket, "small")
	s.part(1, append(get(t, c, bucket, "small"), "and ended"...))
	s.complete()
	wantBytes(t, "small resumed blob", get(t, c, bucket, "small"), []byte("begun and ended"))
}

func TestRegistryAbortIsIdempotent(t *testing.T) {
	t.Parallel()
	c, bucket := registryClient(t)
	u := beginUpload(t, c, bucket, layerPath)
	u.part(1, pattern(5*mib, 1))
	if err := u.abort(); err != nil {
		t.Fatal(err)
	}
	if err := u.abort(); err != nil {
		wantError(t, err, 404, "NoSuchUpload")
	}
}

// TestRegistryMoveByConcurrentPartCopies: a blob above 32 MiB is moved by ranged
// part copies, up to 100 at a time.
func TestRegistryMoveByConcurrentPartCopies(t *testing.T) {
	t.Parallel()
	c, bucket := registryClient(t)
	body := pattern(5*mib*8+12345, 6)
	put(t, c, bucket, "docker/_uploads/1/data", body)
	u := beginUpload(t, c, bucket, layerPath)
	const size = 5 * mib // 32 MiB in the driver
	parts := make([]types.CompletedPart, (len(body)+size-1)/size)
	var g errgroup.Group
	g.SetLimit(100)
	for i := range parts {
		g.Go(func() error {
			number := int32(i + 1)
			out, err := c.UploadPartCopy(t.Context(), &s3.UploadPartCopyInput{
				Bucket: &bucket, Key: aws.String(layerPath), UploadId: &u.id, PartNumber: &number,
				CopySource:      aws.String(bucket + "/docker/_uploads/1/data"),
				CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", i*size, min((i+1)*size, len(body))-1)),
			})
			if err != nil {
				return err
			}
			parts[i] = types.CompletedPart{PartNumber: &number, ETag: out.CopyPartResult.ETag}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := u.tryComplete(parts); err != nil {
		t.Fatal(err)
	}
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String("docker/_uploads/1/data")}); err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "moved blob", get(t, c, bucket, layerPath), body)
}

func TestRegistryMoveByCopyObject(t *testing.T) {
	t.Parallel()
	c, bucket := registryClient(t)
	body := pattern(10*mib, 1)
	put(t, c, bucket, "from", body)
	_, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{
		Bucket: &bucket, Key: aws.String("to"), CopySource: aws.String(bucket + "/from"), ContentType: aws.String("application/octet-stream"),
		ACL: types.ObjectCannedACLPrivate, StorageClass: types.StorageClassStandard,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String("from")}); err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "moved blob", get(t, c, bucket, "to"), body)
}

// TestRegistryDeleteObjectsWithContentMD5: the older SDK sends Content-MD5 and no
// checksum, and Quiet false.
func TestRegistryDeleteObjectsWithContentMD5(t *testing.T) {
	t.Parallel()
	c, bucket := registryClient(t)
	type object struct{ Key string }
	request := struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ Delete"`
		Object  []object
		Quiet   bool
	}{}
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("docker/repo/%04d", i)
		request.Object = append(request.Object, object{keys[i]})
	}
	putKeys(t, c, bucket, keys)
	body, err := xml.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	sum := md5.Sum(body)
	resp := shared(t).raw(t, &rawRequest{
		Method: "POST", Path: "/" + bucket, Query: "delete=", Body: body,
		Header: header("content-md5", base64.StdEncoding.EncodeToString(sum[:])),
	})
	resp.want(t, "delete", 200)
	if n := bytes.Count(resp.Body, []byte("<Deleted>")); n != 1000 || bytes.Contains(resp.Body, []byte("<Error>")) {
		t.Errorf("%d deleted: %.300s", n, resp.Body)
	}
	if rest := keysOf(t, c, bucket); len(rest) != 0 {
		t.Errorf("%d keys left", len(rest))
	}
}

func TestRegistryPresignedRedirects(t *testing.T) {
	t.Parallel()
	c, bucket := registryClient(t)
	put(t, c, bucket, layerPath, []byte("layer"))
	p := s3.NewPresignClient(c, s3.WithPresignExpires(20*time.Minute))
	got, err := p.PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String(layerPath)})
	if err != nil {
		t.Fatal(err)
	}
	resp := fetch(t, "GET", got.URL, nil, http.Header{"Range": {"bytes=0-"}})
	resp.want(t, "GET", 206)
	wantBytes(t, "layer", resp.Body, []byte("layer"))
	head, err := p.PresignHeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String(layerPath)})
	if err != nil {
		t.Fatal(err)
	}
	fetch(t, "HEAD", head.URL, nil, nil).want(t, "HEAD", 200)
}

// TestRegistryBucketLocation is the first call of many tools.
func TestRegistryBucketLocation(t *testing.T) {
	t.Parallel()
	c, bucket := registryClient(t)
	if out, err := c.GetBucketLocation(t.Context(), &s3.GetBucketLocationInput{Bucket: &bucket}); err != nil || out.LocationConstraint != "" {
		t.Errorf("%+v, %v", out, err)
	}
}
