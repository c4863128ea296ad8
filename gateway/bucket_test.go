package gateway

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

func TestCreateBucket(t *testing.T) {
	s := newServer(t, func(o *Options) { o.ObjectOwnership, o.PublicAccess = s3.ObjectWriter, true })
	a := s.ok("PUT", "/new-bucket", "")
	if a.Header.Get("Location") != "/new-bucket" {
		t.Errorf("%v", a.Header)
	}
	in, _ := lastAsked[objects.CreateBucketInput](s.objects)
	want := objects.CreateBucketInput{Name: "new-bucket", Owner: fakeOwner(), Region: "us-east-1", Configs: map[objects.ConfigKind][]byte{}, Most: 10_000}
	if d := cmp.Diff(want, in); d != "" {
		t.Error(d)
	}
	s.ok("PUT", "/new-bucket", "<CreateBucketConfiguration/>")
	s.objects.fail = s3.NewError(s3.BucketAlreadyOwnedByYou)
	s.ok("PUT", "/bucket", "") // in us-east-1
	s.objects.fail = s3.NewError(s3.BucketAlreadyExists)
	s.expect(s3.BucketAlreadyExists, "PUT", "/new-bucket", "")
	s.objects.fail = nil
	s.ok("PUT", "/new-bucket", "<CreateBucketConfiguration><LocationConstraint>us-east-1</LocationConstraint></CreateBucketConfiguration>")
	s.expect(s3.InvalidLocationConstraint, "PUT", "/new-bucket", "<CreateBucketConfiguration><LocationConstraint>mars</LocationConstraint></CreateBucketConfiguration>")
	s.expect(s3.NotImplemented, "PUT", "/new-bucket", "<CreateBucketConfiguration><Location/></CreateBucketConfiguration>")
	s.expect(s3.InvalidTag, "PUT", "/new-bucket", "<CreateBucketConfiguration><Tags><Tag><Key>aws:a</Key><Value/></Tag></Tags></CreateBucketConfiguration>")
	s.ok("PUT", "/new-bucket", "<CreateBucketConfiguration><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></CreateBucketConfiguration>")
	in, _ = lastAsked[objects.CreateBucketInput](s.objects)
	if got := string(in.Configs[objects.ConfigTagging]); !strings.Contains(got, "<Tag><Key>a</Key><Value>b</Value></Tag>") {
		t.Errorf("tags %q", got)
	}
	s.expect(s3.MalformedXML, "PUT", "/new-bucket", "<Other/>")
	s.expect(s3.MaxMessageLengthExceeded, "PUT", "/new-bucket", strings.Repeat(" ", s3.MaxConfigBody+1))
	s.expect(s3.InvalidBucketName, "PUT", "/New_Bucket", "")
	s.expect(s3.NotImplemented, "PUT", "/new-bucket", "", "x-amz-bucket-namespace", "account-regional")
}

func TestBucketReads(t *testing.T) {
	s := newServer(t)
	if a := s.ok("HEAD", "/bucket", ""); a.Header.Get("x-amz-bucket-region") != "us-east-1" {
		t.Errorf("%v", a.Header)
	}
	if a := s.ok("GET", "/bucket?location", ""); !strings.HasSuffix(a.body, `<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></LocationConstraint>`) {
		t.Error(a.body)
	}
	if a := s.do("HEAD", "/other", ""); a.StatusCode != http.StatusNotFound {
		t.Errorf("%d", a.StatusCode)
	}
	if a := s.do("DELETE", "/bucket", ""); a.StatusCode != http.StatusNoContent {
		t.Errorf("%d", a.StatusCode)
	}
}

func TestListBuckets(t *testing.T) {
	s := newServer(t)
	s.objects.buckets = objects.ListBucketsOutput{Truncated: true, Buckets: []objects.Bucket{{Name: "a-bucket", Region: "us-east-1", Created: time.Unix(0, 0)}, {Name: "b-bucket"}}}
	a := s.ok("GET", "/?max-buckets=2&prefix=p", "")
	var got struct {
		Buckets struct {
			Bucket []struct{ Name, CreationDate, BucketRegion string }
		}
		Owner             struct{ ID string }
		ContinuationToken string
		Prefix            string
	}
	if err := xml.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Buckets.Bucket) != 2 || got.Buckets.Bucket[0].CreationDate != "1970-01-01T00:00:00.000Z" || got.Owner.ID != string(iam.RootIdentity().CanonicalID) || got.Prefix != "p" {
		t.Errorf("%+v", got)
	}
	s.ok("GET", "/?continuation-token="+got.ContinuationToken, "")
	in, _ := lastAsked[objects.ListBucketsInput](s.objects)
	if in.After != "b-bucket" || in.Max != 10000 {
		t.Errorf("%+v", in)
	}
	for _, bad := range []string{"max-buckets=0", "max-buckets=10001", "max-buckets=x", "continuation-token=%21"} {
		s.expect(s3.InvalidArgument, "GET", "/?"+bad, "")
	}
	if a := s.ok("GET", "/?bucket-region=mars", ""); strings.Contains(a.body, "a-bucket") {
		t.Error(a.body)
	}
}

