package kvtest

import (
	"testing"

	"github.com/undercroft/undercroft/metadata/kv"
)

// conflict is a pair of transactions: first runs up to its commit, then the
// rival commits, then first commits and has to conflict or not.
type conflict struct {
	name   string
	first  func(t *testing.T, tx kv.Tx)
	rival  func(tx kv.Tx)
	expect error
}

// conflicts runs every pair over the rows b, d, f and the number n. first also
// writes a row of its own, so that it has something to commit.
func conflicts(t *testing.T, e kv.Engine) {
	cases := append(append(pointConflicts(), rangeConflicts()...), ownWriteConflicts()...)
	for _, c := range append(cases, handMadeConflicts()...) {
		t.Run(c.name, func(t *testing.T) {
			update(t, e, func(tx kv.Tx) {
				tx.DeleteRange(kv.PrefixRange(nil))
				set(tx, "b", "1", "d", "1", "f", "1", "n", number(1))
			})
			err := once(t, e, func(tx kv.Tx) {
				c.first(t, tx)
				update(t, e, c.rival)
				set(tx, "zz own", "x")
			})
			isError(t, "commit", err, c.expect)
			view(t, e, func(r kv.Reader) {
				want := "x"
				if c.expect != nil {
					want = absent
				}
				equal(t, "own row", get(r, "zz own"), want)
			})
		})
	}
}

func reads(key string) func(*testing.T, kv.Tx) {
	return func(_ *testing.T, tx kv.Tx) { get(tx, key) }
}

func scans(rg kv.Range, o kv.RangeOptions, want ...string) func(*testing.T, kv.Tx) {
	return func(t *testing.T, tx kv.Tx) {
		t.Helper()
		keys := []string{}
		it := tx.GetRange(rg, o)
		defer it.Close()
		for it.Next() {
			keys = append(keys, string(it.Pair().Key))
		}
		if want == nil {
			want = []string{}
		}
		equal(t, "scanned", keys, want)
	}
}

// steps takes n steps of an iterator and closes it.
func steps(rg kv.Range, o kv.RangeOptions, n int) func(*testing.T, kv.Tx) {
	return func(_ *testing.T, tx kv.Tx) {
		it := tx.GetRange(rg, o)
		for range n {
			it.Next()
		}
		it.Close()
	}
}

func sets(key string) func(kv.Tx)    { return func(tx kv.Tx) { set(tx, key, "rival") } }
func deletes(key string) func(kv.Tx) { return func(tx kv.Tx) { tx.Delete([]byte(key)) } }
func adds(key string) func(kv.Tx)    { return func(tx kv.Tx) { tx.Add([]byte(key), 1) } }
func clears(begin, end string) func(kv.Tx) {
	return func(tx kv.Tx) { tx.DeleteRange(rng(begin, end)) }
}

