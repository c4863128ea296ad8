//go:build fdb

package fdb

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apple/foundationdb/bindings/go/src/fdb"

	"github.com/undercroft/undercroft/metadata/kv"
)

// shelf serves pages of sorted pairs, and remembers what it was asked for.
type shelf struct {
	pairs  []fdb.KeyValue
	sent   []int // limits of the requests
	taken  int   // replies that were waited for
	broken error
}

type page struct {
	s     *shelf
	pairs []fdb.KeyValue
}

func (p page) GetSliceWithError() ([]fdb.KeyValue, error) {
	p.s.taken++
	if p.s.broken != nil {
		return nil, p.s.broken
	}
	return p.pairs, nil
}

func (s *shelf) page(r kv.Range, o fdb.RangeOptions) reply {
	s.sent = append(s.sent, o.Limit)
	var in []fdb.KeyValue
	for _, p := range s.pairs {
		if bytes.Compare(r.Begin, p.Key) <= 0 && bytes.Compare(p.Key, r.End) < 0 {
			in = append(in, p)
		}
	}
	if o.Reverse {
		slices.Reverse(in)
	}
	return page{s, in[:min(len(in), o.Limit)]}
}

func (s *shelf) strip(key fdb.Key) []byte { return key }
func (s *shelf) failed(err error) error   { return fmt.Errorf("failed: %w", err) }

func shelve(n, valueBytes int) *shelf {
	s := &shelf{}
	for i := range n {
		s.pairs = append(s.pairs, fdb.KeyValue{Key: fmt.Appendf(nil, "%06d", i), Value: make([]byte, valueBytes)})
	}
	return s
}

func everything() kv.Range { return kv.Range{Begin: []byte("0"), End: []byte("9")} }

func TestCursorsWalkPages(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		s := shelve(r.IntN(1200), r.IntN(2)*3000)
		o := kv.RangeOptions{Limit: r.IntN(2) * r.IntN(700), Reverse: r.IntN(2) == 0}
		c := newCursor(s, everything(), o)
		want := slices.Clone(s.pairs)
		if o.Reverse {
			slices.Reverse(want)
		}
		for r.IntN(900) > 0 {
			if r.IntN(40) == 0 && len(want) > 0 {
				// Behind want[:n], but not behind the pairs that were passed.
				n := r.IntN(min(len(want), 600))
				if o.Reverse {
					c.Skip(kv.KeyAfter(want[n].Key))
				} else {
					c.Skip(want[n].Key)
				}
				want = want[n:]
			}
			if !c.Next() {
				if len(want) > 0 || c.Err() != nil {
					t.Fatalf("%+v: ended before %d pairs, %v", o, len(want), c.Err())
				}
				break
			}
			if len(want) == 0 || !bytes.Equal(c.Pair().Key, want[0].Key) {
				t.Fatalf("%+v: got %s with %d pairs left", o, c.Pair().Key, len(want))
			}
			want = want[1:]
		}
		c.Close()
		if c.Next() || len(s.sent) > s.taken+1 {
			t.Fatalf("%d requests, %d replies, and it goes on after Close", len(s.sent), s.taken)
		}
	}
}

// A page is about one reply of a storage server, and no more than was asked for.
func TestPagesAreReplies(t *testing.T) {
	for _, c := range []struct {
		value, limit int
		want         []int
	}{
		{value: 0, limit: 1, want: []int{1}},
		{value: 300, limit: 100, want: []int{100}},
		{value: 300, limit: 1000, want: []int{200, 230, 230, 230, 110}},
		{value: 250, limit: 1001, want: []int{200, 271, 271, 259}},
		{value: 0, want: []int{200, 2000, 2000}},
		{value: 50_000, limit: 300, want: []int{200, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8}},
	} {
		s := shelve(3000, c.value)
		cursor := newCursor(s, everything(), kv.RangeOptions{Limit: c.limit})
		for n := 0; (c.limit == 0 || n < c.limit) && cursor.Next(); n++ {
		}
		if !slices.Equal(s.sent, c.want) {
			t.Errorf("%d pairs with values of %d bytes: asked for %v, want %v", c.limit, c.value, s.sent, c.want)
		}
	}
}

// The first request is sent before anything is waited for; the next one while the
// page is walked.
func TestCursorsAskAhead(t *testing.T) {
	s := shelve(1000, 10)
	whole := newCursor(s, everything(), kv.RangeOptions{})
	if len(s.sent) != 1 || s.taken != 0 {
		t.Errorf("%d sent, %d taken before Next", len(s.sent), s.taken)
	}
	for i := range firstPage {
		if whole.Next(); (len(s.sent) == 2) != (i+1 >= firstPage/2) || s.taken != 1 {
			t.Fatalf("at pair %d: %d sent, %d taken", i, len(s.sent), s.taken)
		}
	}
	s = shelve(1000, 10)
	limited := newCursor(s, everything(), kv.RangeOptions{Limit: 900})
	if limited.Next(); len(s.sent) != 2 || s.taken != 1 {
		t.Errorf("more than a page was asked for: %d sent, %d taken", len(s.sent), s.taken)
	}
}

func TestCursorsEndWithErrors(t *testing.T) {
	s := shelve(600, 10)
	c := newCursor(s, everything(), kv.RangeOptions{})
	for range firstPage {
		if !c.Next() {
			t.Fatal("it ended early")
		}
	}
	s.broken = errors.New("broken")
	for range 2 {
		if c.Next() || !errors.Is(c.Err(), s.broken) {
			t.Errorf("goes on, %v", c.Err())
		}
	}
	if s.taken != 2 {
		t.Errorf("%d replies taken", s.taken)
	}
}
