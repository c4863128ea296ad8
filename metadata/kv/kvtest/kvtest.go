// Package kvtest is the conformance suite of metadata/kv. Every engine, and
// everything that wraps one, runs it.
//
// Each rule of the contract is one subtest, named after the rule. Random tests
// print their seed in their name. Only tests import this package.
package kvtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/metadata/kv"
)

// Run checks the rules that hold for every engine. open returns a new, empty
// engine; the suite closes it.
func Run(t *testing.T, open func(t *testing.T) kv.Engine) {
	t.Helper()
	rules := []struct {
		name string
		rule func(t *testing.T, e kv.Engine)
	}{
		{"an update reads its own writes", readYourWrites},
		{"a range read merges the update's own writes", rangesSeeOwnWrites},
		{"an iterator sees writes that lie ahead of it", iteratorSeesWritesAhead},
		{"rows may be deleted while they are iterated", deleteWhileIterating},
		{"an empty value is not an absent one", emptyValues},
		{"arguments may be reused after the call", reusedArguments},
		{"a transaction sees one version", snapshotStability},
		{"a limited range read stops at the limit", limitedRanges},
		{"a range with its end before its begin is empty", invertedRanges},
		{"Add sums little-endian integers", addSums},
		{"a DeleteRange deletes what is there at its commit", deleteRangeIsBlind},
		{"ranges of any number of rows are deleted", deleteRanges},
		{"conflicts", conflicts},
		{"an update that only read never conflicts", readOnlyUpdates},
		{"no update is lost", lostUpdates},
		{"there is no write skew", writeSkew},
		{"concurrent adds are all counted", concurrentAdds},
		{"the sum of accounts never changes", bank},
		{"the generation changes with each bump", generations},
		{"limits are exact", limits},
		{"keys from 0xff on are reserved", reservedKeys},
		{"a failed write fails the commit", failedWrites},
		{"an error of fn aborts", fnErrors},
		{"a panic of fn leaves the engine usable", fnPanics},
		{"a canceled context ends an update without a commit", canceled},
		{"retries end at MaxRetries", maxRetries},
		{"retries end at the timeout", timeouts},
		{"a view sees every update that has returned", viewsAreCurrent},
		{"a view does not see an update before its commit", viewsAreCommitted},
		{"commit versions grow", versionsGrow},
		{"nothing works after the end of a transaction", usedAfterEnd},
		{"nothing works after Close", usedAfterClose},
		{"a pinned version stays as it is", pinnedVersions},
		{"transactions of a session read one version", sessions},
		{"random transactions agree with a serial model", serialModel},
		{"concurrent random transactions are serializable", concurrentModel},
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			e := open(t)
			t.Cleanup(func() {
				if err := e.Close(); err != nil && !errors.Is(err, kv.ErrClosed) {
					t.Errorf("close: %v", err)
				}
			})
			r.rule(t, e)
		})
	}
}

// Clock is a clock that tests move by hand.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at a fixed moment.
func NewClock() *Clock { return &Clock{now: time.Unix(1_700_000_000, 0)} }

// Now is the moment at which the clock stands.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func update(t *testing.T, e kv.Engine, fn func(tx kv.Tx)) kv.Commit {
	t.Helper()
	c, err := e.Update(t.Context(), kv.TxOptions{}, func(tx kv.Tx) error {
		fn(tx)
		return nil
	})
	if err != nil {
		t.Fatalf("update: %v", err)
	}
	return c
}

func view(t *testing.T, e kv.Engine, fn func(r kv.Reader)) {
	t.Helper()
	err := e.View(t.Context(), kv.TxOptions{}, func(r kv.Reader) error {
		fn(r)
		return nil
	})
	if err != nil {
		t.Fatalf("view: %v", err)
	}
}

// once runs an update without retries and returns its error.
func once(t *testing.T, e kv.Engine, fn func(tx kv.Tx)) error {
	t.Helper()
	_, err := e.Update(t.Context(), kv.TxOptions{MaxRetries: -1}, func(tx kv.Tx) error {
		fn(tx)
		return nil
	})
	return err
}

const absent = "(absent)"

// get returns the value of key, absent, or the error in parentheses.
func get(r kv.Reader, key string) string {
	v, err := r.Get([]byte(key)).Wait()
	switch {
	case err != nil:
		return fmt.Sprintf("(%v)", err)
	case v == nil:
		return absent
	}
	return string(v)
}

func rng(begin, end string) kv.Range { return kv.Range{Begin: []byte(begin), End: []byte(end)} }

// scan returns the pairs of a range read as "key=value".
func scan(t *testing.T, r kv.Reader, rg kv.Range, o kv.RangeOptions) []string {
	t.Helper()
	it := r.GetRange(rg, o)
	defer it.Close()
	out := []string{}
	for it.Next() {
		p := it.Pair()
		out = append(out, string(p.Key)+"="+string(p.Value))
	}
	if err := it.Err(); err != nil {
		t.Errorf("scan: %v", err)
	}
	return out
}

func set(tx kv.Tx, pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		tx.Set([]byte(pairs[i]), []byte(pairs[i+1]))
	}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func isError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func content(t *testing.T, e kv.Engine) []string {
	t.Helper()
	var out []string
	view(t, e, func(r kv.Reader) { out = scan(t, r, kv.PrefixRange(nil), kv.RangeOptions{}) })
	return out
}

// parallel runs n workers and fails the test with their errors.
func parallel(t *testing.T, n int, work func(ctx context.Context, worker int) error) {
	t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = work(t.Context(), i) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
