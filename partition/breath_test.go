package partition

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/undercroft/undercroft/blobd"
)

// counting counts pieces, and is busy or not.
type counting struct {
	busy bool
	err  error

	mu     sync.Mutex // guards what follows
	pieces int
}

func (c *counting) Busy() bool { return c.busy }

func (c *counting) Breathe(context.Context, time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pieces++
	return c.err
}

// A frame that is written in parts is the same frame, and each part begins where the disk
// takes one.
func TestFrameInParts(t *testing.T) {
	for _, height := range []uint32{0, 1, 4096, 65532, 65533, 200_000, 1 << 20} {
		payload := pattern(int(height), 7)
		h := blobd.FrameHeader{Height: height, K: 4, M: 2, Columns: 4}
		frame := blobd.AppendFrame(nil, h, blobd.Secret{1}, payload, nil)
		want := bytes.Join(frame, nil)
		for _, busy := range []bool{false, true} {
			by := &counting{busy: busy}
			ctx := WithBreather(t.Context(), by)
			b := breathing(ctx)
			var got []byte
			parts := 0
			err := b.inParts(ctx, slices.Clone(frame), func(offset int64, part [][]byte) error {
				if offset != int64(len(got)) || offset%blobd.Align != 0 {
					t.Errorf("part at %d after %d bytes", offset, len(got))
				}
				parts++
				got = append(got, bytes.Join(part, nil)...)
				return nil
			})
			if err != nil || !bytes.Equal(got, want) || by.pieces != parts {
				t.Errorf("height %d, busy %t: %d of %d bytes in %d parts and %d pieces: %v", height, busy, len(got), len(want), parts, by.pieces, err)
			}
			if limit := int(int64(len(want))/blobd.BlockSize) + 1; busy && parts < limit-1 {
				t.Errorf("height %d is written in %d parts while requests move, want about %d", height, parts, limit)
			}
		}
	}
}

// A repair is done in small pieces while requests move, and stops where it may not go on.
func TestRepairBreathes(t *testing.T) {
	pieces := map[bool]int{}
	for _, busy := range []bool{false, true} {
		sc := Scheme{2, 1}
		w := newSealedWorld(t, newWorld(t, 4), sc)
		id := w.blobs[len(w.blobs)-1].placed.Extent.Partition
		s := w.open(t, Options{Scheme: sc, Capacity: minCapacity, Disks: w.attached(w.index(t, id, 0))})
		stop := errors.New("stop")
		by := &counting{busy: busy, err: stop}
		if _, err := s.Repair(WithBreather(t.Context(), by), id, 0, nil); !errors.Is(err, stop) {
			t.Errorf("a repair that may not go on: %v", err)
		}
		by.err, by.pieces = nil, 0
		out, err := s.Repair(WithBreather(t.Context(), by), id, 0, nil)
		if err != nil || !out.Done {
			t.Errorf("repair: %+v, %v", out, err)
		}
		pieces[busy] = by.pieces
		w.repairAll(t, s)
		w.mustBeWhole(t, s)
		w.holds(t, s)
		closeStore(t, s)
	}
	if pieces[true] < 2*pieces[false] {
		t.Errorf("%d pieces while requests move, %d without", pieces[true], pieces[false])
	}
}
