package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/breaker"
	"github.com/undercroft/undercroft/metadata/kv/kvtest"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// bench is a breaker before an engine that may be made unwell.
type bench struct {
	*breaker.Engine
	t      *testing.T
	outage mem.Outage
	log    strings.Builder
}

// within runs a test of a breaker in a bubble.
func within(t *testing.T, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t}
		b.Engine = breaker.New(mem.New(mem.Options{Outage: &b.outage}), breaker.Options{
			Now: time.Now, Logger: slog.New(slog.NewTextHandler(&b.log, nil)),
		})
		test(b)
		b.outage.End()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

func (b *bench) read(ctx context.Context) error {
	return b.View(ctx, kv.TxOptions{}, func(r kv.Reader) error {
		_, err := r.Get([]byte("k")).Wait()
		return err
	})
}

func (b *bench) write(ctx context.Context) error {
	_, err := b.Update(ctx, kv.TxOptions{}, func(tx kv.Tx) error {
		tx.Set([]byte("k"), []byte("v"))
		return nil
	})
	return err
}

func request(t *testing.T) context.Context {
	t.Helper()
	return kv.WithBudget(t.Context(), 10*time.Second)
}

func TestClosedBreakerKeepsTheContract(t *testing.T) {
	kvtest.Run(t, func(*testing.T) kv.Engine {
		// A busy machine may keep the probes waiting.
		return breaker.New(mem.New(mem.Options{}), breaker.Options{Now: time.Now, Silence: time.Hour})
	})
}

