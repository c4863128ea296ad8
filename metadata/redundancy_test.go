package metadata

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRedundancyCountsEveryPartitionOnce holds counts against partitions of all kinds.
func TestRedundancyCountsEveryPartitionOnce(t *testing.T) {
	a, b, c, gone := sampleID(1), sampleID(2), sampleID(3), sampleID(9)
	away := func(id DiskID) bool { return id == gone }
	var got Redundancy
	if !got.Whole() {
		t.Error("no partition at all is not whole")
	}
	for _, p := range []Partition{
		{State: PartitionSealed, K: 1, M: 2, Shards: []DiskID{a, b, c}},
		{State: PartitionOpen, K: 2, M: 1, Shards: []DiskID{a, b, c}},
		{State: PartitionSealed, K: 1, M: 2, Shards: []DiskID{a, gone, c}},
		{State: PartitionSealed, K: 1, M: 2, Shards: []DiskID{a, gone, c}, Lost: []uint8{1}}, // one shard, two reasons
		{State: PartitionSealed, K: 1, M: 2, Shards: []DiskID{a, gone, c}, Lost: []uint8{0}},
		{State: PartitionClosing, K: 2, M: 1, Shards: []DiskID{a, b, c}, Damaged: []uint8{2}},
		{State: PartitionSealed, K: 2, M: 1, Shards: []DiskID{a, b, gone}, Damaged: []uint8{0}},
		{State: PartitionSealed, K: 1, Shards: []DiskID{a}},
		{State: PartitionSealed, K: 1, Shards: []DiskID{gone}},
		{State: PartitionCreating, K: 1, Shards: []DiskID{gone}},
		{State: PartitionDropped, K: 1, Shards: []DiskID{gone}},
	} {
		got.Count(&p, away)
	}
	want := Redundancy{Short: []int64{3, 3, 1}, Critical: 2, Beyond: 2}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got.Whole() || got.Impaired() != 6 {
		t.Errorf("whole %v, %d impaired", got.Whole(), got.Impaired())
	}
}
