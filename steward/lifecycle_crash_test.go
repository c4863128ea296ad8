package steward_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/steward"
)

// rulesOfAll expires what is under due/ and moves what is under cold/.
const rulesOfAll = "<LifecycleConfiguration>" +
	"<Rule><ID>due</ID><Filter><Prefix>due/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>" +
	"<Rule><ID>cold</ID><Filter><Prefix>cold/</Prefix></Filter><Status>Enabled</Status><Transition><Days>1</Days><StorageClass>COLD</StorageClass></Transition></Rule>" +
	"</LifecycleConfiguration>"

func lifecycling(fs vfs.FS) testcluster.Options {
	return testcluster.Options{Disks: 3, FS: fs, Edit: func(o *single.Options) {
		o.Classes = map[string]partition.Scheme{"COLD": {K: 1, M: 1}}
		o.Lifecycle = steward.LifecycleOptions{Rate: -1, Rows: 5, Batches: 2, Save: 1}
	}}
}

// TestPowerLossDuringLifecycle cuts the power at the changes that expiration and moves between classes
// make. Whatever is left, nothing is lost that no rule takes, and the next rounds finish what
// the rules say.
func TestPowerLossDuringLifecycle(t *testing.T) {
	e := newEnv(t, lifecycling(nil))
	kept := map[string][]byte{}
	for i := range 12 {
		e.put(fmt.Sprint("due/", i), content(uint64(i), 100+i%2*60_000))
		for _, prefix := range []string{"cold/", "keep/"} {
			key := fmt.Sprint(prefix, i%6)
			kept[key] = content(uint64(100+i), 50+i%2*70_000)
			e.put(key, kept[key])
		}
	}
	e.must(e.Objects.PutBucketConfig(t.Context(), bucket, objects.ConfigLifecycle, []byte(rulesOfAll)))
	e.Advance(3 * lifecycleDay)
	crashes := e.crashing(8, func(faultfs.Op) bool { return false })
	_, err := e.Steward.Drain(t.Context())
	e.must(err)
	n, _ := crashes.each(func(t *testing.T, _ int, left crash) {
		t.Helper()
		after := &env{testcluster.New(t, lifecycling(left.fs)), t}
		after.MustCheck()
		after.finishes(kept)
	})
	e.finishes(kept)
	if n < 2 {
		t.Errorf("only %d crashes", n)
	}
}

// finishes holds what is kept, also when all rules were applied.
func (e *env) finishes(kept map[string][]byte) {
	e.t.Helper()
	for key, data := range kept {
		e.holds(key, data)
	}
	e.Advance(5 * lifecycleDay)
	_, err := e.Steward.Drain(e.t.Context())
	e.must(err)
	list, err := e.Objects.ListObjects(e.t.Context(), objects.ListObjectsInput{Bucket: bucket, Max: s3.MaxListKeys})
	e.must(err)
	if len(list.Objects) != len(kept) {
		e.t.Errorf("%d objects are left, want %d", len(list.Objects), len(kept))
	}
	for _, o := range list.Objects {
		want := "STANDARD"
		if strings.HasPrefix(o.Key, "cold/") {
			want = "COLD"
		}
		if o.StorageClass != want {
			e.t.Errorf("%s is in class %s, want %s", o.Key, o.StorageClass, want)
		}
		e.holds(o.Key, kept[o.Key])
	}
	e.MustCheck()
}
