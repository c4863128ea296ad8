package objects_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// TestVersionsSurvivePowerLoss: after every loss of power all versions and
// markers that were acknowledged are there, and their order is as it was.
func TestVersionsSurvivePowerLoss(t *testing.T) {
	c := testcluster.New(t, testcluster.Options{})
	e := &env{Cluster: c, Service: c.Objects, t: t, ctx: t.Context()}
	_, err := e.CreateBucket(e.ctx, objects.CreateBucketInput{Name: bucket, Owner: owner})
	e.must(err)
	e.keep(s3.VersioningEnabled)
	contents := make(map[s3.VersionID][]byte)
	list := func() (all []string) {
		out, err := e.ListObjectVersions(e.ctx, objects.ListVersionsInput{Bucket: bucket, Max: 1000})
		e.must(err)
		for _, v := range out.Versions {
			all = append(all, fmt.Sprintf("%s %s marker=%v latest=%v", v.Key, v.VersionID, v.DeleteMarker, v.Latest))
			if v.DeleteMarker {
				continue
			}
			if d := difference(e.getVersion(s3.Key(v.Key), v.VersionID), contents[v.VersionID]); d != "" {
				t.Fatalf("version %q: %s", v.VersionID, d)
			}
		}
		return all
	}
	for round := range 4 {
		for i := range 8 {
			key := s3.Key(fmt.Sprint("k", i%3))
			data := bytesOf(uint64(round*10+i), []int{10, 9000, 100 * kib}[i%3])
			contents[e.put(key, data).VersionID] = data
			if i%4 == 3 {
				e.remove(key)
			}
			if i%4 == 1 { // the newest goes for good, the one before is current
				e.delete(key, e.head(key).VersionID)
			}
		}
		before := list()
		e.Cluster = e.Crash(round*33, uint64(round))
		e.Service = e.Objects
		if diff := cmp.Diff(before, list()); diff != "" {
			t.Fatalf("after power loss %d (-before +after):\n%s", round, diff)
		}
		e.RunSteward()
		if diff := cmp.Diff(before, list()); diff != "" {
			t.Fatalf("after freeing (-before +after):\n%s", diff)
		}
	}
}
