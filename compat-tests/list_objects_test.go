package compat

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
)

// putKeys stores empty objects, some at a time.
func putKeys(t *testing.T, c *s3.Client, bucket string, keys []string) {
	t.Helper()
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(16)
	for _, key := range keys {
		g.Go(func() error {
			_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// entry is a key or, with a final mark, a common prefix.
func entries(contents []types.Object, prefixes []types.CommonPrefix) []string {
	var all []string
	for _, o := range contents {
		all = append(all, *o.Key)
	}
	for _, p := range prefixes {
		all = append(all, *p.Prefix+"*")
	}
	slices.SortStableFunc(all, func(a, b string) int {
		return strings.Compare(strings.TrimSuffix(a, "*"), strings.TrimSuffix(b, "*"))
	})
	return all
}

// model lists as S3 is documented to: keys and rolled-up prefixes in byte order.
func model(keys []string, prefix, delimiter, after string) []string {
	var all []string
	for _, key := range slices.Sorted(slices.Values(keys)) {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		if delimiter != "" {
			if i := strings.Index(key[len(prefix):], delimiter); i >= 0 {
				rolled := key[:len(prefix)+i+len(delimiter)]
				if rolled > after && (len(all) == 0 || all[len(all)-1] != rolled+"*") {
					all = append(all, rolled+"*")
				}
				continue
			}
		}
		if key > after {
			all = append(all, key)
		}
	}
	return all
}

// insideRolledUp reports whether a listing would start within a common prefix.
// It is not documented whether that prefix is then listed once more.
func insideRolledUp(prefix, delimiter, after string) bool {
	rest, ok := strings.CutPrefix(after, prefix)
	if !ok || delimiter == "" {
		return false
	}
	i := strings.Index(rest, delimiter)
	return i >= 0 && i+len(delimiter) < len(rest)
}

func listV2(t *testing.T, c *s3.Client, in *s3.ListObjectsV2Input) (all []string, pages int) {
	t.Helper()
	for p := s3.NewListObjectsV2Paginator(c, in); p.HasMorePages(); pages++ {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatalf("ListObjectsV2: %v", err)
		}
		n := len(page.Contents) + len(page.CommonPrefixes)
		if int(aws.ToInt32(page.KeyCount)) != n {
			t.Errorf("KeyCount %d, %d entries", aws.ToInt32(page.KeyCount), n)
		}
		if in.MaxKeys != nil && n > int(*in.MaxKeys) {
			t.Errorf("%d entries on a page of %d", n, *in.MaxKeys)
		}
		if aws.ToBool(page.IsTruncated) != (page.NextContinuationToken != nil) {
			t.Errorf("IsTruncated %v with token %v", aws.ToBool(page.IsTruncated), page.NextContinuationToken)
		}
		all = append(all, entries(page.Contents, page.CommonPrefixes)...)
	}
	return all, pages
}

func listV1(t *testing.T, c *s3.Client, in *s3.ListObjectsInput) []string {
	t.Helper()
	var all []string
	for {
		page, err := c.ListObjects(t.Context(), in)
		if err != nil {
			t.Fatalf("ListObjects: %v", err)
		}
		all = append(all, entries(page.Contents, page.CommonPrefixes)...)
		if !aws.ToBool(page.IsTruncated) {
			return all
		}
		next := page.NextMarker
		if next == nil { // only sent with a delimiter; else it is the last key
			if aws.ToString(in.Delimiter) != "" {
				t.Error("truncated listing with delimiter has no NextMarker")
				return all
			}
			next = page.Contents[len(page.Contents)-1].Key
		}
		in.Marker = next
	}
}

func TestListObjectsAgainstModel(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	keys := []string{
		"a", "a/", "a/b", "a/b/c", "a/b/d", "a//", "a//x", "a0", "aa", "b", "b/1", "b/2", "c::d", "c::e::f", "c:g", "z",
		"ü", "ü/x", "\uffee", "\U00010000", "\U0001f600/a", "~", "A", "B/", "B/x/y", "0", " ", " /", "-", ".", "..", "a\x7f",
	}
	putKeys(t, c, bucket, keys)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	pick := func(list []string) string { return list[rng.IntN(len(list))] }
	for range 120 {
		prefix := pick([]string{"", "", "a", "a/", "a/b", "b/", "c:", "ü", "none", "\U0001f600", "B/x", " "})
		delimiter := pick([]string{"", "/", "/", "::", "b", "a/", "ü", "\U0001f600"})
		after := pick([]string{"", "", "a", "a/", "a/b", "a/b/c", "a/~", "b/1", "ü", "zz", "\uffee", "\U0001f600/", "c::"})
		limit := int32(rng.IntN(8) + 1)
		if insideRolledUp(prefix, delimiter, after) {
			continue
		}
		what := fmt.Sprintf("prefix %q delimiter %q after %q max %d", prefix, delimiter, after, limit)
		v1 := listV1(t, c, &s3.ListObjectsInput{Bucket: &bucket, Prefix: &prefix, Delimiter: &delimiter, Marker: &after, MaxKeys: &limit})
		want := model(keys, prefix, delimiter, after)
		if diff := cmp.Diff(want, v1); diff != "" {
			t.Errorf("v1 %s (-want +got):\n%s", what, diff)
		}
		if delimiter != "" && strings.HasPrefix(after, prefix) && strings.HasSuffix(after, delimiter) {
			continue // a marker of v1 skips this prefix; of v2 it is not documented
		}
		in := &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix, Delimiter: &delimiter, StartAfter: &after, MaxKeys: &limit}
		got, pages := listV2(t, c, in)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("v2 %s (-want +got):\n%s", what, diff)
		}
		if most := (len(want) + int(limit) - 1) / int(limit); pages > most+1 {
			t.Errorf("v2 %s: %d pages for %d entries", what, pages, len(want))
		}
	}
}

// TestListObjectsOrderIsUTF8Bytes: U+FFEE sorts before U+10000 in UTF-8 and after
// it in UTF-16, which some servers use.
func TestListObjectsOrderIsUTF8Bytes(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	putKeys(t, c, bucket, []string{"\U00010000", "\uffee", "\ud7ff", "é", "e", "E", "e\u0301", "_", "a-b", "a/b", "a.b"})
	got := keysOf(t, c, bucket)
	want := slices.Clone(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" || len(got) != 11 {
		t.Errorf("not in byte order (-want +got):\n%s", diff)
	}
}

func TestListObjectsManyPages(t *testing.T) {
	t.Parallel()
	notShort(t)
	c, bucket := newBucket(t)
	want := make([]string, 2345)
	for i := range want {
		want[i] = fmt.Sprintf("dir%02d/%05d", i/100, i)
	}
	putKeys(t, c, bucket, want)
	got, pages := listV2(t, c, &s3.ListObjectsV2Input{Bucket: &bucket})
	if !slices.Equal(got, want) || pages != 3 {
		t.Errorf("%d keys in %d pages, want %d in 3", len(got), pages, len(want))
	}
	dirs, _ := listV2(t, c, &s3.ListObjectsV2Input{Bucket: &bucket, Delimiter: aws.String("/"), MaxKeys: aws.Int32(7)})
	if len(dirs) != 24 {
		t.Errorf("%d common prefixes, want 24", len(dirs))
	}
	over, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, MaxKeys: aws.Int32(5000)})
	if err != nil || len(over.Contents) != 1000 || !aws.ToBool(over.IsTruncated) {
		t.Errorf("max-keys 5000 gave %d keys, %v", len(over.Contents), err)
	}
	none, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, MaxKeys: aws.Int32(0)})
	if err != nil || len(none.Contents) != 0 || aws.ToBool(none.IsTruncated) {
		t.Errorf("max-keys 0 gave %d keys, truncated %v, %v", len(none.Contents), aws.ToBool(none.IsTruncated), err)
	}
}

