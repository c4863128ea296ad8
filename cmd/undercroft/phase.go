package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/undercroft/undercroft/admin"
)

// phase says how far the server is; the zero value is starting. It is safe for
// concurrent use.
type phase struct {
	now   atomic.Int32
	waits atomic.Pointer[error] // why it is starting still, nil where nothing is waited for
}

// The phases, in the order they follow each other.
const (
	phaseStarting int32 = iota
	phaseServing
	phaseDraining
)

func (p *phase) set(to int32) { p.now.Store(to) }

// wait says what a start waits for.
func (p *phase) wait(why error) { p.waits.Store(&why) }

// check is the readiness condition "serving".
func (p *phase) check(context.Context) error {
	switch p.now.Load() {
	case phaseServing:
		return nil
	case phaseDraining:
		return fmt.Errorf("%w: draining before exit", admin.ErrNotReady)
	}
	if why := p.waits.Load(); why != nil {
		return fmt.Errorf("%w: starting: %w", admin.ErrNotReady, *why)
	}
	return fmt.Errorf("%w: starting", admin.ErrNotReady)
}
