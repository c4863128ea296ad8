package blobdtest

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/undercroft/undercroft/blobd"
)

func appendRules() []rule {
	return []rule{
		{"what was appended reads back", appendReadsBack},
		{"appends may come in any order of offset", anyOrder},
		{"appends leave the caller's data alone", dataIsNotModified},
		{"pieces may be empty and many", oddPieces},
		{"bad offsets are refused and write nothing", badOffsets},
		{"the last byte of the capacity can be used", fullCapacity},
		{"only the shard's epoch may append", onlyTheEpoch},
		{"concurrent appends to few shards all survive", concurrentAppends},
	}
}

func appendReadsBack(t *testing.T, d blobd.Disk) {
	id := Shard(1, 3)
	create(t, d, id, 1)
	sizes := []int{0, 1, 3000, 4096, 70000, blobd.BlockPayload, 200000}
	var offset int64
	var offsets []int64
	for i, n := range sizes {
		offsets = append(offsets, offset)
		next := put(t, d, Frame(id, 1, offset, Payload(uint64(i), n)))
		if want := offset + blobd.FrameSize(uint32(n)); next != want {
			t.Fatalf("%d, want %d", next, want)
		}
		offset = next
	}
	for i, n := range sizes {
		if n > 0 {
			wantFrame(t, d, id, offsets[i], Payload(uint64(i), n))
		}
	}
	if st := stat(t, d, id); st.End != offset || st.Allocated < offset {
		t.Errorf("end %d, want %d; %d allocated", st.End, offset, st.Allocated)
	}
}

func anyOrder(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 1)
	for _, i := range []int64{5, 1, 7, 0} {
		put(t, d, Frame(id, 1, i*8192, Payload(uint64(i), 5000)))
	}
	for _, i := range []int64{0, 1, 5, 7} {
		wantFrame(t, d, id, i*8192, Payload(uint64(i), 5000))
	}
	if st := stat(t, d, id); st.End != 8*8192 {
		t.Errorf("end %d", st.End)
	}
}

func dataIsNotModified(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 1)
	a := Frame(id, 1, 0, Payload(1, 100000))
	var before [][]byte
	for _, p := range a.Data {
		before = append(before, bytes.Clone(p))
	}
	put(t, d, a)
	if !slices.EqualFunc(before, a.Data, bytes.Equal) {
		t.Error("data was modified")
	}
	// Nor is it retained: what becomes of it later is not what was appended.
	for _, p := range a.Data {
		clear(p)
	}
	wantFrame(t, d, id, 0, Payload(1, 100000))
}

func oddPieces(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 1)
	whole := bytes.Join(Frame(id, 1, 4096, Payload(3, 9000)).Data, nil)
	pieces := [][]byte{nil, {}}
	for chunk := range slices.Chunk(whole, 7) {
		pieces = append(pieces, chunk, nil)
	}
	put(t, d, blobd.Append{Shard: id, Epoch: 1, Offset: 4096, Data: pieces})
	wantFrame(t, d, id, 4096, Payload(3, 9000))
}

func badOffsets(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 1)
	for _, offset := range []int64{-4096, 1, 4095, Capacity, Capacity - 4096, 1 << 62, -1 << 63} {
		a := Frame(id, 1, 0, Payload(1, 5000)) // two times 4096 bytes
		a.Offset = offset
		wantErr(t, fmt.Sprintf("append at %d", offset), d.Append(t.Context(), a), blobd.ErrBadOffset)
	}
	if st := stat(t, d, id); st.End != 0 {
		t.Errorf("end %d", st.End)
	}
}

func fullCapacity(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 1)
	put(t, d, Frame(id, 1, Capacity-8192, Payload(1, 5000)))
	wantFrame(t, d, id, Capacity-8192, Payload(1, 5000))
	if st := stat(t, d, id); st.End != Capacity {
		t.Errorf("end %d", st.End)
	}
}

func onlyTheEpoch(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 5)
	for _, epoch := range []blobd.Epoch{0, 4, 6} {
		wantErr(t, fmt.Sprintf("append of epoch %d", epoch),
			d.Append(t.Context(), Frame(id, epoch, 0, Payload(1, 100))), blobd.ErrStaleEpoch)
	}
	put(t, d, Frame(id, 5, 0, Payload(1, 100)))
}

func concurrentAppends(t *testing.T, d blobd.Disk) {
	const shards, writers, each = 3, 8, 5
	for i := range uint8(shards) {
		create(t, d, Shard(1, i), 1)
	}
	frame := func(w, i int) blobd.Append {
		id := Shard(1, uint8(w%shards))
		return Frame(id, 1, int64(w*each+i)*8192, Payload(uint64(w*100+i), 4000+i))
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				a := frame(w, i)
				if err := d.Append(t.Context(), a); err != nil {
					t.Errorf("append: %v", err)
				}
				got, err := ReadFrame(t.Context(), d, a.Shard, a.Offset)
				if err != nil || !bytes.Equal(got, Payload(uint64(w*100+i), 4000+i)) {
					t.Errorf("read back: %d bytes, %v", len(got), err)
				}
			}
		})
	}
	wg.Wait()
	for w := range writers {
		for i := range each {
			a := frame(w, i)
			wantFrame(t, d, a.Shard, a.Offset, Payload(uint64(w*100+i), 4000+i))
		}
	}
}
