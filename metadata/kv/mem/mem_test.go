package mem_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/kvtest"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

func TestConformance(t *testing.T) {
	kvtest.Run(t, func(*testing.T) kv.Engine { return mem.New(mem.Options{}) })
}

func TestConformanceOfARemoteOne(t *testing.T) {
	kvtest.Run(t, func(*testing.T) kv.Engine { return mem.New(mem.Options{Remote: true, Now: slowly()}) })
	kvtest.RunExpiry(t, func(_ *testing.T, now func() time.Time) kv.Engine {
		return mem.New(mem.Options{Remote: true, Now: now})
	})
}

// slowly is a clock by which a session stays young however busy the machine is.
func slowly() func() time.Time {
	start := time.Now()
	return func() time.Time { return start.Add(time.Since(start) / 30) }
}

// With faults that the engine retries by itself every rule still holds that
// does not count the attempts.
func TestConformanceUnderDelays(t *testing.T) {
	kvtest.Run(t, func(*testing.T) kv.Engine {
		return mem.New(mem.Options{Faults: mem.Faults{Seed: 1, Delay: 100 * time.Microsecond}})
	})
}

func TestExpiry(t *testing.T) {
	kvtest.RunExpiry(t, func(_ *testing.T, now func() time.Time) kv.Engine {
		return mem.New(mem.Options{Now: now})
	})
}

func increment(ctx context.Context, e kv.Engine) error {
	_, err := e.Update(ctx, kv.TxOptions{Class: "increment"}, func(tx kv.Tx) error {
		v, err := tx.Get([]byte("n")).Wait()
		if err != nil {
			return err
		}
		n, _ := strconv.Atoi(string(v))
		tx.Set([]byte("n"), []byte(strconv.Itoa(n+1)))
		return nil
	})
	return err
}

