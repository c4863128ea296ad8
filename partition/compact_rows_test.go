package partition

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/undercroft/undercroft/metadata"
)

// putPieces writes pieces of one data id, each in a stripe of its own, whose
// extents are in rows E of so many.
func (r *rowsWorld) putPieces(t *testing.T, s *Store, id metadata.DataID, pieces [][]byte, perRow int) {
	t.Helper()
	var placed []metadata.Placed
	at := int64(0)
	for i, data := range pieces {
		buf, err := s.Buffer(t.Context(), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		copy(buf.Bytes(), data)
		p := s.Submit(t.Context(), Blob{ID: id, Piece: uint32(i), Key: fmt.Sprintf("%016x/long", 1)}, buf, len(data))
		defer p.Done()
		x, err := p.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if placed = append(placed, x); len(placed) < perRow && i < len(pieces)-1 {
			continue
		}
		err = r.db.Update(t.Context(), "test", func(tx *metadata.Tx) error {
			extents := make([]metadata.Extent, len(placed))
			for i := range placed {
				extents[i] = placed[i].Extent
			}
			return errors.Join(tx.PutExtents(id, at, extents), tx.Publish(id, placed))
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range placed {
			at += int64(x.Extent.Length)
		}
		placed = nil
	}
}

// Pieces of one data id share a stripe once they were moved, also where their
// extents are in different rows: the next move takes all of them or none, since
// the stripe has one reference for all.
func TestCompactPiecesOfSeveralRows(t *testing.T) {
	sc := Scheme{4, 2}
	r := newRowsWorld(t, newWorld(t, 6), sc, 0, 0)
	s := r.open(t, Options{Scheme: sc, Capacity: minCapacity})
	defer closeStore(t, s)
	id := r.db.NewDataID()
	pieces := make([][]byte, 14)
	for i := range pieces {
		pieces[i] = pattern(300_000+i, uint64(i)+1)
	}
	r.putPieces(t, s, id, pieces, 5)
	for round := range 3 {
		r.sealAll(t, s)
		c, err := r.compactAll(t.Context(), t, s, CompactOptions{All: true})
		if err != nil || c.Blobs != len(pieces) || c.Lost+c.Failed != 0 {
			t.Errorf("round %d: %+v, %v", round, c, err)
		}
		var extents []metadata.Extent
		r.view(t, func(m *metadata.Reader) (err error) {
			extents, _, err = m.Extents(id, 0, 0)
			return err
		})
		for i, x := range extents {
			mustRead(t, s, x, pieces[i])
			r.view(t, func(m *metadata.Reader) error {
				refs, err := m.Refs(x.Partition, x.Stripe, 1)
				if !slices.Contains(refs, metadata.Ref{Stripe: x.Stripe, ID: id}) {
					t.Errorf("round %d: piece %d lies in a stripe without a reference", round, i)
				}
				return err
			})
		}
	}
}
