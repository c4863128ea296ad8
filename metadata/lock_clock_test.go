package metadata

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"
)

// TestLockTimeRunsAtMostAQuarterFaster: whatever the wall clock says.
func TestLockTimeRunsAtMostAQuarterFaster(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name         string
		wall, passed time.Duration
		want         time.Duration
	}{
		{"in step", time.Hour, time.Hour, time.Hour},
		{"corrected a little", time.Hour + time.Minute, time.Hour, time.Hour + time.Minute},
		{"set forward", 10 * 365 * 24 * time.Hour, time.Hour, 75 * time.Minute},
		{"set forward at once", time.Hour, 0, 0},
		{"set back", -time.Hour, time.Minute, 0},
		{"set back a little", 30 * time.Minute, time.Hour, 30 * time.Minute},
		{"nonsense", time.Hour, -time.Hour, 0},
		{"more than there is", math.MaxInt64, math.MaxInt64, math.MaxInt64},
	} {
		if got := lockTime(start, start.Add(c.wall), c.passed).Sub(start); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestLockTimeOfManyReaders: those who read the wall clock at once come in any
// order, and make no time pass twice.
func TestLockTimeOfManyReaders(t *testing.T) {
	start := time.Now()
	was := start.AddDate(-1, 0, 0) // the store was down for a year
	var c lockClock
	c.begin(was, start)
	for range 100 {
		c.now(start.Add(time.Second))
		c.now(start)
	}
	if got := c.now(start.Add(time.Second)).Sub(was.Round(0)); got != time.Second+time.Second/catchUp {
		t.Errorf("in a second %v passed", got)
	}
}

// TestLockTimeSurvivesRestarts: a store that was down makes up for it slowly,
// and a wall clock that is wrong at a start ends nothing.
func TestLockTimeSurvivesRestarts(t *testing.T) {
	e := newEngine(t)
	c := &clock{t: time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)} // not set yet
	open := func() *DB {
		db, err := Open(e, Options{Now: c.now})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	keep := func(db *DB, want bool) {
		t.Helper()
		if wrote, err := db.KeepLockTime(t.Context(), time.Minute); err != nil || wrote != want {
			t.Errorf("wrote %v, %v, want %v", wrote, err, want)
		}
	}
	db := open()
	c.t = c.t.AddDate(25, 0, 0)
	keep(db, false) // nothing was ever locked
	update(t, db, func(tx *Tx) error { return tx.CreateBucket(lockBucket()) })
	began := c.t
	if got := db.LockTime(); !got.Equal(began) {
		t.Errorf("with the first lock it is %v, want %v", got, began)
	}
	c.t = c.t.Add(time.Minute)
	keep(db, false)
	c.t = c.t.Add(time.Second)
	keep(db, true)
	keep(db, false)
	kept := c.t

	c.t = c.t.AddDate(10, 0, 0) // while nothing runs
	db = open()
	if got := db.LockTime(); !got.Equal(kept) {
		t.Errorf("after a restart it is %v, want %v", got, kept)
	}
	c.t = began.AddDate(-20, 0, 0)
	db = open()
	if got := db.LockTime(); !got.Equal(kept) {
		t.Errorf("with the clock set back it is %v, want %v", got, kept)
	}
	if _, err := Check(t.Context(), db, func(p Problem) { t.Errorf("%s: %s", p.Key, p.Detail) }); err != nil {
		t.Fatal(err)
	}
}

// TestLockTimeIsRecordedAheadOnly: of two processes the one that knows better
// counts.
func TestLockTimeIsRecordedAheadOnly(t *testing.T) {
	w := newLockWorld(t)
	late := w.clock.t.Add(time.Hour)
	for _, at := range []time.Time{late, late.Add(-time.Minute)} {
		if _, err := w.recordLockTime(t.Context(), at, 0); err != nil {
			t.Fatal(err)
		}
	}
	if got := found(t, w.DB, (*Reader).lockClockRow); !got.Equal(late) {
		t.Errorf("%v is recorded, want %v", got, late)
	}
	if _, err := decodeLockClock([]byte{recordVersion, 0x10, 1}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("an unknown field: %v", err)
	}
}

// TestCheckerMissesTheLockTime: without it a start would believe the wall clock.
func TestCheckerMissesTheLockTime(t *testing.T) {
	w := newLockWorld(t)
	w.clean()
	update(t, w.DB, func(tx *Tx) error {
		tx.kv.Delete(tx.keys.lockClock())
		return nil
	})
	found := 0
	_, err := Check(t.Context(), w.DB, func(p Problem) {
		if p.Kind == LockMismatch {
			found++
		}
	})
	if err != nil || found != 1 {
		t.Errorf("the checker found %d, %v", found, err)
	}
}

// TestLocksAreExported: with the time that they go by.
func TestLocksAreExported(t *testing.T) {
	w := newLockWorld(t)
	row := w.put(Retention{RetentionCompliance, w.clock.t.Add(time.Hour)}, LegalHoldOn)
	dump, _ := exported(t, w.DB)
	e := newEngine(t)
	if _, _, err := Import(t.Context(), e, bytes.NewReader(dump), importOptions(w.DB)); err != nil {
		t.Fatal(err)
	}
	began := w.clock.t
	w.clock.t = began.AddDate(1, 0, 0)
	db, err := Open(e, Options{Now: w.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	got := found(t, db, func(r *Reader) (*Object, error) { return r.Object(1, "k") })
	if got.Retention != row.Retention || got.LegalHold != LegalHoldOn || !db.LockTime().Equal(began) {
		t.Errorf("%+v at %v", got, db.LockTime())
	}
}
