package blobdtest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/undercroft/undercroft/blobd"
)

func readRules() []rule {
	return []rule{
		{"what was never written reads as zeros", unwrittenIsZero},
		{"reads may be unaligned and of any length", anyRange},
		{"what is read from memory is what is there", cachedIsThere},
		{"past the capacity is the end of the file", pastCapacity},
		{"frames come in order and from an offset on", framesInOrder},
		{"frames steps over what is no frame", framesStepOver},
		{"frames can be left early", framesLeftEarly},
		{"a forged header is no frame", forgedHeader},
		{"punched ranges read as zeros", punchZeros},
		{"punching never lowers the end", punchKeepsEnd},
		{"a bad range is not punched", punchBadRange},
	}
}

func isZero(p []byte) bool { return bytes.Count(p, []byte{0}) == len(p) }

func unwrittenIsZero(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 1)
	put(t, d, Frame(id, 1, 65536, Payload(1, 4096)))
	for _, offset := range []int64{0, 4096, 65536 + 8192, Capacity - 5000} {
		p := bytes.Repeat([]byte{0xff}, 5000)
		n, err := d.ReadAt(t.Context(), id, p, offset)
		if n != 5000 || err != nil || !isZero(p) {
			t.Errorf("at %d: %d bytes, %v", offset, n, err)
		}
	}
}

func anyRange(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 1)
	a := Frame(id, 1, 8192, Payload(1, 30000))
	whole := bytes.Join(a.Data, nil)
	put(t, d, a)
	for _, r := range [][2]int{{0, 1}, {1, 96}, {95, 97}, {4095, 4097}, {0, len(whole)}, {777, 31111}, {50, 50}} {
		p := make([]byte, r[1]-r[0])
		n, err := d.ReadAt(t.Context(), id, p, 8192+int64(r[0]))
		if n != len(p) || err != nil || !bytes.Equal(p, whole[r[0]:r[1]]) {
			t.Errorf("%v: %d bytes, %v", r, n, err)
		}
	}
}

func cachedIsThere(t *testing.T, d blobd.Disk) {
	c, ok := d.(blobd.CachedReader)
	if !ok {
		t.Skip("does not know what it has in memory")
	}
	id := Shard(1, 0)
	if n := c.ReadCached(id, make([]byte, 10), 0); n != 0 {
		t.Errorf("%d bytes of no shard", n)
	}
	create(t, d, id, 1)
	a := Frame(id, 1, 8192, Payload(1, 300000))
	whole := bytes.Join(a.Data, nil)
	put(t, d, a)
	for _, r := range [][2]int{{0, 1}, {1, 96}, {4095, 4097}, {0, len(whole)}, {777, 31111}, {50, 50}} {
		want, p := whole[r[0]:r[1]], make([]byte, r[1]-r[0])
		if n, err := d.ReadAt(t.Context(), id, p, 8192+int64(r[0])); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
		clear(p)
		n := c.ReadCached(id, p, 8192+int64(r[0]))
		if n < 0 || n > len(p) || !bytes.Equal(p[:n], want[:n]) {
			t.Errorf("%v: %d bytes that are not those", r, n)
		}
	}
	for _, offset := range []int64{-1, Capacity, Capacity - 5} {
		if n := c.ReadCached(id, make([]byte, 10), offset); n > 5 || offset != Capacity-5 && n != 0 {
			t.Errorf("%d bytes at %d of %d", n, offset, Capacity)
		}
	}
}

func pastCapacity(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 1)
	for offset, want := range map[int64]int{Capacity: 0, Capacity + 1: 0, 1 << 60: 0, Capacity - 10: 10} {
		n, err := d.ReadAt(t.Context(), id, make([]byte, 20), offset)
		if n != want || !errors.Is(err, io.EOF) {
			t.Errorf("at %d: %d bytes, %v", offset, n, err)
		}
	}
	_, err := d.ReadAt(t.Context(), id, make([]byte, 20), -1)
	wantErr(t, "negative", err, blobd.ErrBadOffset)
}

func offsets(t *testing.T, d blobd.Disk, id blobd.ShardID, from int64) []int64 {
	t.Helper()
	var got []int64
	for h, err := range d.Frames(t.Context(), id, from) {
		if err != nil {
			t.Fatal(err)
		}
		if h.Shard != id {
			t.Errorf("frame of %s", h.Shard)
		}
		got = append(got, h.Offset)
	}
	return got
}

