package metadata

import (
	"context"
	"fmt"
	"slices"
)

// partitionPage is how many rows EachPartition reads at a time.
const partitionPage = 512

// Redundancy counts the partitions by their shards that cannot be counted on:
// lost, damaged, or on a disk that is away.
type Redundancy struct {
	// Short counts partitions by how many of their shards are short: Short[0]
	// are whole. It goes up to the largest m of any partition. Those short of
	// more shards than they have parity are in Beyond instead.
	Short []int64
	// Critical is how many partitions have parity and are short of as many
	// shards: the loss of one more loses data.
	Critical int64
	// Beyond is how many partitions are short of more shards than they have
	// parity: objects in them cannot be read.
	Beyond int64
}

// Whole reports whether every shard of every partition is there.
func (x *Redundancy) Whole() bool { return x.Impaired() == 0 }

// Impaired is how many partitions are short of at least one shard.
func (x *Redundancy) Impaired() int64 {
	n := x.Beyond
	for _, short := range x.Short[min(1, len(x.Short)):] {
		n += short
	}
	return n
}

// Count adds a partition. away says of a disk that it is not in service. One
// that is being made or was dropped does not count: it holds nothing.
func (x *Redundancy) Count(p *Partition, away func(DiskID) bool) {
	if p.State == PartitionCreating || p.State == PartitionDropped {
		return
	}
	for len(x.Short) <= int(p.M) {
		x.Short = append(x.Short, 0)
	}
	short := len(p.Missing(away))
	if short > int(p.M) {
		x.Beyond++
		return
	}
	x.Short[short]++
	if short > 0 && short == int(p.M) {
		x.Critical++
	}
}

// Missing lists the shards of a partition that cannot be counted on.
func (p *Partition) Missing(away func(DiskID) bool) (shards []uint8) {
	for i, id := range p.Shards {
		if n := uint8(i); slices.Contains(p.Lost, n) || slices.Contains(p.Damaged, n) || away(id) {
			shards = append(shards, n)
		}
	}
	return shards
}

// EachPartition calls fn for every partition by id, until fn returns an error.
// Each page of them is of one version. class labels the reads in metrics.
func (db *DB) EachPartition(ctx context.Context, class string, fn func(*Partition) error) error {
	for after, more := PartitionID(0), true; more; {
		var rows []Partition
		err := db.View(ctx, class, func(r *Reader) (err error) {
			rows, err = r.Partitions(after, partitionPage)
			return err
		})
		if err != nil {
			return fmt.Errorf("list partitions: %w", err)
		}
		for i := range rows {
			if err := fn(&rows[i]); err != nil {
				return err
			}
		}
		if more = len(rows) == partitionPage; more {
			after = rows[len(rows)-1].ID
		}
	}
	return nil
}
