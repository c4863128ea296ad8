package kvtest

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

var errAbort = errors.New("abort")

func limits(t *testing.T, e kv.Engine) {
	longKey := func(n int) []byte { return bytes.Repeat([]byte("k"), n) }
	try := func(fn func(tx kv.Tx)) error {
		return once(t, e, func(tx kv.Tx) { fn(tx); set(tx, "other", "x") })
	}
	for _, c := range []struct {
		name   string
		fn     func(tx kv.Tx)
		expect error
	}{
		{"Set of the longest key", func(tx kv.Tx) { tx.Set(longKey(kv.MaxKey), nil) }, nil},
		{"Set of a longer key", func(tx kv.Tx) { tx.Set(longKey(kv.MaxKey+1), nil) }, kv.ErrKeyTooLarge},
		{"Delete of a longer key", func(tx kv.Tx) { tx.Delete(longKey(kv.MaxKey + 1)) }, kv.ErrKeyTooLarge},
		{"Add to a longer key", func(tx kv.Tx) { tx.Add(longKey(kv.MaxKey+1), 1) }, kv.ErrKeyTooLarge},
		{"DeleteRange to behind the longest key", func(tx kv.Tx) {
			tx.DeleteRange(kv.Range{Begin: longKey(kv.MaxKey), End: kv.KeyAfter(longKey(kv.MaxKey))})
		}, nil},
		{"Set of the longest value", func(tx kv.Tx) { tx.Set([]byte("v"), make([]byte, kv.MaxValue)) }, nil},
		{"Set of a longer value", func(tx kv.Tx) { tx.Set([]byte("v"), make([]byte, kv.MaxValue+1)) }, kv.ErrValueTooLarge},
		{"the largest transaction", func(tx kv.Tx) { fill(t, tx, kv.MaxTx) }, nil},
		{"a larger transaction", func(tx kv.Tx) { fill(t, tx, kv.MaxTx+1) }, kv.ErrTxTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) { isError(t, "commit", try(c.fn), c.expect) })
	}
	update(t, e, func(tx kv.Tx) {
		equal(t, "size of nothing", tx.Size(), 0)
		tx.Set(longKey(kv.MaxKey), []byte("1"))
		before := tx.Size()
		if before < kv.MaxKey+1 {
			t.Errorf("size %d after one Set of the longest key", before)
		}
		_, err := tx.Get(longKey(kv.MaxKey + 1)).Wait()
		isError(t, "Get of a longer key", err, kv.ErrKeyTooLarge)
		get(tx, "elsewhere")
		tx.AddReadConflictRange(rng("a", "b"))
		if tx.Size() <= before {
			t.Error("conflict ranges do not count")
		}
	})
	view(t, e, func(r kv.Reader) {
		equal(t, "row of the longest key", get(r, string(longKey(kv.MaxKey))), "1")
		if v := get(r, "v"); len(v) != kv.MaxValue {
			t.Errorf("longest value reads as %d bytes", len(v))
		}
	})
}

// fill writes until the size, with the row "other" that the caller adds, is
// exactly size.
func fill(t *testing.T, tx kv.Tx, size int) {
	t.Helper()
	set(tx, "other", "x")
	other := tx.Size()
	key := []byte{'f', 0, 0}
	write := func(value int) {
		key[1], key[2] = key[1]+key[2]/255, (key[2]+1)%255
		tx.Set(key, make([]byte, value))
	}
	before := tx.Size()
	write(0)
	overhead := tx.Size() - before
	for left := size - other - tx.Size(); left > 0; left = size - other - tx.Size() {
		n := min(left-overhead, kv.MaxValue)
		if left > overhead+kv.MaxValue && left < 2*overhead+kv.MaxValue {
			n -= overhead // leave room for one more row
		}
		write(n)
	}
	equal(t, "size", tx.Size()+other, size)
}