func value(t *testing.T, e kv.Engine, key string) string {
	t.Helper()
	var out string
	err := e.View(mem.Quiet(t.Context()), kv.TxOptions{}, func(r kv.Reader) error {
		v, err := r.Get([]byte(key)).Wait()
		out = string(v)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRetryableFaultsAreRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := mem.New(mem.Options{Faults: mem.Faults{
			Seed: 2, CommitConflict: 0.3, CommitTooOld: 0.2, ReadTooOld: 0.2, Delay: 50 * time.Millisecond,
		}})
		for range 100 {
			if err := increment(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		if got := value(t, e, "n"); got != "100" {
			t.Errorf("n = %s", got)
		}
	})
}

func TestUnknownCommitsAreNeverRepeated(t *testing.T) {
	e := mem.New(mem.Options{Faults: mem.Faults{Seed: 3, CommitUnknownApplied: 0.3, CommitUnknownLost: 0.3}})
	unknown, before := 0, 0
	applied, lost := 0, 0
	for range 200 {
		runs := 0
		_, err := e.Update(t.Context(), kv.TxOptions{}, func(tx kv.Tx) error {
			runs++
			tx.Add([]byte("n"), 1)
			return nil
		})
		if runs != 1 {
			t.Fatalf("fn ran %d times", runs)
		}
		after := int(sum(value(t, e, "n")))
		switch {
		case err == nil && after == before+1:
		case errors.Is(err, kv.ErrUnknownCommit) && after == before+1:
			unknown++
			applied++
		case errors.Is(err, kv.ErrUnknownCommit) && after == before:
			unknown++
			lost++
		default:
			t.Fatalf("%v: n went from %d to %d", err, before, after)
		}
		before = after
	}
	if applied < 20 || lost < 20 {
		t.Errorf("%d unknown commits, of which %d applied and %d lost", unknown, applied, lost)
	}
}

func sum(v string) uint64 {
	var n uint64
	for i, b := range []byte(v) {
		n |= uint64(b) << (8 * i)
	}
	return n
}

func TestRivalRunsBeforeTheCallerLearns(t *testing.T) {
	for _, fault := range []mem.Fault{mem.UnknownApplied, mem.UnknownLost} {
		var seen []string
		e := mem.New(mem.Options{Faults: mem.Faults{
			Hook: func(p mem.Point) mem.Fault {
				if p.Place == mem.AtCommit && p.Class == "victim" {
					return fault
				}
				return mem.None
			},
			Rival: func(ctx context.Context, e *mem.Engine) {
				_, err := e.Update(ctx, kv.TxOptions{Class: "victim"}, func(tx kv.Tx) error {
					v, err := tx.Get([]byte("k")).Wait()
					seen = append(seen, string(v))
					tx.Set([]byte("k"), []byte("rival"))
					return err
				})
				if err != nil {
					t.Error(err)
				}
			},
		}})
		_, err := e.Update(t.Context(), kv.TxOptions{Class: "victim"}, func(tx kv.Tx) error {
			tx.Set([]byte("k"), []byte("mine"))
			return nil
		})
		if !errors.Is(err, kv.ErrUnknownCommit) {
			t.Errorf("update: %v", err)
		}
		want := []string{""}
		if fault == mem.UnknownApplied {
			want = []string{"mine"}
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("fault %d: rival saw (-want +got):\n%s", fault, diff)
		}
		if got := value(t, e, "k"); got != "rival" {
			t.Errorf("fault %d: k = %q", fault, got)
		}
	}
}

func TestHookSelectsTheTransaction(t *testing.T) {
	var points []mem.Point
	e := mem.New(mem.Options{Faults: mem.Faults{Hook: func(p mem.Point) mem.Fault {
		points = append(points, p)
		if p.Place == mem.AtCommit && p.Attempt == 0 {
			return mem.Conflict
		}
		if p.Place == mem.AtRead && p.Class == "down" {
			return mem.Unavailable
		}
		return mem.None
	}}})
	if err := increment(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	want := []mem.Point{
		{Place: mem.AtRead, Class: "increment", Seq: 1},
		{Place: mem.AtCommit, Class: "increment", Seq: 1},
		{Place: mem.AtRead, Class: "increment", Attempt: 1, Seq: 2},
		{Place: mem.AtCommit, Class: "increment", Attempt: 1, Seq: 2},
	}
	if diff := cmp.Diff(want, points); diff != "" {
		t.Error(diff)
	}
	err := e.View(t.Context(), kv.TxOptions{Class: "down"}, func(r kv.Reader) error {
		_, err := r.Get([]byte("n")).Wait()
		return err
	})
	if !errors.Is(err, kv.ErrUnavailable) {
		t.Errorf("view of an unavailable engine: %v", err)
	}
}

func TestFaultsRepeatWithTheSeed(t *testing.T) {
	run := func(seed uint64) []string {
		e := mem.New(mem.Options{Faults: mem.Faults{
			Seed: seed, CommitUnknownApplied: 0.2, CommitUnknownLost: 0.2, CommitUnavailable: 0.2, ReadUnavailable: 0.1,
		}})
		var out []string
		for range 100 {
			out = append(out, fmt.Sprint(increment(t.Context(), e)))
		}
		return out
	}
	first := run(7)
	if diff := cmp.Diff(first, run(7)); diff != "" {
		t.Errorf("same seed (-first +second):\n%s", diff)
	}
	if slices.Equal(first, run(8)) {
		t.Error("another seed gives the same faults")
	}
}

func TestDelayEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := mem.New(mem.Options{Faults: mem.Faults{Seed: 1, Delay: time.Hour}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := increment(ctx, e); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("update: %v", err)
		}
	})
}

// What was waited for stays; what was not is gone with its transaction.
func TestReadsOfARemoteOneAfterTheirTransaction(t *testing.T) {
	e := mem.New(mem.Options{Remote: true})
	t.Cleanup(func() { _ = e.Close() })
	var waited, left kv.Future
	_, err := e.Update(t.Context(), kv.TxOptions{}, func(tx kv.Tx) error {
		tx.Add([]byte("n"), 1)
		waited, left = tx.Get([]byte("n")), tx.Get([]byte("n"))
		_, err := waited.Wait()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if v, err := waited.Wait(); err != nil || len(v) != 8 || v[0] != 1 {
			t.Errorf("waited for: %v, %v", v, err)
		}
		if v, err := left.Wait(); !errors.Is(err, kv.ErrClosed) {
			t.Errorf("not waited for: %v, %v", v, err)
		}
	}
}
