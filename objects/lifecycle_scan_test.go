package objects_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
)

const day = 24 * time.Hour

// govern gives the bucket lifecycle rules.
func (e *env) govern(rules ...string) {
	e.t.Helper()
	n := 0
	c, err := s3.DecodeLifecycle([]byte("<LifecycleConfiguration>"+strings.Join(rules, "")+"</LifecycleConfiguration>"),
		func(s3.StorageClass) bool { return true }, func() string { n++; return fmt.Sprint("rule", n) })
	e.must(err)
	e.must(e.PutBucketConfig(e.ctx, bucket, objects.ConfigLifecycle, c.AppendStored(nil)))
}

func lifecycleRule(filter, actions string) string {
	return "<Rule><Filter>" + filter + "</Filter><Status>Enabled</Status>" + actions + "</Rule>"
}

func expireIn(days int) string {
	return fmt.Sprintf("<Expiration><Days>%d</Days></Expiration>", days)
}

func noncurrentIn(days, newer int) string {
	keep := ""
	if newer > 0 {
		keep = fmt.Sprintf("<NewerNoncurrentVersions>%d</NewerNoncurrentVersions>", newer)
	}
	return fmt.Sprintf("<NoncurrentVersionExpiration><NoncurrentDays>%d</NoncurrentDays>%s</NoncurrentVersionExpiration>", days, keep)
}

// age applies the rules to all of the bucket as if it were so much later, a few rows at a time.
func (e *env) age(later time.Duration, rows int) objects.LifecycleTally {
	e.t.Helper()
	tally, err := e.tryAge(later, rows, func() {})
	e.must(err)
	return tally
}

func (e *env) tryAge(later time.Duration, rows int, between func()) (total objects.LifecycleTally, err error) {
	ids, err := e.LifecycleBuckets(e.ctx, 0, 10)
	if err != nil || len(ids) == 0 {
		return total, err
	}
	in := objects.LifecycleScanInput{
		From: objects.LifecycleCursor{Bucket: ids[0]}, Rows: rows, Clock: objects.LifecycleClock{Now: e.Now().Add(later)},
	}
	for range 10_000 {
		out, err := e.LifecycleScan(e.ctx, in)
		if err == nil {
			err = out.Stopped
		}
		total.Add(&out.Tally)
		if err != nil || out.Done {
			return total, err
		}
		in.From = out.Next
		between()
	}
	return total, errors.New("the scan does not end")
}

func TestLifecycleExpiresUnversioned(t *testing.T) {
	for _, rows := range []int{1, 2, 1000} {
		t.Run(fmt.Sprint(rows), func(t *testing.T) {
			e := open(t)
			e.govern(lifecycleRule("<Prefix>logs/</Prefix>", expireIn(3)), lifecycleRule("<ObjectSizeGreaterThan>5000</ObjectSizeGreaterThan>", expireIn(1)))
			for i := range 7 {
				e.put(s3.Key(fmt.Sprint("logs/", i)), []byte("log"))
				e.put(s3.Key(fmt.Sprint("keep/", i)), []byte("keep"))
			}
			e.put("keep/large", make([]byte, 20<<10))
			if got := e.age(0, rows); got.Acted() != 0 || got.Evaluated == 0 {
				t.Errorf("at once: %+v", got)
			}
			if got := e.age(2*day, rows); got.Expired != 1 || got.Acted() != 1 {
				t.Errorf("after two days: %+v", got)
			}
			if got := e.age(4*day, rows); got.Expired != 7 || got.Evaluated != 14 {
				t.Errorf("after four days: %+v", got)
			}
			if got := len(e.versions()); got != 7 {
				t.Errorf("%d objects are left", got)
			}
		})
	}
}

