//go:build fdb

package fdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apple/foundationdb/bindings/go/src/fdb"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/internal/txn"
)

// Bounds of the pause before another attempt. A round trip takes about as long
// as the first one.
const (
	firstBackoff = 2 * time.Millisecond
	maxBackoff   = 200 * time.Millisecond
)

// slack is how much longer than the call the library lets a transaction live: a
// commit that it refused as late might as well have been sent, for all one knows,
// so that the engine has to be the first to say so.
const slack = 20 * time.Millisecond

// maxTag is the longest name of a class in FoundationDB.
const maxTag = 16

// call is one View or Update: one transaction of the client library, that is
// reset before each further attempt. It is made when it is first needed: many a
// View asks for nothing but what its session knows, and making one costs more
// than a read does.
type call struct {
	e        *Engine
	o        *kv.TxOptions
	tr       fdb.Transaction
	made     bool        // there is tr
	large    bool        // tr holds memory that is worth freeing at once
	settled  func() bool // ends the watch over the context for tr
	began    time.Time   // of tr, or of its last reset: the client's timeout counts from it
	deadline time.Time
}

// run calls once until it succeeds, fails for good or time is up.
//
// The end of ctx cancels the transaction, wherever it is: whoever waits for a
// future of it then gets an error. Without that, and without the timeout, a call
// would wait as long as the cluster is away.
func (e *Engine) run(ctx context.Context, o *kv.TxOptions, once func(*attempt) error) error {
	if err := e.calls.Begin(); err != nil {
		return err
	}
	defer e.calls.Done()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("transaction: %w", err)
	}
	c := call{e: e, o: o, deadline: e.loop.Deadline(*o)}
	if err := e.slot(ctx, c.deadline); err != nil {
		return err
	}
	defer func() { <-e.slots }()
	defer c.end()

	for n := 0; ; n++ {
		// After the reset, so that it cannot undo a cancellation that nobody saw.
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("transaction: %w", err)
		}
		err := once(c.attempt(ctx, n))
		if err == nil {
			return nil
		}
		e.count.failure(err)
		when, cause := repetition(err)
		if when == never || o.MaxRetries < 0 || (o.MaxRetries > 0 && n >= o.MaxRetries) {
			return err
		}
		if c.deadline.Sub(e.opts.Now()) <= 0 {
			return fmt.Errorf("%w after %d attempts, the last: %w", kv.ErrTimeout, n+1, err)
		}
		if err := c.pause(ctx, n, when, cause); err != nil {
			return err
		}
	}
}

// make makes the transaction, unless there is one.
func (c *call) make(ctx context.Context) error {
	if c.made {
		return nil
	}
	tr, err := c.e.handle.db.CreateTransaction()
	if err != nil {
		return err //nolint:wrapcheck // the caller knows what it means
	}
	c.tr, c.made, c.began = tr, true, c.e.opts.Now()
	c.settled = context.AfterFunc(ctx, tr.Cancel)
	c.e.count.made.Add(1)
	return nil
}

func (c *call) end() {
	if !c.made {
		return
	}
	c.settled()
	if c.large {
		c.tr.Reset()
	}
}

// pause waits until the next attempt may begin, and makes the transaction new.
func (c *call) pause(ctx context.Context, n int, when again, cause fdb.Error) error {
	if when == byClient && c.made {
		if err := c.tr.OnError(cause).Get(); err != nil {
			return errors.Join(readError(ctx, err), readError(ctx, cause))
		}
		return nil
	}
	limit := min(firstBackoff<<min(n, 16), maxBackoff)
	if err := txn.Wait(ctx, min(jitter(limit), c.deadline.Sub(c.e.opts.Now()))); err != nil {
		return fmt.Errorf("transaction: %w", err)
	}
	if c.made {
		c.tr.Reset()
		c.began = c.e.opts.Now()
	}
	return nil
}

// configure sets the options that do not outlive an attempt. Reads come past the
// library's own buffer of writes: the engine's own one knows kv's rules.
func (c *call) configure() error {
	options := c.tr.Options()
	err := errors.Join(options.SetReadYourWritesDisable(), c.allow(c.deadline.Sub(c.e.opts.Now())+slack))
	if class := c.o.Class; class != "" {
		err = errors.Join(err, options.SetAutoThrottleTag(class[:min(len(class), maxTag)]))
		if c.e.opts.Background(class) {
			err = errors.Join(err, options.SetPriorityBatch())
		}
	}
	return err
}

// allow lets the transaction go on for d from now. The library counts from its
// creation, all attempts together.
func (c *call) allow(d time.Duration) error {
	total := max(d, time.Millisecond) + c.e.opts.Now().Sub(c.began)
	if err := c.tr.Options().SetTimeout(int64((total + time.Millisecond - 1) / time.Millisecond)); err != nil {
		return fmt.Errorf("set timeout: %w", err)
	}
	return nil
}
