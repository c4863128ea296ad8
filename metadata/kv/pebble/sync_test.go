package pebble_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
)

// stalledEngine is an engine whose next log sync waits until it is released.
type stalledEngine struct {
	*pebble.Engine
	arrived chan struct{} // closed when the sync has begun
	release func()
}

func stall(t *testing.T) *stalledEngine {
	t.Helper()
	fs := newFaultFS(vfs.NewMem())
	s := &stalledEngine{Engine: open(t, pebble.Options{FS: fs}), arrived: make(chan struct{})}
	want(t, "put", put(t.Context(), s, "k", "old"), nil)
	hold := make(chan struct{})
	s.release = sync.OnceFunc(func() { close(hold) })
	var first sync.Once
	fs.inject(func(op errorfs.Op) error {
		if isLog(op) && isSync(op) {
			first.Do(func() {
				close(s.arrived)
				<-hold
			})
		}
		return nil
	})
	t.Cleanup(func() {
		s.release()
		want(t, "close", s.Close(), nil)
	})
	return s
}

func TestNothingIsVisibleBeforeItIsDurable(t *testing.T) {
	s := stall(t)
	written := make(chan error, 1)
	go func() { written <- put(t.Context(), s, "k", "new") }()
	<-s.arrived
	if got := read(t, s, "k"); got != "old" {
		t.Errorf("a View shows %q before the sync", got)
	}
	select {
	case err := <-written:
		t.Errorf("the commit was acknowledged before the sync: %v", err)
	default:
	}
	s.release()
	want(t, "put", <-written, nil)
	if got := read(t, s, "k"); got != "new" {
		t.Errorf("a View shows %q after the sync", got)
	}
}

func TestUpdateWithoutWritesAnswersWhenItsVersionIsDurable(t *testing.T) {
	for _, result := range []error{nil, errors.New("precondition failed")} {
		t.Run(fmt.Sprintf("fn returns %v", result), func(t *testing.T) {
			s := stall(t)
			written := make(chan error, 1)
			go func() { written <- put(t.Context(), s, "k", "new") }()
			<-s.arrived
			saw, answered := make(chan string, 1), make(chan error, 1)
			go func() {
				_, err := s.Update(t.Context(), kv.TxOptions{}, func(tx kv.Tx) error {
					v, err := tx.Get([]byte("k")).Wait()
					saw <- string(v)
					return errors.Join(err, result)
				})
				answered <- err
			}()
			if got := <-saw; got != "new" {
				t.Errorf("the update reads %q, want the latest applied state", got)
			}
			// An update that read nothing has nothing to wait for.
			_, err := s.Update(t.Context(), kv.TxOptions{}, func(kv.Tx) error { return nil })
			want(t, "empty update", err, nil)
			select {
			case err := <-answered:
				t.Errorf("answered before the sync: %v", err)
			default:
			}
			s.release()
			want(t, "answer", <-answered, result)
			want(t, "put", <-written, nil)
		})
	}
}

func TestCanceledWaitIsAnUnknownCommit(t *testing.T) {
	s := stall(t)
	ctx, cancel := context.WithCancel(t.Context())
	written := make(chan error, 1)
	go func() { written <- put(ctx, s, "k", "new") }()
	<-s.arrived
	cancel()
	err := <-written
	want(t, "put", err, kv.ErrUnknownCommit)
	want(t, "put", err, context.Canceled)
	// The answer of a read that rests on it is not given either.
	_, err = s.Update(ctx, kv.TxOptions{}, func(kv.Tx) error { return nil })
	want(t, "update", err, context.Canceled)
	if got := s.Stats().Unknown; got != 1 {
		t.Errorf("%d unknown commits counted", got)
	}
}

func TestCommitsShareSyncs(t *testing.T) {
	s := stall(t)
	before := s.Stats()
	const writers = 30
	written := make(chan error, writers+1)
	go func() { written <- put(t.Context(), s, "first", "x") }()
	<-s.arrived
	for i := range writers {
		go func() { written <- put(t.Context(), s, fmt.Sprintf("k%d", i), "x") }()
	}
	// They are all applied while the first sync stands still.
	for s.Stats().Commits < before.Commits+writers+1 {
		_, err := s.Update(t.Context(), kv.TxOptions{}, func(kv.Tx) error { return nil })
		want(t, "empty update", err, nil)
	}
	s.release()
	for range writers + 1 {
		want(t, "put", <-written, nil)
	}
	if n := s.Stats().Syncs - before.Syncs; n != 2 {
		t.Errorf("%d commits took %d syncs, want 2", writers+1, n)
	}
}

func TestReadsMakeNoWrites(t *testing.T) {
	fs := newFaultFS(vfs.NewMem())
	e := open(t, pebble.Options{FS: fs})
	want(t, "put", put(t.Context(), e, "k", "v"), nil)
	var writes atomic.Int64
	fs.inject(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite || isSync(op) {
			writes.Add(1)
		}
		return nil
	})
	before := e.Stats()
	for range 100 {
		if got := read(t, e, "k"); got != "v" {
			t.Fatalf("read %q", got)
		}
		_, err := e.Update(t.Context(), kv.TxOptions{}, func(tx kv.Tx) error {
			_, err := tx.Get([]byte("k")).Wait()
			return err
		})
		want(t, "update", err, nil)
	}
	after := e.Stats()
	if n := writes.Load(); n != 0 || after.Syncs != before.Syncs {
		t.Errorf("%d writes and %d syncs for reads", n, after.Syncs-before.Syncs)
	}
	if after.ReadOnly-before.ReadOnly != 100 || after.Views-before.Views != 100 {
		t.Errorf("counted %d read-only updates and %d views", after.ReadOnly-before.ReadOnly, after.Views-before.Views)
	}
	want(t, "close", e.Close(), nil)
}
