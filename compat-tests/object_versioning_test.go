package compat

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func setVersioning(t *testing.T, c *s3.Client, bucket string, status types.BucketVersioningStatus) {
	t.Helper()
	_, err := c.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
		Bucket: &bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: status},
	})
	if err != nil {
		t.Fatalf("PutBucketVersioning: %v", err)
	}
}

// getVersion reads a version, "" for the current one.
func getVersion(t *testing.T, c *s3.Client, bucket, key, id string) (string, *s3.GetObjectOutput) {
	t.Helper()
	in := &s3.GetObjectInput{Bucket: &bucket, Key: &key}
	if id != "" {
		in.VersionId = &id
	}
	out, err := c.GetObject(t.Context(), in)
	if err != nil {
		t.Fatalf("GetObject %q %q: %v", key, id, err)
	}
	defer func() { _ = out.Body.Close() }()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), out
}

func removeVersion(t *testing.T, c *s3.Client, bucket, key, id string) *s3.DeleteObjectOutput {
	t.Helper()
	in := &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}
	if id != "" {
		in.VersionId = &id
	}
	out, err := c.DeleteObject(t.Context(), in)
	if err != nil {
		t.Fatalf("DeleteObject %q %q: %v", key, id, err)
	}
	return out
}

func TestBucketVersioning(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	state := func() types.BucketVersioningStatus {
		out, err := c.GetBucketVersioning(t.Context(), &s3.GetBucketVersioningInput{Bucket: &bucket})
		if err != nil {
			t.Fatal(err)
		}
		return out.Status
	}
	never := s.raw(t, &rawRequest{Path: "/" + bucket, Query: "versioning="})
	if state() != "" || strings.Contains(string(never.Body), "Status") {
		t.Errorf("a new bucket says %s", never.Body)
	}
	for _, status := range []types.BucketVersioningStatus{"Suspended", "Enabled", "Enabled", "Suspended"} {
		setVersioning(t, c, bucket, status)
		if got := state(); got != status {
			t.Errorf("%q after %q", got, status)
		}
	}
	const open, end = `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`, `</VersioningConfiguration>`
	for name, tc := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"MFA delete off":   {open + "<Status>Enabled</Status><MfaDelete>Disabled</MfaDelete>" + end, 200, ""},
		"MFA delete on":    {open + "<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>" + end, 403, "AccessDenied"},
		"no status":        {open + end, 400, "IllegalVersioningConfigurationException"},
		"another status":   {open + "<Status>On</Status>" + end, 400, "MalformedXML"},
		"another MFA":      {open + "<Status>Enabled</Status><MfaDelete>On</MfaDelete>" + end, 400, "MalformedXML"},
		"unknown element":  {open + "<Status>Enabled</Status><Rest/>" + end, 400, "MalformedXML"},
		"another document": {"<Versioning/>", 400, "MalformedXML"},
		"nothing":          {"", 400, "MissingRequestBodyError"},
	} {
		resp := s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket, Query: "versioning=", Body: []byte(tc.body)})
		if tc.code == "" {
			resp.want(t, name, tc.status)
			continue
		}
		resp.want(t, name, tc.status, tc.code)
	}
	s.raw(t, &rawRequest{
		Method: "PUT", Path: "/" + bucket, Query: "versioning=", Body: []byte(open + "<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>" + end),
		Header: header("x-amz-mfa", "arn:aws:iam::1:mfa/d 123456"),
	}).want(t, "MFA delete on with a code", 501, "NotImplemented")
}