func TestLifecycleVersions(t *testing.T) {
	for _, rows := range []int{1, 3, 1000} {
		t.Run(fmt.Sprint(rows), func(t *testing.T) {
			e := open(t)
			e.put("plain", []byte("null")) // becomes a noncurrent null version
			e.keep(s3.VersioningEnabled)
			for _, key := range []s3.Key{"a", "b", "plain"} {
				for i := range 4 {
					e.put(key, fmt.Appendf(nil, "v%d", i))
				}
			}
			e.put("gone", []byte("x"))
			e.delete("gone", "")
			e.govern(lifecycleRule("<Prefix>a</Prefix>", expireIn(9)), lifecycleRule("", noncurrentIn(2, 0)))
			if got := e.age(day, rows); got.Acted() != 0 {
				t.Errorf("too early: %+v", got)
			}
			if got := e.age(3*day, rows); got.Noncurrent != 3+3+4+1 || got.Acted() != got.Noncurrent {
				t.Errorf("noncurrent: %+v", got)
			}
			e.shows("a:v3 *", "b:v3 *", "gone:marker *", "plain:v3 *")
			if got := e.age(10*day, rows); got.Expired != 1 {
				t.Errorf("current: %+v", got)
			}
			e.shows("a:marker *", "a:v3", "b:v3 *", "gone:marker *", "plain:v3 *")
			if got := e.age(10*day, rows); got.Noncurrent != 1 || got.Acted() != 1 {
				t.Errorf("what expired is noncurrent: %+v", got)
			}
			if got := e.age(10*day, rows); got.Markers != 1 || got.Acted() != 1 {
				t.Errorf("its marker is alone: %+v", got)
			}
			if got := e.age(90*day, rows); got.Acted() != 0 {
				t.Errorf("a marker that no rule is about: %+v", got)
			}
			e.shows("b:v3 *", "gone:marker *", "plain:v3 *")
		})
	}
}

func TestLifecycleKeepsTheNewestNoncurrent(t *testing.T) {
	for _, rows := range []int{1, 2, 1000} {
		t.Run(fmt.Sprint(rows), func(t *testing.T) {
			e := open(t)
			e.keep(s3.VersioningEnabled)
			for i := range 10 {
				e.put("key", fmt.Appendf(nil, "v%d", i))
			}
			e.govern(lifecycleRule("", noncurrentIn(1, 5)))
			if got := e.age(3*day, rows); got.Noncurrent != 4 {
				t.Errorf("%+v", got)
			}
			e.shows("key:v9 *", "key:v8", "key:v7", "key:v6", "key:v5", "key:v4")
			e.delete("key", "")
			if got := e.age(6*day, rows); got.Noncurrent != 1 {
				t.Errorf("behind a marker: %+v", got)
			}
			e.shows("key:marker *", "key:v9", "key:v8", "key:v7", "key:v6", "key:v5")
		})
	}
}

func TestLifecycleMarkersAlone(t *testing.T) {
	e := open(t)
	e.keep(s3.VersioningEnabled)
	e.delete("alone", "")
	e.put("hidden", []byte("x"))
	e.delete("hidden", "")
	e.delete("last", "")
	e.govern(lifecycleRule("", "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"))
	if got := e.age(0, 1); got.Markers != 2 || got.Acted() != 2 {
		t.Errorf("%+v", got)
	}
	e.shows("hidden:marker *", "hidden:x")
}

func TestLifecycleSuspendedReplacesTheNullVersion(t *testing.T) {
	e := open(t)
	e.keep(s3.VersioningSuspended)
	e.put("key", []byte("x"))
	e.govern(lifecycleRule("", expireIn(1)))
	if got := e.age(3*day, 10); got.Expired != 1 {
		t.Errorf("%+v", got)
	}
	e.shows("key:marker null *")
}

