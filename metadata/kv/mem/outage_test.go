package mem_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

func read(ctx context.Context, e kv.Engine) error {
	return e.View(ctx, kv.TxOptions{Timeout: 5 * time.Second}, func(r kv.Reader) error {
		_, err := r.Get([]byte("k")).Wait()
		return err
	})
}

func write(ctx context.Context, e kv.Engine) error {
	_, err := e.Update(ctx, kv.TxOptions{Timeout: 5 * time.Second}, func(tx kv.Tx) error {
		tx.Set([]byte("k"), []byte("v"))
		return nil
	})
	return err
}

func TestOutages(t *testing.T) {
	tests := map[string]struct {
		trouble     mem.Trouble
		read, write error
		takes       time.Duration // both together
	}{
		"hanging":    {mem.Hanging, kv.ErrTimeout, kv.ErrUnknownCommit, 10 * time.Second},
		"timing out": {mem.TimingOut, kv.ErrTimeout, kv.ErrTimeout, 0},
		"down":       {mem.Down, kv.ErrUnavailable, kv.ErrUnavailable, 0},
		"locked":     {mem.Locked, kv.ErrLocked, kv.ErrLocked, 0},
		"throttling": {mem.Throttling, nil, nil, 100 * time.Millisecond},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var outage mem.Outage
				e := mem.New(mem.Options{Outage: &outage})
				outage.Begin(test.trouble)
				start := time.Now()
				if err := read(t.Context(), e); !errors.Is(err, test.read) {
					t.Errorf("read: got %v, want %v", err, test.read)
				}
				if err := write(t.Context(), e); !errors.Is(err, test.write) {
					t.Errorf("write: got %v, want %v", err, test.write)
				}
				if took := time.Since(start); took != test.takes {
					t.Errorf("took %v, want %v", took, test.takes)
				}
				outage.End()
				if err := errors.Join(read(t.Context(), e), write(t.Context(), e)); err != nil {
					t.Errorf("after the outage: %v", err)
				}
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestWhatHungGoesOnAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var outage mem.Outage
		e := mem.New(mem.Options{Outage: &outage})
		outage.Begin(mem.Hanging)
		done := make(chan error, 1)
		go func() { done <- write(t.Context(), e) }()
		<-time.After(time.Second)
		outage.End()
		if err := <-done; err != nil {
			t.Errorf("got %v", err)
		}
		outage.Begin(mem.Hanging)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- read(ctx, e) }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v of a client that left", err)
		}
	})
}