func pointConflicts() []conflict {
	return []conflict{
		{"Get against Set", reads("b"), sets("b"), kv.ErrConflict},
		{"Get against Set of another key", reads("b"), sets("c"), nil},
		{"Get against Set of the next key", reads("b"), sets("b\x00"), nil},
		{"Get of an absent key against its insertion", reads("c"), sets("c"), kv.ErrConflict},
		{"Get against Delete", reads("b"), deletes("b"), kv.ErrConflict},
		{"Get against DeleteRange", reads("b"), clears("a", "c"), kv.ErrConflict},
		{"Get against DeleteRange that ends at the key", reads("b"), clears("a", "b"), nil},
		{"Get against DeleteRange that begins at the key", reads("b"), clears("b", "c"), kv.ErrConflict},
		{"Get of an absent key against DeleteRange", reads("c"), clears("a", "z"), kv.ErrConflict},
		{"Get against Add", reads("n"), adds("n"), kv.ErrConflict},
		{"snapshot Get against Set", func(_ *testing.T, tx kv.Tx) { get(tx.Snapshot(), "b") }, sets("b"), nil},
		{
			"snapshot range read against insertion",
			func(t *testing.T, tx kv.Tx) {
				t.Helper()
				scan(t, tx.Snapshot(), rng("a", "z"), kv.RangeOptions{})
			}, sets("c"), nil,
		},
		{"blind Set against Set", func(_ *testing.T, tx kv.Tx) { set(tx, "b", "mine") }, sets("b"), nil},
		{"blind Delete against Set", func(_ *testing.T, tx kv.Tx) { tx.Delete([]byte("b")) }, sets("b"), nil},
		{"blind DeleteRange against insertion", func(_ *testing.T, tx kv.Tx) { tx.DeleteRange(rng("a", "e")) }, sets("c"), nil},
		{"Add against Add", func(_ *testing.T, tx kv.Tx) { tx.Add([]byte("n"), 1) }, adds("n"), nil},
		{"Get against a rival that only read", reads("b"), func(tx kv.Tx) { get(tx, "b") }, nil},
		{"Generation against BumpGeneration", func(_ *testing.T, tx kv.Tx) { tx.Generation() }, kv.Tx.BumpGeneration, kv.ErrConflict},
		{
			"snapshot Generation against BumpGeneration",
			func(_ *testing.T, tx kv.Tx) { tx.Snapshot().Generation() }, kv.Tx.BumpGeneration, nil,
		},
		{"Get against BumpGeneration", reads("b"), kv.Tx.BumpGeneration, nil},
		{"Generation against Set", func(_ *testing.T, tx kv.Tx) { tx.Generation() }, sets("b"), nil},
		{"ReadVersion against Set", func(_ *testing.T, tx kv.Tx) { _, _ = tx.ReadVersion() }, sets("b"), nil},
	}
}