func TestListObjectsFields(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	body := []byte("hello")
	put(t, c, bucket, "k", body)
	out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, FetchOwner: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	o := out.Contents[0]
	if aws.ToString(o.ETag) != `"`+md5Hex(body)+`"` || aws.ToInt64(o.Size) != 5 || o.StorageClass != types.ObjectStorageClassStandard ||
		o.Owner == nil || time.Since(aws.ToTime(o.LastModified)).Abs() > time.Hour {
		t.Errorf("entry %+v", o)
	}
	if aws.ToString(out.Name) != bucket || aws.ToInt32(out.MaxKeys) != 1000 {
		t.Errorf("Name %q, MaxKeys %d", aws.ToString(out.Name), aws.ToInt32(out.MaxKeys))
	}
	plain, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil || plain.Contents[0].Owner != nil {
		t.Errorf("owner sent unasked: %+v, %v", plain.Contents[0].Owner, err)
	}
	v1, err := c.ListObjects(t.Context(), &s3.ListObjectsInput{Bucket: &bucket})
	if err != nil || v1.Contents[0].Owner == nil {
		t.Errorf("v1 has no owner: %v", err)
	}
}

func TestListObjectsEncodingType(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	keys := []string{"a b", "a+b", "a&b<", "ü/x y", "tab\t", "\x01", "per%cent", "sl/as/h"}
	putKeys(t, c, bucket, keys)
	resp := s.raw(t, &rawRequest{Path: "/" + bucket, Query: "delimiter=%20&encoding-type=url&list-type=2&prefix=&start-after=%09"})
	resp.want(t, "list", 200)
	var doc struct {
		EncodingType   string
		Delimiter      string
		StartAfter     string
		Contents       []struct{ Key string }
		CommonPrefixes []struct{ Prefix string }
	}
	if err := xml.Unmarshal(resp.Body, &doc); err != nil {
		t.Fatal(err)
	}
	var got []string
	unescape := func(s string) string {
		plain, err := url.QueryUnescape(s)
		if err != nil {
			t.Errorf("%q: %v", s, err)
		}
		return plain
	}
	for _, o := range doc.Contents {
		got = append(got, unescape(o.Key))
	}
	for _, p := range doc.CommonPrefixes {
		got = append(got, unescape(p.Prefix)+"*")
	}
	slices.Sort(got)
	want := model(keys, "", " ", "\t")
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if doc.EncodingType != "url" || unescape(doc.Delimiter) != " " || unescape(doc.StartAfter) != "\t" {
		t.Errorf("EncodingType %q Delimiter %q StartAfter %q", doc.EncodingType, doc.Delimiter, doc.StartAfter)
	}
}

