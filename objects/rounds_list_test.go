package objects_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv/kvtest"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// keep writes rows of objects as PutObject does, many at once, each with as many
// noncurrent versions.
func (a *afar) keep(keys []string, versions int) {
	a.t.Helper()
	for some := range slices.Chunk(keys, 500) {
		a.must(a.db.Update(a.t.Context(), "test", func(tx *metadata.Tx) error {
			b, err := tx.BucketByName(string(bucket))
			if err != nil {
				return err
			}
			for _, key := range some {
				o := &metadata.Object{
					Key: key, Ord: metadata.Ord(versions + 1), Suffix: 1, Null: versions == 0, Modified: a.db.Now(), ETag: string(etagOf(nil)),
					Checksums: []metadata.Checksum{{Algorithm: "CRC64NVME", Type: "FULL_OBJECT", Value: "AAAAAAAAAAA="}},
					Owner:     strings.Repeat("f", 64), Data: metadata.Data{Kind: metadata.DataEmpty}, Token: a.db.NewToken(),
				}
				if err := tx.PutObject(b.ID, nil, o, nil); err != nil {
					return err
				}
				for i := range versions {
					old := *o
					old.Ord = metadata.Ord(i + 1)
					if err := tx.PutVersion(b.ID, &old); err != nil {
						return err
					}
				}
			}
			return nil
		}))
	}
	_, err := a.BucketState(a.t.Context(), bucket)
	a.must(err)
}

func (a *afar) page(in objects.ListObjectsInput) (out objects.ListObjectsOutput, counts kvtest.Counts) {
	a.t.Helper()
	in.Bucket = bucket
	counts, err := a.costs(func(ctx context.Context) (err error) {
		out, err = a.ListObjects(ctx, in)
		return err
	})
	a.must(err)
	return out, counts
}

// A page of a thousand keys takes at most five replies of a range, with a delimiter that
// no key has and without.
func TestRoundsOfListings(t *testing.T) {
	a := newAfar(t)
	var keys []string
	for i := range 2500 {
		keys = append(keys, fmt.Sprintf("some/directory/of/keys/that-are-not-so-short/file-%08d.jpg", i))
	}
	a.keep(keys, 0)
	for _, in := range []objects.ListObjectsInput{
		{Max: 1000}, {Max: 1000, After: keys[700]}, {Max: 1000, Prefix: "some/directory/of/keys/that-are-not-so-short/", Delimiter: "/"},
	} {
		out, counts := a.page(in)
		if len(out.Objects) != 1000 || !out.Truncated {
			t.Errorf("%+v: %d objects, truncated: %v", in, len(out.Objects), out.Truncated)
		}
		if counts.ReadVersions != 1 || counts.Replies > 5 || counts.Rounds > 5 {
			t.Errorf("%+v: %+v", in, counts)
		}
		t.Logf("%+v", counts)
	}
	if _, counts := a.page(objects.ListObjectsInput{Max: 10}); counts.Replies != 1 || counts.Rounds != 1 {
		t.Errorf("ten keys: %+v", counts)
	}
}

// Versions are in two tables, which are read side by side.
func TestRoundsOfVersionListings(t *testing.T) {
	a := newAfar(t)
	a.versioning(s3.VersioningEnabled)
	var keys []string
	for i := range 1200 {
		keys = append(keys, fmt.Sprintf("some/directory/of/keys/file-%08d.jpg", i))
	}
	a.keep(keys, 1)
	var out objects.ListVersionsOutput
	counts, err := a.costs(func(ctx context.Context) (err error) {
		out, err = a.ListObjectVersions(ctx, objects.ListVersionsInput{Bucket: bucket, Max: 1000})
		return err
	})
	a.must(err)
	if len(out.Versions) != 1000 || !out.Truncated || counts.ReadVersions != 1 || counts.Replies > 8 || counts.Rounds > 7 {
		t.Errorf("%d versions, truncated: %v: %+v", len(out.Versions), out.Truncated, counts)
	}
}

