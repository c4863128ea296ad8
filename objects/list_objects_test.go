package objects_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// atoms make keys that are prefixes of each other, with the bytes at which
// orders go wrong.
func atoms() []string {
	return []string{"a", "b", "/", "//", "\x00", "\x01", "\x7f", "é", "\u07ff", "\uffff", "\U00010000", "\U0010ffff", "ab", "-", " ", "A"}
}

func randomKey(rng *rand.Rand) string {
	var b strings.Builder
	for range 1 + rng.IntN(5) {
		b.WriteString(atoms()[rng.IntN(len(atoms()))])
	}
	return b.String()
}

// entry is a key or, with prefix set, a common prefix.
type entry struct {
	name   string
	prefix bool
}

// listModel is the listing of sorted keys by its definition: every key, or
// what stands for it, in order, once.
func listModel(keys []string, in objects.ListObjectsInput) (page []entry, truncated bool) {
	var all []entry
	for _, k := range keys {
		if !strings.HasPrefix(k, in.Prefix) || in.After != "" && k <= in.After || in.AfterPrefix && strings.HasPrefix(k, in.After) {
			continue
		}
		e := entry{name: k}
		if in.Delimiter != "" {
			if i := strings.Index(k[len(in.Prefix):], in.Delimiter); i >= 0 {
				e = entry{k[:len(in.Prefix)+i+len(in.Delimiter)], true}
			}
		}
		if len(all) == 0 || all[len(all)-1] != e {
			all = append(all, e)
		}
	}
	if in.Max == 0 {
		return nil, false
	}
	return all[:min(in.Max, len(all))], len(all) > in.Max
}

func entriesOf(out objects.ListObjectsOutput) []entry {
	var all []entry
	for _, o := range out.Objects {
		all = append(all, entry{name: o.Key})
	}
	for _, p := range out.CommonPrefixes {
		all = append(all, entry{p, true})
	}
	return all
}

func sorted(all []entry) []entry {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return all
}

func TestListAgainstModel(t *testing.T) {
	e := open(t)
	rng := rand.New(rand.NewPCG(7, 8))
	have := map[string]bool{}
	for range 300 {
		key := randomKey(rng)
		have[key] = true
		e.put(s3.Key(key), nil)
	}
	n := 0
	for key := range have { // some are deleted again
		if n++; n%7 == 0 {
			e.remove(s3.Key(key))
			delete(have, key)
		}
	}
	// A neighbour bucket must not show.
	_, err := e.PutObject(e.ctx, objects.PutObjectInput{Bucket: other, Key: "a", Body: bodyOf(nil)})
	e.must(err)
	var keys []string
	for k := range have {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	pick := func() string {
		switch rng.IntN(3) {
		case 0:
			return ""
		case 1:
			return randomKey(rng)
		}
		k := []rune(keys[rng.IntN(len(keys))])
		return string(k[:rng.IntN(len(k)+1)])
	}
	for range 1500 {
		in := objects.ListObjectsInput{Bucket: bucket, Prefix: pick(), After: pick(), Max: rng.IntN(20)}
		if rng.IntN(3) > 0 {
			in.Delimiter = atoms()[rng.IntN(len(atoms()))]
			in.AfterPrefix = in.After != "" && rng.IntN(4) == 0
		}
		out, err := e.ListObjects(e.ctx, in)
		e.must(err)
		want, truncated := listModel(keys, in)
		if diff := cmp.Diff(sorted(want), sorted(entriesOf(out)), cmp.AllowUnexported(entry{})); diff != "" || out.Truncated != truncated {
			t.Fatalf("%+v: truncated %v, want %v (-want +got):\n%s", in, out.Truncated, truncated, diff)
		}
		if len(want) > 0 && (out.Next != want[len(want)-1].name || out.NextIsPrefix != want[len(want)-1].prefix) {
			t.Fatalf("%+v: next is %q %v, want %+v", in, out.Next, out.NextIsPrefix, want[len(want)-1])
		}
	}
	for _, delimiter := range []string{"", "/", "a", "é", "//", "\x00"} {
		for _, page := range []int{1, 2, 7, 1000} {
			e.checkPages(keys, objects.ListObjectsInput{Bucket: bucket, Delimiter: delimiter, Max: page})
			e.checkPages(keys, objects.ListObjectsInput{Bucket: bucket, Delimiter: delimiter, Prefix: "a", Max: page})
		}
	}
}

// checkPages follows a listing page by page to its end.
func (e *env) checkPages(keys []string, in objects.ListObjectsInput) {
	e.t.Helper()
	all := in
	all.Max = len(keys) + 1
	want, _ := listModel(keys, all)
	var got []entry
	for {
		out, err := e.ListObjects(e.ctx, in)
		e.must(err)
		got = append(got, sorted(entriesOf(out))...)
		if len(got) > len(want) {
			e.t.Fatalf("%+v: more entries than there are", in)
		}
		if !out.Truncated {
			break
		}
		in.After, in.AfterPrefix = out.Next, out.NextIsPrefix
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(entry{})); diff != "" {
		e.t.Fatalf("pages of %d, delimiter %q (-want +got):\n%s", in.Max, in.Delimiter, diff)
	}
}

func TestListSaysWhatAnObjectIs(t *testing.T) {
	e := open(t)
	put := e.put("k", bytesOf(1, 9000))
	out, err := e.ListObjects(e.ctx, objects.ListObjectsInput{Bucket: bucket, Max: 10})
	e.must(err)
	want := objects.ListObjectsOutput{
		Objects: []objects.ListedObject{{
			Key: "k", Size: 9000, ETag: put.ETag, Modified: put.Modified, StorageClass: "STANDARD", Owner: owner,
			ChecksumAlgorithm: "CRC64NVME", ChecksumType: "FULL_OBJECT",
		}},
		Next: "k",
	}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("listing (-want +got):\n%s", diff)
	}
	_, err = e.ListObjects(e.ctx, objects.ListObjectsInput{Bucket: "nowhere", Max: 10})
	e.refuse(err, s3.NoSuchBucket)
	_, err = e.ListObjects(e.ctx, objects.ListObjectsInput{Bucket: "nowhere"})
	e.refuse(err, s3.NoSuchBucket)
}