func TestObjectVersions(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	if out := put(t, c, bucket, "k", []byte("before")); out.VersionId != nil {
		t.Errorf("put without versioning answers version %q", *out.VersionId)
	}
	if _, out := getVersion(t, c, bucket, "k", ""); out.VersionId != nil {
		t.Errorf("get without versioning answers version %q", *out.VersionId)
	}
	setVersioning(t, c, bucket, "Enabled")
	if body, out := getVersion(t, c, bucket, "k", ""); body != "before" || aws.ToString(out.VersionId) != "null" {
		t.Errorf("%q of version %v", body, out.VersionId)
	}
	a, b := *put(t, c, bucket, "k", []byte("a")).VersionId, *put(t, c, bucket, "k", []byte("b")).VersionId
	for id, want := range map[string]string{"": "b", a: "a", b: "b", "null": "before"} {
		if body, out := getVersion(t, c, bucket, "k", id); body != want || *out.VersionId != map[string]string{"": b}[id]+id {
			t.Errorf("version %q is %q, and named %q", id, body, *out.VersionId)
		}
	}
	attributes, err := c.GetObjectAttributes(t.Context(), &s3.GetObjectAttributesInput{
		Bucket: &bucket, Key: aws.String("k"), VersionId: &a, ObjectAttributes: []types.ObjectAttributes{types.ObjectAttributesObjectSize},
	})
	if err != nil || aws.ToString(attributes.VersionId) != a {
		t.Errorf("attributes %+v %v", attributes, err)
	}
	gone := removeVersion(t, c, bucket, "k", "")
	if !aws.ToBool(gone.DeleteMarker) || aws.ToString(gone.VersionId) == "" {
		t.Errorf("deletion answers %+v", gone)
	}
	checkMarkerAnswers(t, bucket, *gone.VersionId)
	if out := removeVersion(t, c, bucket, "k", *gone.VersionId); !aws.ToBool(out.DeleteMarker) || *out.VersionId != *gone.VersionId {
		t.Errorf("deletion of the marker answers %+v", out)
	}
	if out := removeVersion(t, c, bucket, "k", b); out.DeleteMarker != nil || *out.VersionId != b {
		t.Errorf("deletion of a version answers %+v", out)
	}
	if body, _ := getVersion(t, c, bucket, "k", ""); body != "a" {
		t.Errorf("then %q is current", body)
	}
	_, err = c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("k"), VersionId: &b})
	wantError(t, err, 404, "NoSuchVersion")
	_, err = c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("k"), VersionId: aws.String("rubbish")})
	wantError(t, err, 400, "InvalidArgument")
	_, err = c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &bucket})
	wantError(t, err, 409, "BucketNotEmpty")
}

// checkMarkerAnswers looks at the headers of reads that find a delete marker.
func checkMarkerAnswers(t *testing.T, bucket, id string) {
	t.Helper()
	s := shared(t)
	for _, method := range []string{"GET", "HEAD"} {
		newest := s.raw(t, &rawRequest{Method: method, Path: "/" + bucket + "/k"})
		if h := newest.Header; newest.Status != 404 || h.Get("x-amz-delete-marker") != "true" || h.Get("x-amz-version-id") != id ||
			h.Get("Last-Modified") != "" || h.Get("Allow") != "" || method == "GET" && newest.Code() != "NoSuchKey" {
			t.Errorf("%s of a deleted object: %d %v", method, newest.Status, h)
		}
		named := s.raw(t, &rawRequest{Method: method, Path: "/" + bucket + "/k", Query: "versionId=" + id})
		if h := named.Header; named.Status != 405 || h.Get("x-amz-delete-marker") != "true" || h.Get("x-amz-version-id") != id ||
			h.Get("Last-Modified") == "" || h.Get("Allow") != "DELETE" || method == "GET" && named.Code() != "MethodNotAllowed" {
			t.Errorf("%s of a delete marker: %d %v", method, named.Status, h)
		}
	}
	never := s.raw(t, &rawRequest{Path: "/" + bucket + "/never"})
	if never.Status != 404 || never.Header.Get("x-amz-delete-marker") != "" {
		t.Errorf("what was never there: %d %v", never.Status, never.Header)
	}
	source := func(version string) *rawResponse {
		return s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/copy", Header: header("x-amz-copy-source", bucket+"/k"+version)})
	}
	deleted := source("")
	deleted.want(t, "copy of a deleted object", 404, "NoSuchKey")
	source("?versionId="+id).want(t, "copy of a delete marker", 400, "InvalidRequest")
	if deleted.Header.Get("x-amz-delete-marker") != "" {
		t.Error("a copy tells of the delete marker of its source")
	}
}

