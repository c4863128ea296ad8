package metadata

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// lockClock is the time by which retentions end. It follows the wall clock, but
// never back, and ahead only a quarter faster than time passes by the monotonic
// clock: whatever the wall clock is set to, a retention lasts at least four
// fifths of its time. A row Z "lock" carries it over restarts, so that the time
// during which no process ran is made up for at the same rate. A clock of tests
// without a monotonic reading is believed. Of several processes each has its own, which is
// taken ahead to what another has recorded: that ran no faster. See docs/adr/0008.
type lockClock struct {
	mu   sync.Mutex // guards what follows
	at   time.Time  // the lock time when last was read
	last time.Time  // with its monotonic reading
	kept time.Time  // the lock time of the row, as far as known
}

// catchUp is by which part of the time that passed the lock time may run
// faster.
const catchUp = 4

// now is the lock time when the wall clock says wall. Of those who read the wall
// clock at once one comes first: what the others read before is past.
func (c *lockClock) now(wall time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last.IsZero() {
		c.at, c.last = wall.Round(0), wall
	}
	if passed := wall.Sub(c.last); passed > 0 {
		c.at, c.last = lockTime(c.at, wall.Round(0), passed), wall
	}
	return c.at
}

// lockTime is the lock time after at, when time has passed by the monotonic
// clock and the wall clock says wall.
func lockTime(at, wall time.Time, passed time.Duration) time.Time {
	passed = max(passed, 0)
	if next := at.Add(passed).Add(passed / catchUp); next.Before(wall) {
		return next
	}
	if wall.Before(at) {
		return at
	}
	return wall
}

// begin sets the lock time, when nothing was ever locked or a process starts.
func (c *lockClock) begin(at, wall time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beginLocked(at, wall)
}

func (c *lockClock) beginLocked(at, wall time.Time) {
	c.at, c.last, c.kept = at.Round(0), wall, at
}

// takeUp begins with what is recorded, or goes ahead to it.
func (c *lockClock) takeUp(recorded, wall time.Time) {
	c.now(wall)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept.IsZero() {
		c.beginLocked(recorded, wall)
		return
	}
	if recorded.After(c.kept) {
		c.kept = recorded
	}
	if recorded.After(c.at) {
		c.at = recorded.Round(0)
	}
}

// hasBegun says that it goes by what is recorded.
func (c *lockClock) hasBegun() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.kept.IsZero()
}

// LockTime is the time by which retentions end.
func (db *DB) LockTime() time.Time { return db.lockClock.now(db.now()).UTC() }

// FollowLockTime makes this process go by the lock time that is recorded, if it does not yet:
// another one may have made the first bucket with Object Lock. Whoever reads such a
// bucket calls it, before anything of it is decided.
func (db *DB) FollowLockTime(r *Reader) error {
	if db.lockClock.hasBegun() {
		return nil
	}
	at, err := r.lockClockRow()
	if err == nil && !at.IsZero() {
		db.lockClock.takeUp(at, db.now())
	}
	return err
}

// KeepLockTime records the lock time, where it has moved on by more than a step
// and something may be locked, and takes up what another process has recorded. It
// reports whether it wrote.
func (db *DB) KeepLockTime(ctx context.Context, step time.Duration) (wrote bool, err error) {
	if err := db.openLockClock(ctx); err != nil {
		return false, err
	}
	at := db.LockTime()
	db.lockClock.mu.Lock()
	due := !db.lockClock.kept.IsZero() && at.Sub(db.lockClock.kept) > step
	db.lockClock.mu.Unlock()
	if !due {
		return false, nil
	}
	return db.recordLockTime(ctx, at, step)
}

// LockTimeBehind is by how much the wall clock is ahead of the lock time: less
// than 0 where it was set back, and 0 where nothing was ever locked.
func (db *DB) LockTimeBehind() time.Duration {
	ahead := db.now().Round(0).Sub(db.LockTime())
	db.lockClock.mu.Lock()
	defer db.lockClock.mu.Unlock()
	if db.lockClock.kept.IsZero() {
		return 0
	}
	return ahead
}

// recordLockTime moves the row ahead by more than a step, never back: another process may
// know better.
func (db *DB) recordLockTime(ctx context.Context, at time.Time, step time.Duration) (wrote bool, err error) {
	var known time.Time
	err = db.Update(ctx, "lock-clock", func(tx *Tx) error {
		known, wrote = time.Time{}, false
		kept, err := tx.lockClockRow()
		if err != nil || kept.IsZero() {
			return err
		}
		known = kept
		if at.Sub(kept) > step {
			known, wrote = at, true
			tx.set(tx.keys.lockClock(), encodeLockClock(at))
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	if !known.IsZero() {
		db.lockClock.takeUp(known, db.now())
	}
	return wrote, nil
}

// openLockClock takes up the lock time of the processes before, or of another one.
func (db *DB) openLockClock(ctx context.Context) error {
	if db.lockClock.hasBegun() {
		return nil
	}
	return db.View(ctx, "lock-clock", db.FollowLockTime)
}

// beginLockClock makes the row with the first bucket that has Object Lock: from
// then on the wall clock alone decides nothing. What the row says counts once it is
// committed: another process may be faster.
func (t *Tx) beginLockClock() error {
	at, err := t.lockClockRow()
	if err != nil {
		return err
	}
	if at.IsZero() {
		t.lockBegan = t.db.now()
		t.set(t.keys.lockClock(), encodeLockClock(t.lockBegan))
		return nil
	}
	t.db.lockClock.takeUp(at, t.db.now())
	return nil
}

// lockHasBegun takes up what a transaction has committed: that nothing is locked yet, where at is zero.
func (db *DB) lockHasBegun(at time.Time) {
	if !at.IsZero() {
		db.lockClock.takeUp(at, db.now())
	}
}

// lockTime is the time by which a retention ends that this transaction has met.
func (t *Tx) lockTime() time.Time {
	if err := t.db.FollowLockTime(&t.Reader); err != nil && t.err == nil {
		t.err = err // nothing commits by a clock that may be wrong
	}
	return t.db.LockTime()
}

// lockClockRow is the lock time that is recorded, zero where nothing was ever
// locked.
func (r *Reader) lockClockRow() (time.Time, error) {
	v, err := r.get(r.keys.lockClock())
	if err != nil || v == nil {
		return time.Time{}, err
	}
	return decodeLockClock(v)
}

// lockClockName is the key of the row after its tag.
const lockClockName = "lock"

func (s keyspace) lockClock() []byte {
	return append(s.tag(tagFormat, len(lockClockName)), lockClockName...)
}

// lockClockTime is the field of the row Z "lock".
const lockClockTime = 1

func encodeLockClock(at time.Time) []byte {
	e := newRecord(12)
	e.time(lockClockTime, at)
	return e.b
}

func decodeLockClock(v []byte) (at time.Time, err error) {
	d := openRecord(v)
	for d.next() {
		if d.field != lockClockTime {
			d.unknown()
			continue
		}
		at = d.time()
	}
	return at, d.finish("lock clock")
}

// checkCluster checks the rows Z.
func checkCluster(c *pageCheck, p kv.Pair) error {
	if bytes.Equal(p.Key, c.keys.lockClock()) {
		_, err := decodeLockClock(p.Value)
		return err
	}
	return checkFormat(c, p)
}