func TestListObjectsBadArguments(t *testing.T) {
	t.Parallel()
	_, bucket := newBucket(t)
	s := shared(t)
	for _, q := range []string{
		"list-type=2&max-keys=-1", "list-type=2&max-keys=x", "max-keys=-1", "max-keys=99999999999",
		"encoding-type=base64", "encoding-type=base64&list-type=2", "continuation-token=%21%21&list-type=2",
	} {
		s.raw(t, &rawRequest{Path: "/" + bucket, Query: q}).want(t, q, 400, "InvalidArgument")
	}
}

// TestListObjectsSeesEveryAcknowledgedChange lists while others write: what was
// acknowledged before a listing began is in it, in order and once.
func TestListObjectsSeesEveryAcknowledgedChange(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	var mu sync.Mutex
	acked := map[string]bool{}
	g, ctx := errgroup.WithContext(t.Context())
	for w := range 4 {
		g.Go(func() error {
			for i := range 60 {
				key := strconv.Itoa(w) + "/" + strconv.Itoa(i)
				if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key}); err != nil {
					return err
				}
				mu.Lock()
				acked[key] = true
				mu.Unlock()
			}
			return nil
		})
	}
	g.Go(func() error {
		for range 15 {
			mu.Lock()
			want := make([]string, 0, len(acked))
			for key := range acked {
				want = append(want, key)
			}
			mu.Unlock()
			out, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket})
			if err != nil {
				return err
			}
			got := entries(out.Contents, nil)
			if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
				return fmt.Errorf("listing out of order or with repeats: %q", got)
			}
			for _, key := range want {
				if _, found := slices.BinarySearch(got, key); !found {
					return fmt.Errorf("%q was acknowledged and is not listed", key)
				}
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestListUnordered: Ceph's parameter allows any order, so that what comes in
// order will do; with a delimiter it is refused, as Ceph does.
func TestListUnordered(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	putKeys(t, c, bucket, []string{"b", "a/1", "a/2"})
	for _, version := range []string{"", "&list-type=2"} {
		list := s.raw(t, &rawRequest{Path: "/" + bucket, Query: "allow-unordered=true" + version})
		list.want(t, "all keys", 200)
		if got := bytes.Count(list.Body, []byte("<Key>")); got != 3 {
			t.Errorf("%d keys are listed, want 3", got)
		}
		s.raw(t, &rawRequest{Path: "/" + bucket, Query: "allow-unordered=true&delimiter=%2F" + version}).
			want(t, "with a delimiter", 400, "InvalidArgument")
	}
}