func TestListUploads(t *testing.T) {
	e := open(t)
	rng := rand.New(rand.NewPCG(9, 10))
	var all []objects.Upload
	for i := range 120 {
		key := randomKey(rng)
		if i%3 == 0 && i > 0 {
			key = string(all[rng.IntN(len(all))].Key) // several of one key
		}
		all = append(all, e.upload(s3.Key(key)))
	}
	for i := 0; i < len(all); i += 5 {
		e.must(e.AbortMultipartUpload(e.ctx, objects.AbortUploadInput{Bucket: bucket, Key: all[i].Key, Upload: all[i].ID}))
		all = slices.Delete(all, i, i+1)
	}
	slices.SortStableFunc(all, func(a, b objects.Upload) int { return strings.Compare(string(a.Key), string(b.Key)) })
	for _, delimiter := range []string{"", "/", "a", "\x00"} {
		for _, prefix := range []string{"", "a", "/", "\x00", "\U0010ffff"} {
			for _, page := range []int{1, 2, 5, 1000} {
				e.checkUploads(all, objects.ListUploadsInput{Bucket: bucket, Prefix: prefix, Delimiter: delimiter, Max: page})
			}
		}
	}
	e.checkMarkers(all, rng)
	_, err := e.ListMultipartUploads(e.ctx, objects.ListUploadsInput{Bucket: "nowhere", Max: 1})
	e.refuse(err, s3.NoSuchBucket)
	_, err = e.ListMultipartUploads(e.ctx, objects.ListUploadsInput{Bucket: bucket, KeyMarker: "a", UploadMark: "?", Max: 1})
	e.refuse(err, s3.InvalidArgument)
	out, err := e.ListMultipartUploads(e.ctx, objects.ListUploadsInput{Bucket: bucket})
	e.must(err)
	if len(out.Uploads) != 0 || out.Truncated {
		t.Errorf("page of none: %+v", out)
	}
}

// uploadModel is what a listing shows, as text.
func uploadModel(all []objects.Upload, in objects.ListUploadsInput) []string {
	var out []string
	for _, u := range all {
		k := string(u.Key)
		if !strings.HasPrefix(k, in.Prefix) {
			continue
		}
		name := fmt.Sprintf("%q %s", k, u.ID)
		if in.Delimiter != "" {
			if i := strings.Index(k[len(in.Prefix):], in.Delimiter); i >= 0 {
				name = fmt.Sprintf("prefix %q", k[:len(in.Prefix)+i+len(in.Delimiter)])
			}
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func (e *env) checkUploads(all []objects.Upload, in objects.ListUploadsInput) {
	e.t.Helper()
	want := uploadModel(all, in)
	var got []string
	for {
		out, err := e.ListMultipartUploads(e.ctx, in)
		e.must(err)
		if n := len(out.Uploads) + len(out.CommonPrefixes); n > in.Max || n == 0 && out.Truncated {
			e.t.Fatalf("%+v: page of %d", in, n)
		}
		for _, u := range out.Uploads {
			got = append(got, fmt.Sprintf("%q %s", u.Key, u.ID))
		}
		for _, p := range out.CommonPrefixes {
			got = append(got, fmt.Sprintf("prefix %q", p))
		}
		if !out.Truncated {
			break
		}
		in.KeyMarker, in.UploadMark, in.AfterPrefix = out.NextKey, out.NextUpload, out.NextUpload == ""
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		e.t.Fatalf("pages of %d, prefix %q, delimiter %q (-want +got):\n%s", in.Max, in.Prefix, in.Delimiter, diff)
	}
}

// checkMarkers holds listings from random markers against the model.
func (e *env) checkMarkers(all []objects.Upload, rng *rand.Rand) {
	e.t.Helper()
	for range 200 {
		mark := all[rng.IntN(len(all))]
		in := objects.ListUploadsInput{Bucket: bucket, KeyMarker: string(mark.Key), Max: 1000}
		if rng.IntN(2) == 0 {
			in.UploadMark = mark.ID
		}
		if rng.IntN(3) == 0 {
			in.KeyMarker, in.UploadMark = randomKey(rng), ""
		}
		var want []s3.UploadID
		for _, u := range all {
			past := string(u.Key) > in.KeyMarker
			if in.UploadMark != "" && string(u.Key) == in.KeyMarker {
				past = u.ID > in.UploadMark
			}
			if past {
				want = append(want, u.ID)
			}
		}
		out, err := e.ListMultipartUploads(e.ctx, in)
		e.must(err)
		var got []s3.UploadID
		for _, u := range out.Uploads {
			got = append(got, u.ID)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			e.t.Fatalf("after %q %q (-want +got):\n%s", in.KeyMarker, in.UploadMark, diff)
		}
	}
}
