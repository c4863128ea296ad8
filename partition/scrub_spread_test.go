package partition

import (
	"testing"

	"github.com/undercroft/undercroft/blobd"
)

// TestScrubOfDamageInSeveralStripes: more shards than there is parity have a bad
// frame each, in different stripes. All of them can be read, and none counts as
// lost.
func TestScrubOfDamageInSeveralStripes(t *testing.T) {
	sc := Scheme{2, 1}
	for name, at := range map[string]int64{"headers": 5, "payloads": blobd.FrameHeaderSize + 9} {
		t.Run(name, func(t *testing.T) {
			w := newSealedWorld(t, newWorld(t, 3), sc)
			s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
			defer closeStore(t, s)
			settle(t, s)
			d := damager{w.world, w.row(t, w.id)}
			for shard, f := range w.stripes(t, s)[:3] {
				column := f.expected()[0]
				for _, c := range f.expected() {
					if shardOf(c, f.stripe, sc.K) == shard {
						column = c
					}
				}
				d.flip(t, shardOf(column, f.stripe, sc.K), f.stripe, at)
			}
			w.holds(t, s)
			for _, again := range []string{"", " again"} {
				if got := scrubAll(t, s, w.id, 1<<40); got.Unreadable != 0 {
					t.Errorf("scrub%s: %+v, %+v", again, got, w.row(t, w.id))
				}
			}
			if len(w.row(t, w.id).Damaged) < 2 {
				t.Errorf("%+v", w.row(t, w.id))
			}
		})
	}
}

// TestScrubBeforeDisksWereLookedAt: one shard is lost, and another is on a disk that
// was not held against the rows yet. It is passed over, and what needs it is not lost.
func TestScrubBeforeDisksWereLookedAt(t *testing.T) {
	sc := Scheme{2, 1}
	w := newSealedWorld(t, newWorld(t, 3), sc)
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
	defer closeStore(t, s)
	settle(t, s)
	row := w.row(t, w.id)
	if noted, err := s.recordShort(t.Context(), row, 0, true); err != nil || !noted {
		t.Fatal(noted, err)
	}
	s.disks.get(row.Shards[1]).doubt()
	got := scrubAll(t, s, w.id, 1<<40)
	if got.Unreadable != 0 || got.Passed == 0 {
		t.Errorf("%+v", got)
	}
}
