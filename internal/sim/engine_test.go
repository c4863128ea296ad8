package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// unsure is the embedded engine with commits that conflict, take their time,
// or end without anybody knowing how.
type unsure struct {
	kv.Engine
	mu     sync.Mutex // guards what follows
	rng    *rand.Rand
	share  float64 // of the commits that suffer
	always float64 // of them that suffer all the time, but do not rest: locks may be held
	counts func(string)
	gate   chan struct{} // while set, writes of objects wait for it before they commit
	waits  int           // at the gate
}

// errAgain aborts an attempt whose commit is made to fail.
var errAgain = errors.New("sim: the commit is made to fail")

// throw decides what a commit suffers.
func (u *unsure) throw(class string) (kind int, rest time.Duration, gate chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.gate != nil && (class == "put" || class == "put-part") {
		u.waits++
		gate = u.gate
	}
	switch {
	case u.always > 0 && u.rng.Float64() < u.always:
		return 1 + u.rng.IntN(3), 0, gate
	case u.share == 0 || u.rng.Float64() >= u.share:
		return 0, 0, gate
	}
	return 1 + u.rng.IntN(4), time.Duration(u.rng.IntN(1000)) * time.Millisecond, gate
}

// Update implements [kv.Engine].
func (u *unsure) Update(ctx context.Context, o kv.TxOptions, fn func(kv.Tx) error) (kv.Commit, error) {
	kind, rest, gate := u.throw(o.Class)
	if gate != nil {
		u.counts("paused-writer")
		<-gate
	}
	switch kind {
	case 1: // the first attempt is for nothing
		u.counts("kv-conflict")
		if err := u.abort(ctx, o, fn); err != nil {
			return kv.Commit{}, err
		}
		return u.Engine.Update(ctx, o, func(tx kv.Tx) error { return fn(later{tx}) })
	case 2:
		if err := u.abort(ctx, o, fn); err != nil {
			return kv.Commit{}, err
		}
		u.counts("kv-unknown-lost")
		return kv.Commit{}, kv.ErrUnknownCommit
	case 3:
		c, err := u.Engine.Update(ctx, o, fn)
		if err == nil && !c.ReadOnly {
			u.counts("kv-unknown-applied")
			return kv.Commit{}, kv.ErrUnknownCommit
		}
		return c, err
	case 4: // between the look and the commit others get ahead
		u.counts("kv-slow")
		return u.Engine.Update(ctx, o, func(tx kv.Tx) error {
			err := fn(tx)
			if tx.Attempt() == 0 {
				wait(ctx, rest)
			}
			return err
		})
	}
	return u.Engine.Update(ctx, o, fn)
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// abort runs an attempt without committing it. An error of fn, which ends the
// transaction by itself, is returned.
func (u *unsure) abort(ctx context.Context, o kv.TxOptions, fn func(kv.Tx) error) error {
	_, err := u.Engine.Update(ctx, o, func(tx kv.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errAgain
	})
	if errors.Is(err, errAgain) {
		return nil
	}
	return err
}

// later is a transaction of which an attempt was made before.
type later struct{ kv.Tx }

func (l later) Attempt() int { return l.Tx.Attempt() + 1 }

// set changes what share of the commits suffers.
func (u *unsure) set(share float64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.share = share
}

// pause lets writes of objects wait before their commit, until resume.
func (u *unsure) pause() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.gate, u.waits = make(chan struct{}), 0
}

func (u *unsure) resume() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.gate != nil {
		close(u.gate)
	}
	u.gate = nil
}

func (u *unsure) waiting() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.waits
}
