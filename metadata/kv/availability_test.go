package kv_test

import (
	"errors"
	"testing"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// wrapper is an engine before another one, and nothing else.
type wrapper struct{ kv.Engine }

func (w wrapper) Unwrap() kv.Engine { return w.Engine }

func TestFindGoesThroughWrappers(t *testing.T) {
	engine := mem.New(mem.Options{})
	t.Cleanup(func() { _ = engine.Close() })
	wrapped := wrapper{wrapper{engine}}
	if found, ok := kv.Find[kv.Pinner](wrapped); !ok || found != kv.Pinner(engine) {
		t.Errorf("got %v, %v", found, ok)
	}
	if found, ok := kv.Find[kv.Watched](wrapped); ok {
		t.Errorf("got %v of an engine that is none", found)
	}
	if found, ok := kv.Find[kv.Pinner](nil); ok {
		t.Errorf("got %v of nothing", found)
	}
}

func TestErrorsOfStoresThatAreAway(t *testing.T) {
	for _, err := range []error{kv.ErrLocked, kv.ErrAway} {
		if !errors.Is(err, kv.ErrUnavailable) {
			t.Errorf("%v is not unavailable", err)
		}
	}
	if errors.Is(kv.ErrAway, kv.ErrLocked) {
		t.Error("who is away is not locked")
	}
}

func TestBudgetIsShared(t *testing.T) {
	if b := kv.BudgetOf(t.Context()); b != nil {
		t.Errorf("got %v of a context without", b)
	}
	ctx := kv.WithBudget(t.Context(), time.Second)
	kv.BudgetOf(ctx).Spend(700 * time.Millisecond)
	if left := kv.BudgetOf(ctx).Left(); left != 300*time.Millisecond {
		t.Errorf("%v left", left)
	}
}
