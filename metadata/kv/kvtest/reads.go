package kvtest

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/undercroft/undercroft/metadata/kv"
)

func readYourWrites(t *testing.T, e kv.Engine) {
	update(t, e, func(tx kv.Tx) { set(tx, "a", "1", "b", "2", "c", "3") })
	update(t, e, func(tx kv.Tx) {
		set(tx, "a", "new")
		tx.Delete([]byte("b"))
		equal(t, "set key", get(tx, "a"), "new")
		equal(t, "set key, by snapshot", get(tx.Snapshot(), "a"), "new")
		equal(t, "deleted key", get(tx, "b"), absent)
		equal(t, "deleted key, by snapshot", get(tx.Snapshot(), "b"), absent)
		tx.DeleteRange(rng("a", "d"))
		equal(t, "key in a deleted range", get(tx, "a"), absent)
		equal(t, "stored key in a deleted range", get(tx, "c"), absent)
		set(tx, "c", "again")
		equal(t, "key set in a deleted range", get(tx, "c"), "again")
	})
	equal(t, "content", content(t, e), []string{"c=again"})
}

func rangesSeeOwnWrites(t *testing.T, e kv.Engine) {
	update(t, e, func(tx kv.Tx) { set(tx, "a", "1", "c", "3", "e", "5", "g", "7", "i", "9") })
	update(t, e, func(tx kv.Tx) {
		set(tx, "b", "two", "c", "three")
		tx.Delete([]byte("e"))
		tx.DeleteRange(rng("g", "h"))
		set(tx, "gg", "in")
		want := []string{"a=1", "b=two", "c=three", "gg=in", "i=9"}
		all := rng("a", "z")
		equal(t, "forward", scan(t, tx, all, kv.RangeOptions{}), want)
		equal(t, "by snapshot", scan(t, tx.Snapshot(), all, kv.RangeOptions{}), want)
		back := []string{"i=9", "gg=in", "c=three", "b=two", "a=1"}
		equal(t, "reverse", scan(t, tx, all, kv.RangeOptions{Reverse: true}), back)
		equal(t, "forward limit", scan(t, tx, all, kv.RangeOptions{Limit: 4}), want[:4])
		equal(t, "reverse limit", scan(t, tx, all, kv.RangeOptions{Limit: 2, Reverse: true}), back[:2])
		equal(t, "part", scan(t, tx, rng("b", "gg"), kv.RangeOptions{}), want[1:3])
	})
}

func iteratorSeesWritesAhead(t *testing.T, e kv.Engine) {
	update(t, e, func(tx kv.Tx) { set(tx, "a", "1", "c", "3", "e", "5") })
	update(t, e, func(tx kv.Tx) {
		it := tx.GetRange(rng("a", "z"), kv.RangeOptions{})
		defer it.Close()
		it.Next()
		set(tx, "a", "passed", "b", "2")
		tx.Delete([]byte("c"))
		var got []string
		for it.Next() {
			got = append(got, string(it.Pair().Key)+"="+string(it.Pair().Value))
		}
		equal(t, "rest", got, []string{"b=2", "e=5"})
	})
}

func deleteWhileIterating(t *testing.T, e kv.Engine) {
	const rows = 300
	for _, reverse := range []bool{false, true} {
		update(t, e, func(tx kv.Tx) {
			for i := range rows {
				tx.Set(fmt.Appendf(nil, "%04d", i), []byte("x"))
			}
		})
		n := 0
		update(t, e, func(tx kv.Tx) {
			n = 0
			it := tx.GetRange(rng("0", "9"), kv.RangeOptions{Reverse: reverse})
			defer it.Close()
			for it.Next() {
				tx.Delete(it.Pair().Key)
				n++
			}
			if err := it.Err(); err != nil {
				t.Error(err)
			}
		})
		equal(t, "rows visited", n, rows)
		equal(t, "content", content(t, e), []string{})
	}
}

