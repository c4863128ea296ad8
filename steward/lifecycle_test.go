package steward_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/steward"
)

const lifecycleDay = 24 * time.Hour

// expire gives a bucket a rule that expires what is under a prefix.
func (e *env) expire(name s3.BucketName, prefix string, days int) {
	e.t.Helper()
	doc := fmt.Sprintf("<LifecycleConfiguration><Rule><ID>r</ID><Filter><Prefix>%s</Prefix></Filter><Status>Enabled</Status>"+
		"<Expiration><Days>%d</Days></Expiration></Rule></LifecycleConfiguration>", prefix, days)
	e.must(e.Objects.PutBucketConfig(e.t.Context(), name, objects.ConfigLifecycle, []byte(doc)))
}

func (e *env) buckets(n int) []s3.BucketName {
	e.t.Helper()
	var names []s3.BucketName
	for i := range n {
		name := s3.BucketName(fmt.Sprint("bucket-", i))
		_, err := e.Objects.CreateBucket(e.t.Context(), objects.CreateBucketInput{Name: name, Owner: owner})
		e.must(err)
		names = append(names, name)
	}
	return names
}

func (e *env) fill(name s3.BucketName, prefix string, n int) {
	e.t.Helper()
	for i := range n {
		_, err := e.Objects.PutObject(e.t.Context(), objects.PutObjectInput{
			Bucket: name, Key: s3.Key(fmt.Sprint(prefix, i)), Owner: owner, Body: body([]byte("x")),
		})
		e.must(err)
	}
}

func (e *env) count(name s3.BucketName) int {
	e.t.Helper()
	out, err := e.Objects.ListObjects(e.t.Context(), objects.ListObjectsInput{Bucket: name, Max: 1000})
	e.must(err)
	return len(out.Objects)
}

func (e *env) lifecycle(rows int, save int64) *steward.Lifecycle {
	return steward.NewLifecycle(e.DB, e.Objects, steward.LifecycleOptions{Rate: -1, Rows: rows, Batches: 1, Save: save})
}

// round steps until there is nothing more to do, and returns the number of steps that did something.
func (e *env) lifecycleRound(j *steward.Lifecycle) (steps int) {
	e.t.Helper()
	for range 1000 {
		p, err := j.Step(e.t.Context())
		e.must(err)
		if !p.More {
			return steps
		}
		steps++
	}
	e.t.Fatal("the round does not end")
	return 0
}

func TestLifecycleRunsOnceADay(t *testing.T) {
	e := newEnv(t, quick(3))
	j := e.lifecycle(10, 0)
	if e.lifecycleRound(j); j.Totals().Rounds != 1 || j.Totals().Evaluated != 0 {
		t.Errorf("without rules: %+v", j.Totals())
	}
	e.fill(bucket, "a/", 25)
	e.fill(bucket, "b/", 5)
	e.expire(bucket, "a/", 2)
	e.lifecycleRound(j)
	if j.Totals().Evaluated != 0 {
		t.Errorf("a second time on one day: %+v", j.Totals())
	}
	e.Advance(lifecycleDay)
	e.lifecycleRound(j)
	if got := j.Totals(); got.Evaluated != 25 || got.Expired != 0 || got.Rounds != 2 {
		t.Errorf("a day later: %+v", got)
	}
	if w := j.Work(); !w.Since.IsZero() || !strings.Contains(w.Note, "25 evaluated") {
		t.Errorf("work %+v", w)
	}
	e.Advance(2 * lifecycleDay)
	if e.lifecycleRound(j); j.Totals().Expired != 25 || e.count(bucket) != 5 {
		t.Errorf("three days later: %+v, %d are left", j.Totals(), e.count(bucket))
	}
	j.RunNow()
	if e.lifecycleRound(j); j.Totals().Rounds != 4 {
		t.Errorf("when asked: %+v", j.Totals())
	}
}

func TestLifecycleShortDays(t *testing.T) {
	e := newEnv(t, quick(3))
	j := steward.NewLifecycle(e.DB, e.Objects, steward.LifecycleOptions{Day: 10 * time.Second})
	e.fill(bucket, "a/", 3)
	e.expire(bucket, "a/", 2)
	if rest := j.Rest(); rest != time.Second {
		t.Errorf("rests %s", rest)
	}
	for range 19 {
		e.Advance(time.Second)
		e.lifecycleRound(j)
	}
	if got := j.Totals(); got.Expired != 0 || got.Rounds < 15 {
		t.Errorf("before two short days: %+v", got)
	}
	e.Advance(2 * time.Second)
	if e.lifecycleRound(j); j.Totals().Expired != 3 {
		t.Errorf("after two short days: %+v", j.Totals())
	}
}

