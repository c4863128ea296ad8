package objects_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// kept is an engine that a test looks into.
type kept struct {
	kv.Engine
	full bool // nothing fits but what frees
}

// Update implements [kv.Engine].
func (k *kept) Update(ctx context.Context, o kv.TxOptions, fn func(kv.Tx) error) (kv.Commit, error) {
	if k.full && o.Class == "mark" {
		return kv.Commit{}, kv.ErrNoSpace
	}
	return k.Engine.Update(ctx, o, fn)
}

// cut shortens a row whose key has some text in it until what is returned is called.
func (e *env) cut(k *kept, table byte, text string) (mend func()) {
	e.t.Helper()
	var row, value []byte
	e.must(k.View(e.ctx, kv.TxOptions{}, func(r kv.Reader) error {
		it := r.GetRange(kv.Range{End: []byte{0xff}}, kv.RangeOptions{})
		defer it.Close()
		for it.Next() {
			p := it.Pair()
			if at := bytes.Index(p.Key, []byte(text)); at > 8 && p.Key[at-9] == table { // the number of the bucket is between
				row, value = slices.Clone(p.Key), slices.Clone(p.Value)
			}
		}
		return it.Err()
	}))
	if row == nil {
		e.t.Fatalf("no row of %q", text)
	}
	set := func(v []byte) {
		_, err := k.Engine.Update(e.ctx, kv.TxOptions{}, func(tx kv.Tx) error {
			tx.Set(row, v)
			return nil
		})
		e.must(err)
	}
	set(value[:9])
	return func() { set(value) }
}

func openKept(t *testing.T) (*env, *kept) {
	t.Helper()
	k := &kept{}
	return open(t, func(o *single.Options) {
		o.Wrap = func(engine kv.Engine) kv.Engine {
			k.Engine = engine
			return k
		}
	}), k
}

// applied applies the rules as if it were three days later, a few rows at a time. Nothing may end a scan.
func (e *env) applied(rows int) (total objects.LifecycleTally) {
	e.t.Helper()
	ids, err := e.LifecycleBuckets(e.ctx, 0, 1)
	e.must(err)
	in := objects.LifecycleScanInput{
		From: objects.LifecycleCursor{Bucket: ids[0]}, Rows: rows, Clock: objects.LifecycleClock{Now: e.Now().Add(3 * day)},
	}
	for range 1000 {
		out, err := e.LifecycleScan(e.ctx, in)
		e.must(err)
		total.Add(&out.Tally)
		if out.Done {
			return total
		}
		in.From = out.Next
	}
	e.t.Fatal("the scan does not end")
	return total
}

// TestLifecycleGoesAroundDamagedRows: a row that cannot be read keeps its key, and nothing else.
func TestLifecycleGoesAroundDamagedRows(t *testing.T) {
	for _, rows := range []int{1, 2, 3, 1000} {
		t.Run(fmt.Sprint(rows), func(t *testing.T) {
			e, k := openKept(t)
			e.keep(s3.VersioningEnabled)
			for _, key := range []s3.Key{"a", "noncurrent", "o", "only", "z"} {
				for i := range 3 {
					e.put(key, fmt.Append(nil, i))
				}
			}
			u, err := e.CreateMultipartUpload(e.ctx, objects.CreateUploadInput{Bucket: bucket, Key: "damaged-upload", Owner: owner})
			e.must(err)
			_, err = e.CreateMultipartUpload(e.ctx, objects.CreateUploadInput{Bucket: bucket, Key: "upload", Owner: owner})
			e.must(err)
			e.govern(lifecycleRule("", noncurrentIn(1, 1)+"<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>"))
			mends := []func(){e.cut(k, 'V', "noncurrent"), e.cut(k, 'O', "only"), e.cut(k, 'M', "damaged-upload")}
			got := e.applied(rows)
			for _, mend := range mends {
				mend()
			}
			if got.Noncurrent != 3 || got.Aborted != 1 || got.Failed == 0 {
				t.Errorf("%+v", got)
			}
			e.shows("a:2 *", "a:1", "noncurrent:2 *", "noncurrent:1", "noncurrent:0", "o:2 *", "o:1", "only:2 *", "only:1", "only:0", "z:2 *", "z:1")
			e.must(e.AbortMultipartUpload(e.ctx, objects.AbortUploadInput{Bucket: bucket, Key: "damaged-upload", Upload: u.ID}))
		})
	}
}

// TestLifecycleMovesLetOthersGoFirst: between the pieces of one large object too, and a pause ends it there.
func TestLifecycleMovesLetOthersGoFirst(t *testing.T) {
	heavy(t)
	e := open(t, withClasses)
	data := bytesOf(1, 9*mib)
	e.put("large", data)
	e.govern(lifecycleRule("", "<Transition><Days>1</Days><StorageClass>"+string(cold)+"</StorageClass></Transition>"))
	ids, err := e.LifecycleBuckets(e.ctx, 0, 1)
	e.must(err)
	scan := func(pace func(context.Context) error) (objects.LifecycleScanOutput, error) {
		return e.LifecycleScan(e.ctx, objects.LifecycleScanInput{
			From: objects.LifecycleCursor{Bucket: ids[0]}, Rows: 10, Pace: pace, Clock: objects.LifecycleClock{Now: e.Now().Add(3 * day)},
		})
	}
	stopped, waits := errors.New("paused"), 0
	out, err := scan(func(context.Context) error {
		if waits++; waits > 2 {
			return stopped
		}
		return nil
	})
	e.must(err)
	if !errors.Is(out.Stopped, stopped) || out.Tally.Transitions != 0 || e.row("large").Attributes.StorageClass != "" {
		t.Errorf("%+v", out)
	}
	waits = 0
	out, err = scan(func(context.Context) error { waits++; return nil })
	e.must(err)
	if out.Tally.Transitions != 1 || waits < 3 || e.row("large").Attributes.StorageClass != string(cold) {
		t.Errorf("%d waits: %+v", waits, out)
	}
	e.holds("large", data)
}

// TestLifecycleOnAFullDisk: delete markers wait for space, and hold up nothing that makes some.
func TestLifecycleOnAFullDisk(t *testing.T) {
	e, k := openKept(t)
	e.keep(s3.VersioningEnabled)
	for i := range 5 {
		e.put(s3.Key(fmt.Sprint(i)), []byte("old"))
		e.put(s3.Key(fmt.Sprint(i)), []byte("new"))
	}
	e.govern(lifecycleRule("", expireIn(1)+noncurrentIn(1, 0)))
	k.full = true
	if got := e.applied(2); got.Noncurrent != 5 || got.Expired != 0 || got.Failed != 5 {
		t.Errorf("while it is full: %+v", got)
	}
	k.full = false
	if got := e.applied(2); got.Expired != 5 || got.Failed != 0 {
		t.Errorf("when there is space: %+v", got)
	}
}