func rangeConflicts() []conflict {
	all, none := rng("a", "g"), kv.RangeOptions{}
	back := kv.RangeOptions{Reverse: true}
	one, lastOne := kv.RangeOptions{Limit: 1}, kv.RangeOptions{Limit: 1, Reverse: true}
	many, manyBack := kv.RangeOptions{Limit: 10}, kv.RangeOptions{Limit: 10, Reverse: true}
	return []conflict{
		{"range against insertion in it", scans(all, none, "b", "d", "f"), sets("c"), kv.ErrConflict},
		{"range against insertion before its first row", scans(all, none, "b", "d", "f"), sets("a"), kv.ErrConflict},
		{"range against insertion behind its last row", scans(all, none, "b", "d", "f"), sets("ff"), kv.ErrConflict},
		{"range against deletion in it", scans(all, none, "b", "d", "f"), deletes("d"), kv.ErrConflict},
		{"range against change in it", scans(all, none, "b", "d", "f"), sets("d"), kv.ErrConflict},
		{"range against insertion at its end", scans(all, none, "b", "d", "f"), sets("g"), nil},
		{"range against DeleteRange that overlaps", scans(rng("c", "g"), none, "d", "f"), clears("a", "d"), kv.ErrConflict},
		{"range against DeleteRange that touches", scans(rng("c", "g"), none, "d", "f"), clears("a", "c"), nil},
		{"range against DeleteRange around it", scans(rng("c", "e"), none, "d"), clears("a", "z"), kv.ErrConflict},
		{"range against DeleteRange inside it", scans(all, none, "b", "d", "f"), clears("c", "cc"), kv.ErrConflict},
		{"range against Add in it", scans(rng("m", "o"), none, "n"), adds("n"), kv.ErrConflict},
		{"reverse range against insertion in it", scans(all, back, "f", "d", "b"), sets("c"), kv.ErrConflict},
		{"reverse range against insertion at its begin", scans(all, back, "f", "d", "b"), sets("a"), kv.ErrConflict},
		{"reverse range against deletion in it", scans(all, back, "f", "d", "b"), deletes("f"), kv.ErrConflict},
		{"reverse range against insertion at its end", scans(all, back, "f", "d", "b"), sets("g"), nil},
		{"limited range against insertion before its last row", scans(all, one, "b"), sets("a"), kv.ErrConflict},
		{"limited range against change of its last row", scans(all, one, "b"), sets("b"), kv.ErrConflict},
		{"limited range against deletion of its last row", scans(all, one, "b"), deletes("b"), kv.ErrConflict},
		{"limited range against insertion behind its last row", scans(all, one, "b"), sets("b\x00"), nil},
		{"limited range against deletion behind its last row", scans(all, one, "b"), deletes("f"), nil},
		{"limited reverse range against insertion behind", scans(all, lastOne, "f"), sets("ff"), kv.ErrConflict},
		{"limited reverse range against change of its row", scans(all, lastOne, "f"), deletes("f"), kv.ErrConflict},
		{"limited reverse range against insertion before", scans(all, lastOne, "f"), sets("ee"), nil},
		{"exhausted limited range against insertion at the end", scans(all, many, "b", "d", "f"), sets("ff"), kv.ErrConflict},
		{"exhausted limited reverse range against insertion", scans(all, manyBack, "f", "d", "b"), sets("a"), kv.ErrConflict},
		{"empty range against insertion in it", scans(rng("c", "d"), one), sets("cc"), kv.ErrConflict},
		{"empty reverse range against insertion in it", scans(rng("c", "d"), lastOne), sets("c"), kv.ErrConflict},
		{"empty range against insertion behind it", scans(rng("c", "d"), one), sets("d"), nil},
		{"empty range against DeleteRange over it", scans(rng("c", "d"), none), clears("a", "z"), kv.ErrConflict},
		{"iterator closed early against change of a returned row", steps(all, none, 2), sets("d"), kv.ErrConflict},
		{"iterator closed early against insertion before", steps(all, none, 2), sets("c"), kv.ErrConflict},
		{"iterator closed early against insertion behind", steps(all, none, 2), sets("e"), nil},
		{"reverse iterator closed early against insertion covered", steps(all, back, 1), sets("ff"), kv.ErrConflict},
		{"reverse iterator closed early against insertion not covered", steps(all, back, 1), sets("e"), nil},
		{"iterator never moved against insertion", steps(all, none, 0), sets("c"), nil},
		{
			"iterator left open against insertion covered",
			func(_ *testing.T, tx kv.Tx) { tx.GetRange(all, none).Next() }, sets("a"), kv.ErrConflict,
		},
		{
			"iterator left open against insertion not covered",
			func(_ *testing.T, tx kv.Tx) { tx.GetRange(all, none).Next() }, sets("c"), nil,
		},
	}
}

