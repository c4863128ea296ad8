package objects_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/metadata/kv/kvtest"
	"github.com/undercroft/undercroft/metadata/kv/mem"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// afar is a store whose metadata are across a network, as far as it can tell.
type afar struct {
	*shaky
	t      *testing.T
	rounds *kvtest.Rounds
	ids    map[s3.Key]s3.VersionID // of what was put last, or deleted
}

func newAfar(t *testing.T) *afar {
	t.Helper()
	clock := kvtest.NewClock()
	engine := kvtest.CountRounds(mem.New(mem.Options{Now: clock.Now, Remote: true}))
	return &afar{shaky: newShakyOn(t, engine, clock.Now), t: t, rounds: engine, ids: make(map[s3.Key]s3.VersionID)}
}

func (a *afar) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// versioning sets the state of the bucket, unless it is to be unversioned.
func (a *afar) versioning(status s3.VersioningStatus) {
	a.t.Helper()
	if status != "" {
		a.must(a.PutBucketVersioning(a.t.Context(), bucket, status))
	}
}

func (a *afar) put(ctx context.Context, key s3.Key, n int) error {
	o, err := a.PutObject(ctx, objects.PutObjectInput{Bucket: bucket, Key: key, Owner: owner, Body: bodyOf(bytesOf(1, n))})
	a.ids[key] = o.VersionID
	return err
}

func (a *afar) get(ctx context.Context, key s3.Key, id s3.VersionID) error {
	out, err := a.GetObject(ctx, objects.GetObjectInput{Bucket: bucket, Key: key, VersionID: id})
	if err == nil {
		_, err = drain(out)
	}
	return err
}

func (a *afar) head(ctx context.Context, key s3.Key, id s3.VersionID) error {
	_, err := a.HeadObject(ctx, objects.GetObjectInput{Bucket: bucket, Key: key, VersionID: id})
	return err
}

func (a *afar) remove(ctx context.Context, key s3.Key, id s3.VersionID) error {
	out, err := a.DeleteObject(ctx, objects.DeleteObjectInput{Bucket: bucket, Key: key, VersionID: id})
	a.ids[key] = out.VersionID
	return err
}

// trips is what a request may cost.
type trips struct{ ReadVersions, Rounds, Commits int }

// costs runs a request as the gateway would: it looks at the bucket first.
func (a *afar) costs(request func(ctx context.Context) error) (kvtest.Counts, error) {
	a.rounds.Take()
	ctx := a.BeginRequest(a.t.Context())
	if _, err := a.BucketState(ctx, bucket); err != nil {
		return kvtest.Counts{}, err
	}
	err := request(ctx)
	return a.rounds.Take(), err
}

