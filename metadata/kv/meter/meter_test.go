package meter_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/kvtest"
	"github.com/undercroft/undercroft/metadata/kv/mem"
	"github.com/undercroft/undercroft/metadata/kv/meter"
)

func TestMeterKeepsTheContract(t *testing.T) {
	kvtest.Run(t, func(*testing.T) kv.Engine { return meter.New(mem.New(mem.Options{}), time.Now) })
}

func of(t *testing.T, e *meter.Engine, class string) meter.Counts {
	t.Helper()
	for _, c := range e.Counts() {
		if c.Class == class {
			return c
		}
	}
	t.Fatalf("nothing is counted of class %q", class)
	return meter.Counts{}
}

func set(tx kv.Tx) error {
	tx.Set([]byte("key"), []byte("value"))
	return nil
}

func TestTransactionsAreTimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := meter.New(mem.New(mem.Options{}), time.Now)
		err := e.View(t.Context(), kv.TxOptions{Class: "get"}, func(kv.Reader) error {
			<-time.After(time.Millisecond)
			return nil
		})
		_, e2 := e.Update(t.Context(), kv.TxOptions{Class: "put"}, func(tx kv.Tx) error {
			<-time.After(3 * time.Millisecond)
			return set(tx)
		})
		if err = errors.Join(err, e2, e.Close()); err != nil {
			t.Fatal(err)
		}
		get, put := of(t, e, "get"), of(t, e, "put")
		if h := get.Views; h.Count != 1 || h.Sum != time.Millisecond || h.Buckets[0.001] != 1 || h.Buckets[0.0005] != 0 || h.Buckets[8.192] != 1 {
			t.Errorf("views: %+v", h)
		}
		if put.Reads.Sum != 3*time.Millisecond || put.Commits.Count != 1 || put.Commits.Sum != 0 || put.Updates.Count != 1 {
			t.Errorf("updates: %+v", put)
		}
		if put.Bytes == 0 || put.Attempts != 1 || put.Transactions != 1 || put.InFlight != 0 {
			t.Errorf("updates: %+v", put)
		}
	})
}

func TestAttemptsAndOutcomesAreCounted(t *testing.T) {
	faults := map[int]mem.Fault{0: mem.Conflict, 1: mem.Conflict, 2: mem.None}
	e := meter.New(mem.New(mem.Options{Faults: mem.Faults{Hook: func(p mem.Point) mem.Fault {
		if p.Class == "lost" && p.Place == mem.AtCommit {
			return mem.UnknownLost
		}
		if p.Place == mem.AtCommit {
			return faults[p.Attempt]
		}
		return mem.None
	}}}), time.Now)
	t.Cleanup(func() { _ = e.Close() })
	if _, err := e.Update(t.Context(), kv.TxOptions{Class: "put"}, set); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Update(t.Context(), kv.TxOptions{Class: "lost"}, set); !errors.Is(err, kv.ErrUnknownCommit) {
		t.Fatal(err)
	}
	own := errors.New("of fn")
	if _, err := e.Update(t.Context(), kv.TxOptions{Class: "own"}, func(kv.Tx) error { return own }); !errors.Is(err, own) {
		t.Fatal(err)
	}
	if c := of(t, e, "put"); c.Attempts != 3 || c.Transactions != 1 || c.Outcomes[meter.Conflicts] != 2 || c.Commits.Count != 1 {
		t.Errorf("conflicts: %+v", c)
	}
	if c := of(t, e, "lost"); c.Outcomes[meter.Unknown] != 1 || c.Bytes != 0 {
		t.Errorf("unknown: %+v", c)
	}
	c := of(t, e, "own")
	for o, n := range c.Outcomes {
		if n != 0 {
			t.Errorf("an error of fn is counted as %v", o)
		}
	}
}

// busy runs everything twice, as an engine does whose store held back the first attempt.
type busy struct{ kv.Engine }

func (b busy) View(ctx context.Context, o kv.TxOptions, fn func(kv.Reader) error) error {
	return errors.Join(b.Engine.View(ctx, o, fn), b.Engine.View(ctx, o, fn))
}

func (b busy) Update(ctx context.Context, o kv.TxOptions, fn func(kv.Tx) error) (kv.Commit, error) {
	if c, err := b.Engine.Update(ctx, o, fn); err == nil {
		return c, nil
	}
	return b.Engine.Update(ctx, o, fn)
}

func TestAttemptsThatWereHeldBackAreCounted(t *testing.T) {
	e := meter.New(busy{mem.New(mem.Options{})}, time.Now)
	t.Cleanup(func() { _ = e.Close() })
	runs := 0
	held := func() error {
		if runs++; runs == 1 {
			return fmt.Errorf("a read: %w", kv.ErrThrottled)
		}
		return nil
	}
	_ = e.View(t.Context(), kv.TxOptions{Class: "get"}, func(kv.Reader) error { return held() })
	runs = 0
	if _, err := e.Update(t.Context(), kv.TxOptions{Class: "put"}, func(kv.Tx) error { return held() }); err != nil {
		t.Fatal(err)
	}
	if c := of(t, e, "put"); c.Attempts != 2 || c.Outcomes[meter.Throttled] != 1 || c.Outcomes[meter.TooOld]+c.Outcomes[meter.Unavailable] != 0 {
		t.Errorf("an update: %+v", c)
	}
	if c := of(t, e, "get"); c.Outcomes[meter.Throttled] == 0 || c.Outcomes[meter.TooOld] != 0 {
		t.Errorf("a view: %+v", c)
	}
}

func TestClassesAreBounded(t *testing.T) {
	e := meter.New(mem.New(mem.Options{}), time.Now)
	t.Cleanup(func() { _ = e.Close() })
	for i := range 300 {
		if err := e.View(t.Context(), kv.TxOptions{Class: fmt.Sprint(i)}, func(kv.Reader) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	counts := e.Counts()
	if len(counts) > 101 || of(t, e, meter.Rest).Transactions != 200 {
		t.Errorf("%d classes, %d transactions of the rest", len(counts), of(t, e, meter.Rest).Transactions)
	}
}

// nothing is an engine that does nothing: what a meter costs is left.
type nothing struct{ kv.Engine }

func (nothing) View(_ context.Context, _ kv.TxOptions, fn func(kv.Reader) error) error {
	return fn(nil)
}

func BenchmarkView(b *testing.B) {
	engines := map[string]kv.Engine{"bare": nothing{}, "metered": meter.New(nothing{}, time.Now)}
	for name, e := range engines {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := e.View(b.Context(), kv.TxOptions{Class: "get"}, func(kv.Reader) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
