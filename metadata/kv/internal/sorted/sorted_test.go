package sorted

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func keys[V any](m *Map[V]) []string {
	var out []string
	for p, _ := m.Find(nil); m.At(p) != nil; p = m.Next(p) {
		out = append(out, string(m.At(p).Key))
	}
	return out
}

func keysReverse[V any](m *Map[V]) []string {
	var out []string
	p, _ := m.Find([]byte{0xff, 0xff})
	for p = m.Prev(p); m.At(p) != nil; p = m.Prev(p) {
		out = append(out, string(m.At(p).Key))
	}
	return out
}

func TestMapAgainstModel(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3} {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, seed))
			var m Map[int]
			model := map[string]int{}
			for i := range 20_000 {
				key := fmt.Sprintf("%05d", rng.IntN(3000))
				if rng.IntN(3) > 0 || i < 3000 {
					m.Put([]byte(key), i)
					model[key] = i
					continue
				}
				p, found := m.Find([]byte(key))
				_, want := model[key]
				if found != want {
					t.Fatalf("Find(%s) = %v, want %v", key, found, want)
				}
				if found {
					next := m.Next(p)
					var wantNext string
					if e := m.At(next); e != nil {
						wantNext = string(e.Key)
					}
					var gotNext string
					if e := m.At(m.Remove(p)); e != nil {
						gotNext = string(e.Key)
					}
					if gotNext != wantNext {
						t.Fatalf("Remove(%s) is followed by %q, want %q", key, gotNext, wantNext)
					}
					delete(model, key)
				}
			}
			var want []string
			for k, v := range model {
				want = append(want, k)
				p, found := m.Find([]byte(k))
				if !found || m.At(p).Value != v {
					t.Fatalf("%s: found %v", k, found)
				}
			}
			slices.Sort(want)
			if diff := cmp.Diff(want, keys(&m)); diff != "" {
				t.Fatal(diff)
			}
			slices.Reverse(want)
			if diff := cmp.Diff(want, keysReverse(&m)); diff != "" {
				t.Fatal(diff)
			}
			if m.Len() != len(model) {
				t.Fatalf("Len = %d, want %d", m.Len(), len(model))
			}
		})
	}
}

func TestSkipBelowNeverPassesARaisedEntry(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	var m Map[uint64]
	for mark := range uint64(5000) {
		key := []byte(fmt.Sprintf("%04d", rng.IntN(2000)))
		p, found := m.Find(key)
		if !found {
			p = m.Insert(p, key, mark)
		}
		m.At(p).Value = mark
		m.Raise(p, mark)
	}
	for range 500 {
		from := []byte(fmt.Sprintf("%04d", rng.IntN(2000)))
		floor := rng.Uint64N(5000)
		start, _ := m.Find(from)
		skipped := m.SkipBelow(start, floor)
		for p := start; m.At(p) != nil && p != skipped; p = m.Next(p) {
			if e := m.At(p); e.Value > floor && (m.At(skipped) == nil || bytes.Compare(e.Key, m.At(skipped).Key) < 0) {
				t.Fatalf("skipped %s with %d above %d", e.Key, e.Value, floor)
			}
		}
	}
}