func TestSuspendedVersioning(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	setVersioning(t, c, bucket, "Enabled")
	a := *put(t, c, bucket, "k", []byte("a")).VersionId
	setVersioning(t, c, bucket, "Suspended")
	for _, text := range []string{"n1", "n2"} {
		if out := put(t, c, bucket, "k", []byte(text)); out.VersionId != nil {
			t.Errorf("suspended put answers version %q", *out.VersionId)
		}
	}
	if body, out := getVersion(t, c, bucket, "k", ""); body != "n2" || *out.VersionId != "null" {
		t.Errorf("%q is version %q", body, *out.VersionId)
	}
	versions, markers, _ := versionsOf(t, c, s3.ListObjectVersionsInput{Bucket: &bucket})
	if !slices.Equal(versions, []string{"k null true", "k " + a + " false"}) || markers != nil {
		t.Errorf("%q and %q", versions, markers)
	}
	for range 2 {
		if out := removeVersion(t, c, bucket, "k", ""); !aws.ToBool(out.DeleteMarker) || aws.ToString(out.VersionId) != "null" {
			t.Errorf("suspended deletion answers %+v", out)
		}
	}
	versions, markers, _ = versionsOf(t, c, s3.ListObjectVersionsInput{Bucket: &bucket})
	if !slices.Equal(versions, []string{"k " + a + " false"}) || !slices.Equal(markers, []string{"k null true"}) {
		t.Errorf("%q and %q", versions, markers)
	}
}

func TestCopyOfVersions(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	setVersioning(t, c, bucket, "Enabled")
	big := pattern(100_000, 1)
	old := *put(t, c, bucket, "k", big).VersionId
	put(t, c, bucket, "k", []byte("new"))
	source := bucket + "/k?versionId=" + old
	restored, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &bucket, Key: aws.String("k"), CopySource: &source})
	if err != nil || aws.ToString(restored.CopySourceVersionId) != old || aws.ToString(restored.VersionId) == old || restored.VersionId == nil {
		t.Fatalf("restored: %+v %v", restored, err)
	}
	removeVersion(t, c, bucket, "k", old)
	if body, out := getVersion(t, c, bucket, "k", ""); body != string(big) || *out.VersionId != *restored.VersionId {
		t.Errorf("%d bytes of version %q", len(body), *out.VersionId)
	}
	up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: aws.String("parts")})
	if err != nil {
		t.Fatal(err)
	}
	source = bucket + "/k?versionId=" + *restored.VersionId
	part, err := c.UploadPartCopy(t.Context(), &s3.UploadPartCopyInput{
		Bucket: &bucket, Key: aws.String("parts"), UploadId: up.UploadId, PartNumber: aws.Int32(1), CopySource: &source,
	})
	if err != nil || aws.ToString(part.CopySourceVersionId) != *restored.VersionId {
		t.Fatalf("part: %+v %v", part, err)
	}
	done, err := c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: &bucket, Key: aws.String("parts"), UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.CopyPartResult.ETag}}},
	})
	if err != nil || aws.ToString(done.VersionId) == "" {
		t.Fatalf("completed: %+v %v", done, err)
	}
	if body, _ := getVersion(t, c, bucket, "parts", *done.VersionId); body != string(big) {
		t.Errorf("%d bytes", len(body))
	}
}

func TestDeleteObjectsOfVersions(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	setVersioning(t, c, bucket, "Enabled")
	a := put(t, c, bucket, "k", []byte("a")).VersionId
	remove := func(id *string) types.DeletedObject {
		out, err := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{
			Bucket: &bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("k"), VersionId: id}}},
		})
		if err != nil || len(out.Deleted) != 1 || len(out.Errors) != 0 {
			t.Fatalf("%+v %v", out, err)
		}
		return out.Deleted[0]
	}
	hidden := remove(nil)
	if !aws.ToBool(hidden.DeleteMarker) || hidden.VersionId != nil || aws.ToString(hidden.DeleteMarkerVersionId) == "" {
		t.Errorf("marker made: %+v", hidden)
	}
	shown := remove(hidden.DeleteMarkerVersionId)
	if !aws.ToBool(shown.DeleteMarker) || *shown.VersionId != *hidden.DeleteMarkerVersionId || *shown.DeleteMarkerVersionId != *shown.VersionId {
		t.Errorf("marker deleted: %+v", shown)
	}
	if body, _ := getVersion(t, c, bucket, "k", ""); body != "a" {
		t.Errorf("then %q is current", body)
	}
	for range 2 { // the second time it is gone already
		if out := remove(a); out.DeleteMarker != nil || *out.VersionId != *a || out.DeleteMarkerVersionId != nil {
			t.Errorf("version deleted: %+v", out)
		}
	}
	_, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("k")})
	if !strings.Contains(err.Error(), http.StatusText(http.StatusNotFound)) && !bytes.Contains([]byte(err.Error()), []byte("404")) {
		t.Error(err)
	}
}