// listing is a listing as a client decodes it.
type listing struct {
	XMLName                                       xml.Name `xml:"ListBucketResult"`
	Name, Prefix, Marker, Delimiter, EncodingType string
	StartAfter, ContinuationToken                 *string
	NextMarker, NextContinuationToken             string
	KeyCount, MaxKeys                             int
	IsTruncated                                   bool
	Contents                                      []struct {
		Key, LastModified, ETag, StorageClass string
		Size                                  int64
		Owner                                 *struct{ ID, DisplayName string }
	}
	CommonPrefixes []struct{ Prefix string }
}

func (s *server) list(target string) listing {
	s.t.Helper()
	var l listing
	if err := xml.Unmarshal([]byte(s.ok("GET", target, "").body), &l); err != nil {
		s.t.Fatal(err)
	}
	return l
}

func TestListObjectsV2(t *testing.T) {
	s := newServer(t)
	owner := s3.OwnerID(iam.RootIdentity().CanonicalID)
	s.objects.list = objects.ListObjectsOutput{
		Objects:        []objects.ListedObject{{Key: "a b&c", Size: 5, ETag: "e", StorageClass: "STANDARD", Owner: owner}},
		CommonPrefixes: []string{"dir one/"}, Truncated: true, Next: "dir one/", NextIsPrefix: true,
	}
	l := s.list("/bucket?list-type=2&prefix=a&delimiter=%2F&start-after=a&max-keys=2")
	if len(l.Contents) != 1 || l.Contents[0].Key != "a b&c" || l.Contents[0].ETag != `"e"` || l.Contents[0].Owner != nil ||
		l.CommonPrefixes[0].Prefix != "dir one/" || l.KeyCount != 2 || l.MaxKeys != 2 || !l.IsTruncated || *l.StartAfter != "a" || l.ContinuationToken != nil {
		t.Errorf("%+v", l)
	}
	in, _ := lastAsked[objects.ListObjectsInput](s.objects)
	if d := cmp.Diff(objects.ListObjectsInput{Bucket: "bucket", Prefix: "a", Delimiter: "/", After: "a", Max: 2}, in); d != "" {
		t.Error(d)
	}
	l2 := s.list("/bucket?list-type=2&delimiter=%2F&start-after=a&fetch-owner=true&encoding-type=url&continuation-token=" + url.QueryEscape(l.NextContinuationToken))
	in, _ = lastAsked[objects.ListObjectsInput](s.objects)
	if in.After != "dir one/" || !in.AfterPrefix || in.Max != 1000 {
		t.Errorf("the token lost the place: %+v", in)
	}
	if l2.Contents[0].Key != "a%20b%26c" || l2.EncodingType != "url" || l2.CommonPrefixes[0].Prefix != "dir%20one/" || l2.Contents[0].Owner.DisplayName != "root" || *l2.ContinuationToken != l.NextContinuationToken {
		t.Errorf("%+v", l2)
	}
	if l := s.list("/bucket?list-type=2&continuation-token="); l.ContinuationToken == nil || *l.ContinuationToken != "" {
		t.Errorf("%+v", l)
	}
	for _, bad := range []string{"max-keys=-1", "max-keys=x", "max-keys=99999999999", "encoding-type=base64", "continuation-token=%21%21"} {
		s.expect(s3.InvalidArgument, "GET", "/bucket?list-type=2&"+bad, "")
	}
	if l := s.list("/bucket?list-type=2&max-keys=5000"); l.MaxKeys != 1000 {
		t.Errorf("max-keys %d", l.MaxKeys)
	}
}

func TestListObjectsV1(t *testing.T) {
	s := newServer(t)
	s.objects.list = objects.ListObjectsOutput{Objects: []objects.ListedObject{{Key: "k", Owner: "other"}}, Truncated: true, Next: "k"}
	l := s.list("/bucket?marker=j")
	if l.NextMarker != "" || l.Marker != "j" || l.Contents[0].Owner.ID != "other" || l.Contents[0].Owner.DisplayName != "" {
		t.Errorf("%+v", l)
	}
	if l := s.list("/bucket?marker=j&delimiter=%2F"); l.NextMarker != "k" {
		t.Errorf("%+v", l)
	}
	for target, prefix := range map[string]bool{
		"marker=a%2F&delimiter=%2F": true, "marker=a%2Fb&delimiter=%2F": false, "marker=a%2Fb%2F&delimiter=%2F": false,
		"marker=a%2Fb%2F&delimiter=%2F&prefix=a%2F": true, "marker=a%2F": false, "marker=x&delimiter=xy": false, "delimiter=%2F": false,
	} {
		s.list("/bucket?" + target)
		in, _ := lastAsked[objects.ListObjectsInput](s.objects)
		if in.AfterPrefix != prefix {
			t.Errorf("%s: AfterPrefix = %v", target, in.AfterPrefix)
		}
	}
}

func FuzzPosition(f *testing.F) {
	f.Add("key", true)
	f.Fuzz(func(t *testing.T, after string, prefix bool) {
		if after == "" {
			return
		}
		p := position{after: after, prefix: prefix}
		if got, err := parsePosition(p.encode()); err != nil || got != p {
			t.Fatalf("%+v became %+v, %v", p, got, err)
		}
		_, _ = parsePosition(after)
	})
}
