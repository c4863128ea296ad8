package disk_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
)

// newShelf is a disk with two sealed shards, used before.
func newShelf(t *testing.T, a, b blobd.ShardID) (*disk.Disk, vfs.FS) {
	t.Helper()
	d, f := newDisk(t, small)
	for _, id := range []blobd.ShardID{a, b} {
		spec := blobd.ShardSpec{ID: id, Epoch: 1, Secret: blobd.Secret{byte(id.Partition)}, Capacity: 1 << 20}
		if err := d.Create(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		data := [][]byte{make([]byte, 4096)}
		data[0][7] = byte(id.Partition)
		if err := d.Append(t.Context(), blobd.Append{Shard: id, Epoch: 1, Data: data}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Seal(t.Context(), id, 2); err != nil {
			t.Fatal(err)
		}
	}
	return d, f
}

func path(id blobd.ShardID) string { return "/disk/shards/11/" + id.String() }

// edit changes a file in place.
func edit(t *testing.T, fsys vfs.FS, name string, change func([]byte) []byte) {
	t.Helper()
	f, err := fsys.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	w, err := fsys.OpenReadWrite(name, vfs.Unspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.WriteAt(change(data), 0)
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestAuditSeesPastWhatIsOpen changes files under a disk that has them open.
func TestAuditSeesPastWhatIsOpen(t *testing.T) {
	move := func(fsys vfs.FS, from, to string) error { return fsys.Rename(from, to) }
	for name, c := range map[string]struct {
		spoil func(t *testing.T, fsys vfs.FS, a, b blobd.ShardID)
		want  error
		read  error // of the first byte afterwards
	}{
		"nothing": {func(*testing.T, vfs.FS, blobd.ShardID, blobd.ShardID) {}, nil, nil},
		"removed": {func(t *testing.T, fsys vfs.FS, a, _ blobd.ShardID) {
			t.Helper()
			if err := fsys.Remove(path(a)); err != nil {
				t.Fatal(err)
			}
		}, blobd.ErrShardNotFound, blobd.ErrShardNotFound},
		"exchanged": {func(t *testing.T, fsys vfs.FS, a, b blobd.ShardID) {
			t.Helper()
			err := errors.Join(move(fsys, path(a), "/disk/x"), move(fsys, path(b), path(a)), move(fsys, "/disk/x", path(b)))
			if err != nil {
				t.Fatal(err)
			}
		}, blobd.ErrCorrupt, blobd.ErrCorrupt},
		"newer superblock": {func(t *testing.T, fsys vfs.FS, a, _ blobd.ShardID) {
			t.Helper()
			edit(t, fsys, path(a), func(b []byte) []byte { b[40] ^= 1; return b }) // sequence 2 is in the first slot
		}, blobd.ErrCorrupt, nil},
		"older superblock": {func(t *testing.T, fsys vfs.FS, a, _ blobd.ShardID) {
			t.Helper()
			edit(t, fsys, path(a), func(b []byte) []byte { b[4096+20] ^= 1; return b })
		}, blobd.ErrCorrupt, nil},
		"newer superblock lost": {func(t *testing.T, fsys vfs.FS, a, _ blobd.ShardID) {
			t.Helper()
			edit(t, fsys, path(a), func(b []byte) []byte { clear(b[:4096]); return b })
		}, blobd.ErrCorrupt, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := blobd.ShardID{Partition: 0x1100000000000001}, blobd.ShardID{Partition: 0x1100000000000002, Index: 1}
			d, fsys := newShelf(t, a, b)
			c.spoil(t, fsys, a, b)
			for range 2 {
				if err := d.Audit(t.Context(), a); !errors.Is(err, c.want) {
					t.Errorf("audit: %v, want %v", err, c.want)
				}
				if _, err := d.ReadAt(t.Context(), a, make([]byte, 8), 0); !errors.Is(err, c.read) {
					t.Errorf("read: %v, want %v", err, c.read)
				}
			}
			if d.Failed() != nil {
				t.Errorf("the disk is out of service: %v", d.Failed())
			}
		})
	}
}

// TestAuditOfAShardInUse: a shard that was never closed is as good as any.
func TestAuditOfAShardInUse(t *testing.T) {
	d, _ := newDisk(t, small)
	id := blobd.ShardID{Partition: 1}
	if err := d.Audit(t.Context(), id); !errors.Is(err, blobd.ErrShardNotFound) {
		t.Errorf("of none: %v", err)
	}
	if err := d.Create(t.Context(), blobd.ShardSpec{ID: id, Epoch: 1, Capacity: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	for epoch := blobd.Epoch(1); epoch < 4; epoch++ {
		if err := d.Audit(t.Context(), id); err != nil {
			t.Errorf("in epoch %d: %v", epoch, err)
		}
		err := d.Append(t.Context(), blobd.Append{Shard: id, Epoch: epoch, Offset: int64(epoch) * 4096, Data: [][]byte{{1}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Fence(t.Context(), id, epoch+1); err != nil {
			t.Fatal(err)
		}
		if err := d.Cool(t.Context(), id, 0, 1<<20); err != nil {
			t.Errorf("cool: %v", err)
		}
	}
}

// TestAuditAfterAChangeThatNobodyWaitedFor: the file is ahead of what is known to be durable.
func TestAuditAfterAChangeThatNobodyWaitedFor(t *testing.T) {
	d, fsys := newDisk(t, small)
	id := blobd.ShardID{Partition: 0x1100000000000001}
	if err := d.Create(t.Context(), blobd.ShardSpec{ID: id, Epoch: 1, Capacity: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	release, stalled := make(chan struct{}), make(chan struct{}, 1)
	fsys.Add(faultfs.Rule{Kinds: faultfs.Sync, Path: id.String(), Times: 1, Stall: release, Stalled: stalled})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := d.Fence(ctx, id, 2)
		done <- err
	}()
	<-stalled
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("fence: %v", err)
	}
	close(release)
	if err := d.Audit(t.Context(), id); err != nil {
		t.Errorf("audit: %v", err)
	}
}