func reservedKeys(t *testing.T, e kv.Engine) {
	isError(t, "Set", once(t, e, func(tx kv.Tx) { set(tx, "\xff", "x") }), kv.ErrKeyReserved)
	isError(t, "Set", once(t, e, func(tx kv.Tx) { set(tx, "\xffversion", "x") }), kv.ErrKeyReserved)
	isError(t, "DeleteRange", once(t, e, func(tx kv.Tx) { tx.DeleteRange(rng("a", "\xff\x00")) }), kv.ErrKeyReserved)
	view(t, e, func(r kv.Reader) {
		_, err := r.Get([]byte("\xffversion")).Wait()
		isError(t, "Get", err, kv.ErrKeyReserved)
		it := r.GetRange(rng("a", "\xff\xff"), kv.RangeOptions{})
		defer it.Close()
		if it.Next() {
			t.Errorf("range read returned %q", it.Pair().Key)
		}
		isError(t, "range", it.Err(), kv.ErrKeyReserved)
	})
	update(t, e, func(tx kv.Tx) { set(tx, "\xfe\xff", "last", "a", "first") })
	equal(t, "whole user key space", content(t, e), []string{"a=first", "\xfe\xff=last"})
}

func failedWrites(t *testing.T, e kv.Engine) {
	err := once(t, e, func(tx kv.Tx) {
		set(tx, "a", "1")
		tx.Set(make([]byte, kv.MaxKey+1), nil)
		tx.Set([]byte("v"), make([]byte, kv.MaxValue+1))
		set(tx, "b", "2")
	})
	isError(t, "first error", err, kv.ErrKeyTooLarge)
	equal(t, "content", content(t, e), []string{})
}

func fnErrors(t *testing.T, e kv.Engine) {
	n := 0
	_, err := e.Update(t.Context(), kv.TxOptions{}, func(tx kv.Tx) error {
		n++
		set(tx, "a", "1")
		get(tx, "b")
		return errAbort
	})
	if err != errAbort { //nolint:errorlint // it has to be the very same error
		t.Errorf("update returned %v", err)
	}
	equal(t, "runs", n, 1)
	equal(t, "content", content(t, e), []string{})
	if err := e.View(t.Context(), kv.TxOptions{}, func(kv.Reader) error { return errAbort }); err != errAbort { //nolint:errorlint // as above
		t.Errorf("view returned %v", err)
	}
}

func fnPanics(t *testing.T, e kv.Engine) {
	func() {
		defer func() { equal(t, "panic", recover(), any("boom")) }()
		_, _ = e.Update(t.Context(), kv.TxOptions{}, func(tx kv.Tx) error {
			tx.GetRange(rng("a", "b"), kv.RangeOptions{}).Next()
			set(tx, "a", "1")
			panic("boom")
		})
	}()
	update(t, e, func(tx kv.Tx) { get(tx, "a"); set(tx, "b", "2") })
	equal(t, "content", content(t, e), []string{"b=2"})
}

func canceled(t *testing.T, e kv.Engine) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := e.Update(ctx, kv.TxOptions{}, func(tx kv.Tx) error {
		set(tx, "a", "1")
		cancel()
		_, err := tx.Get([]byte("b")).Wait()
		isError(t, "read after the end of the context", err, context.Canceled)
		return nil
	})
	isError(t, "update", err, context.Canceled)
	if errors.Is(err, kv.ErrUnknownCommit) {
		t.Error("a commit was attempted")
	}
	_, err = e.Update(ctx, kv.TxOptions{}, func(kv.Tx) error {
		t.Error("fn ran")
		return nil
	})
	isError(t, "update that never began", err, context.Canceled)
	isError(t, "view", e.View(ctx, kv.TxOptions{}, func(kv.Reader) error { return nil }), context.Canceled)
	equal(t, "content", content(t, e), []string{})

	// It also ends the retries.
	ctx, cancel = context.WithCancel(t.Context())
	runs := 0
	_, err = e.Update(ctx, patient(), func(tx kv.Tx) error {
		if runs++; runs == 3 {
			cancel()
		}
		return alwaysConflicts(t, e, tx)
	})
	isError(t, "update under conflict", err, context.Canceled)
	equal(t, "runs", runs, 3)
}