// TestLifecycleGoesOnAfterARestart: what was gone through is not gone through again, but for
// what was not written down.
func TestLifecycleGoesOnAfterARestart(t *testing.T) {
	e := newEnv(t, quick(3))
	names := e.buckets(3)
	for _, name := range names {
		e.fill(name, "a/", 10)
		e.expire(name, "a/", 300)
	}
	j := e.lifecycle(3, 1)
	steps, evaluated := 0, int64(0)
	for {
		p, err := j.Step(t.Context())
		e.must(err)
		if !p.More {
			break
		}
		if steps++; steps%2 == 0 { // a restart
			if w := j.Work(); w.Total != 30 || w.Unit != "objects" || w.Since.IsZero() {
				t.Errorf("work %+v", w)
			}
			evaluated += j.Totals().Evaluated
			j = e.lifecycle(3, 1)
		}
	}
	evaluated += j.Totals().Evaluated
	if evaluated != 30 || steps < 9 {
		t.Errorf("%d evaluated in %d steps", evaluated, steps)
	}
	if again := e.lifecycle(3, 1); e.lifecycleRound(again) != 0 || again.Totals().Evaluated != 0 {
		t.Errorf("a restart on the same day: %+v", again.Totals())
	}
	// What is not written down is done again, and nothing is left out.
	e.Advance(301 * lifecycleDay)
	j = e.lifecycle(3, 1<<40)
	for range 4 {
		_, err := j.Step(t.Context())
		e.must(err)
	}
	j = e.lifecycle(3, 1<<40)
	e.lifecycleRound(j)
	for _, name := range names {
		if n := e.count(name); n != 0 {
			t.Errorf("%s has %d left", name, n)
		}
	}
}

// TestLifecycleBucketsComeAndGo: a round goes on when the bucket that it is in, or its rules, have gone.
func TestLifecycleBucketsComeAndGo(t *testing.T) {
	e := newEnv(t, quick(3))
	names := e.buckets(4)
	for _, name := range names {
		e.fill(name, "a/", 4)
		e.expire(name, "a/", 1)
	}
	e.Advance(3 * lifecycleDay)
	j := e.lifecycle(1, 1)
	_, err := j.Step(t.Context())
	e.must(err)
	var removed, left int
	for i, name := range names {
		if e.count(name) < 4 || removed == 2 {
			continue
		}
		removed++
		e.must(e.Objects.DeleteBucketConfig(t.Context(), name, objects.ConfigLifecycle))
		if removed == 1 {
			for n := range 4 {
				_, err := e.Objects.DeleteObject(t.Context(), objects.DeleteObjectInput{Bucket: name, Key: s3.Key(fmt.Sprint("a/", n))})
				e.must(err)
			}
			e.must(e.Objects.DeleteBucket(t.Context(), name))
			names[i] = bucket
		}
	}
	e.lifecycleRound(j)
	for _, name := range names {
		left += e.count(name)
	}
	if left != 4 || j.Totals().Expired != 8 || j.Totals().Rounds != 1 {
		t.Errorf("%d are left, %+v", left, j.Totals())
	}
}

// TestLifecycleIsAJob: the store runs it, shows it and pauses it.
func TestLifecycleIsAJob(t *testing.T) {
	e := newEnv(t, quick(3))
	e.fill(bucket, "a/", 2)
	e.expire(bucket, "a/", 1)
	e.Advance(3 * lifecycleDay)
	e.must(e.Steward.Pause(t.Context(), "lifecycle"))
	_, err := e.Steward.Drain(t.Context())
	e.must(err)
	if n := e.count(bucket); n != 0 {
		t.Errorf("%d are left", n)
	}
	for _, job := range e.Steward.Status() {
		if job.Name == "lifecycle" {
			if !job.Paused || job.Done != 2 || !strings.Contains(job.Work.Note, "2 expired") {
				t.Errorf("%+v", job)
			}
			return
		}
	}
	t.Error("it is not among the jobs")
}
