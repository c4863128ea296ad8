package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestKeyProviderThatHangsHoldsNoProbeUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		asked, hang := 0, make(chan error)
		h := newKMSHealth(func(ctx context.Context) error {
			asked++
			select {
			case err := <-hang:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}, time.Now)
		defer h.close()
		h.set(nil)
		check := func(want error, times int) {
			t.Helper()
			if err := h.check(t.Context()); !errors.Is(err, want) {
				t.Errorf("check: %v, want %v", err, want)
			}
			synctest.Wait()
			if asked != times {
				t.Errorf("asked %d times, want %d", asked, times)
			}
		}
		check(nil, 0)
		time.Sleep(kmsLook) //nolint:forbidigo // in a bubble
		check(nil, 1)       // from memory, beside the look
		check(nil, 1)
		hang <- down
		synctest.Wait()
		check(down, 1)
		// A request that succeeds says so at once.
		h.set(nil)
		check(nil, 1)
		time.Sleep(kmsLook) //nolint:forbidigo // in a bubble
		check(nil, 2)       // close ends it
	})
}
