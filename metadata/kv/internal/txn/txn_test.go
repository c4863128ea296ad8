package txn_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/internal/txn"
)

// nothing is a snapshot without any rows.
type nothing struct{}

func (nothing) Begin() (txn.Snapshot, error)          { return nothing{}, nil }
func (nothing) Version() uint64                       { return 1 }
func (nothing) Generation() []byte                    { return nil }
func (nothing) Get([]byte) ([]byte, error)            { return nil, nil }
func (nothing) Forward(kv.Range) (txn.Cursor, error)  { return nothing{}, nil }
func (nothing) Backward(kv.Range) (txn.Cursor, error) { return nothing{}, nil }
func (nothing) Next() bool                            { return false }
func (nothing) Skip([]byte)                           {}
func (nothing) Pair() kv.Pair                         { return kv.Pair{} }
func (nothing) Err() error                            { return nil }
func (nothing) Close()                                {}

func newTx(t *testing.T) *txn.Tx {
	t.Helper()
	return txn.New(txn.Config{Source: nothing{}, Now: func() time.Time { return time.Time{} }, Context: t.Context()})
}

// The keys of these tests are two digits, so that a set of keys can be listed.
const keys = 100

func key(i int) []byte { return fmt.Appendf(nil, "%02d", i) }

func covered(ranges []kv.Range) [keys]bool {
	var out [keys]bool
	for i := range out {
		for _, r := range ranges {
			if string(r.Begin) <= string(key(i)) && string(key(i)) < string(r.End) {
				out[i] = true
			}
		}
	}
	return out
}

// A range read depends on exactly those keys of the range that the transaction
// has not set or deleted before.
func TestReadRangesLeaveOutOwnWrites(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		tx := newTx(t)
		var own [keys]bool
		for range r.IntN(8) {
			i := r.IntN(keys)
			switch r.IntN(4) {
			case 0:
				tx.Set(key(i), nil)
				own[i] = true
			case 1:
				tx.Delete(key(i))
				own[i] = true
			case 2:
				tx.Add(key(i), 1)
			case 3:
				end := min(keys-1, i+r.IntN(30))
				tx.DeleteRange(kv.Range{Begin: key(i), End: key(end)})
				for j := i; j < end; j++ {
					own[j] = true
				}
			}
		}
		begin := r.IntN(keys - 1)
		end := begin + r.IntN(keys-begin)
		if r.IntN(2) == 0 {
			tx.AddReadConflictRange(kv.Range{Begin: key(begin), End: key(end)})
		} else {
			it := tx.GetRange(kv.Range{Begin: key(begin), End: key(end)}, kv.RangeOptions{Reverse: r.IntN(2) == 0})
			for it.Next() {
				if i := string(it.Pair().Key); i < string(key(begin)) || i >= string(key(end)) {
					t.Fatalf("key %s is not in the range", i)
				}
			}
		}
		var want [keys]bool
		for i := begin; i < end; i++ {
			want[i] = !own[i]
		}
		if diff := cmp.Diff(want, covered(tx.ReadRanges())); diff != "" {
			t.Fatalf("range %d to %d over %v (-want +got):\n%s", begin, end, own, diff)
		}
	}
}

func TestClearedRangesAreMerged(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 300 {
		tx := newTx(t)
		var want [keys]bool
		for range 1 + r.IntN(10) {
			i := r.IntN(keys)
			end := min(keys-1, i+r.IntN(12))
			tx.DeleteRange(kv.Range{Begin: key(i), End: key(end)})
			for j := i; j < end; j++ {
				want[j] = true
			}
		}
		if diff := cmp.Diff(want, covered(tx.Cleared())); diff != "" {
			t.Fatal(diff)
		}
		for i, c := range tx.Cleared() {
			if i > 0 && string(tx.Cleared()[i-1].End) >= string(c.Begin) {
				t.Fatalf("ranges overlap or touch: %q", tx.Cleared())
			}
		}
	}
}

// now is the time of the bubble that the test runs in.
func now() time.Time {
	epoch := time.Unix(0, 0)
	return epoch.Add(time.Since(epoch))
}

func loop() *txn.Loop {
	return &txn.Loop{Now: now, Jitter: func(limit time.Duration) time.Duration { return limit }}
}

func TestBackoffIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last time.Time
		longest := time.Duration(0)
		err := loop().Run(t.Context(), kv.TxOptions{Timeout: time.Minute, MaxRetries: 200}, func(n int, _ time.Time) error {
			if n > 0 {
				longest = max(longest, time.Since(last))
			}
			last = now()
			return fmt.Errorf("wrapped: %w", kv.ErrConflict)
		})
		if !errors.Is(err, kv.ErrConflict) {
			t.Errorf("error %v", err)
		}
		if longest > 50*time.Millisecond || longest < time.Millisecond {
			t.Errorf("longest pause %v", longest)
		}
	})
}

func TestTimeoutBoundsTheWholeCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := now()
		err := loop().Run(t.Context(), kv.TxOptions{Timeout: time.Second}, func(int, time.Time) error { return kv.ErrTooOld })
		if took := time.Since(start); !errors.Is(err, kv.ErrTimeout) || took != time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

func TestOnlyConflictAndAgeAreRepeated(t *testing.T) {
	for _, c := range []struct {
		err  error
		runs int
	}{
		{nil, 1},
		{kv.ErrConflict, 3},
		{kv.ErrTooOld, 3},
		{kv.ErrUnknownCommit, 1},
		{fmt.Errorf("%w: %w", kv.ErrUnknownCommit, kv.ErrTooOld), 1},
		{kv.ErrUnavailable, 1},
		{kv.ErrNoSpace, 1},
		{kv.ErrTxTooLarge, 1},
		{context.DeadlineExceeded, 1},
	} {
		runs := 0
		err := loop().Run(t.Context(), kv.TxOptions{MaxRetries: 2}, func(int, time.Time) error {
			runs++
			return c.err
		})
		if runs != c.runs || !errors.Is(err, c.err) {
			t.Errorf("%v: ran %d times, returned %v", c.err, runs, err)
		}
	}
}