// Of common prefixes, what is beneath is hardly read; a page ends early rather than take
// ever more round trips, and the next goes on behind it.
func TestRoundsOfCommonPrefixes(t *testing.T) {
	for _, c := range []struct {
		groups, each int
		most         int // round trips for all pages
	}{
		{groups: 30, each: 300, most: 40}, {groups: 400, each: 20, most: 420}, {groups: 900, each: 5, most: 40}, {groups: 150, each: 60, most: 120},
	} {
		t.Run(fmt.Sprintf("%d of %d", c.groups, c.each), func(t *testing.T) {
			a := newAfar(t)
			var keys, want []string
			for g := range c.groups {
				group := fmt.Sprintf("group-%04d/", g)
				want = append(want, group)
				for i := range c.each {
					keys = append(keys, fmt.Sprintf("%s%06d", group, i))
				}
			}
			a.keep(keys, 0)
			var got []string
			in := objects.ListObjectsInput{Max: 1000, Delimiter: "/"}
			rounds := 0
			for {
				out, counts := a.page(in)
				got = append(got, out.CommonPrefixes...)
				rounds += counts.Rounds
				if counts.Rounds > 310 {
					t.Errorf("%+v", counts)
				}
				if !out.Truncated {
					break
				}
				in.After, in.AfterPrefix = out.Next, out.NextIsPrefix
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if rounds > c.most {
				t.Errorf("%d round trips", rounds)
			}
			t.Logf("%d round trips", rounds)
		})
	}
}

// Random listings across a network say what a plain reading of the keys says.
func TestListingsAcrossANetwork(t *testing.T) {
	for seed := range rounds(6, 100) {
		rng := rand.New(rand.NewPCG(seed, 9))
		a := newAfar(t)
		have := make(map[string]bool)
		for range 400 + rng.IntN(2000) {
			depth := rng.IntN(4)
			var key strings.Builder
			for range depth {
				fmt.Fprintf(&key, "%c/", 'a'+rng.IntN(1+rng.IntN(12)))
			}
			fmt.Fprintf(&key, "%d", rng.IntN(5000))
			have[key.String()] = true
		}
		keys := slices.Sorted(func(yield func(string) bool) {
			for key := range have {
				if !yield(key) {
					return
				}
			}
		})
		a.keep(keys, int(seed%2))
		for range 20 {
			in := objects.ListObjectsInput{
				Bucket: bucket, Max: 1 + rng.IntN(1000), Delimiter: []string{"", "/", "1"}[rng.IntN(3)],
				Prefix: []string{"", "a/", "b/a/", "nothing", "1"}[rng.IntN(5)],
			}
			want := listed(keys, in.Prefix, in.Delimiter)
			if got := a.all(in); !slices.Equal(got, want) {
				t.Fatalf("seed %d: %+v: %s", seed, in, cmp.Diff(want, got))
			}
			if got := a.allVersions(in); !slices.Equal(got, twice(want, int(seed%2))) {
				t.Fatalf("seed %d: versions: %+v: %s", seed, in, cmp.Diff(twice(want, int(seed%2)), got))
			}
		}
	}
}

// listed are the keys and common prefixes of a listing, in order.
func listed(keys []string, prefix, delimiter string) (out []string) {
	for _, key := range keys {
		rest, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		entry := key
		if i := strings.Index(rest, delimiter); delimiter != "" && i >= 0 {
			entry = prefix + rest[:i+len(delimiter)] + " and below"
		}
		if len(out) == 0 || out[len(out)-1] != entry {
			out = append(out, entry)
		}
	}
	return out
}

// twice repeats the keys of a listing, as its versions do.
func twice(entries []string, versions int) (out []string) {
	for _, entry := range entries {
		out = append(out, entry)
		for range versions {
			if !strings.HasSuffix(entry, " and below") {
				out = append(out, entry)
			}
		}
	}
	return out
}

// pageOf are the entries of a page in order.
func pageOf(keys, commonPrefixes []string) []string {
	for _, common := range commonPrefixes {
		keys = append(keys, common+" and below")
	}
	slices.Sort(keys)
	return keys
}

// all pages through a listing.
func (a *afar) all(in objects.ListObjectsInput) (all []string) {
	a.t.Helper()
	for {
		out, err := a.ListObjects(a.t.Context(), in)
		a.must(err)
		var keys []string
		for i := range out.Objects {
			keys = append(keys, out.Objects[i].Key)
		}
		all = append(all, pageOf(keys, out.CommonPrefixes)...)
		if !out.Truncated {
			return all
		}
		in.After, in.AfterPrefix = out.Next, out.NextIsPrefix
	}
}

// allVersions is all of a listing of versions.
func (a *afar) allVersions(from objects.ListObjectsInput) (all []string) {
	a.t.Helper()
	in := objects.ListVersionsInput{Bucket: bucket, Max: from.Max, Prefix: from.Prefix, Delimiter: from.Delimiter}
	for {
		out, err := a.ListObjectVersions(a.t.Context(), in)
		a.must(err)
		var keys []string
		for i := range out.Versions {
			keys = append(keys, out.Versions[i].Key)
		}
		all = append(all, pageOf(keys, out.CommonPrefixes)...)
		if !out.Truncated {
			return all
		}
		in.KeyMarker, in.VersionMarker, in.AfterPrefix = out.NextKey, out.NextVersion, out.NextVersion == ""
	}
}
