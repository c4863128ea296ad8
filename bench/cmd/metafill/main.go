// Command metafill writes the metadata of many objects into the directories of a
// stopped store, without their data, and then kills itself: for measuring how
// soon a server serves after a kill. The store must not be used for
// anything else: reads of these objects find nothing.
//
//	metafill -bucket NAME -data DIR -data DIR … -objects 1000000 -blobs 10
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/steward"
)

const (
	blobSize   = 96 << 10
	shardSize  = 1 << 30 // bytes of a full shard
	batch      = 400     // objects of a transaction
	stripeSize = 24 << 12
)

// filler writes objects one after the other into partitions one after the other.
type filler struct {
	system *single.System
	bucket *metadata.Bucket
	row    *metadata.Partition
	next   int64 // offset in row
}

type options struct {
	dirs           []string
	bucket         string
	objects, blobs int
}

func main() {
	o := options{}
	flag.Func("data", "a data `DIR`ectory; repeat it", func(s string) error {
		o.dirs = append(o.dirs, strings.Split(s, ",")...)
		return nil
	})
	flag.StringVar(&o.bucket, "bucket", "", "a bucket that exists")
	flag.IntVar(&o.objects, "objects", 1_000_000, "how many objects")
	flag.IntVar(&o.blobs, "blobs", 10, "how many blobs each has")
	flag.Parse()
	if err := run(context.Background(), &o); err != nil {
		fmt.Fprintln(os.Stderr, "metafill:", err)
		os.Exit(1)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		os.Exit(1)
	}
}

func run(ctx context.Context, o *options) error {
	rows, files, err := planned(o)
	if err != nil {
		return err
	}
	if err := files.create(ctx, rows); err != nil {
		return err
	}
	s, err := single.Open(ctx, single.Options{
		FS: vfs.Default(), Dirs: o.dirs, Now: time.Now, Region: "us-east-1",
		Steward: steward.Options{Interval: -1}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	f := &filler{system: s}
	err = s.DB.View(ctx, "fill", func(r *metadata.Reader) (err error) {
		f.bucket, err = r.BucketByName(o.bucket)
		return err
	})
	if err == nil && f.bucket == nil {
		err = fmt.Errorf("no bucket %q", o.bucket)
	}
	if err != nil {
		return err
	}
	return f.fill(ctx, o, rows)
}

// diskFiles are the disks by id, in the order of the directories.
type diskFiles struct {
	ids  []metadata.DiskID
	dirs []string
}

// planned are the partitions that the blobs need.
func planned(o *options) ([]metadata.Partition, *diskFiles, error) {
	files := &diskFiles{dirs: o.dirs}
	for _, dir := range o.dirs {
		_, id, err := disk.Probe(vfs.Default(), dir)
		if err != nil {
			return nil, nil, err
		}
		files.ids = append(files.ids, metadata.DiskID(id.Disk))
	}
	if len(files.ids) < 3 {
		return nil, nil, errors.New("three directories or more, used before")
	}
	perPartition := max(shardSize/(batch*o.blobs*stripeSize), 1) * batch
	var rows []metadata.Partition
	for i := range (o.objects + perPartition - 1) / perPartition {
		rows = append(rows, metadata.Partition{
			ID: metadata.PartitionID(uint64(time.Now().UnixNano())<<16 + uint64(i)), State: metadata.PartitionOpen, Epoch: 1,
			K: uint8(len(files.ids) - 2), M: 2, Shards: files.ids, Capacity: shardSize, Created: time.Now(),
		})
	}
	return rows, files, nil
}

// create makes the shards' files, sealed and without frames.
func (d *diskFiles) create(ctx context.Context, rows []metadata.Partition) (err error) {
	for i, dir := range d.dirs {
		on, err := disk.Open(vfs.Default(), dir, disk.Options{Preallocate: 64 << 10})
		if err != nil {
			return err
		}
		for _, row := range rows {
			id := blobd.ShardID{Partition: blobd.PartitionID(row.ID), Index: uint8(i)}
			err = on.Create(ctx, blobd.ShardSpec{ID: id, Epoch: 1, Capacity: shardSize})
			if err == nil {
				_, err = on.Seal(ctx, id, 2)
			}
			if err != nil {
				return errors.Join(err, on.Close())
			}
		}
		if err := on.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (f *filler) fill(ctx context.Context, o *options, rows []metadata.Partition) error {
	used := 0
	f.row = &rows[0]
	for first := 0; first < o.objects; first += batch {
		if f.next+int64(batch*o.blobs)*stripeSize > shardSize && used+1 < len(rows) {
			used++
			f.row, f.next = &rows[used], 0
		}
		err := f.system.DB.Update(ctx, "fill", func(tx *metadata.Tx) error {
			if err := tx.PutPartition(f.row); err != nil {
				return err
			}
			for i := range min(batch, o.objects-first) {
				if err := f.object(tx, first+i, o.blobs); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if first%100_000 == 0 {
			fmt.Fprintln(os.Stderr, first)
		}
	}
	return f.seal(ctx, rows[:used+1])
}

// object writes an object and what refers to it.
func (f *filler) object(tx *metadata.Tx, n, blobs int) error {
	db := f.system.DB
	id := db.NewDataID()
	placed := make([]metadata.Placed, blobs)
	extents := make([]metadata.Extent, blobs)
	for i := range extents {
		extents[i] = metadata.Extent{Partition: f.row.ID, Stripe: f.next, Height: stripeSize - 4096, Length: blobSize - 8192}
		placed[i] = metadata.Placed{Extent: extents[i], Epoch: 1}
		f.next += stripeSize
	}
	if err := errors.Join(tx.PutExtents(id, 0, extents), tx.Publish(id, placed)); err != nil {
		return err
	}
	return tx.PutObject(f.bucket.ID, nil, &metadata.Object{
		Key: fmt.Sprintf("filled/%08d", n), Ord: metadata.Ord(n + 1), Null: true, Size: int64(blobs) * (blobSize - 8192),
		Modified: db.Now(), ETag: fmt.Sprintf("%032x", n), Owner: f.bucket.Owner,
		Data: metadata.Data{Kind: metadata.DataRows, ID: id},
	}, nil)
}

func (f *filler) seal(ctx context.Context, rows []metadata.Partition) error {
	return f.system.DB.Update(ctx, "fill", func(tx *metadata.Tx) error {
		for i := range rows {
			rows[i].State, rows[i].Epoch, rows[i].End = metadata.PartitionSealed, 2, shardSize
			if err := tx.PutPartition(&rows[i]); err != nil {
				return err
			}
		}
		return nil
	})
}
