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
	now atomic.Int32
}

// The phases, in the order they follow each other.
const (
	phaseStarting int32 = iota
	phaseServing
	phaseDraining
)

func (p *phase) set(to int32) { p.now.Store(to) }

// check is the readiness condition "serving".
func (p *phase) check(context.Context) error {
	switch p.now.Load() {
	case phaseServing:
		return nil
	case phaseDraining:
		return fmt.Errorf("%w: draining before exit", admin.ErrNotReady)
	default:
		return fmt.Errorf("%w: starting", admin.ErrNotReady)
	}
}
