package metadata

import (
	"errors"
	"testing"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// clocked is a process with a clock of its own.
type clocked struct {
	*DB
	clock *clock
}

// twoClocks are two processes on one engine.
func twoClocks(t *testing.T) (a, b clocked) {
	t.Helper()
	e := newEngine(t)
	open := func() clocked {
		c := &clock{t: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
		db, err := Open(e, Options{Now: c.now})
		if err != nil {
			t.Fatal(err)
		}
		return clocked{db, c}
	}
	return open(), open()
}

// TestLockTimeOfAnotherGatewayIsTakenUp: the first bucket with Object Lock is made by one, and
// another that was there before does not go by its wall clock any more.
func TestLockTimeOfAnotherGatewayIsTakenUp(t *testing.T) {
	a, b := twoClocks(t)
	b.clock.t = b.clock.t.AddDate(10, 0, 0) // wrong
	if got := b.LockTime(); !got.Equal(b.clock.t) {
		t.Errorf("before anything was locked it is %v, want the wall clock's %v", got, b.clock.t)
	}
	row := &Object{Key: "k", Ord: 1, Modified: a.clock.t, Retention: Retention{RetentionCompliance, a.clock.t.Add(time.Hour)}}
	update(t, a.DB, func(tx *Tx) error {
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
	if got := b.LockTime(); !got.Equal(a.clock.t) {
		t.Errorf("it goes by %v, want what is recorded, %v", got, a.clock.t)
	}
}

// TestLockTimeIsTakenUpByReaders: a bucket with Object Lock is read before something is locked.
func TestLockTimeIsTakenUpByReaders(t *testing.T) {
	a, b := twoClocks(t)
	b.clock.t = b.clock.t.AddDate(10, 0, 0)
	follow := func() {
		t.Helper()
		if err := b.View(t.Context(), "test", b.FollowLockTime); err != nil {
			t.Fatal(err)
		}
	}
	follow()
	if got := b.LockTime(); !got.Equal(b.clock.t) {
		t.Errorf("nothing is recorded, and it is %v, want %v", got, b.clock.t)
	}
	update(t, a.DB, func(tx *Tx) error { return tx.CreateBucket(lockBucket()) })
	follow()
	if got := b.LockTime(); !got.Equal(a.clock.t) {
		t.Errorf("it is %v, want %v", got, a.clock.t)
	}
}

// TestLockTimeOfTheSlowIsPulledAlong: what one has recorded the others go by, and nobody moves
// the row back.
func TestLockTimeOfTheSlowIsPulledAlong(t *testing.T) {
	a, b := twoClocks(t)
	began := a.clock.t
	update(t, a.DB, func(tx *Tx) error { return tx.CreateBucket(lockBucket()) })
	keep := func(db *DB, want bool) {
		t.Helper()
		if wrote, err := db.KeepLockTime(t.Context(), time.Minute); err != nil || wrote != want {
			t.Errorf("wrote %v, %v, want %v", wrote, err, want)
		}
	}
	keep(b.DB, false)
	a.clock.t = began.Add(time.Hour)
	keep(a.DB, true)
	b.clock.t = began.Add(2 * time.Minute) // behind the row
	keep(b.DB, false)
	if got := b.LockTime(); !got.Equal(began.Add(time.Hour)) {
		t.Errorf("the slow one is at %v, want %v", got, began.Add(time.Hour))
	}
	if got := found(t, b.DB, (*Reader).lockClockRow); !got.Equal(began.Add(time.Hour)) {
		t.Errorf("%v is recorded", got)
	}
	b.clock.t = began.Add(2 * time.Hour)
	keep(b.DB, true)
	a.clock.t = began.Add(2*time.Hour + time.Second)
	keep(a.DB, false) // the other has
	if got := found(t, a.DB, (*Reader).lockClockRow); !got.Equal(began.Add(2 * time.Hour)) {
		t.Errorf("%v is recorded", got)
	}
}

// TestTheFirstLockIsMadeByTwo: the one whose transaction is run again goes by what the other
// recorded, whatever its own clock says.
func TestTheFirstLockIsMadeByTwo(t *testing.T) {
	a, b := twoClocks(t)
	b.clock.t = b.clock.t.AddDate(10, 0, 0)
	second := lockBucket()
	second.ID, second.Name = 2, "second"
	update(t, b.DB, func(tx *Tx) error {
		if err := tx.CreateBucket(second); err != nil {
			return err
		}
		if tx.Attempt() == 0 {
			update(t, a.DB, func(tx *Tx) error { return tx.CreateBucket(lockBucket()) })
		}
		return nil
	})
	for name, db := range map[string]*DB{"the first": a.DB, "the second": b.DB} {
		if got := db.LockTime(); !got.Equal(a.clock.t) {
			t.Errorf("%s goes by %v, want %v", name, got, a.clock.t)
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
