package pebble

import (
	"context"
	"fmt"
	"sync"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/internal/txn"
)

// pin holds a snapshot of Pebble's.
type pin struct {
	e *Engine
	// short says that the disk was short of space when the pin began: who takes
	// the content away from a full disk may.
	short bool

	mu   sync.Mutex // guards snap
	snap *snapshot  // nil once closed
}

var (
	_ kv.Pinner = (*Engine)(nil)
	_ kv.Pin    = (*pin)(nil)
)

// pins are those that are open, which the end of the engine closes.
type pins struct {
	mu   sync.Mutex // guards open
	open map[*pin]struct{}
}

func (p *pins) close() {
	p.mu.Lock()
	open := p.open
	p.open = nil
	p.mu.Unlock()
	for held := range open {
		held.Close()
	}
}

// Pin holds the last durable version.
func (e *Engine) Pin() (kv.Pin, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.calls.Done()
	e.viewMu.Lock()
	p := &pin{e: e, snap: e.visible, short: e.space.short.Load()}
	p.snap.refs.Add(1)
	e.viewMu.Unlock()
	e.pins.mu.Lock()
	defer e.pins.mu.Unlock()
	if e.pins.open == nil {
		e.pins.open = make(map[*pin]struct{})
	}
	e.pins.open[p] = struct{}{}
	return p, nil
}

// Begin takes a reference to the snapshot.
func (p *pin) Begin() (txn.Snapshot, error) {
	if err := p.e.Err(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.snap == nil {
		return nil, fmt.Errorf("read of a version that was let go: %w", kv.ErrClosed)
	}
	p.snap.refs.Add(1)
	return p.snap, nil
}

// View runs fn on the version. Where the disk ran short of space since the pin
// began, it lets the version go: deletions free nothing as long as it is held.
func (p *pin) View(ctx context.Context, fn func(kv.Reader) error) error {
	if !p.short && p.e.space.short.Load() {
		p.Close()
		return fmt.Errorf("a version was let go: %w", kv.ErrNoSpace)
	}
	if err := p.e.enter(); err != nil {
		return err
	}
	defer p.e.calls.Done()
	t := txn.New(txn.Config{Source: p, Now: p.e.opts.Now, Context: ctx})
	defer p.e.end(t)
	p.e.count.views.Add(1)
	if err := fn(t.Snapshot()); err != nil {
		return err
	}
	return p.e.Err()
}

// Close lets the version go.
func (p *pin) Close() {
	p.mu.Lock()
	s := p.snap
	p.snap = nil
	p.mu.Unlock()
	if s == nil {
		return
	}
	p.e.pins.mu.Lock()
	delete(p.e.pins.open, p)
	p.e.pins.mu.Unlock()
	p.e.release(s)
}
