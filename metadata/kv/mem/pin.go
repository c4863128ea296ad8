package mem

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/internal/txn"
)

// pin is a version: content never changes in place.
type pin struct {
	e      *Engine
	snap   snapshot
	closed atomic.Bool
}

var (
	_ kv.Pinner = (*Engine)(nil)
	_ kv.Pin    = (*pin)(nil)
)

// Pin holds the latest version.
func (e *Engine) Pin() (kv.Pin, error) {
	if err := e.calls.Begin(); err != nil {
		return nil, err
	}
	defer e.calls.Done()
	e.mu.Lock()
	defer e.mu.Unlock()
	return &pin{e: e, snap: e.head}, nil
}

// Begin returns the version.
func (p *pin) Begin() (txn.Snapshot, error) {
	if p.closed.Load() {
		return nil, fmt.Errorf("read of a version that was let go: %w", kv.ErrClosed)
	}
	return &p.snap, nil
}

// View runs fn on the version.
func (p *pin) View(ctx context.Context, fn func(kv.Reader) error) error {
	if err := p.e.calls.Begin(); err != nil {
		return err
	}
	defer p.e.calls.Done()
	t := txn.New(txn.Config{Source: p, Now: p.e.now, Context: ctx})
	defer func() { _ = t.Finish() }() // it wrote nothing
	return fn(t.Snapshot())
}

// Close lets the version go.
func (p *pin) Close() { p.closed.Store(true) }
