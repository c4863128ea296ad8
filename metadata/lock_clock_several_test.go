package metadata

import (
	"errors"
	"testing"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// gateways are two processes on one engine, with clocks of their own.
func twoClocks(t *testing.T) (a, b *DB, ca, cb *clock) {
	t.Helper()
	e := newEngine(t)
	ca, cb = &clock{t: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, &clock{t: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	open := func(c *clock) *DB {
		db, err := Open(e, Options{Now: c.now})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	return open(ca), open(cb), ca, cb
}

// TestLockTimeOfAnotherGatewayIsTakenUp: the first bucket with Object Lock is made by one, and
// another that was there before does not go by its wall clock any more.
func TestLockTimeOfAnotherGatewayIsTakenUp(t *testing.T) {
	a, b, ca, cb := twoClocks(t)
	cb.t = cb.t.AddDate(10, 0, 0) // wrong
	if got := b.LockTime(); !got.Equal(cb.t) {
		t.Errorf("before anything was locked it is %v, want the wall clock's %v", got, cb.t)
	}
	row := &Object{Key: "k", Ord: 1, Modified: ca.t, Retention: Retention{RetentionCompliance, ca.t.Add(time.Hour)}}
	update(t, a, func(tx *Tx) error {
		return errors.Join(tx.CreateBucket(lockBucket()), tx.PutObject(1, nil, row, nil))
	})
	err := b.Update(t.Context(), "test", func(tx *Tx) error {
		o, err := tx.Object(1, "k")
		if err != nil {
			return err
		}
		return tx.DeleteObject(1, o)
	})
	if !errors.Is(err, ErrLocked) {
		t.Errorf("a gateway whose clock is ahead deletes what another one locked: %v", err)
	}
	if got := b.LockTime(); !got.Equal(ca.t) {
		t.Errorf("it goes by %v, want what is recorded, %v", got, ca.t)
	}
}

// TestLockTimeIsTakenUpByReaders: a bucket with Object Lock is read before something is locked.
func TestLockTimeIsTakenUpByReaders(t *testing.T) {
	a, b, ca, cb := twoClocks(t)
	cb.t = cb.t.AddDate(10, 0, 0)
	follow := func() {
		t.Helper()
		if err := b.View(t.Context(), "test", b.FollowLockTime); err != nil {
			t.Fatal(err)
		}
	}
	follow()
	if got := b.LockTime(); !got.Equal(cb.t) {
		t.Errorf("nothing is recorded, and it is %v, want %v", got, cb.t)
	}
	update(t, a, func(tx *Tx) error { return tx.CreateBucket(lockBucket()) })
	follow()
	if got := b.LockTime(); !got.Equal(ca.t) {
		t.Errorf("it is %v, want %v", got, ca.t)
	}
}

// TestLockTimeOfTheSlowIsPulledAlong: what one has recorded the others go by, and nobody moves
// the row back.
func TestLockTimeOfTheSlowIsPulledAlong(t *testing.T) {
	a, b, ca, cb := twoClocks(t)
	began := ca.t
	update(t, a, func(tx *Tx) error { return tx.CreateBucket(lockBucket()) })
	keep := func(db *DB, want bool) {
		t.Helper()
		if wrote, err := db.KeepLockTime(t.Context(), time.Minute); err != nil || wrote != want {
			t.Errorf("wrote %v, %v, want %v", wrote, err, want)
		}
	}
	keep(b, false)
	ca.t = began.Add(time.Hour)
	keep(a, true)
	cb.t = began.Add(2 * time.Minute) // behind the row
	keep(b, false)
	if got := b.LockTime(); !got.Equal(began.Add(time.Hour)) {
		t.Errorf("the slow one is at %v, want %v", got, began.Add(time.Hour))
	}
	if got := found(t, b, (*Reader).lockClockRow); !got.Equal(began.Add(time.Hour)) {
		t.Errorf("%v is recorded", got)
	}
	cb.t = began.Add(2 * time.Hour)
	keep(b, true)
	ca.t = began.Add(2*time.Hour + time.Second)
	keep(a, false) // the other has
	if got := found(t, a, (*Reader).lockClockRow); !got.Equal(began.Add(2 * time.Hour)) {
		t.Errorf("%v is recorded", got)
	}
}

// TestTheFirstLockIsMadeByTwo: the one whose transaction is run again goes by what the other
// recorded, whatever its own clock says.
func TestTheFirstLockIsMadeByTwo(t *testing.T) {
	a, b, ca, cb := twoClocks(t)
	cb.t = cb.t.AddDate(10, 0, 0)
	second := lockBucket()
	second.ID, second.Name = 2, "second"
	update(t, b, func(tx *Tx) error {
		if err := tx.CreateBucket(second); err != nil {
			return err
		}
		if tx.Attempt() == 0 {
			update(t, a, func(tx *Tx) error { return tx.CreateBucket(lockBucket()) })
		}
		return nil
	})
	for name, db := range map[string]*DB{"the first": a, "the second": b} {
		if got := db.LockTime(); !got.Equal(ca.t) {
			t.Errorf("%s goes by %v, want %v", name, got, ca.t)
		}
	}
	err := a.Update(t.Context(), "test", func(tx *Tx) error {
		if err := tx.lockBucket(lockBucket()); err != nil {
			return err
		}
		return kv.ErrTimeout
	})
	if !errors.Is(err, kv.ErrTimeout) {
		t.Error(err)
	}
}
