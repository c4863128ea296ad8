package metadata

import (
	"errors"
	"testing"
	"time"
)

// The encodings of the samples below in format 1.
const (
	goldenLocked     = "01080341026d65c10109080210f6f9b2e5bd68c80102"
	goldenHeldUpload = "0111026d65c101040801100ac80101"
	goldenLockBucket = "0109057661756c7428013905080110ac02"
)

func lockedObject() *Object {
	return &Object{Ord: 3, Owner: "me", LegalHold: LegalHoldOff, Retention: Retention{Mode: RetentionCompliance, Until: at(1_795_000_000_123)}}
}

func heldUpload() *Upload {
	return &Upload{Owner: "me", LegalHold: LegalHoldOn, Retention: Retention{Mode: RetentionGovernance, Until: at(5)}}
}

func lockBucket() *Bucket {
	return &Bucket{Name: "vault", Versioning: VersioningEnabled, ObjectLock: &ObjectLock{Mode: RetentionGovernance, Days: 300}}
}

// lockWorld is a bucket with Object Lock on a clock that the test moves.
type lockWorld struct {
	*testing.T
	*DB
	clock  *clock
	bucket *Bucket
	ord    Ord
}

func newLockWorld(t *testing.T) *lockWorld {
	t.Helper()
	c := &clock{t: time.UnixMilli(1_795_000_000_000).UTC()}
	db, err := Open(newEngine(t), Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	w := &lockWorld{T: t, DB: db, clock: c, bucket: lockBucket()}
	w.bucket.ID, w.bucket.Owner = 1, "me"
	update(t, db, func(tx *Tx) error { return tx.CreateBucket(w.bucket) })
	return w
}

// put makes a version current and returns its row.
func (w *lockWorld) put(r Retention, hold LegalHold) *Object {
	w.Helper()
	w.ord++
	row := &Object{Key: "k", Ord: w.ord, Modified: w.clock.t, Owner: "me", Retention: r, LegalHold: hold}
	update(w, w.DB, func(tx *Tx) error {
		old, err := tx.Object(1, "k")
		if err == nil && old != nil {
			err = tx.Demote(1, old)
		}
		return errors.Join(err, tx.PutObject(1, nil, row, nil))
	})
	return row
}

// locked says whether a transaction is refused because of a lock; it ignores
// what the writes returned, as a careless caller would.
func (w *lockWorld) locked(write func(*Tx)) bool {
	w.Helper()
	err := w.Update(w.Context(), "test", func(tx *Tx) error {
		write(tx)
		return nil
	})
	if err != nil && !errors.Is(err, ErrLocked) {
		w.Fatal(err)
	}
	return err != nil
}

func (w *lockWorld) clean() {
	w.Helper()
	_, err := Check(w.Context(), w.DB, func(p Problem) { w.Errorf("%s: %s: %s", p.Kind, p.Key, p.Detail) })
	if err != nil {
		w.Fatal(err)
	}
}

// TestNoTransactionDropsALockedVersion: whatever way it takes.
func TestNoTransactionDropsALockedVersion(t *testing.T) {
	w := newLockWorld(t)
	until := w.clock.t.Add(time.Hour)
	governed := w.put(Retention{RetentionGovernance, until}, LegalHoldNever)
	ways := map[string]func(*Tx, *Object){
		"delete current": func(tx *Tx, o *Object) { _ = tx.DeleteObject(1, o) },
		"overwrite":      func(tx *Tx, o *Object) { _ = tx.PutObject(1, o, &Object{Key: "k", Ord: 99}, nil) },
		"delete version": func(tx *Tx, o *Object) { _ = tx.DeleteVersion(1, o) },
		"delete bucket":  func(tx *Tx, _ *Object) { _ = tx.DeleteBucket(w.bucket) },
		"bypass elsewhere": func(tx *Tx, o *Object) {
			tx.BypassGovernance(1, "other")
			_ = tx.DeleteObject(1, o)
		},
	}
	for name, way := range ways {
		if !w.locked(func(tx *Tx) { way(tx, governed) }) {
			t.Errorf("%s: a version under retention went", name)
		}
	}
	bypassing := func(tx *Tx, o *Object) {
		tx.BypassGovernance(1, "k")
		_ = tx.DeleteObject(1, o)
	}
	if w.locked(func(tx *Tx) { bypassing(tx, governed) }) {
		t.Error("bypass: a version in governance mode stays")
	}
	for name, row := range map[string]*Object{
		"compliance": {Retention: Retention{RetentionCompliance, until}},
		"legal hold": {Retention: Retention{RetentionGovernance, until}, LegalHold: LegalHoldOn},
	} {
		row := w.put(row.Retention, row.LegalHold)
		if !w.locked(func(tx *Tx) { bypassing(tx, row) }) {
			t.Errorf("%s: bypass removed the version", name)
		}
		ways["promotion"] = func(tx *Tx, o *Object) { _ = errors.Join(tx.Demote(1, o), tx.DeleteVersion(1, o)) }
		if !w.locked(func(tx *Tx) { ways["promotion"](tx, row) }) {
			t.Errorf("%s: a version went after it turned noncurrent", name)
		}
	}
	w.clean()
}

func TestRetentionEndsByTheClock(t *testing.T) {
	w := newLockWorld(t)
	row := w.put(Retention{RetentionCompliance, w.clock.t.Add(time.Hour)}, LegalHoldOff)
	w.clock.t = w.clock.t.Add(time.Hour - time.Millisecond)
	if !w.locked(func(tx *Tx) { _ = tx.DeleteObject(1, row) }) {
		t.Error("a version went a millisecond early")
	}
	w.clock.t = w.clock.t.Add(time.Millisecond)
	if w.locked(func(tx *Tx) { _ = tx.DeleteObject(1, row) }) {
		t.Error("a version stays when its retention is over")
	}
	w.clean()
}

// TestNoTransactionWeakensARetention: not of the current version, and not of a
// noncurrent one.
func TestNoTransactionWeakensARetention(t *testing.T) {
	for _, noncurrent := range []bool{false, true} {
		w := newLockWorld(t)
		until := w.clock.t.Add(time.Hour)
		row := w.put(Retention{RetentionCompliance, until}, LegalHoldNever)
		if noncurrent {
			w.put(Retention{}, LegalHoldNever)
		}
		for name, next := range map[string]struct {
			Retention
			refused bool
		}{
			"none":       {Retention{}, true},
			"governance": {Retention{RetentionGovernance, until.Add(time.Hour)}, true},
			"earlier":    {Retention{RetentionCompliance, until.Add(-time.Millisecond)}, true},
			"the same":   {Retention{RetentionCompliance, until}, false},
		} {
			changed := *row
			changed.Retention = next.Retention
			got := w.locked(func(tx *Tx) {
				tx.BypassGovernance(1, "k")
				_ = tx.UpdateObject(1, &changed)
			})
			if got != next.refused {
				t.Errorf("noncurrent %v, %s: refused %v", noncurrent, name, got)
			}
		}
		w.clean()
	}
}

// TestBucketKeepsItsLock: versions protect nothing without the bucket's.
func TestBucketKeepsItsLock(t *testing.T) {
	w := newLockWorld(t)
	suspended := *w.bucket
	suspended.Versioning = VersioningSuspended
	err := w.Update(t.Context(), "test", func(tx *Tx) error { return tx.PutBucket(&suspended) })
	if !errors.Is(err, ErrInvalid) {
		t.Errorf("suspended: %v", err)
	}
	without := *w.bucket
	without.ObjectLock = nil
	w.put(Retention{}, LegalHoldOn)
	update(t, w.DB, func(tx *Tx) error { return tx.PutBucket(&without) })
	found := map[ProblemKind]int{}
	if _, err := Check(t.Context(), w.DB, func(p Problem) { found[p.Kind]++ }); err != nil {
		t.Fatal(err)
	}
	if found[LockMismatch] != 1 {
		t.Errorf("the checker found %v", found)
	}
}

func TestDefaultRetention(t *testing.T) {
	now := time.Date(2028, 2, 29, 1, 2, 3, 4_567_890, time.UTC)
	for _, c := range []struct {
		lock *ObjectLock
		want Retention
	}{
		{nil, Retention{}},
		{&ObjectLock{}, Retention{}},
		{&ObjectLock{Mode: RetentionGovernance, Days: 1}, Retention{RetentionGovernance, time.Date(2028, 3, 1, 1, 2, 3, 4_000_000, time.UTC)}},
		{&ObjectLock{Mode: RetentionCompliance, Years: 1}, Retention{RetentionCompliance, time.Date(2029, 2, 28, 1, 2, 3, 4_000_000, time.UTC)}},
	} {
		if got := c.lock.Default(now); got != c.want {
			t.Errorf("%+v: %v, want %v", c.lock, got, c.want)
		}
	}
}
