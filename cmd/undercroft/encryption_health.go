package main

import (
	"context"
	"sync"
	"time"
)

// kmsLook is how old what is known of the key provider may be before it is asked
// again.
const kmsLook = 10 * time.Second

// kmsHealth is whether the key provider can be used. It answers from memory, so
// that a provider that hangs holds no probe up: who asks late starts a look for the
// next one.
type kmsHealth struct {
	ask func(ctx context.Context) error
	now func() time.Time

	life context.Context //nolint:containedctx // ends with the server, and the looks under way
	end  context.CancelFunc
	wg   sync.WaitGroup

	mu      sync.Mutex // guards what follows
	err     error
	looked  time.Time
	looking bool
	closed  bool
}

func newKMSHealth(ask func(ctx context.Context) error, now func() time.Time) *kmsHealth {
	h := &kmsHealth{ask: ask, now: now}
	h.life, h.end = context.WithCancel(context.Background())
	return h
}

// check is an [admin.Condition].
func (h *kmsHealth) check(context.Context) error { return h.known() }

// known is what is known, nil: it can be used.
func (h *kmsHealth) known() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.looking && !h.closed && h.now().Sub(h.looked) >= kmsLook {
		h.looking = true
		h.wg.Go(func() { _ = h.look(h.life) }) // check says what it found
	}
	return h.err
}

// look asks the provider.
func (h *kmsHealth) look(ctx context.Context) error {
	err := h.ask(ctx)
	h.set(err)
	return err
}

// set notes what a request or a look found.
func (h *kmsHealth) set(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err, h.looked, h.looking = err, h.now(), false
}

// close ends looks under way.
func (h *kmsHealth) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.end()
	h.wg.Wait()
}
