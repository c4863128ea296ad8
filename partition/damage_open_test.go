package partition

import (
	"slices"
	"testing"

	"github.com/undercroft/undercroft/metadata"
)

// Damage that a read meets in a partition which still takes stripes does not
// wait until that is full: it is sealed, and says so in its row for repair.
func TestDamageEndsAnOpenPartition(t *testing.T) {
	w := newWorld(t, 3)
	s := w.open(t, Options{MinColumn: 16 << 10})
	defer closeStore(t, s)
	p := put(t, s, pattern(40_000, 5))
	e := p.Extent
	if err := w.publish(t.Context(), metadata.DataID{1}, p); err != nil {
		t.Fatal(err)
	}
	row := w.row(t, e.Partition)
	damager{w, row}.flip(t, shardOf(0, e.Stripe, int(row.K)), e.Stripe, 5000)
	if _, err := read(t, s, whole1(e)); err != nil {
		t.Fatal(err)
	}
	if n, err := s.NoteDamage(t.Context()); err != nil || n != 1 {
		t.Fatalf("%d shards were noted, %v", n, err)
	}
	for w.row(t, e.Partition).State != metadata.PartitionSealed {
		if _, err := s.SealIdle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if w.row(t, e.Partition).State == metadata.PartitionOpen {
			t.Fatal("the partition stays open")
		}
	}
	if got := w.row(t, e.Partition).Damaged; !slices.Equal(got, []uint8{uint8(shardOf(0, e.Stripe, int(row.K)))}) {
		t.Errorf("damaged shards %v", got)
	}
}