// alwaysConflicts makes the transaction conflict with a rival.
func alwaysConflicts(t *testing.T, e kv.Engine, tx kv.Tx) error {
	t.Helper()
	get(tx, "hot")
	update(t, e, func(rival kv.Tx) { set(rival, "hot", "x") })
	set(tx, "cold", "x")
	return nil
}

func maxRetries(t *testing.T, e kv.Engine) {
	var attempts []int
	_, err := e.Update(t.Context(), kv.TxOptions{MaxRetries: 3}, func(tx kv.Tx) error {
		attempts = append(attempts, tx.Attempt())
		return alwaysConflicts(t, e, tx)
	})
	isError(t, "update", err, kv.ErrConflict)
	equal(t, "attempts", attempts, []int{0, 1, 2, 3})
	attempts = nil
	_, err = e.Update(t.Context(), kv.TxOptions{}, func(tx kv.Tx) error {
		attempts = append(attempts, tx.Attempt())
		if tx.Attempt() < 2 {
			return alwaysConflicts(t, e, tx)
		}
		set(tx, "cold", "y")
		return nil
	})
	isError(t, "third attempt", err, nil)
	equal(t, "attempts", attempts, []int{0, 1, 2})
}

func timeouts(t *testing.T, e kv.Engine) {
	_, err := e.Update(t.Context(), kv.TxOptions{Timeout: 20 * time.Millisecond}, func(tx kv.Tx) error {
		return alwaysConflicts(t, e, tx)
	})
	isError(t, "update", err, kv.ErrTimeout)
	if errors.Is(err, kv.ErrUnknownCommit) {
		t.Error("the outcome of a timeout before the commit is known")
	}
	view(t, e, func(r kv.Reader) { equal(t, "cold", get(r, "cold"), absent) })
}

func viewsAreCurrent(t *testing.T, e kv.Engine) {
	for i := range 50 {
		want := string(rune('a' + i%26))
		update(t, e, func(tx kv.Tx) { set(tx, "k", want) })
		view(t, e, func(r kv.Reader) { equal(t, "k", get(r, "k"), want) })
	}
}

func viewsAreCommitted(t *testing.T, e kv.Engine) {
	update(t, e, func(tx kv.Tx) {
		set(tx, "a", "1")
		view(t, e, func(r kv.Reader) { equal(t, "during the update", get(r, "a"), absent) })
	})
	view(t, e, func(r kv.Reader) { equal(t, "after the update", get(r, "a"), "1") })
}

func usedAfterEnd(t *testing.T, e kv.Engine) {
	update(t, e, func(tx kv.Tx) { set(tx, "a", "1", "b", "2") })
	var kept kv.Tx
	var it kv.Iterator
	update(t, e, func(tx kv.Tx) {
		kept = tx
		it = tx.GetRange(rng("a", "z"), kv.RangeOptions{})
		it.Next()
	})
	_, err := kept.Get([]byte("a")).Wait()
	isError(t, "Get", err, kv.ErrClosed)
	if it.Next() {
		t.Error("iterator goes on after the transaction")
	}
	isError(t, "iterator", it.Err(), kv.ErrClosed)
	later := kept.GetRange(rng("a", "z"), kv.RangeOptions{})
	if later.Next() {
		t.Error("iterator works after the transaction")
	}
	isError(t, "later iterator", later.Err(), kv.ErrClosed)
	set(kept, "c", "3")
	equal(t, "content", content(t, e), []string{"a=1", "b=2"})
}

func usedAfterClose(t *testing.T, e kv.Engine) {
	update(t, e, func(tx kv.Tx) { set(tx, "a", "1") })
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := e.Update(t.Context(), kv.TxOptions{}, func(kv.Tx) error { return nil })
	isError(t, "Update", err, kv.ErrClosed)
	isError(t, "View", e.View(t.Context(), kv.TxOptions{}, func(kv.Reader) error { return nil }), kv.ErrClosed)
	isError(t, "Close", e.Close(), kv.ErrClosed)
}