func TestRequestsFailFastWhileTheStoreHangs(t *testing.T) {
	within(t, func(b *bench) {
		t := b.t
		b.outage.Begin(mem.Hanging)
		start := time.Now()
		err := b.read(request(t))
		if !errors.Is(err, kv.ErrUnavailable) || !errors.Is(err, kv.ErrTimeout) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("took %v", took)
		}
		<-time.After(time.Second)
		start = time.Now()
		if err := b.read(request(t)); !errors.Is(err, kv.ErrAway) || !strings.Contains(err.Error(), "for 6s") {
			t.Errorf("got %v", err)
		}
		if err := b.write(request(t)); !errors.Is(err, kv.ErrAway) {
			t.Errorf("got %v", err)
		}
		if err := b.write(t.Context()); !errors.Is(err, kv.ErrAway) {
			t.Errorf("got %v in the background", err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
		if err := b.Answers(); !errors.Is(err, kv.ErrAway) {
			t.Errorf("it answers: %v", err)
		}
		if s := b.Status(); !s.Open || s.Refused != 3 || s.Opened != 1 || s.InFlight > 1 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestBreakerOpensAfterFailuresInARow(t *testing.T) {
	for _, trouble := range []mem.Trouble{mem.Down, mem.TimingOut} {
		within(t, func(b *bench) {
			t := b.t
			b.outage.Begin(trouble)
			for range 5 {
				if err := b.read(request(t)); !errors.Is(err, kv.ErrUnavailable) || errors.Is(err, kv.ErrAway) {
					t.Errorf("got %v", err)
				}
			}
			if err := b.read(request(t)); !errors.Is(err, kv.ErrAway) {
				t.Errorf("got %v of an open breaker", err)
			}
			b.outage.End()
			<-time.After(600 * time.Millisecond) // for a probe
			if err := b.write(request(t)); err != nil {
				t.Errorf("got %v of a store that is back", err)
			}
			if s := b.Status(); s.Open || s.Opened != 1 {
				t.Errorf("got %+v", s)
			}
		})
	}
}

func TestStoreThatComesBackIsUsedWithoutARequest(t *testing.T) {
	within(t, func(b *bench) {
		t := b.t
		b.outage.Begin(mem.Hanging)
		<-time.After(time.Minute + 100*time.Millisecond)
		if s := b.Status(); !s.Open || s.Silence < 59*time.Second || s.InFlight > 1 {
			t.Errorf("got %+v", s)
		}
		b.outage.End()
		<-time.After(600 * time.Millisecond)
		if err := b.Answers(); err != nil {
			t.Errorf("got %v", err)
		}
		if s := b.Status(); s.Open || s.Silence > 2*time.Second {
			t.Errorf("got %+v", s)
		}
		<-time.After(time.Hour) // idle
		if err := errors.Join(b.Answers(), b.read(request(t))); err != nil {
			t.Errorf("got %v after an idle hour", err)
		}
		if lines := strings.Count(b.log.String(), "\n"); lines != 2 {
			t.Errorf("%d lines of log, want one for each change:\n%s", lines, b.log.String())
		}
	})
}

func TestBudgetOfARequest(t *testing.T) {
	within(t, func(b *bench) {
		t := b.t
		ctx := kv.WithBudget(t.Context(), 7*time.Second)
		b.outage.Begin(mem.Hanging)
		time.AfterFunc(4*time.Second, b.outage.End)
		if err := b.read(ctx); err != nil {
			t.Fatal(err)
		}
		if left := kv.BudgetOf(ctx).Left(); left != 3*time.Second {
			t.Errorf("%v left", left)
		}
		for range 100 { // quick ones are free
			if err := b.read(ctx); err != nil {
				t.Fatal(err)
			}
		}
		b.outage.Begin(mem.Hanging)
		start := time.Now()
		if err := b.write(ctx); !errors.Is(err, kv.ErrUnknownCommit) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("took %v, the rest of the budget is 3s", took)
		}
		b.outage.End()
		if err := b.read(ctx); !errors.Is(err, kv.ErrUnavailable) {
			t.Errorf("got %v of a request that has waited enough", err)
		}
		if err := b.read(request(t)); err != nil {
			t.Errorf("got %v of another", err)
		}
	})
}

func TestLockedStore(t *testing.T) {
	within(t, func(b *bench) {
		t := b.t
		b.outage.Begin(mem.Locked)
		for range 10 {
			if err := b.write(request(t)); !errors.Is(err, kv.ErrLocked) {
				t.Errorf("got %v", err)
			}
		}
		<-time.After(time.Minute)
		if err := b.read(request(t)); !errors.Is(err, kv.ErrLocked) {
			t.Errorf("a read: %v", err)
		}
		if err := b.Answers(); err != nil {
			t.Errorf("a store that is locked answers: %v", err)
		}
		if s := b.Status(); !s.Locked || s.Open {
			t.Errorf("got %+v", s)
		}
		b.outage.End()
		<-time.After(600 * time.Millisecond)
		if s := b.Status(); s.Locked {
			t.Errorf("got %+v of a store that was unlocked", s)
		}
		if err := b.read(request(t)); err != nil {
			t.Errorf("a read after that: %v", err)
		}
	})
}

func TestClientsThatLeaveSayNothingOfTheStore(t *testing.T) {
	within(t, func(b *bench) {
		t := b.t
		b.outage.Begin(mem.Hanging)
		for range 10 {
			ctx, cancel := context.WithCancel(request(t))
			time.AfterFunc(100*time.Millisecond, cancel)
			if err := b.read(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
		if s := b.Status(); s.Open {
			t.Errorf("got %+v", s)
		}
	})
}

// One class that is held back is no reason to refuse the others.
func TestWhatIsThrottledSaysNothingOfTheStore(t *testing.T) {
	within(t, func(b *bench) {
		t := b.t
		for range 10 {
			err := b.View(request(t), kv.TxOptions{}, func(kv.Reader) error { return fmt.Errorf("%w: %w", kv.ErrTimeout, kv.ErrThrottled) })
			if !errors.Is(err, kv.ErrThrottled) || !errors.Is(err, kv.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		}
		if s := b.Status(); s.Open || s.Opened != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestWritersThatFindNoMomentSayNothingOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		always := func(p mem.Point) mem.Fault {
			if p.Place == mem.AtCommit {
				return mem.Conflict
			}
			return mem.None
		}
		e := breaker.New(mem.New(mem.Options{Faults: mem.Faults{Hook: always}}), breaker.Options{Now: time.Now})
		for range 6 {
			_, err := e.Update(request(t), kv.TxOptions{}, func(tx kv.Tx) error {
				tx.Set([]byte("k"), nil)
				return nil
			})
			if !errors.Is(err, kv.ErrConflict) || errors.Is(err, kv.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		}
		if s := e.Status(); s.Open {
			t.Errorf("got %+v", s)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestTransactionsUnderWayAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var outage mem.Outage
		e := breaker.New(mem.New(mem.Options{Outage: &outage}), breaker.Options{Now: time.Now, Most: 3})
		view := func() error {
			return e.View(request(t), kv.TxOptions{}, func(r kv.Reader) error {
				_, err := r.Get([]byte("k")).Wait()
				return err
			})
		}
		outage.Begin(mem.Hanging)
		done := make(chan error, 3)
		for range 3 {
			go func() { done <- view() }()
		}
		synctest.Wait()
		if err := view(); !errors.Is(err, kv.ErrUnavailable) {
			t.Errorf("got %v of one too many", err)
		}
		outage.End()
		for range 3 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if err := errors.Join(view(), e.Close()); err != nil {
			t.Error(err)
		}
	})
}
