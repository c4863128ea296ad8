//go:build fdb

package fdb_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// ledger is a workload that shows whether an update was lost or done twice: each
// writes a row of its own and counts it, blindly and by reading a total.
type ledger struct {
	e      kv.Engine
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex // guards what follows
	changed chan struct{}
	fates   map[string]fate // by row
	counts  map[fate]int
	errs    map[string]int // to tell
}

// fate is what the writer of a row was told.
type fate string

const (
	done    fate = "done"
	refused fate = "refused"
	unknown fate = "unknown"
)

// begin starts writers.
func begin(t *testing.T, e kv.Engine, writers int) *ledger {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &ledger{e: e, cancel: cancel, changed: make(chan struct{}), fates: map[string]fate{}, counts: map[fate]int{}, errs: map[string]int{}}
	for w := range writers {
		l.wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				row := fmt.Sprintf("row %d %d", w, n)
				l.note(row, l.write(context.WithoutCancel(ctx), row, w))
			}
		})
	}
	t.Cleanup(func() { cancel(); l.wg.Wait() })
	return l
}

// write is not cut short: what it is told is the engine's word.
func (l *ledger) write(ctx context.Context, row string, writer int) error {
	total := fmt.Appendf(nil, "total %d", writer%3) // some share one and conflict
	_, err := l.e.Update(ctx, kv.TxOptions{Timeout: 3 * time.Second}, func(tx kv.Tx) error {
		was, err := tx.Get([]byte(row)).Wait()
		if err != nil {
			return err
		}
		if was != nil {
			return fmt.Errorf("%w: %s was written before", errTwice, row)
		}
		v, err := tx.Get(total).Wait()
		if err != nil {
			return err
		}
		var n int
		if v != nil {
			if _, err := fmt.Sscan(string(v), &n); err != nil {
				return err
			}
		}
		tx.Set([]byte(row), []byte("x"))
		tx.Set(total, fmt.Append(nil, n+1))
		tx.Add([]byte("count"), 1)
		return nil
	})
	return err
}

var errTwice = errors.New("done twice")

func (l *ledger) note(row string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := done
	switch {
	case errors.Is(err, kv.ErrUnknownCommit):
		f = unknown
	case err != nil:
		f = refused
	}
	l.fates[row] = f
	l.counts[f]++
	if err != nil {
		l.errs[err.Error()]++
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// await returns when n more updates ended so, which takes no longer than the
// cluster does to come back.
func (l *ledger) await(t *testing.T, n int, of ...fate) {
	t.Helper()
	timer := time.NewTimer(2 * time.Minute)
	defer timer.Stop()
	sum := func() (sum int) {
		for _, f := range of {
			sum += l.counts[f]
		}
		return sum
	}
	l.mu.Lock()
	until := sum() + n
	l.mu.Unlock()
	for {
		l.mu.Lock()
		now, changed := sum(), l.changed
		l.mu.Unlock()
		if now >= until {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			t.Fatalf("%d of %d more updates were %v: %v\n%v", n-(until-now), n, of, l.counts, l.errs)
		}
	}
}

// end stops the writers and holds that each row is there that was acknowledged,
// none that was refused, and that each is counted once.
func (l *ledger) end(t *testing.T) {
	t.Helper()
	l.cancel()
	l.wg.Wait()
	rows, totals, count := 0, 0, int64(0)
	there := map[string]bool{}
	err := l.e.View(t.Context(), kv.TxOptions{Timeout: time.Minute}, func(r kv.Reader) error {
		rows, totals, count = 0, 0, 0
		clear(there)
		it := r.GetRange(kv.PrefixRange(nil), kv.RangeOptions{})
		defer it.Close()
		for it.Next() {
			p := it.Pair()
			var n int
			switch key := string(p.Key); {
			case key == "count":
				for i, b := range p.Value {
					count |= int64(b) << (8 * i)
				}
			case len(key) > 5 && key[:5] == "total":
				if _, err := fmt.Sscan(string(p.Value), &n); err != nil {
					return err
				}
				totals += n
			default:
				rows++
				there[key] = true
			}
		}
		return it.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v; %v", l.counts, l.errs)
	if rows != totals || int64(rows) != count {
		t.Errorf("%d rows, %d in the totals, %d counted", rows, totals, count)
	}
	for row, f := range l.fates {
		if f == done && !there[row] {
			t.Errorf("%s was acknowledged and is not there", row)
		}
		if f == refused && there[row] {
			t.Errorf("%s was refused and is there", row)
		}
	}
	for text := range l.errs {
		if strings.Contains(text, errTwice.Error()) {
			t.Error(text)
		}
	}
}