func TestLifecycleTags(t *testing.T) {
	e := open(t)
	tagged := func(key s3.Key, tags ...objects.Pair) {
		_, err := e.PutObject(e.ctx, objects.PutObjectInput{Bucket: bucket, Key: key, Owner: owner, Body: bodyOf([]byte("x")), Tags: tags})
		e.must(err)
	}
	tagged("both", objects.Pair{Name: "a", Value: "1"}, objects.Pair{Name: "b", Value: "2"})
	tagged("one", objects.Pair{Name: "a", Value: "1"})
	tagged("none")
	e.govern(lifecycleRule("<And><Tag><Key>b</Key><Value>2</Value></Tag><Tag><Key>a</Key><Value>1</Value></Tag></And>", expireIn(1)))
	if got := e.age(3*day, 10); got.Expired != 1 || got.Evaluated != 3 {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff([]string{"none:x null *", "one:x null *"}, e.versions()); diff != "" {
		t.Error(diff)
	}
}

func TestLifecycleAbortsUploads(t *testing.T) {
	e := open(t)
	for _, key := range []s3.Key{"a/1", "a/2", "b/1"} {
		for range 2 {
			_, err := e.CreateMultipartUpload(e.ctx, objects.CreateUploadInput{Bucket: bucket, Key: key, Owner: owner})
			e.must(err)
		}
	}
	e.govern(lifecycleRule("<Prefix>a/</Prefix>", "<AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload>"))
	if got := e.age(day, 1); got.Acted() != 0 {
		t.Errorf("%+v", got)
	}
	if got := e.age(3*day, 1); got.Aborted != 4 {
		t.Errorf("%+v", got)
	}
	out, err := e.ListMultipartUploads(e.ctx, objects.ListUploadsInput{Bucket: bucket, Max: 10})
	e.must(err)
	if len(out.Uploads) != 2 || out.Uploads[0].Key != "b/1" {
		t.Errorf("left: %+v", out.Uploads)
	}
}

// TestLifecycleHonoursWhatChanged: what was due when a scan began is left alone when the rules, the bucket
// or the version are others when it comes to that.
func TestLifecycleHonoursWhatChanged(t *testing.T) {
	for name, change := range map[string]func(e *env){
		"rules removed":    func(e *env) { e.must(e.DeleteBucketConfig(e.ctx, bucket, objects.ConfigLifecycle)) },
		"rules of later":   func(e *env) { e.govern(lifecycleRule("", expireIn(300))) },
		"rules of another": func(e *env) { e.govern(lifecycleRule("<Prefix>zzz</Prefix>", expireIn(1))) },
	} {
		t.Run(name, func(t *testing.T) {
			e := open(t)
			for i := range 10 {
				e.put(s3.Key(fmt.Sprint(i)), []byte("x"))
			}
			e.govern(lifecycleRule("", expireIn(1)))
			n := 0
			got, err := e.tryAge(3*day, 1, func() {
				if n++; n == 3 {
					change(e)
				}
			})
			e.must(err)
			if got.Expired != 3 || len(e.versions()) != 7 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestLifecycleDecidesAgain changes things between the decision on a snapshot and the
// transaction that acts on it.
func TestLifecycleDecidesAgain(t *testing.T) {
	tests := map[string]struct {
		prepare, change func(e *env)
		left            []string
	}{
		"rules removed": {
			func(e *env) { e.put("key", []byte("1")) },
			func(e *env) { e.must(e.DeleteBucketConfig(e.ctx, bucket, objects.ConfigLifecycle)) },
			[]string{"key:1 null *"},
		},
		"overwritten": {
			func(e *env) { e.put("key", []byte("1")) },
			func(e *env) { e.put("key", []byte("2")) },
			[]string{"key:2 null *"},
		},
		"tags changed": {
			func(e *env) {
				_, err := e.PutObject(e.ctx, objects.PutObjectInput{Bucket: bucket, Key: "key", Owner: owner, Body: bodyOf([]byte("1")), Tags: []objects.Pair{{Name: "old", Value: "yes"}}})
				e.must(err)
			},
			func(e *env) {
				_, err := e.PutObjectTagging(e.ctx, objects.PutObjectTaggingInput{Bucket: bucket, Key: "key"})
				e.must(err)
			},
			[]string{"key:1 null *"},
		},
		"versioning began": {
			func(e *env) { e.put("key", []byte("1")) },
			func(e *env) { e.keep(s3.VersioningEnabled) },
			[]string{"key:marker *", "key:1 null"},
		},
		"noncurrent became current, and noncurrent again": {
			func(e *env) {
				e.keep(s3.VersioningEnabled)
				e.put("key", []byte("1"))
				e.put("key", []byte("2"))
			},
			func(e *env) {
				all, err := e.ListObjectVersions(e.ctx, objects.ListVersionsInput{Bucket: bucket, Max: 10})
				e.must(err)
				e.delete("key", all.Versions[0].VersionID)
				e.put("key", []byte("3"))
			},
			[]string{"key:3 *", "key:1"},
		},
		"a version under the marker": {
			func(e *env) {
				e.keep(s3.VersioningEnabled)
				e.delete("key", "")
			},
			func(e *env) { e.put("key", []byte("1")) },
			[]string{"key:1 *", "key:marker"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var e *env
			var change func()
			e = open(t, func(o *single.Options) { o.Wrap = wrapUpdates([]string{"delete", "mark"}, func() { change() }) })
			change = func() {}
			tt.prepare(e)
			filter := ""
			if name == "tags changed" {
				filter = "<Tag><Key>old</Key><Value>yes</Value></Tag>"
			}
			if strings.HasPrefix(name, "noncurrent") {
				e.govern(lifecycleRule(filter, noncurrentIn(1, 0)))
			} else {
				e.govern(lifecycleRule(filter, expireIn(1)))
			}
			done := false
			change = func() {
				if !done {
					done = true
					tt.change(e)
				}
			}
			_, err := e.tryAge(3*day, 100, func() {})
			e.must(err)
			if !done {
				t.Fatal("nothing was due")
			}
			change = func() {}
			e.shows(tt.left...)
		})
	}
}

// beforeUpdates calls back before transactions of some classes.
type beforeUpdates struct {
	kv.Engine
	classes []string
	call    func()
}

// Update implements [kv.Engine].
func (b *beforeUpdates) Update(ctx context.Context, o kv.TxOptions, fn func(kv.Tx) error) (kv.Commit, error) {
	if slices.Contains(b.classes, o.Class) {
		b.call()
	}
	return b.Engine.Update(ctx, o, fn)
}

func wrapUpdates(classes []string, call func()) func(kv.Engine) kv.Engine {
	return func(e kv.Engine) kv.Engine { return &beforeUpdates{Engine: e, classes: classes, call: call} }
}

func TestLifecycleLeavesLockedVersions(t *testing.T) {
	e := open(t)
	e.keep(s3.VersioningEnabled)
	e.put("key", []byte("1"))
	e.put("key", []byte("2"))
	e.lock("key", metadata.RetentionCompliance, 10*day)
	e.put("key", []byte("3"))
	e.govern(lifecycleRule("", noncurrentIn(1, 0)))
	if got := e.age(3*day, 10); got.Noncurrent != 1 || got.Locked != 1 {
		t.Errorf("%+v", got)
	}
	e.shows("key:3 *", "key:2")
	e.Advance(11 * day)
	if got := e.age(0, 10); got.Noncurrent != 1 || got.Locked != 0 {
		t.Errorf("when the lock has ended: %+v", got)
	}
	e.shows("key:3 *")
}

// lock gives the current version of a key a retention, as the API does.
func (e *env) lock(key string, mode metadata.RetentionMode, d time.Duration) {
	e.t.Helper()
	e.must(e.DB.Update(e.ctx, "test", func(tx *metadata.Tx) error {
		b, err := tx.BucketByName(string(bucket))
		if err != nil {
			return err
		}
		row, err := tx.Object(b.ID, key)
		if err != nil {
			return err
		}
		b.ObjectLock = &metadata.ObjectLock{}
		if err := tx.PutBucket(b); err != nil {
			return err
		}
		row.Retention = metadata.Retention{Mode: mode, Until: e.Now().Add(d).Truncate(time.Millisecond)}
		return tx.UpdateObject(b.ID, row)
	}))
}

func TestLifecycleMovesBetweenClasses(t *testing.T) {
	e := open(t, func(o *single.Options) { o.Classes = map[string]partition.Scheme{"COLD": {}, "FROZEN": {}} })
	e.keep(s3.VersioningEnabled)
	data := map[s3.Key][]byte{"small": []byte("small"), "large": slices.Repeat([]byte("0123456789"), 10_000)}
	for key, content := range data {
		e.put(key, []byte("old"))
		e.put(key, content)
	}
	move := func(days int, class string) string {
		return fmt.Sprintf("<Transition><Days>%d</Days><StorageClass>%s</StorageClass></Transition>", days, class)
	}
	e.govern(lifecycleRule("", move(1, "COLD")+move(5, "FROZEN")+move(9, "REMOVED")+
		"<NoncurrentVersionTransition><NoncurrentDays>2</NoncurrentDays><StorageClass>FROZEN</StorageClass></NoncurrentVersionTransition>"))
	classes := func() string {
		out, err := e.ListObjectVersions(e.ctx, objects.ListVersionsInput{Bucket: bucket, Max: 10})
		e.must(err)
		var all []string
		for _, v := range out.Versions {
			all = append(all, v.StorageClass)
		}
		return strings.Join(all, ",")
	}
	for _, step := range []struct {
		days  int
		moved int64
		want  string
	}{
		{0, 0, "STANDARD,STANDARD,STANDARD,STANDARD"},
		{2, 2, "COLD,STANDARD,COLD,STANDARD"},
		{4, 2, "COLD,FROZEN,COLD,FROZEN"},
		{6, 2, "FROZEN,FROZEN,FROZEN,FROZEN"},
		{20, 0, "FROZEN,FROZEN,FROZEN,FROZEN"},
	} {
		if got := e.age(time.Duration(step.days)*day, 2); got.Transitions != step.moved || got.Acted() != step.moved {
			t.Errorf("after %d days: %+v", step.days, got)
		}
		if got := classes(); got != step.want {
			t.Errorf("after %d days: %s", step.days, got)
		}
	}
	e.shows("large:"+string(data["large"])+" *", "large:old", "small:small *", "small:old")
}