func emptyValues(t *testing.T, e kv.Engine) {
	check := func(r kv.Reader) {
		t.Helper()
		v, err := r.Get([]byte("empty")).Wait()
		if err != nil || v == nil || len(v) != 0 {
			t.Errorf("empty value = %v, %v", v, err)
		}
		v, err = r.Get([]byte("absent")).Wait()
		if err != nil || v != nil {
			t.Errorf("absent value = %v, %v", v, err)
		}
		v, err = r.Get(nil).Wait()
		if err != nil || string(v) != "empty key" {
			t.Errorf("value of the empty key = %q, %v", v, err)
		}
	}
	update(t, e, func(tx kv.Tx) {
		tx.Set([]byte("empty"), nil)
		tx.Set(nil, []byte("empty key"))
		check(tx)
	})
	view(t, e, check)
}

func reusedArguments(t *testing.T, e kv.Engine) {
	update(t, e, func(tx kv.Tx) {
		buf := []byte("k1v1")
		tx.Set(buf[:2], buf[2:])
		copy(buf, "k2v2")
		tx.Set(buf[:2], buf[2:])
		copy(buf, "zzzz")
	})
	equal(t, "content", content(t, e), []string{"k1=v1", "k2=v2"})

	err := once(t, e, func(tx kv.Tx) {
		buf := []byte("k1")
		tx.Get(buf)
		copy(buf, "zz")
		update(t, e, func(rival kv.Tx) { set(rival, "k1", "rival") })
		set(tx, "other", "x")
	})
	isError(t, "conflict on the key as it was", err, kv.ErrConflict)
}

func snapshotStability(t *testing.T, e kv.Engine) {
	update(t, e, func(tx kv.Tx) { set(tx, "a", "1", "b", "1") })
	check := func(r kv.Reader) {
		t.Helper()
		equal(t, "before", get(r, "a"), "1")
		update(t, e, func(rival kv.Tx) {
			set(rival, "a", "2", "c", "2")
			rival.Delete([]byte("b"))
		})
		equal(t, "same key", get(r, "a"), "1")
		equal(t, "deleted key", get(r, "b"), "1")
		equal(t, "range", scan(t, r, rng("a", "z"), kv.RangeOptions{}), []string{"a=1", "b=1"})
	}
	view(t, e, check)
	update(t, e, func(tx kv.Tx) {
		set(tx, "a", "1", "b", "1")
		tx.Delete([]byte("c"))
	})
	update(t, e, func(tx kv.Tx) { check(tx.Snapshot()) })
}

func deleteRangeIsBlind(t *testing.T, e kv.Engine) {
	for _, pin := range []bool{false, true} {
		update(t, e, func(tx kv.Tx) { set(tx, "a", "1", "c", "1", "e", "1") })
		err := once(t, e, func(tx kv.Tx) {
			if pin {
				if _, err := tx.ReadVersion(); err != nil {
					t.Error(err)
				}
			}
			tx.DeleteRange(rng("b", "d"))
			set(tx, "bb", "mine")
			update(t, e, func(rival kv.Tx) {
				rival.Delete([]byte("c"))
				set(rival, "b", "rival", "bb", "rival", "cc", "rival", "d", "rival")
			})
		})
		isError(t, "commit", err, nil)
		equal(t, "content", content(t, e), []string{"a=1", "bb=mine", "d=rival", "e=1"})
		update(t, e, func(tx kv.Tx) { tx.DeleteRange(kv.PrefixRange(nil)) })
	}
}

func deleteRanges(t *testing.T, e kv.Engine) {
	for _, rows := range []int{0, 1, 2, 31, 32, 33, 64, 1000} {
		update(t, e, func(tx kv.Tx) {
			set(tx, "before", "x", "r", "behind")
			for i := range rows {
				tx.Set(fmt.Appendf(nil, "q%04d", i), []byte("x"))
			}
		})
		update(t, e, func(tx kv.Tx) {
			tx.DeleteRange(kv.PrefixRange([]byte("q")))
			set(tx, "q5", "kept")
			tx.Delete([]byte("q6"))
		})
		equal(t, fmt.Sprintf("content after deleting %d rows", rows), content(t, e),
			[]string{"before=x", "q5=kept", "r=behind"})
	}
}

