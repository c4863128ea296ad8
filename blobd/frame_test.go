package blobd_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/blobd"
)

var (
	secret  = blobd.Secret{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	shardID = blobd.ShardID{Partition: 0x0123456789abcdef, Index: 3}
)

func header(height uint32) blobd.FrameHeader {
	return blobd.FrameHeader{
		Shard: shardID, Column: 5, Columns: 2, K: 4, M: 2, Epoch: 7,
		Offset: 5 * blobd.Align, StripeID: 0xfeedfacecafebeef,
		Height: height, Used: height, Directory: height / 4,
	}
}

func payload(n int) []byte {
	p := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = rng.Read(p)
	return p
}

func encode(h blobd.FrameHeader, s blobd.Secret, p []byte) []byte {
	return bytes.Join(blobd.AppendFrame(nil, h, s, p, nil), nil)
}

// decode verifies a whole frame and returns its payload.
func decode(b []byte, s blobd.Secret, id blobd.ShardID, offset int64) ([]byte, error) {
	h, err := blobd.ParseFrameHeader(b, s, id, offset)
	if err != nil {
		return nil, err
	}
	if h.Height == 0 {
		return nil, nil
	}
	return span(h, b, s, 0, int64(h.Height))
}

// span verifies the blocks that cover [from,to) and returns just that range.
func span(h blobd.FrameHeader, frame []byte, s blobd.Secret, from, to int64) ([]byte, error) {
	start, length := blobd.BlockSpan(h.Offset, h.Height, from, to)
	first := blobd.BlockOf(from)
	var got []byte
	err := blobd.VerifyBlocks(blobd.NewSummer(s, h.Shard, h.Offset), first, h.Height,
		frame[start-h.Offset:][:length], func(p []byte) error {
			got = append(got, p...)
			return nil
		})
	if err != nil {
		return nil, err
	}
	skip := from - int64(first)*blobd.BlockPayload
	return got[skip : skip+to-from], nil
}

func TestFrameRoundTrip(t *testing.T) {
	const bp = blobd.BlockPayload
	for _, n := range []int{0, 1, 100, 3996, 3997, 4096, bp - 1, bp, bp + 1, 3*bp - 5, 3 * bp, 1 << 20} {
		h, want := header(uint32(n)), payload(n)
		frame := encode(h, secret, want)
		if int64(len(frame)) != blobd.FrameSize(uint32(n)) || len(frame)%blobd.Align != 0 || h.Size() != int64(len(frame)) {
			t.Fatalf("height %d: %d bytes, FrameSize %d", n, len(frame), blobd.FrameSize(uint32(n)))
		}
		got, err := blobd.ParseFrameHeader(frame, secret, shardID, h.Offset)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(h, got); diff != "" {
			t.Fatal(diff)
		}
		p, err := decode(frame, secret, shardID, h.Offset)
		if err != nil || !bytes.Equal(p, want) {
			t.Fatalf("height %d: %d bytes back, %v", n, len(p), err)
		}
	}
}

func TestAppendFrameDoesNotCopyPayloadAndClearsPadding(t *testing.T) {
	p := payload(blobd.BlockPayload + 10)
	scratch := bytes.Repeat([]byte{0xff}, blobd.ScratchSize(uint32(len(p))))
	pieces := blobd.AppendFrame(nil, header(uint32(len(p))), secret, p, scratch)
	if &pieces[1][0] != &p[0] || &pieces[3][0] != &p[blobd.BlockPayload] {
		t.Fatal("the payload was copied")
	}
	if &pieces[0][0] != &scratch[0] {
		t.Fatal("scratch of the right size was not used")
	}
	frame := bytes.Join(pieces, nil)
	tail := frame[blobd.FrameHeaderSize+len(p)+8:]
	if slices.ContainsFunc(tail, func(b byte) bool { return b != 0 }) {
		t.Fatal("padding is not zero")
	}
	if n := testing.AllocsPerRun(20, func() {
		pieces = blobd.AppendFrame(pieces[:0], header(uint32(len(p))), secret, p, scratch)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func TestBlockSpanOfAnyRange(t *testing.T) {
	const bp = blobd.BlockPayload
	h := header(4*bp + 17)
	want := payload(int(h.Height))
	frame := encode(h, secret, want)
	edges := []int64{0, 1, bp - 1, bp, bp + 1, 2 * bp, 3*bp + 5, 4*bp - 1, 4 * bp, 4*bp + 16, 4*bp + 17}
	for i, from := range edges {
		for _, to := range edges[i+1:] {
			got, err := span(h, frame, secret, from, to)
			if err != nil || !bytes.Equal(got, want[from:to]) {
				t.Fatalf("[%d,%d): %d bytes, %v", from, to, len(got), err)
			}
		}
	}
}

func TestSummerIsTheDocumentedChecksum(t *testing.T) {
	p := payload(1000)
	var in []byte
	in = append(in, secret[:]...)
	in = binary.BigEndian.AppendUint64(in, uint64(shardID.Partition))
	in = append(in, shardID.Index)
	in = binary.BigEndian.AppendUint64(in, 8192)
	in = binary.BigEndian.AppendUint32(in, 0x01020304)
	in = append(in, p...)
	want := crc32.Checksum(in, crc32.MakeTable(crc32.Castagnoli))
	if got := blobd.NewSummer(secret, shardID, 8192).Block(0x01020304, p); got != want {
		t.Fatalf("got %08x, want %08x", got, want)
	}
}

func TestEveryBitFlipIsFound(t *testing.T) {
	h := header(blobd.BlockPayload + 300) // two blocks, the second one short
	frame := encode(h, secret, payload(int(h.Height)))
	flip := func(bit int) { frame[bit/8] ^= 1 << (bit % 8) }
	for bit := range blobd.FrameHeaderSize * 8 {
		flip(bit)
		if _, err := blobd.ParseFrameHeader(frame, secret, shardID, h.Offset); !errors.Is(err, blobd.ErrCorrupt) {
			t.Fatalf("header bit %d: %v", bit, err)
		}
		flip(bit)
	}
	_, size := blobd.BlockSpan(0, h.Height, 0, int64(h.Height))
	// All of the short block, every 97th bit of the long one.
	for bit := 0; bit < size*8; bit++ {
		if bit < blobd.BlockSize*8 && bit%97 != 0 {
			continue
		}
		flip(blobd.FrameHeaderSize*8 + bit)
		if _, err := decode(frame, secret, shardID, h.Offset); !errors.Is(err, blobd.ErrCorrupt) {
			t.Fatalf("block bit %d: %v", bit, err)
		}
		flip(blobd.FrameHeaderSize*8 + bit)
	}
}

func TestAFrameElsewhereNeverVerifies(t *testing.T) {
	h := header(5000)
	frame := encode(h, secret, payload(5000))
	otherSecret := secret
	otherSecret[15] ^= 1
	places := map[string]struct {
		secret blobd.Secret
		id     blobd.ShardID
		offset int64
	}{
		"secret":    {otherSecret, shardID, h.Offset},
		"partition": {secret, blobd.ShardID{Partition: shardID.Partition + 1, Index: shardID.Index}, h.Offset},
		"index":     {secret, blobd.ShardID{Partition: shardID.Partition, Index: shardID.Index + 1}, h.Offset},
		"offset":    {secret, shardID, h.Offset + blobd.Align},
		"zero":      {secret, shardID, 0},
	}
	for name, p := range places {
		t.Run(name, func(t *testing.T) {
			if _, err := blobd.ParseFrameHeader(frame, p.secret, p.id, p.offset); !errors.Is(err, blobd.ErrCorrupt) {
				t.Errorf("header: %v", err)
			}
			moved := h
			moved.Shard, moved.Offset = p.id, p.offset
			if _, err := span(moved, frame, p.secret, 0, 5000); !errors.Is(err, blobd.ErrCorrupt) {
				t.Errorf("blocks: %v", err)
			}
		})
	}
}

func TestSwappedBlocksNeverVerify(t *testing.T) {
	h := header(3 * blobd.BlockPayload)
	frame := encode(h, secret, payload(int(h.Height)))
	body := frame[blobd.FrameHeaderSize:]
	first := bytes.Clone(body[:blobd.BlockSize])
	copy(body, body[blobd.BlockSize:2*blobd.BlockSize])
	copy(body[blobd.BlockSize:], first)
	if _, err := decode(frame, secret, shardID, h.Offset); !errors.Is(err, blobd.ErrCorrupt) {
		t.Fatal(err)
	}
}

func TestVerifyBlocksStopsOnTheCallersError(t *testing.T) {
	h := header(2 * blobd.BlockPayload)
	frame := encode(h, secret, payload(int(h.Height)))
	stop, calls := errors.New("stop"), 0
	err := blobd.VerifyBlocks(blobd.NewSummer(secret, shardID, h.Offset), 0, h.Height,
		frame[blobd.FrameHeaderSize:], func([]byte) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Fatalf("%d calls, %v", calls, err)
	}
}

func TestIncompleteBlocksAreCorrupt(t *testing.T) {
	h := header(blobd.BlockPayload + 100)
	frame := encode(h, secret, payload(int(h.Height)))
	_, size := blobd.BlockSpan(0, h.Height, 0, int64(h.Height))
	summer := blobd.NewSummer(secret, shardID, h.Offset)
	ignore := func([]byte) error { return nil }
	for _, n := range []int{1, 4, blobd.BlockSize - 1, blobd.BlockSize + 1, size - 1, size + 1, size + 4} {
		raw := frame[blobd.FrameHeaderSize:][:n]
		if err := blobd.VerifyBlocks(summer, 0, h.Height, raw, ignore); !errors.Is(err, blobd.ErrCorrupt) {
			t.Errorf("%d of %d bytes: %v", n, size, err)
		}
	}
}

func TestHeaderThatContradictsItselfIsCorrupt(t *testing.T) {
	for name, change := range map[string]func(h *blobd.FrameHeader){
		"no column":        func(h *blobd.FrameHeader) { h.Columns = 0 },
		"more than k":      func(h *blobd.FrameHeader) { h.Columns = h.K + 1 },
		"column":           func(h *blobd.FrameHeader) { h.Column = h.K + h.M },
		"used":             func(h *blobd.FrameHeader) { h.Used = 2*h.Height + 1 },
		"directory > used": func(h *blobd.FrameHeader) { h.Directory = h.Used + 1 },
	} {
		h := header(100)
		change(&h)
		if _, err := blobd.ParseFrameHeader(h.Append(nil, secret), secret, shardID, h.Offset); !errors.Is(err, blobd.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseFrameHeader(f *testing.F) {
	f.Add(header(100).Append(nil, secret), int64(5*blobd.Align))
	f.Add([]byte("UCFR"), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, offset int64) {
		h, err := blobd.ParseFrameHeader(b, secret, shardID, offset)
		if err != nil {
			if !errors.Is(err, blobd.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if h.Shard != shardID || h.Offset != offset {
			t.Fatalf("a header of %s at %d was taken", h.Shard, h.Offset)
		}
		again := h.Append(nil, secret)
		if got, err := blobd.ParseFrameHeader(again, secret, shardID, offset); err != nil || got != h {
			t.Fatalf("does not come back: %v", err)
		}
	})
}

func FuzzVerifyBlocks(f *testing.F) {
	h := header(700)
	frame := encode(h, secret, payload(700))
	f.Add(frame[blobd.FrameHeaderSize:][:704], uint32(0), uint32(700))
	f.Add([]byte{0, 0, 0, 0, 0}, uint32(1), uint32(blobd.BlockPayload+1))
	f.Fuzz(func(t *testing.T, raw []byte, first, height uint32) {
		summer := blobd.NewSummer(secret, shardID, h.Offset)
		n, total := first, 0
		err := blobd.VerifyBlocks(summer, first, height, raw, func(p []byte) error {
			if binary.BigEndian.Uint32(raw[total+len(p):]) != summer.Block(n, p) {
				t.Fatal("a bad block was handed out")
			}
			total += len(p) + 4
			n++
			return nil
		})
		if err == nil && total != len(raw) {
			t.Fatalf("%d of %d bytes verified without an error", total, len(raw))
		}
		if err != nil && !errors.Is(err, blobd.ErrCorrupt) {
			t.Fatal(err)
		}
	})
}

func BenchmarkAppendFrame(b *testing.B) {
	p := payload(1 << 20)
	h := header(1 << 20)
	scratch := make([]byte, blobd.ScratchSize(h.Height))
	var pieces [][]byte
	b.SetBytes(1 << 20)
	for b.Loop() {
		pieces = blobd.AppendFrame(pieces[:0], h, secret, p, scratch)
	}
}

func BenchmarkVerifyBlocks4KiB(b *testing.B) {
	h := header(4096)
	frame := encode(h, secret, payload(4096))
	b.ReportAllocs()
	for b.Loop() {
		_, n := blobd.BlockSpan(h.Offset, h.Height, 0, 4096)
		s := blobd.NewSummer(secret, shardID, h.Offset)
		if err := blobd.VerifyBlocks(s, 0, h.Height, frame[blobd.FrameHeaderSize:][:n], func([]byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