func framesInOrder(t *testing.T, d blobd.Disk) {
	id := Shard(1, 4)
	create(t, d, id, 2)
	var want []int64
	var offset int64
	for i, n := range []int{100, 100000, 4000, 300000, 0, 5000} {
		want = append(want, offset)
		offset = put(t, d, Frame(id, 2, offset, Payload(uint64(i), n)))
	}
	if got := offsets(t, d, id, 0); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for i, from := range want {
		if got := offsets(t, d, id, from); !slices.Equal(got, want[i:]) {
			t.Errorf("from %d: %v, want %v", from, got, want[i:])
		}
		if got := offsets(t, d, id, from+1); !slices.Equal(got, want[i+1:]) {
			t.Errorf("from %d: %v, want %v", from+1, got, want[i+1:])
		}
	}
	for h, err := range d.Frames(t.Context(), id, want[1]) {
		if err != nil || h.Epoch != 2 || h.Height != 100000 || h.StripeID != uint64(want[1])+1 {
			t.Errorf("%+v, %v", h, err)
		}
		break
	}
}

func framesStepOver(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 1)
	noise := blobd.Append{Shard: id, Epoch: 1, Offset: 8192, Data: [][]byte{Payload(9, 3*4096)}}
	put(t, d, Frame(id, 1, 0, Payload(1, 100)))
	put(t, d, noise)
	put(t, d, Frame(id, 1, 8*4096, Payload(2, 100)))
	put(t, d, Frame(id, 1, Capacity-4096, Payload(3, 100)))
	want := []int64{0, 8 * 4096, Capacity - 4096}
	if got := offsets(t, d, id, 0); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func framesLeftEarly(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 1)
	for i := range int64(4) {
		put(t, d, Frame(id, 1, i*4096, Payload(1, 100)))
	}
	n := 0
	for _, err := range d.Frames(t.Context(), id, 0) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("%d frames", n)
	}
	if err := d.Delete(t.Context(), id); err != nil {
		t.Error(err)
	}
}

func forgedHeader(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 1)
	h := blobd.FrameHeader{Shard: id, Columns: 1, K: 1, Epoch: 1, Offset: 4096, Height: 100, Used: 100}
	forged := h.Append(nil, blobd.Secret{}) // by someone who knows all but the secret
	put(t, d, blobd.Append{Shard: id, Epoch: 1, Offset: 4096, Data: [][]byte{forged}})
	// A frame of this shard, but of another place.
	moved := Frame(id, 1, 0, Payload(1, 100))
	moved.Offset = 8192
	put(t, d, moved)
	if got := offsets(t, d, id, 0); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if st := stat(t, d, id); st.End != 12288 {
		t.Errorf("end %d", st.End)
	}
}

func punchZeros(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 1)
	whole := Payload(1, 16*4096)
	put(t, d, blobd.Append{Shard: id, Epoch: 1, Offset: 0, Data: [][]byte{bytes.Clone(whole)}})
	// Only whole blocks inside the range go.
	if err := d.Punch(t.Context(), id, 4096+100, 5*4096); err != nil {
		t.Fatal(err)
	}
	if err := d.Punch(t.Context(), id, 10*4096, 2*4096); err != nil {
		t.Fatal(err)
	}
	if err := d.Punch(t.Context(), id, 13*4096+1, 4096); err != nil {
		t.Fatal(err)
	}
	clear(whole[2*4096 : 6*4096])
	clear(whole[10*4096 : 12*4096])
	got := make([]byte, len(whole))
	if _, err := d.ReadAt(t.Context(), id, got, 0); err != nil {
		t.Fatal(err)
	}
	for i := range 16 {
		if !bytes.Equal(got[i*4096:][:4096], whole[i*4096:][:4096]) {
			t.Errorf("block %d", i)
		}
	}
}

func punchKeepsEnd(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 1)
	end := put(t, d, Frame(id, 1, 0, Payload(1, 10000)))
	if err := d.Punch(t.Context(), id, 0, Capacity); err != nil {
		t.Fatal(err)
	}
	if st := stat(t, d, id); st.End != end {
		t.Errorf("end %d, want %d", st.End, end)
	}
	if got := offsets(t, d, id, 0); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func punchBadRange(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 1)
	for _, r := range [][2]int64{{-1, 10}, {0, -1}, {0, Capacity + 1}, {Capacity, 1}, {1 << 62, 1 << 62}} {
		wantErr(t, "punch", d.Punch(t.Context(), id, r[0], r[1]), blobd.ErrBadOffset)
	}
}
