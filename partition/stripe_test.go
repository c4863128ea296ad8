package partition

import (
	"bytes"
	"testing"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// dirty fills the memory that the next stripes get with what another client
// might have left there.
func dirty(s *slabs) {
	for _, n := range slabSizes() {
		var held []*slab
		for range 8 {
			m := s.get(n)
			for i := range m.b {
				m.b[i] = 0xee
			}
			held = append(held, m)
		}
		for _, m := range held {
			s.put(m)
		}
	}
}

// What no blob covers is zero: nothing of an earlier request is stored.
func TestPaddingIsZero(t *testing.T) {
	w := newWorld(t, 4)
	s := w.open(t, Options{MinColumn: 64 << 10})
	defer closeStore(t, s)
	for _, sizes := range [][]int{{10}, {70_000}, {300_000}, {1 << 20}, {10, 60_000, 60_000, 60_000, 5}, {200_000, 40_000, 65_536}} {
		dirty(s.slabs)
		var blobs []*Pending
		for i, n := range sizes {
			buf, err := s.Buffer(t.Context(), int64(n))
			if err != nil {
				t.Fatal(err)
			}
			copy(buf.Bytes(), pattern(n, uint64(i)))
			blobs = append(blobs, &Pending{blob: Blob{ID: metadata.DataID{byte(i)}}, buf: buf, n: n})
		}
		g := newGroup(blobs)
		st, err := s.build(g, scheme{2, 2})
		if err != nil {
			t.Fatal(err)
		}
		want := make([]byte, st.size())
		for i, n := range sizes {
			copy(want[st.starts[i]:], pattern(n, uint64(i)))
		}
		d := st.used - uint32(st.directory)
		copy(want[d:], st.content[d:st.used])
		if !bytes.Equal(st.content, want) {
			t.Errorf("%v: padding is not zero", sizes)
		}
		entries, err := ParseDirectory(st.content[d:st.used], d)
		if err != nil || len(entries) != len(sizes) {
			t.Errorf("%v: %d entries, %v", sizes, len(entries), err)
		}
		st.release()
		g.release()
	}
	if n := s.Status().BufferMemory; n != 0 {
		t.Errorf("%d bytes leaked", n)
	}
}

// The bytes of a stripe must not change: the format is for ever.
func TestFrameOfAStripe(t *testing.T) {
	w := newWorld(t, 4)
	s := w.open(t, Options{})
	defer closeStore(t, s)
	e := put(t, s, []byte("hello")).Extent
	if e.Start != 0 || e.Length != 5 || e.Height != 128 {
		t.Errorf("extent %+v", e) // 5 + 4 + 31 + 25 + 1 bytes, up to 64s
	}
	v, err := s.views.get(t.Context(), e.Partition)
	if err != nil {
		t.Fatal(err)
	}
	var payloads [][]byte
	for _, column := range []int{0, 2, 3} {
		shard := shardOf(column, e.Stripe, 2)
		h, err := v.header(t.Context(), shard, e.Stripe)
		if err != nil {
			t.Fatal(err)
		}
		want := blobd.FrameHeader{
			Shard: v.shard(shard), Column: uint8(column), Columns: 1, K: 2, M: 2, Epoch: 1,
			Offset: e.Stripe, StripeID: h.StripeID, Height: 128, Used: 66, Directory: 61,
		}
		if h != want {
			t.Errorf("header %+v", h)
		}
		f := &frameSet{view: v, stripe: e.Stripe, columns: 1, height: 128}
		raw := make([]byte, 128+4)
		if err := f.readBlock(t.Context(), column, 0, raw); err != nil {
			t.Fatal(err)
		}
		payloads = append(payloads, raw[:128])
	}
	if !bytes.HasPrefix(payloads[0], []byte("hello\x01\x00\x00\x01")) {
		t.Errorf("content % x", payloads[0])
	}
	// The rows of the matrix of 2+2 are (3,2) and (2,3) in the field.
	if p, q := payloads[1][0], payloads[2][0]; p != 0xb8 || q != 0xd0 {
		t.Errorf("parity of %#x is %#x, %#x", payloads[0][0], p, q)
	}
}
