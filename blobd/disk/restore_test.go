package disk

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/blobdtest"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
)

// Whoever has a shard open when it is replaced, or comes meanwhile, neither
// puts the disk out of service nor keeps the old file.
func TestReplacingAShardInUse(t *testing.T) {
	for name, used := range map[string]bool{"in use": true, "never opened": false} {
		t.Run(name, func(t *testing.T) {
			fsys := vfs.NewMem()
			if err := Format(fsys, "/d", NewIdentity(ClusterID{1}, time.Unix(1700000000, 0))); err != nil {
				t.Fatal(err)
			}
			d, err := Open(fsys, "/d", Options{Preallocate: 64 << 10, Reserve: -1})
			if err != nil {
				t.Fatal(err)
			}
			id := blobdtest.Shard(1, 0)
			spec := blobd.ShardSpec{ID: id, Epoch: 1, Secret: blobdtest.Secret, Capacity: 1 << 20}
			if err := d.Create(t.Context(), spec); err != nil {
				t.Fatal(err)
			}
			if err := d.Append(t.Context(), blobdtest.Frame(id, 1, 0, []byte("old"))); err != nil {
				t.Fatal(err)
			}
			if !used {
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				if d, err = Open(fsys, "/d", Options{Reserve: -1}); err != nil {
					t.Fatal(err)
				}
			}
			spec.Epoch = 2
			r, err := d.Restore(t.Context(), spec, 8192)
			if err != nil {
				t.Fatal(err)
			}
			a := blobdtest.Frame(id, 2, 0, []byte("new"))
			if err := r.Write(t.Context(), 0, a.Data); err != nil {
				t.Fatal(err)
			}
			var held *shard
			if used {
				if held, err = d.open(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if used {
				if err := held.seal(t.Context(), 3); !errors.Is(err, blobd.ErrShardNotFound) {
					t.Errorf("seal of the file that was replaced: %v", err)
				}
				d.release(held)
			}
			got, err := blobdtest.ReadFrame(t.Context(), d, id, 0)
			if err != nil || !bytes.Equal(got, []byte("new")) {
				t.Errorf("read %q, %v", got, err)
			}
			if err := d.Failed(); err != nil {
				t.Error(err)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
			if names, err := fsys.List("/d/tmp"); err != nil || len(names) > 0 {
				t.Errorf("tmp holds %q, %v", names, err)
			}
		})
	}
}

// A shard whose superblocks are gone can be replaced and discarded.
func TestUnreadableShardsAreReplaced(t *testing.T) {
	for _, discard := range []bool{false, true} {
		t.Run(fmt.Sprint("discard ", discard), func(t *testing.T) {
			fsys := vfs.NewMem()
			if err := Format(fsys, "/d", NewIdentity(ClusterID{1}, time.Unix(1700000000, 0))); err != nil {
				t.Fatal(err)
			}
			d, err := Open(fsys, "/d", Options{Reserve: -1})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			}()
			id := blobdtest.Shard(1, 0)
			if err := vfs.MkdirAll(fsys, fsys.PathDir(d.shardPath(id)), dirMode); err != nil {
				t.Fatal(err)
			}
			if err := vfs.WriteFile(fsys, d.shardPath(id), []byte("rubbish"), 0o600); err != nil {
				t.Fatal(err)
			}
			if discard {
				if err := d.Discard(t.Context(), id, 2); err != nil {
					t.Error(err)
				}
				return
			}
			spec := blobd.ShardSpec{ID: id, Epoch: 2, Secret: blobdtest.Secret, Capacity: 1 << 20}
			r, err := d.Restore(t.Context(), spec, 0)
			if err == nil {
				err = r.Commit(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			if st, err := d.Stat(t.Context(), id); err != nil || st.Epoch != 2 {
				t.Errorf("replaced: %+v, %v", st, err)
			}
		})
	}
}

// A shard whose superblocks lie on bad blocks can be replaced: else it would never be
// repaired where it is.
func TestShardOnBadBlocksIsReplaced(t *testing.T) {
	faults := faultfs.New(vfs.NewMem())
	if err := Format(faults, "/d", NewIdentity(ClusterID{1}, time.Unix(1700000000, 0))); err != nil {
		t.Fatal(err)
	}
	open := func() *Disk {
		t.Helper()
		d, err := Open(faults, "/d", Options{Reserve: -1})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := open()
	id := blobdtest.Shard(1, 0)
	spec := blobd.ShardSpec{ID: id, Epoch: 1, Secret: blobdtest.Secret, Capacity: 1 << 20}
	if err := errors.Join(d.Create(t.Context(), spec), d.Close()); err != nil {
		t.Fatal(err)
	}
	d = open()
	bad := faults.Add(faultfs.Rule{Kinds: faultfs.Read, Path: d.shardPath(id), Err: syscall.EIO})
	if _, err := d.Stat(t.Context(), id); !errors.Is(err, syscall.EIO) {
		t.Errorf("bad blocks: %v", err)
	}
	spec.Epoch = 2
	r, err := d.Restore(t.Context(), spec, 0)
	if err == nil {
		err = r.Commit(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	bad()
	st, err := d.Stat(t.Context(), id)
	if err = errors.Join(err, d.Failed(), d.Close()); err != nil || st.Epoch != 2 {
		t.Errorf("replaced: %+v, %v", st, err)
	}
}

// Of a shard that is taken away and written anew while somebody waits to discard
// the old one, the new one stays.
func TestDiscardThatWaitedKeepsWhatCameSince(t *testing.T) {
	fsys := vfs.NewMem()
	if err := Format(fsys, "/d", NewIdentity(ClusterID{1}, time.Unix(1700000000, 0))); err != nil {
		t.Fatal(err)
	}
	d, err := Open(fsys, "/d", Options{Preallocate: 64 << 10, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	id := blobdtest.Shard(1, 0)
	spec := blobd.ShardSpec{ID: id, Epoch: 1, Secret: blobdtest.Secret, Capacity: 1 << 20}
	if err := d.Create(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	old, err := d.open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	old.life.Lock() // somebody is about to discard it
	waited := make(chan error, 1)
	go func() { waited <- d.Discard(t.Context(), id, 5) }()
	for waiting := false; !waiting; runtime.Gosched() {
		d.mu.Lock()
		waiting = old.refs == 2
		d.mu.Unlock()
	}
	d.retire(old)
	if err := fsys.Remove(old.name); err != nil {
		t.Fatal(err)
	}
	spec.Epoch = 9
	r, err := d.Restore(t.Context(), spec, 8192)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Write(t.Context(), 0, blobdtest.Frame(id, 9, 0, []byte("new")).Data); err != nil {
		t.Fatal(err)
	}
	if err := r.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	old.life.Unlock()
	if err := <-waited; !errors.Is(err, blobd.ErrStaleEpoch) {
		t.Errorf("discard of what is older: %v", err)
	}
	d.release(old)
	if got, err := blobdtest.ReadFrame(t.Context(), d, id, 0); err != nil || !bytes.Equal(got, []byte("new")) {
		t.Errorf("read %q, %v", got, err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
