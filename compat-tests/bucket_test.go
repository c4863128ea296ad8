package compat

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func TestBucketLifeOfABucket(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c := s.client()
	name := "life." + randomHex(6) // a dot is allowed
	out, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name})
	if err != nil {
		t.Fatal(err)
	}
	if got := aws.ToString(out.Location); got != "/"+name {
		t.Errorf("Location %q", got)
	}
	head, err := c.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: &name})
	if err != nil {
		t.Fatal(err)
	}
	if got := aws.ToString(head.BucketRegion); got != region {
		t.Errorf("x-amz-bucket-region %q", got)
	}
	loc, err := c.GetBucketLocation(t.Context(), &s3.GetBucketLocationInput{Bucket: &name})
	if err != nil || loc.LocationConstraint != "" {
		t.Errorf("GetBucketLocation in us-east-1: %q, %v; want empty", loc.LocationConstraint, err)
	}
	if _, err := c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	_, err = c.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: &name})
	wantError(t, err, 404, "NotFound")
	_, err = c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &name})
	wantError(t, err, 404, "NoSuchBucket")
	_, err = c.GetBucketLocation(t.Context(), &s3.GetBucketLocationInput{Bucket: &name})
	wantError(t, err, 404, "NoSuchBucket")
	_, err = c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &name})
	wantError(t, err, 404, "NoSuchBucket")
	_, err = c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &name, Key: aws.String("k"), Body: strings.NewReader("x")})
	wantError(t, err, 404, "NoSuchBucket")
	_, err = c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &name, Key: aws.String("k")})
	wantError(t, err, 404, "NoSuchBucket")
	_, err = c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &name, Key: aws.String("k")})
	wantError(t, err, 404, "NoSuchBucket")
}

// TestBucketRegionIsNamed: by every answer of a bucket that is there, to those
// too who may not ask.
func TestBucketRegionIsNamed(t *testing.T) {
	t.Parallel()
	_, bucket := newBucket(t)
	s := shared(t)
	for name, tc := range map[string]struct {
		r      rawRequest
		status int
		want   string
	}{
		"head":      {rawRequest{Method: "HEAD"}, 200, region},
		"list":      {rawRequest{}, 200, region},
		"list v2":   {rawRequest{Query: "list-type=2"}, 200, region},
		"uploads":   {rawRequest{Query: "uploads="}, 200, region},
		"nobody":    {rawRequest{Method: "HEAD", Anonymous: true}, 403, region},
		"no policy": {rawRequest{Query: "policy="}, 404, region},
		"object":    {rawRequest{Path: "/" + bucket + "/k"}, 404, ""},
		"no bucket": {rawRequest{Method: "HEAD", Path: "/" + bucket + "-none"}, 404, ""},
	} {
		tc.r.Path = cmp.Or(tc.r.Path, "/"+bucket)
		resp := s.raw(t, &tc.r)
		resp.want(t, name, tc.status)
		if got := resp.Header.Get("X-Amz-Bucket-Region"); got != tc.want {
			t.Errorf("%s: x-amz-bucket-region %q, want %q", name, got, tc.want)
		}
	}
}

// TestBucketCreateAgain: AWS answers 200 to the owner in us-east-1 and 409
// BucketAlreadyOwnedByYou elsewhere; either way nothing in the bucket changes.
func TestBucketCreateAgain(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	put(t, c, bucket, "kept", []byte("kept"))
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		wantError(t, err, 409, "BucketAlreadyOwnedByYou")
	}
	wantBytes(t, "object after a second create", get(t, c, bucket, "kept"), []byte("kept"))
}

func TestBucketDeleteRefusesWhileNotEmpty(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	put(t, c, bucket, "k", nil)
	_, err := c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &bucket})
	wantError(t, err, 409, "BucketNotEmpty")
	if got := keysOf(t, c, bucket); len(got) != 1 {
		t.Errorf("keys %v", got)
	}
}

func TestBucketNamesThatAreRefused(t *testing.T) {
	t.Parallel()
	s := shared(t)
	for _, name := range []string{
		"ab", strings.Repeat("a", 64), "UpperCase", "under_score", "-dash", "dash-", ".dot", "dot.",
		"two..dots", "192.168.5.4", "sp%20ace", "xn--puny", "alias-s3alias", "%C3%BC", "a%2Fb",
	} {
		resp := s.raw(t, &rawRequest{Method: "PUT", Path: "/" + name})
		resp.want(t, name, 400, "InvalidBucketName")
	}
	for _, name := range []string{"abc", strings.Repeat("a", 63), "1a-2.b-3"} {
		name = name[:max(3, len(name)-9)] + randomHex(4) + "z"
		name = name[:min(63, len(name))]
		resp := s.raw(t, &rawRequest{Method: "PUT", Path: "/" + name})
		resp.want(t, name, 200)
		s.raw(t, &rawRequest{Method: "DELETE", Path: "/" + name}).want(t, "delete "+name, 204)
	}
}

func TestBucketLocationConstraint(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c := s.client()
	name := "loc-" + randomHex(6)
	_, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{
		Bucket:                    &name,
		CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: "mars-north-1"},
	})
	wantError(t, err, 400, "IllegalLocationConstraintException", "InvalidLocationConstraint")
	s.raw(t, &rawRequest{Method: "PUT", Path: "/" + name, Body: []byte("<CreateBucketConfiguration>")}).
		want(t, "broken XML", 400, "MalformedXML")
	_, err = c.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: &name})
	wantError(t, err, 404, "NotFound")
}

func TestBucketListPagesInNameOrder(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.client()
	var want []string
	for _, i := range []string{"b", "a", "d", "c", "e"} {
		name := "page-" + i + "xx"
		want = append(want, name)
		if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(want)
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("other")}); err != nil {
		t.Fatal(err)
	}
	all, err := c.ListBuckets(t.Context(), &s3.ListBucketsInput{})
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Buckets) != 6 || aws.ToString(all.Buckets[0].Name) != "other" || all.Owner == nil || aws.ToString(all.Owner.ID) == "" {
		t.Errorf("ListBuckets: %d buckets, owner %+v", len(all.Buckets), all.Owner)
	}
	for _, b := range all.Buckets {
		if age := time.Since(aws.ToTime(b.CreationDate)); age < -time.Minute || age > time.Hour {
			t.Errorf("%s created at %v", *b.Name, b.CreationDate)
		}
	}
	var got []string
	pages := 0
	in := &s3.ListBucketsInput{Prefix: aws.String("page-"), MaxBuckets: aws.Int32(2)}
	for p := s3.NewListBucketsPaginator(c, in); p.HasMorePages(); pages++ {
		out, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range out.Buckets {
			got = append(got, *b.Name)
		}
	}
	if !slices.Equal(got, want) || pages != 3 {
		t.Errorf("%d pages: %v, want 3 of %v", pages, got, want)
	}
	for _, q := range []string{"max-buckets=0", "max-buckets=10001", "max-buckets=x"} {
		s.raw(t, &rawRequest{Path: "/", Query: q}).want(t, q, 400, "InvalidArgument")
	}
}
