package objects

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
)

// errContended ends a first attempt that ran into another writer of its key.
var errContended = errors.New("objects: another writer of the key")

// turnTimeout bounds the wait for a turn.
const turnTimeout = 10 * time.Second

// updateKey runs a transaction that writes one key. The first attempt is made
// at once; after a conflict the writers of a key in this process go one after
// the other, as they would else run into each other for ever.
func (s *Service) updateKey(ctx context.Context, class string, b metadata.BucketID, key string, fn func(*metadata.Tx) error) error {
	err := s.db.Update(ctx, class, uncontended(fn))
	if !errors.Is(err, errContended) {
		return err
	}
	return s.updateInTurn(ctx, class, turnKey{b, key}, fn)
}

// updateKeyShared is updateKey for what depends on nothing that this process did since
// the request began: its first attempt may read the version that the request has.
func (s *Service) updateKeyShared(ctx context.Context, class string, b metadata.BucketID, key string, fn func(*metadata.Tx) error) error {
	err := s.db.UpdateShared(ctx, class, uncontended(fn))
	if !errors.Is(err, errContended) {
		return err
	}
	return s.updateInTurn(ctx, class, turnKey{b, key}, fn)
}

// uncontended is fn for an attempt that meets no other writer.
func uncontended(fn func(*metadata.Tx) error) func(*metadata.Tx) error {
	return func(tx *metadata.Tx) error {
		if tx.Attempt() > 0 {
			return errContended
		}
		return fn(tx)
	}
}

func (s *Service) updateInTurn(ctx context.Context, class string, key turnKey, fn func(*metadata.Tx) error) error {
	done, err := s.turns.take(ctx, key)
	if err != nil {
		return err
	}
	defer done()
	return contended(s.db.Update(ctx, class, fn))
}

// contended is the error of a transaction that went on until its time was up:
// others were always before it. What may have been applied is no conflict, nor is
// what nobody answered.
func contended(err error) error {
	if errors.Is(err, kv.ErrTimeout) && !errors.Is(err, kv.ErrUnknownCommit) && !errors.Is(err, kv.ErrUnavailable) {
		return fmt.Errorf("%w: %w", kv.ErrConflict, err)
	}
	return err
}

type turnKey struct {
	bucket metadata.BucketID
	key    string
}

// turns lets one goroutine at a time have a key, in the order in which they
// came. It holds only keys that are wanted.
type turns struct {
	mu     sync.Mutex // guards wanted
	wanted map[turnKey]*turn
}

type turn struct {
	free  chan struct{} // has one token
	users int           // who has it or waits for it
}

func newTurns() *turns { return &turns{wanted: make(map[turnKey]*turn)} }

// take waits for a key and returns what gives it back.
func (t *turns) take(ctx context.Context, key turnKey) (done func(), err error) {
	own := t.join(key)
	limit := turnTimeout
	if budget := kv.BudgetOf(ctx); budget != nil {
		limit = min(limit, budget.Left())
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-own.free:
		return func() {
			own.free <- struct{}{}
			t.leave(key)
		}, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		err = fmt.Errorf("%w: too many writers of one key", kv.ErrConflict)
	}
	t.leave(key)
	return nil, err
}

func (t *turns) join(key turnKey) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := t.wanted[key]
	if own == nil {
		own = &turn{free: make(chan struct{}, 1)}
		own.free <- struct{}{}
		t.wanted[key] = own
	}
	own.users++
	return own
}

func (t *turns) leave(key turnKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := t.wanted[key]
	if own.users--; own.users == 0 {
		delete(t.wanted, key)
	}
}
