package steward

import (
	"errors"
	"testing"
	"time"

	"github.com/undercroft/undercroft/metadata"
)

// meanwhile runs fn in the first attempt of a transaction only.
func meanwhile(tx *metadata.Tx, fn func()) {
	if tx.Attempt() == 0 {
		fn()
	}
}

// TestCopyOfDataThatGoes lets the source be deleted and collected between the
// reads of a copy and its commit.
func TestCopyOfDataThatGoes(t *testing.T) {
	f := newFixture(t)
	home := f.object("home", 3)
	source := f.copy(home, "source")
	f.remove(home)
	gone := errors.New("no source")
	err := f.db.Update(t.Context(), "test", func(tx *metadata.Tx) error {
		from, err := tx.Object(f.b.ID, source.Key)
		if err != nil {
			return err
		}
		meanwhile(tx, func() {
			f.remove(source)
			f.run(f.collector())
			f.wantLeft(0, 0, 0)
		})
		if from == nil {
			return gone
		}
		_, err = f.share(tx, from, "copy")
		return err
	})
	if !errors.Is(err, gone) {
		t.Errorf("the copy of freed data ended with %v", err)
	}
	f.wantLeft(0, 0, 0)
}

// TestCopyWhileCollected lets a copy commit between the collector's look at
// the owners and its commit.
func TestCopyWhileCollected(t *testing.T) {
	f := newFixture(t)
	home := f.object("home", 3)
	source := f.copy(home, "source")
	f.remove(home)
	attempts := 0
	f.update(func(tx *metadata.Tx) error {
		attempts++
		more, err := decide(tx, home.Data.ID, &tally{})
		meanwhile(tx, func() {
			f.copy(source, "copy")
			f.remove(source) // writes the trigger again
		})
		if more {
			t.Error("there is more to free")
		}
		return err
	})
	if attempts != 2 {
		t.Errorf("the collector decided in %d attempts, want another after the owners changed", attempts)
	}
	f.wantLeft(1, 1, 0)
	f.remove(&metadata.Object{Key: "copy"})
	f.run(f.collector())
	f.wantLeft(0, 0, 0)
}

// TestReleaseWhileKept lets the last owner go between the collector's look at
// the owners and its clearing the trigger.
func TestReleaseWhileKept(t *testing.T) {
	f := newFixture(t)
	home := f.object("home", 3)
	last := f.copy(home, "last")
	f.remove(home)
	f.update(func(tx *metadata.Tx) error {
		_, err := decide(tx, home.Data.ID, &tally{})
		meanwhile(tx, func() { f.remove(last) })
		return err
	})
	f.run(f.collector())
	f.wantLeft(0, 0, 0)
}

// TestTwoCollectors frees one id in two transactions at once.
func TestTwoCollectors(t *testing.T) {
	f := newFixture(t)
	o := f.object("key", 300)
	f.remove(o)
	f.update(func(tx *metadata.Tx) error {
		_, err := decide(tx, o.Data.ID, &tally{extents: collectWrites - 100})
		meanwhile(tx, func() {
			f.update(func(tx *metadata.Tx) error {
				_, err := decide(tx, o.Data.ID, &tally{extents: collectWrites - 100})
				return err
			})
		})
		return err
	})
	f.check()
	f.run(f.collector())
	f.wantLeft(0, 0, 0)
	if f.live() != 0 {
		t.Errorf("%d bytes are live: extents were freed twice", f.live())
	}
}

func TestLatePublishFailsOnceTheIntentIsEnded(t *testing.T) {
	f := newFixture(t)
	id := f.announced(time.Now())
	publish := func(between func()) error {
		return f.db.Update(t.Context(), "test", func(tx *metadata.Tx) error {
			if err := tx.FinishIntent(id); err != nil {
				return err
			}
			meanwhile(tx, between)
			o := &metadata.Object{
				Key: "late", Ord: f.db.NextOrd(0), Size: 50, Modified: time.UnixMilli(1),
				Data: metadata.Data{Kind: metadata.DataRows, ID: id},
			}
			return tx.PutObject(f.b.ID, nil, o, nil)
		})
	}
	err := publish(func() { f.run(&intents{base: f.base()}) })
	if !errors.Is(err, metadata.ErrFenced) {
		t.Errorf("the late publish ended with %v", err)
	}
	f.run(f.collector())
	f.wantLeft(0, 0, 0)
}

func TestIntentFinishedWhileItIsEnded(t *testing.T) {
	f := newFixture(t)
	id := f.announced(time.Now())
	f.update(func(tx *metadata.Tx) error {
		ended, err := endIntent(tx, id)
		meanwhile(tx, func() {
			f.update(func(tx *metadata.Tx) error {
				o := &metadata.Object{
					Key: "won", Ord: f.db.NextOrd(0), Size: 50, Modified: time.UnixMilli(1),
					Data: metadata.Data{Kind: metadata.DataRows, ID: id},
				}
				return errors.Join(tx.FinishIntent(id), tx.PutObject(f.b.ID, nil, o, nil))
			})
		})
		if ended != (tx.Attempt() == 0) {
			t.Errorf("attempt %d: ended %t", tx.Attempt(), ended)
		}
		return err
	})
	f.run(f.collector())
	f.wantLeft(1, 0, 0)
}
