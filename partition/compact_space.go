package partition

import (
	"context"
	"slices"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// Space is what a partition takes on the disks that serve.
type Space struct {
	Allocated int64 // bytes
	Shards    int   // that were counted: lost ones and those of disks that are away are not
}

// Space measures a partition.
func (s *Store) Space(ctx context.Context, row *metadata.Partition) (out Space) {
	if !s.begin() {
		return out
	}
	defer s.work.Done()
	now := s.opts.Now()
	for i, d := range s.disks.resolve(row) {
		if d == nil || d.Failed() != nil || d.hangs(now) {
			continue
		}
		if st, err := s.statShard(ctx, d, shardID(row.ID, i)); err == nil {
			out.Allocated += st.Allocated
			out.Shards++
		}
	}
	return out
}

// Expected is about what so many bytes take on so many of the shards of a
// partition of a scheme when they are written together.
func (s *Store) Expected(k, m uint8, live int64, shards int) int64 {
	columns := min(max(live/int64(s.opts.MinColumn), 1), int64(k))
	all := live * (columns + int64(m)) / columns
	all += all/64 + int64(k+m)*2*blobd.Align // headers, checksums, padding
	return all * int64(shards) / int64(k+m)
}

// HasRoom reports whether so many bytes of a storage class can be written on the
// disks in service.
func (s *Store) HasRoom(ctx context.Context, storageClass string, bytes int64) bool {
	now := s.opts.Now()
	var rooms []uint64
	for _, d := range s.disks.all() {
		if s.disks.isLeaving(d.id) {
			continue
		}
		if room, err := d.room(ctx, now); err == nil {
			rooms = append(rooms, room)
		}
	}
	return hasRoom(s.classes.of(storageClass).scheme(), rooms, bytes)
}

// hasRoom is HasRoom on disks with so much room each.
func hasRoom(wanted Scheme, rooms []uint64, bytes int64) bool {
	scheme := wanted.on(len(rooms))
	if scheme.K == 0 {
		return false
	}
	slices.Sort(rooms)
	slices.Reverse(rooms)
	// The disk with the least room of those that are needed bounds the rest.
	each := uint64(bytes)/uint64(scheme.K) + uint64(bytes)/uint64(4*scheme.K)
	return rooms[scheme.K+scheme.M-1] >= each
}
