package metadata

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/undercroft/undercroft/metadata/kv"
)

// ClassUsage is what the partitions of a storage class hold.
type ClassUsage struct {
	Class      string // "" is STANDARD
	Partitions int64  // those that may hold anything
	Bytes      int64  // of objects
	// Encoded is Bytes with the parity that each partition adds, without headers, padding and
	// what stripes are short of columns.
	Encoded int64
}

// Ratio is what one byte of objects takes, 0 where there are none.
func (u *ClassUsage) Ratio() float64 {
	if u.Bytes == 0 {
		return 0
	}
	return float64(u.Encoded) / float64(u.Bytes)
}

// ClassUsages counts by storage class. The zero value is ready.
type ClassUsages struct{ classes map[string]*ClassUsage }

// Count adds a partition with its live bytes. One that is being made or was dropped
// does not count: it holds nothing.
func (x *ClassUsages) Count(p *Partition, live int64) {
	if p.State == PartitionCreating || p.State == PartitionDropped {
		return
	}
	if x.classes == nil {
		x.classes = map[string]*ClassUsage{}
	}
	u := x.classes[p.Class]
	if u == nil {
		u = &ClassUsage{Class: p.Class}
		x.classes[p.Class] = u
	}
	u.Partitions++
	u.Bytes += live
	if p.K > 0 {
		u.Encoded += live * int64(p.K+p.M) / int64(p.K)
	}
}

// List returns what was counted, STANDARD first.
func (x *ClassUsages) List() []ClassUsage {
	out := make([]ClassUsage, 0, len(x.classes))
	for _, u := range x.classes {
		out = append(out, *u)
	}
	slices.SortFunc(out, func(a, b ClassUsage) int { return cmp.Compare(a.Class, b.Class) })
	return out
}

// EachPartitionLive is EachPartition with the live bytes of each.
func (db *DB) EachPartitionLive(ctx context.Context, class string, fn func(p *Partition, live int64) error) error {
	for after, more := PartitionID(0), true; more; {
		var rows []Partition
		var live []int64
		err := db.View(ctx, class, func(r *Reader) (err error) {
			if rows, err = r.Partitions(after, partitionPage); err == nil && len(rows) > 0 {
				live, err = r.liveBytesOf(rows)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("list partitions: %w", err)
		}
		for i := range rows {
			if err := fn(&rows[i], live[i]); err != nil {
				return err
			}
		}
		if more = len(rows) == partitionPage; more {
			after = rows[len(rows)-1].ID
		}
	}
	return nil
}

// liveBytesOf reads the counters of consecutive partitions.
func (r *Reader) liveBytesOf(rows []Partition) ([]int64, error) {
	out := make([]int64, len(rows))
	rng := kv.Range{Begin: r.keys.liveBytes(rows[0].ID), End: append(r.keys.liveBytes(rows[len(rows)-1].ID), 0)}
	i := 0
	err := r.each(rng, 0, func(p kv.Pair) (bool, error) {
		id := PartitionID(binary.BigEndian.Uint64(p.Key[len(p.Key)-8:]))
		for i < len(rows) && rows[i].ID < id {
			i++
		}
		if i == len(rows) || rows[i].ID != id {
			return true, nil
		}
		n, err := decodeCounter(p.Value)
		out[i] = n
		return err == nil, err
	})
	return out, err
}