// What a hot operation costs: one read version and one round of reads in parallel,
// and one commit where it writes.
func TestRounds(t *testing.T) {
	reading, writing := trips{1, 1, 0}, trips{1, 1, 1}
	// What was placed may be in a partition that is newer than the request.
	placing := trips{2, 1, 1}
	type state = s3.VersioningStatus
	const plain = state("")
	all := []state{plain, s3.VersioningEnabled, s3.VersioningSuspended}
	kept := []state{s3.VersioningEnabled, s3.VersioningSuspended}
	tests := map[string]struct {
		states  []state
		request func(ctx context.Context, a *afar) error
		want    trips
		code    s3.Code // of the answer
	}{
		"GET inline":               {all, func(ctx context.Context, a *afar) error { return a.get(ctx, "small", "") }, reading, ""},
		"GET on disks":             {all, func(ctx context.Context, a *afar) error { return a.get(ctx, "large", "") }, reading, ""},
		"GET inline version":       {all, func(ctx context.Context, a *afar) error { return a.get(ctx, "small", a.ids["small"]) }, reading, ""},
		"GET noncurrent version":   {kept, func(ctx context.Context, a *afar) error { return a.get(ctx, "old", a.ids["first"]) }, reading, ""},
		"GET nothing":              {all, func(ctx context.Context, a *afar) error { return a.get(ctx, "absent", "") }, reading, s3.NoSuchKey},
		"GET delete marker":        {kept, func(ctx context.Context, a *afar) error { return a.get(ctx, "hidden", "") }, reading, s3.NoSuchKey},
		"HEAD":                     {all, func(ctx context.Context, a *afar) error { return a.head(ctx, "small", "") }, reading, ""},
		"HEAD version":             {all, func(ctx context.Context, a *afar) error { return a.head(ctx, "large", a.ids["large"]) }, reading, ""},
		"HEAD delete marker":       {kept, func(ctx context.Context, a *afar) error { return a.head(ctx, "hidden", "") }, reading, s3.NoSuchKey},
		"PUT inline":               {all, func(ctx context.Context, a *afar) error { return a.put(ctx, "new", 100) }, writing, ""},
		"PUT inline over one":      {all, func(ctx context.Context, a *afar) error { return a.put(ctx, "small", 100) }, writing, ""},
		"PUT inline over many":     {all, func(ctx context.Context, a *afar) error { return a.put(ctx, "old", 100) }, writing, ""},
		"PUT over a delete marker": {all, func(ctx context.Context, a *afar) error { return a.put(ctx, "hidden", 100) }, writing, ""},
		"PUT empty":                {all, func(ctx context.Context, a *afar) error { return a.put(ctx, "new", 0) }, writing, ""},
		"PUT on disks":             {all, func(ctx context.Context, a *afar) error { return a.put(ctx, "new", 20<<10) }, placing, ""},
		"PUT on disks over one":    {all, func(ctx context.Context, a *afar) error { return a.put(ctx, "large", 20<<10) }, placing, ""},
		"PUT if absent": {all, func(ctx context.Context, a *afar) error {
			_, err := a.PutObject(ctx, objects.PutObjectInput{
				Bucket: bucket, Key: "small", Owner: owner, Body: bodyOf(nil), Precondition: func(current *objects.Object) error {
					if current != nil {
						return s3.NewError(s3.PreconditionFailed)
					}
					return nil
				},
			})
			return err
		}, trips{1, 1, 0}, s3.PreconditionFailed},
		"DELETE":                   {all, func(ctx context.Context, a *afar) error { return a.remove(ctx, "small", "") }, writing, ""},
		"DELETE one of many":       {all, func(ctx context.Context, a *afar) error { return a.remove(ctx, "old", "") }, writing, ""},
		"DELETE on disks":          {all, func(ctx context.Context, a *afar) error { return a.remove(ctx, "large", "") }, writing, ""},
		"DELETE nothing":           {[]state{plain}, func(ctx context.Context, a *afar) error { return a.remove(ctx, "absent", "") }, trips{1, 1, 0}, ""},
		"DELETE current version":   {all, func(ctx context.Context, a *afar) error { return a.remove(ctx, "old", a.ids["old"]) }, writing, ""},
		"DELETE noncurrent":        {kept, func(ctx context.Context, a *afar) error { return a.remove(ctx, "old", a.ids["first"]) }, writing, ""},
		"DELETE a delete marker":   {kept, func(ctx context.Context, a *afar) error { return a.remove(ctx, "hidden", a.ids["hidden"]) }, writing, ""},
		"DELETE the last version":  {all, func(ctx context.Context, a *afar) error { return a.remove(ctx, "small", a.ids["small"]) }, writing, ""},
		"COPY":                     {all, copyIn("small", "new"), trips{2, 1, 1}, ""},
		"COPY on disks":            {all, copyIn("large", "small"), trips{2, 1, 1}, ""},
		"PutObjectTagging":         {all, tag(""), trips{2, 1, 1}, ""},
		"PutObjectTagging version": {all, tag("old"), trips{2, 1, 1}, ""},
		"GetObjectAttributes": {all, func(ctx context.Context, a *afar) error {
			_, err := a.GetObjectAttributes(ctx, objects.AttributesInput{Bucket: bucket, Key: "large"})
			return err
		}, reading, ""},
		"HeadBucket": {all, func(context.Context, *afar) error { return nil }, trips{1, 0, 0}, ""},
	}
	for name, c := range tests {
		for _, state := range c.states {
			t.Run(strings.TrimSuffix(name+"/"+string(state), "/"), func(t *testing.T) {
				a := newAfar(t)
				a.fill(state)
				counts, err := a.costs(func(ctx context.Context) error { return c.request(ctx, a) })
				if got := s3.CodeOf(err); got != c.code {
					t.Fatalf("answer %q: %v", got, err)
				}
				got := trips{counts.ReadVersions, counts.Rounds, counts.Commits}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("%+v (-want +got):\n%s", counts, diff)
				}
			})
		}
	}
}