func ownWriteConflicts() []conflict {
	all := rng("a", "g")
	after := func(write func(kv.Tx), read func(*testing.T, kv.Tx)) func(*testing.T, kv.Tx) {
		return func(t *testing.T, tx kv.Tx) {
			t.Helper()
			write(tx)
			read(t, tx)
		}
	}
	whole := func(t *testing.T, tx kv.Tx) {
		t.Helper()
		scan(t, tx, all, kv.RangeOptions{})
		scan(t, tx, all, kv.RangeOptions{Reverse: true})
	}
	return []conflict{
		{"Get of a key that was set before", after(sets("b"), reads("b")), sets("b"), nil},
		{"Get of a key that was deleted before", after(deletes("b"), reads("b")), sets("b"), nil},
		{"Get of a key in a range deleted before", after(clears("a", "c"), reads("b")), sets("b"), nil},
		{"Get of a key that is set after", after(func(tx kv.Tx) { get(tx, "b") }, func(_ *testing.T, tx kv.Tx) { set(tx, "b", "2") }), sets("b"), kv.ErrConflict},
		{"Get of a key added to before", after(adds("n"), reads("n")), adds("n"), kv.ErrConflict},
		{"Get of a key set and added to before", after(func(tx kv.Tx) { set(tx, "n", number(1)); tx.Add([]byte("n"), 1) }, reads("n")), adds("n"), nil},
		{"Get of another key than the one set before", after(sets("b"), reads("d")), sets("d"), kv.ErrConflict},
		{"range over a key set before, against that key", after(sets("c"), whole), sets("c"), nil},
		{"range over a key set before, against its neighbour", after(sets("c"), whole), sets("c\x00"), kv.ErrConflict},
		{"range over a key deleted before, against that key", after(deletes("d"), whole), sets("d"), nil},
		{"range over a range deleted before, against a key in it", after(clears("c", "e"), whole), sets("d"), nil},
		{"range over a range deleted before, against a key before it", after(clears("c", "e"), whole), sets("b"), kv.ErrConflict},
		{"range over a range deleted before, against a key behind it", after(clears("c", "e"), whole), sets("e"), kv.ErrConflict},
		{"range over a key added to before, against that key", after(adds("n"), func(t *testing.T, tx kv.Tx) { t.Helper(); scan(t, tx, rng("m", "o"), kv.RangeOptions{}) }), adds("n"), kv.ErrConflict},
		{"rows read and then deleted while iterating", func(_ *testing.T, tx kv.Tx) {
			it := tx.GetRange(all, kv.RangeOptions{})
			defer it.Close()
			for it.Next() {
				tx.Delete(it.Pair().Key)
			}
		}, sets("d"), kv.ErrConflict},
		{"gaps between rows deleted while iterating", func(_ *testing.T, tx kv.Tx) {
			it := tx.GetRange(all, kv.RangeOptions{Reverse: true})
			defer it.Close()
			for it.Next() {
				tx.Delete(it.Pair().Key)
			}
		}, sets("a"), kv.ErrConflict},
	}
}

func handMadeConflicts() []conflict {
	guard := func(begin, end string) func(*testing.T, kv.Tx) {
		return func(_ *testing.T, tx kv.Tx) { tx.AddReadConflictRange(rng(begin, end)) }
	}
	claim := func(begin, end string) func(kv.Tx) {
		return func(tx kv.Tx) { tx.AddWriteConflictRange(rng(begin, end)) }
	}
	return []conflict{
		{"AddReadConflictRange against Set in it", guard("a", "c"), sets("b"), kv.ErrConflict},
		{"AddReadConflictRange against Set at its end", guard("a", "c"), sets("c"), nil},
		{"AddReadConflictRange over a key set before", func(_ *testing.T, tx kv.Tx) {
			set(tx, "b", "2")
			tx.AddReadConflictRange(rng("b", "b\x00"))
		}, sets("b"), nil},
		{"Get against AddWriteConflictRange", reads("b"), claim("a", "c"), kv.ErrConflict},
		{"Get against AddWriteConflictRange that ends at the key", reads("b"), claim("a", "b"), nil},
		{"range against AddWriteConflictRange in it", scans(rng("a", "g"), kv.RangeOptions{}, "b", "d", "f"), claim("e", "ee"), kv.ErrConflict},
		{"AddReadConflictRange against AddWriteConflictRange", guard("p", "r"), claim("q", "z"), kv.ErrConflict},
		{"AddWriteConflictRange against AddWriteConflictRange", func(_ *testing.T, tx kv.Tx) { tx.AddWriteConflictRange(rng("a", "c")) }, claim("a", "c"), nil},
	}
}

func readOnlyUpdates(t *testing.T, e kv.Engine) {
	update(t, e, func(tx kv.Tx) { set(tx, "a", "1") })
	var c kv.Commit
	c, err := e.Update(t.Context(), kv.TxOptions{MaxRetries: -1}, func(tx kv.Tx) error {
		equal(t, "value", get(tx, "a"), "1")
		update(t, e, func(rival kv.Tx) { set(rival, "a", "2") })
		equal(t, "value again", get(tx, "a"), "1")
		return nil
	})
	if err != nil || !c.ReadOnly {
		t.Errorf("read-only update = %+v, %v", c, err)
	}
}
