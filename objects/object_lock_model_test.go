package objects_test

import (
	"context"
	"crypto/md5"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/undercroft/undercroft/metadata/kv/mem"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

const vault s3.BucketName = "vault"

// lockedVersion is a version as the model has it.
type lockedVersion struct {
	id     s3.VersionID
	marker bool
	objects.Lock
}

// lockRun holds a bucket with Object Lock against a model, by a clock that
// moves both ways.
type lockRun struct {
	*shaky
	t   *testing.T
	rng *rand.Rand

	clock    time.Time
	shown    atomic.Pointer[time.Time] // clock, to who asks in the background
	lockTime time.Time                 // never goes back
	byRule   objects.ObjectLock
	versions []lockedVersion // of the key "k", newest first
}

func newLockRun(t *testing.T, seed uint64, faults mem.Faults) *lockRun {
	t.Helper()
	r := &lockRun{t: t, rng: rand.New(rand.NewPCG(seed, 7)), clock: time.UnixMilli(1_795_000_000_000).UTC()}
	r.lockTime = r.clock
	first := r.clock
	r.shown.Store(&first)
	r.shaky = newShakyAt(t, faults, func() time.Time { return *r.shown.Load() })
	_, err := r.CreateBucket(mem.Quiet(t.Context()), objects.CreateBucketInput{Name: vault, Owner: owner, ObjectLock: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// did says whether an operation took effect, which it must if the model allows
// it, and else be refused with the code.
func (r *lockRun) did(err error, allowed bool, refusal s3.Code) bool {
	r.t.Helper()
	switch code := s3.CodeOf(err); {
	case code == s3.SlowDown, code == s3.ServiceUnavailable:
		return false
	case err == nil && !allowed:
		r.t.Fatalf("took effect, want %s", refusal)
	case err != nil && (allowed || code != refusal):
		r.t.Fatalf("error is %v; allowed by the model: %v", err, allowed)
	}
	return err == nil
}

func (r *lockRun) binds(l *objects.Lock, bypass bool) bool {
	return l.Retention.Mode != objects.RetentionNone && r.lockTime.Before(l.Retention.Until) &&
		(l.Retention.Mode != objects.RetentionGovernance || !bypass)
}

func (r *lockRun) retention() objects.Retention {
	if r.rng.IntN(3) == 0 {
		return objects.Retention{}
	}
	mode := []objects.RetentionMode{objects.RetentionGovernance, objects.RetentionGovernance, objects.RetentionCompliance}[r.rng.IntN(3)]
	return objects.Retention{Mode: mode, Until: r.lockTime.Add(time.Duration(1+r.rng.IntN(100)) * time.Hour)}
}

func (r *lockRun) lock() objects.Lock {
	return objects.Lock{Retention: r.retention(), LegalHold: objects.LegalHold(r.rng.IntN(8)) % 3}
}

// add puts a version on top that asked for a lock.
func (r *lockRun) add(id s3.VersionID, asked objects.Lock) {
	if asked.Retention.Mode == objects.RetentionNone && r.byRule.Mode != objects.RetentionNone {
		began := r.clock
		if r.lockTime.After(began) {
			began = r.lockTime
		}
		asked.Retention = objects.Retention{Mode: r.byRule.Mode, Until: began.AddDate(0, 0, r.byRule.Days)}
	}
	r.versions = slices.Insert(r.versions, 0, lockedVersion{id: id, Lock: asked})
}

// mayBypass is nil, or a Bypass that allows.
func (r *lockRun) mayBypass() (objects.Bypass, bool) {
	if r.rng.IntN(3) > 0 {
		return nil, false
	}
	return func(o *objects.Object) bool { return o.Retention.Mode == objects.RetentionGovernance }, true
}

func (r *lockRun) step(ctx context.Context) {
	r.t.Helper()
	switch r.rng.IntN(12) {
	case 0:
		r.moveClock()
	case 1:
		rule := objects.ObjectLock{}
		if r.rng.IntN(2) == 0 {
			rule = objects.ObjectLock{Mode: objects.RetentionMode(1 + r.rng.IntN(2)), Days: 1 + r.rng.IntN(4)}
		}
		if r.did(r.PutObjectLock(ctx, vault, rule), true, "") {
			r.byRule = rule
		}
	case 2:
		r.did(r.PutBucketVersioning(ctx, vault, s3.VersioningSuspended), false, s3.InvalidBucketState)
		if len(r.versions) > 0 {
			r.did(r.DeleteBucket(ctx, vault), false, s3.BucketNotEmpty)
		}
	case 3:
		r.mark(ctx)
	case 4, 5:
		r.write(ctx)
	default:
		if len(r.versions) > 0 {
			r.change(ctx, r.rng.IntN(len(r.versions)))
		}
	}
}

func (r *lockRun) moveClock() {
	hours := r.rng.IntN(120) - 40
	next := r.clock.Add(time.Duration(hours) * time.Hour)
	r.shown.Store(&next)
	r.clock = next
	if r.clock.After(r.lockTime) {
		r.lockTime = r.clock
	}
	if got := r.LockTime(); !got.Equal(r.lockTime) {
		r.t.Fatalf("the lock time is %v, want %v", got, r.lockTime)
	}
}

func (r *lockRun) mark(ctx context.Context) {
	out, err := r.DeleteObject(ctx, objects.DeleteObjectInput{Bucket: vault, Key: "k"})
	if r.did(err, true, "") {
		r.versions = slices.Insert(r.versions, 0, lockedVersion{id: out.VersionID, marker: true})
	}
}

// write makes a version by one of the three ways.
func (r *lockRun) write(ctx context.Context) {
	asked := r.lock()
	switch {
	case r.rng.IntN(3) == 0:
		o, err := r.PutObject(ctx, objects.PutObjectInput{Bucket: vault, Key: "k", Body: bodyOf([]byte("v")), Lock: asked})
		if r.did(err, true, "") {
			r.add(o.VersionID, asked)
		}
	case len(r.versions) > 0 && !r.versions[0].marker && r.rng.IntN(2) == 0:
		out, err := r.CopyObject(ctx, objects.CopyObjectInput{Source: objects.CopySource{Bucket: vault, Key: "k"}, Bucket: vault, Key: "k", Lock: asked})
		if r.did(err, true, "") {
			r.add(out.Object.VersionID, asked)
		}
	default:
		r.complete(ctx, asked)
	}
}

func (r *lockRun) complete(ctx context.Context, asked objects.Lock) {
	quiet := mem.Quiet(ctx)
	u, err := r.CreateMultipartUpload(quiet, objects.CreateUploadInput{Bucket: vault, Key: "k", Lock: asked})
	if err != nil {
		r.t.Fatal(err)
	}
	body := bodyOf([]byte("part"))
	p, err := r.UploadPart(quiet, objects.UploadPartInput{Bucket: vault, Key: "k", Upload: u.ID, Number: 1, Body: body})
	if asked != (objects.Lock{}) || r.byRule.Mode != objects.RetentionNone {
		if s3.CodeOf(err) != s3.InvalidRequest {
			r.t.Fatalf("a part without a digest: %v", err)
		}
		body = bodyOf([]byte("part"))
		sum := md5.Sum([]byte("part"))
		body.MD5 = sum[:]
		p, err = r.UploadPart(quiet, objects.UploadPartInput{Bucket: vault, Key: "k", Upload: u.ID, Number: 1, Body: body})
	}
	if err != nil {
		r.t.Fatal(err)
	}
	in := objects.CompleteUploadInput{Bucket: vault, Key: "k", Upload: u.ID, Parts: []objects.CompletedPart{{Number: 1, ETag: p.ETag}}, Size: -1}
	o, err := r.CompleteMultipartUpload(ctx, in)
	if r.did(err, true, "") {
		r.add(o.VersionID, asked)
	}
}

// change removes a version, or changes its lock.
func (r *lockRun) change(ctx context.Context, i int) {
	v := &r.versions[i]
	bypass, bypasses := r.mayBypass()
	switch {
	case r.rng.IntN(2) == 0:
		_, err := r.DeleteObject(ctx, objects.DeleteObjectInput{Bucket: vault, Key: "k", VersionID: v.id, Bypass: bypass})
		if r.did(err, v.LegalHold != objects.LegalHoldOn && !r.binds(&v.Lock, bypasses), s3.AccessDenied) {
			r.versions = slices.Delete(r.versions, i, i+1)
		}
	case v.marker:
		_, err := r.PutObjectLegalHold(ctx, objects.PutObjectLegalHoldInput{Bucket: vault, Key: "k", VersionID: v.id, LegalHold: objects.LegalHoldOn})
		r.did(err, false, s3.MethodNotAllowed)
	case r.rng.IntN(2) == 0:
		hold := objects.LegalHold(1 + r.rng.IntN(2))
		_, err := r.PutObjectLegalHold(ctx, objects.PutObjectLegalHoldInput{Bucket: vault, Key: "k", VersionID: v.id, LegalHold: hold})
		if r.did(err, true, "") {
			v.LegalHold = hold
		}
	default:
		next := r.retention()
		weaker := next.Mode != v.Retention.Mode || next.Until.Before(v.Retention.Until)
		_, err := r.PutObjectRetention(ctx, objects.PutObjectRetentionInput{Bucket: vault, Key: "k", VersionID: v.id, Retention: next, Bypass: bypass})
		if r.did(err, !r.binds(&v.Lock, bypasses) || !weaker, s3.AccessDenied) {
			v.Retention = next
		}
	}
}

// check compares all versions and their locks.
func (r *lockRun) check(ctx context.Context) {
	r.t.Helper()
	out, err := r.ListObjectVersions(ctx, objects.ListVersionsInput{Bucket: vault, Max: 1000})
	if err != nil || len(out.Versions) != len(r.versions) {
		r.t.Fatalf("%d versions, want %d: %v", len(out.Versions), len(r.versions), err)
	}
	for i, v := range r.versions {
		if out.Versions[i].VersionID != v.id {
			r.t.Fatalf("version %d is %s, want %s", i, out.Versions[i].VersionID, v.id)
		}
		if v.marker {
			continue
		}
		got, err := r.HeadObject(ctx, objects.GetObjectInput{Bucket: vault, Key: "k", VersionID: v.id})
		if err != nil {
			r.t.Fatal(err)
		}
		if lock := (objects.Lock{Retention: got.Object.Retention, LegalHold: got.Object.LegalHold}); lock != v.Lock {
			r.t.Fatalf("version %d has %+v, want %+v", i, lock, v.Lock)
		}
	}
}

// TestLocksAgainstModel does random operations while commits fail, conflict or
// end without word and the clock is set forward and back.
func TestLocksAgainstModel(t *testing.T) {
	for seed := range rounds(15, 500) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := newLockRun(t, seed, modelFaults(seed))
			for range 150 {
				r.step(t.Context())
				r.check(mem.Quiet(t.Context()))
			}
		})
	}
}

// TestLocksAndDeletionsAtOnce: of those who lock a version and those who delete
// it, at the same time, one side has its way.
func TestLocksAndDeletionsAtOnce(t *testing.T) {
	r := newLockRun(t, 1, mem.Faults{Seed: 1, CommitConflict: 0.1})
	bypass := func(*objects.Object) bool { return true }
	until := r.clock.Add(time.Hour)
	lockIt := []func(id s3.VersionID) error{
		func(id s3.VersionID) error {
			_, err := r.PutObjectLegalHold(t.Context(), objects.PutObjectLegalHoldInput{Bucket: vault, Key: "k", VersionID: id, LegalHold: objects.LegalHoldOn})
			return err
		},
		func(id s3.VersionID) error {
			_, err := r.PutObjectRetention(t.Context(), objects.PutObjectRetentionInput{
				Bucket: vault, Key: "k", VersionID: id, Bypass: bypass, Retention: objects.Retention{Mode: objects.RetentionCompliance, Until: until},
			})
			return err
		},
	}
	outcomes := map[bool]int{}
	for round := range 200 {
		o, err := r.PutObject(mem.Quiet(t.Context()), objects.PutObjectInput{
			Bucket: vault, Key: "k", Body: bodyOf([]byte("v")),
			Lock: objects.Lock{Retention: objects.Retention{Mode: objects.RetentionGovernance, Until: until}},
		})
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		var locked, deleted error
		group.Go(func() { locked = lockIt[round%2](o.VersionID) })
		group.Go(func() {
			_, deleted = r.DeleteObject(t.Context(), objects.DeleteObjectInput{Bucket: vault, Key: "k", VersionID: o.VersionID, Bypass: bypass})
		})
		group.Wait()
		_, err = r.HeadObject(mem.Quiet(t.Context()), objects.GetObjectInput{Bucket: vault, Key: "k", VersionID: o.VersionID})
		there := err == nil
		switch {
		case locked == nil && deleted == nil:
			t.Fatalf("round %d: locked and deleted", round)
		case locked == nil && !there:
			t.Fatalf("round %d: locked, and not there", round)
		case deleted == nil && there:
			t.Fatalf("round %d: deleted, and there", round)
		}
		outcomes[there]++
	}
	t.Logf("%d versions stayed and %d went", outcomes[true], outcomes[false])
}

// TestExtensionsAtOnce: of retentions that are extended while the version is
// tagged, hidden and brought back, none that took effect is lost.
func TestExtensionsAtOnce(t *testing.T) {
	r := newLockRun(t, 1, mem.Faults{Seed: 3, CommitConflict: 0.1, CommitUnknownApplied: 0.1, CommitUnknownLost: 0.1})
	quiet := mem.Quiet(t.Context())
	end := func(hours int) objects.Retention {
		return objects.Retention{Mode: objects.RetentionCompliance, Until: r.clock.Add(time.Duration(hours) * time.Hour)}
	}
	for round := range 20 {
		o, err := r.PutObject(quiet, objects.PutObjectInput{Bucket: vault, Key: "k", Body: bodyOf([]byte("v")), Lock: objects.Lock{Retention: end(1)}})
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		var most atomic.Int64
		for i := range 4 {
			group.Go(func() {
				for n := range 10 {
					hours := 2 + (i*7+n*11)%40
					_, err := r.PutObjectRetention(t.Context(), objects.PutObjectRetentionInput{Bucket: vault, Key: "k", VersionID: o.VersionID, Retention: end(hours)})
					for most := &most; err == nil; {
						if was := most.Load(); was >= int64(hours) || most.CompareAndSwap(was, int64(hours)) {
							break
						}
					}
				}
			})
		}
		group.Go(func() {
			for n := range 10 {
				tags := []objects.Pair{{Name: "n", Value: fmt.Sprint(n)}}
				_, _ = r.PutObjectTagging(t.Context(), objects.PutObjectTaggingInput{Bucket: vault, Key: "k", VersionID: o.VersionID, Tags: tags})
				marker, err := r.DeleteObject(t.Context(), objects.DeleteObjectInput{Bucket: vault, Key: "k"})
				if err == nil {
					_, _ = r.DeleteObject(t.Context(), objects.DeleteObjectInput{Bucket: vault, Key: "k", VersionID: marker.VersionID})
				}
			}
		})
		group.Wait()
		got, err := r.HeadObject(quiet, objects.GetObjectInput{Bucket: vault, Key: "k", VersionID: o.VersionID})
		if err != nil {
			t.Fatal(err)
		}
		if want := end(int(most.Load())); most.Load() < 2 || got.Object.Retention.Until.Before(want.Until) || got.Object.Retention.Mode != want.Mode {
			t.Fatalf("round %d: %+v, want %+v or longer", round, got.Object.Retention, want)
		}
	}
}