// fill makes objects: small is inline, old has versions where they are kept, and
// hidden a delete marker.
func (a *afar) fill(status s3.VersioningStatus) {
	a.t.Helper()
	ctx := a.t.Context()
	a.versioning(status)
	a.must(a.put(ctx, "small", 100))
	a.must(a.put(ctx, "large", 20<<10))
	a.versioning(map[s3.VersioningStatus]s3.VersioningStatus{s3.VersioningSuspended: s3.VersioningEnabled}[status])
	a.must(a.put(ctx, "old", 100))
	a.ids["first"] = a.ids["old"]
	a.must(a.put(ctx, "old", 200))
	a.must(a.put(ctx, "hidden", 100))
	a.versioning(status)
	a.must(a.remove(ctx, "hidden", ""))
	a.must(a.get(ctx, "large", "")) // where the partition's shards are is remembered
	_, err := a.BucketState(ctx, bucket)
	a.must(err)
}

func copyIn(from, to s3.Key) func(ctx context.Context, a *afar) error {
	return func(ctx context.Context, a *afar) error {
		_, err := a.CopyObject(ctx, objects.CopyObjectInput{
			Source: objects.CopySource{Bucket: bucket, Key: from}, Bucket: bucket, Key: to, Owner: owner,
		})
		return err
	}
}

func tag(version s3.Key) func(ctx context.Context, a *afar) error {
	return func(ctx context.Context, a *afar) error {
		_, err := a.PutObjectTagging(ctx, objects.PutObjectTaggingInput{
			Bucket: bucket, Key: "old", VersionID: a.ids[version], Tags: []objects.Pair{{Name: "a", Value: "b"}},
		})
		return err
	}
}

// After the configuration of any bucket has changed, a bucket's row is read again, once:
// along with what is read of an object, unless the gateway has to know it before.
func TestRoundsAfterConfigurations(t *testing.T) {
	tests := map[string]struct {
		request func(ctx context.Context, a *afar) error
		want    trips
	}{
		"GET":  {func(ctx context.Context, a *afar) error { return a.get(ctx, "small", "") }, trips{1, 1, 0}},
		"HEAD": {func(ctx context.Context, a *afar) error { return a.head(ctx, "old", "") }, trips{1, 1, 0}},
		"PUT":  {func(ctx context.Context, a *afar) error { return a.put(ctx, "small", 100) }, trips{1, 2, 1}},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAfar(t)
			a.fill(s3.VersioningEnabled)
			_, err := a.CreateBucket(t.Context(), objects.CreateBucketInput{Name: "elsewhere", Owner: owner})
			a.must(err)
			a.must(a.PutBucketVersioning(t.Context(), "elsewhere", s3.VersioningEnabled))
			a.rounds.Take()
			for _, want := range []trips{c.want, {1, 1, c.want.Commits}} {
				a.must(c.request(a.BeginRequest(t.Context()), a))
				counts := a.rounds.Take()
				if diff := cmp.Diff(want, trips{counts.ReadVersions, counts.Rounds, counts.Commits}); diff != "" {
					t.Errorf("%+v (-want +got):\n%s", counts, diff)
				}
			}
		})
	}
}
