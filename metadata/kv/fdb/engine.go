//go:build fdb

package fdb

import (
	"context"
	"fmt"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/internal/txn"
)

// Available says whether this binary can use FoundationDB.
const Available = true

// Engine is a kv.Engine on FoundationDB.
type Engine struct {
	opts   Options
	space  space
	handle *handle
	loop   txn.Loop      // of its deadlines only: the client library knows pauses of its own
	slots  chan struct{} // one for each transaction under way
	count  counters
	calls  txn.Calls
}

var (
	_ kv.Engine = (*Engine)(nil)
	_ kv.Remote = (*Engine)(nil)
)

// Open joins the cluster that the cluster file names. It does not wait until it
// answers. Engines of one cluster file share a connection.
func Open(o Options) (*Engine, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	h, err := process.open(o.ClusterFile)
	if err != nil {
		return nil, fmt.Errorf("open FoundationDB: %w", err)
	}
	if err := rewritable(h.file); err != nil {
		o.Logger.Warn("cluster file cannot be rewritten when the coordinators move", "file", h.file, "error", err)
	}
	return &Engine{
		opts: o, space: newSpace(o.Prefix), handle: h,
		loop: txn.Loop{Now: o.Now}, slots: make(chan struct{}, o.InFlight),
	}, nil
}

// Name is "fdb".
func (e *Engine) Name() string { return "fdb" }

// Remote is true.
func (e *Engine) Remote() bool { return true }

// Close ends the engine after the calls under way.
func (e *Engine) Close() error {
	if err := e.calls.End(); err != nil {
		return err
	}
	process.release(e.handle)
	return nil
}

// slot waits for leave to have a transaction under way.
func (e *Engine) slot(ctx context.Context, deadline time.Time) error {
	select {
	case e.slots <- struct{}{}:
		return nil
	default:
	}
	e.count.waited.Add(1)
	timer := time.NewTimer(deadline.Sub(e.opts.Now()))
	defer timer.Stop()
	select {
	case e.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("transaction: %w", ctx.Err())
	case <-timer.C:
		return fmt.Errorf("%w: %d others are under way", kv.ErrTimeout, cap(e.slots))
	}
}

// View runs fn on the latest version, or on that of its session.
func (e *Engine) View(ctx context.Context, o kv.TxOptions, fn func(kv.Reader) error) error {
	err := e.run(ctx, &o, func(a *attempt) error {
		defer a.finish()
		return fn(a.t.Snapshot())
	})
	if err == nil {
		e.count.views.Add(1)
	}
	return err
}

// Update runs fn and commits what it wrote.
func (e *Engine) Update(ctx context.Context, o kv.TxOptions, fn func(kv.Tx) error) (kv.Commit, error) {
	var c kv.Commit
	err := e.run(ctx, &o, func(a *attempt) error {
		defer a.finish()
		var err error
		c, err = a.update(fn)
		return err
	})
	return c, err
}