func limitedRanges(t *testing.T, e kv.Engine) {
	const rows = 500
	var want []string
	update(t, e, func(tx kv.Tx) {
		want = want[:0]
		for i := range rows {
			key := fmt.Sprintf("k%05d", i)
			set(tx, key, "v")
			want = append(want, key+"=v")
		}
	})
	view(t, e, func(r kv.Reader) {
		all := kv.PrefixRange([]byte("k"))
		equal(t, "no limit", scan(t, r, all, kv.RangeOptions{}), want)
		equal(t, "limit 1", scan(t, r, all, kv.RangeOptions{Limit: 1}), want[:1])
		equal(t, "limit above the count", scan(t, r, all, kv.RangeOptions{Limit: rows + 1}), want)
		equal(t, "reverse limit 2", scan(t, r, all, kv.RangeOptions{Limit: 2, Reverse: true}),
			[]string{want[rows-1], want[rows-2]})
		next := kv.Range{Begin: kv.KeyAfter([]byte("k00099")), End: all.End}
		equal(t, "next page", scan(t, r, next, kv.RangeOptions{Limit: 100}), want[100:200])
	})
}

func invertedRanges(t *testing.T, e kv.Engine) {
	update(t, e, func(tx kv.Tx) { set(tx, "b", "1") })
	update(t, e, func(tx kv.Tx) {
		equal(t, "inverted", scan(t, tx, rng("c", "a"), kv.RangeOptions{}), []string{})
		equal(t, "same", scan(t, tx, rng("b", "b"), kv.RangeOptions{Reverse: true}), []string{})
		tx.DeleteRange(rng("c", "a"))
		tx.AddReadConflictRange(rng("c", "a"))
		tx.AddWriteConflictRange(rng("c", "a"))
	})
	equal(t, "content", content(t, e), []string{"b=1"})
}

func number(n int64) string { return string(binary.LittleEndian.AppendUint64(nil, uint64(n))) }

func addSums(t *testing.T, e kv.Engine) {
	add := func(tx kv.Tx, key string, n int64) { tx.Add([]byte(key), n) }
	update(t, e, func(tx kv.Tx) {
		set(tx, "short", "\x05", "long", number(7)+"tail", "empty", "")
		add(tx, "n", 40)
		equal(t, "absent and an add", get(tx, "n"), number(40))
	})
	update(t, e, func(tx kv.Tx) {
		add(tx, "n", 5)
		add(tx, "n", -3)
		add(tx, "short", 1)
		add(tx, "long", 1)
		add(tx, "empty", -1)
		equal(t, "stored and adds", get(tx, "n"), number(42))
		equal(t, "in a range", scan(t, tx, rng("n", "o"), kv.RangeOptions{}), []string{"n=" + number(42)})
	})
	view(t, e, func(r kv.Reader) {
		equal(t, "n", get(r, "n"), number(42))
		equal(t, "short", get(r, "short"), number(6))
		equal(t, "long", get(r, "long"), number(8))
		equal(t, "empty", get(r, "empty"), number(-1))
	})
	update(t, e, func(tx kv.Tx) {
		tx.Delete([]byte("n"))
		add(tx, "n", 1)
		equal(t, "deleted and added", get(tx, "n"), number(1))
		set(tx, "s", number(10))
		add(tx, "s", 1)
		add(tx, "gone", 1)
		tx.DeleteRange(rng("gone", "gonf"))
		tx.DeleteRange(rng("l", "m"))
		add(tx, "long", 2)
	})
	view(t, e, func(r kv.Reader) {
		equal(t, "deleted and added", get(r, "n"), number(1))
		equal(t, "set and added", get(r, "s"), number(11))
		equal(t, "added and deleted", get(r, "gone"), absent)
		equal(t, "added in a deleted range", get(r, "long"), number(2))
	})
	update(t, e, func(tx kv.Tx) { tx.Delete([]byte("n")) })
	update(t, e, func(tx kv.Tx) { add(tx, "n", 3) })
	view(t, e, func(r kv.Reader) { equal(t, "added after a delete", get(r, "n"), number(3)) })
}
