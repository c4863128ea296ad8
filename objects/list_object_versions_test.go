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

// versionsModel is the listing of all versions by its definition: those given
// are in order, common prefixes stand for what is under them, once.
func versionsModel(all []objects.ListedVersion, in objects.ListVersionsInput) (page []string, truncated bool) {
	met := false // the version that the marker names
	for i := range all {
		v := &all[i]
		if !strings.HasPrefix(v.Key, in.Prefix) || in.AfterPrefix && strings.HasPrefix(v.Key, in.KeyMarker) {
			continue
		}
		if in.KeyMarker != "" && v.Key <= in.KeyMarker {
			older := met && v.Key == in.KeyMarker
			met = met || v.Key == in.KeyMarker && v.VersionID == in.VersionMarker
			if !older {
				continue
			}
		}
		name := listedName(v)
		if in.Delimiter != "" {
			if i := strings.Index(v.Key[len(in.Prefix):], in.Delimiter); i >= 0 {
				name = "prefix " + v.Key[:len(in.Prefix)+i+len(in.Delimiter)]
			}
		}
		if len(page) == 0 || page[len(page)-1] != name {
			page = append(page, name)
		}
	}
	if in.Max == 0 {
		return nil, false
	}
	return page[:min(in.Max, len(page))], len(page) > in.Max
}

func listedName(v *objects.ListedVersion) string {
	return fmt.Sprintf("%q %s %v %v", v.Key, v.VersionID, v.DeleteMarker, v.Latest)
}

func listedNames(out objects.ListVersionsOutput) (all []string) {
	for i := range out.Versions {
		all = append(all, listedName(&out.Versions[i]))
	}
	for _, p := range out.CommonPrefixes {
		all = append(all, "prefix "+p)
	}
	return all
}

// someVersions makes versions of keys that are prefixes of each other, in all
// states of versioning, and lists them.
func (e *env) someVersions(rng *rand.Rand) []objects.ListedVersion {
	e.t.Helper()
	var keys []string
	for range 60 {
		keys = append(keys, randomKey(rng))
	}
	for round := range 4 {
		if round > 0 {
			e.keep([]s3.VersioningStatus{s3.VersioningEnabled, s3.VersioningSuspended}[round%2])
		}
		for _, k := range keys {
			switch rng.IntN(3) {
			case 0:
				e.put(s3.Key(k), []byte("x"))
			case 1:
				e.remove(s3.Key(k))
			}
		}
	}
	out, err := e.ListObjectVersions(e.ctx, objects.ListVersionsInput{Bucket: bucket, Max: 1000})
	e.must(err)
	if out.Truncated || !slices.IsSortedFunc(out.Versions, func(a, b objects.ListedVersion) int { return strings.Compare(a.Key, b.Key) }) {
		e.t.Fatalf("%d versions, truncated %v, or not in order", len(out.Versions), out.Truncated)
	}
	return out.Versions
}

func TestListVersionsAgainstModel(t *testing.T) {
	e := open(t)
	rng := rand.New(rand.NewPCG(11, 12))
	all := e.someVersions(rng)
	_, err := e.PutObject(e.ctx, objects.PutObjectInput{Bucket: other, Key: "a", Body: bodyOf(nil)})
	e.must(err) // a neighbour must not show
	pick := func() string {
		switch rng.IntN(3) {
		case 0:
			return ""
		case 1:
			return randomKey(rng)
		}
		k := []rune(all[rng.IntN(len(all))].Key)
		return string(k[:rng.IntN(len(k)+1)])
	}
	for range 2000 {
		in := objects.ListVersionsInput{Bucket: bucket, Prefix: pick(), KeyMarker: pick(), Max: rng.IntN(20)}
		if rng.IntN(3) > 0 {
			in.Delimiter = atoms()[rng.IntN(len(atoms()))]
			in.AfterPrefix = in.KeyMarker != "" && rng.IntN(4) == 0
		}
		if rng.IntN(2) == 0 {
			v := all[rng.IntN(len(all))]
			in.KeyMarker, in.VersionMarker, in.AfterPrefix = v.Key, v.VersionID, false
		}
		out, err := e.ListObjectVersions(e.ctx, in)
		e.must(err)
		want, truncated := versionsModel(all, in)
		got := listedNames(out)
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" || out.Truncated != truncated {
			t.Fatalf("%+v: truncated %v, want %v (-want +got):\n%s", in, out.Truncated, truncated, diff)
		}
	}
	for _, delimiter := range []string{"", "/", "a", "\x00"} {
		for _, page := range []int{1, 2, 7} {
			e.checkVersionPages(all, objects.ListVersionsInput{Bucket: bucket, Delimiter: delimiter, Max: page})
			e.checkVersionPages(all, objects.ListVersionsInput{Bucket: bucket, Delimiter: delimiter, Prefix: "a", Max: page})
		}
	}
}

