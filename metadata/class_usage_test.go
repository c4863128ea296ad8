package metadata

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestClassUsage(t *testing.T) {
	f := newMoveFixture(t)
	f.object("a", 3, DataExtents)
	cold := newPartition(t, f.db)
	update(t, f.db, func(tx *Tx) error {
		id, placed := f.db.NewDataID(), placeExtents(cold, 0, 2, 100)
		o := &Object{Key: "b", Ord: 1, Null: true, Size: 200, ETag: "e", Owner: "o", Data: Data{Kind: DataExtents, ID: id, Extents: extentsOf(placed)}}
		cold.Class, cold.K, cold.M = "STANDARD_IA", 4, 2
		for len(cold.Shards) < 6 {
			cold.Shards = append(cold.Shards, f.db.NewDiskID())
		}
		dropped := *f.to
		dropped.State = PartitionDropped
		return errors.Join(tx.Publish(id, placed), tx.PutObject(f.b.ID, nil, o, nil), tx.PutPartition(cold), tx.PutPartition(&dropped))
	})
	var got ClassUsages
	if err := f.db.EachPartitionLive(t.Context(), "test", func(p *Partition, live int64) error {
		got.Count(p, live)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	want := []ClassUsage{
		{Partitions: 1, Bytes: 300, Encoded: 300}, {Class: "STANDARD_IA", Partitions: 1, Bytes: 200, Encoded: 300},
	}
	if diff := cmp.Diff(want, got.List()); diff != "" {
		t.Errorf("usage by class (-want +got):\n%s", diff)
	}
	if r := want[1].Ratio(); r != 1.5 || (&ClassUsage{}).Ratio() != 0 {
		t.Errorf("a byte takes %v", r)
	}
}