func (e *env) checkVersionPages(all []objects.ListedVersion, in objects.ListVersionsInput) {
	e.t.Helper()
	whole := in
	whole.Max = len(all) + 1
	want, _ := versionsModel(all, whole)
	var got []string
	for {
		out, err := e.ListObjectVersions(e.ctx, in)
		e.must(err)
		got = append(got, listedNames(out)...)
		if len(got) > len(want) {
			e.t.Fatalf("%+v: more entries than there are", in)
		}
		if !out.Truncated {
			break
		}
		in.KeyMarker, in.VersionMarker, in.AfterPrefix = out.NextKey, out.NextVersion, out.NextVersion == ""
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		e.t.Fatalf("pages of %d, delimiter %q (-want +got):\n%s", in.Max, in.Delimiter, diff)
	}
}

// TestListVersionsWhileDeleting: whoever deletes page by page meets every
// version, also where the last of a page is the null version and gone.
func TestListVersionsWhileDeleting(t *testing.T) {
	e := open(t)
	left := len(e.someVersions(rand.New(rand.NewPCG(13, 14))))
	in := objects.ListVersionsInput{Bucket: bucket, Max: 3}
	for {
		out, err := e.ListObjectVersions(e.ctx, in)
		e.must(err)
		for _, v := range out.Versions {
			e.delete(s3.Key(v.Key), v.VersionID)
			left--
		}
		if !out.Truncated {
			break
		}
		in.KeyMarker, in.VersionMarker = out.NextKey, out.NextVersion
	}
	if left != 0 {
		t.Errorf("%d versions were not met", left)
	}
	e.shows()
}

func TestListVersionsMarkers(t *testing.T) {
	e := open(t)
	e.put("k", []byte("n"))
	e.keep(s3.VersioningEnabled)
	a := e.put("k", []byte("a"))
	e.put("k", []byte("b"))
	list := func(marker s3.VersionID) (all []string) {
		out, err := e.ListObjectVersions(e.ctx, objects.ListVersionsInput{Bucket: bucket, KeyMarker: "k", VersionMarker: marker, Max: 10})
		e.must(err)
		for _, v := range out.Versions {
			all = append(all, fmt.Sprintf("%s %v", e.getVersion("k", v.VersionID), v.Latest))
		}
		return all
	}
	if diff := cmp.Diff([]string{"n false"}, list(a.VersionID)); diff != "" {
		t.Errorf("below a version (-want +got):\n%s", diff)
	}
	if got := list(s3.NullVersion); got != nil {
		t.Errorf("below the null version: %q", got)
	}
	e.delete("k", s3.NullVersion)
	if diff := cmp.Diff([]string{"b true", "a false"}, list(s3.NullVersion)); diff != "" {
		t.Errorf("below a null version that is gone (-want +got):\n%s", diff)
	}
	_, err := e.ListObjectVersions(e.ctx, objects.ListVersionsInput{Bucket: bucket, KeyMarker: "k", VersionMarker: "rubbish", Max: 10})
	e.refuse(err, s3.InvalidArgument)
	_, err = e.ListObjectVersions(e.ctx, objects.ListVersionsInput{Bucket: "nowhere", Max: 10})
	e.refuse(err, s3.NoSuchBucket)
	out, err := e.ListObjectVersions(e.ctx, objects.ListVersionsInput{Bucket: bucket})
	e.must(err)
	if len(out.Versions) != 0 || out.Truncated {
		t.Errorf("page of none: %+v", out)
	}
}
