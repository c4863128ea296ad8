package steward_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
)

// patch changes the bytes of a file of the cluster in place.
func (e *env) patch(name string, change func([]byte)) {
	e.t.Helper()
	f, err := e.FS.OpenReadWrite(name, vfs.Unspecified)
	e.must(err)
	info, err := f.Stat()
	e.must(err)
	data := make([]byte, info.Size())
	_, err = f.ReadAt(data, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		e.t.Fatal(err)
	}
	change(data)
	_, err = f.WriteAt(data, 0)
	e.must(errors.Join(err, f.Close()))
}

// framesOf lists where the referenced frames of a shard lie in its file, with their heights.
func (e *env) framesOf(row *metadata.Partition, shard int) (name string, at []int64, heights []uint32) {
	e.t.Helper()
	id := blobd.ShardID{Partition: blobd.PartitionID(row.ID), Index: uint8(shard)}.String()
	var refs []metadata.Ref
	e.must(e.DB.View(e.t.Context(), "test", func(r *metadata.Reader) (err error) {
		refs, err = r.Refs(row.ID, 0, 0)
		return err
	}))
	for _, dir := range e.Dirs() {
		if path := e.FS.PathJoin(dir, "shards", id[:2], id); exists(e.FS, path) {
			name = path
		}
	}
	e.patch(name, func(b []byte) {
		for i, ref := range refs {
			p := superblocks + ref.Stripe
			if (i == 0 || refs[i-1].Stripe != ref.Stripe) && string(b[p:p+4]) == "UCFR" {
				at, heights = append(at, p), append(heights, binary.BigEndian.Uint32(b[p+40:]))
			}
		}
	})
	return name, at, heights
}

func exists(fs vfs.FS, name string) bool {
	_, err := fs.Stat(name)
	return err == nil
}

// TestInterleaving14ForgedFrames: a client fills an object with bytes that look like frames at
// every aligned place, and the real header is torn, or replaced by such bytes: scrub takes
// none of them for a frame.
func TestInterleaving14ForgedFrames(t *testing.T) {
	e := newEnv(t, scrubbed(5, partition.Scheme{K: 2, M: 2}))
	s := e.fillShelf(10)
	// Everything in it is right but for the secret, which no client knows.
	forged := func(row *metadata.Partition, shard int, offset int64) []byte {
		h := blobd.FrameHeader{
			Shard: blobd.ShardID{Partition: blobd.PartitionID(row.ID), Index: uint8(shard)}, Columns: 1, K: row.K, M: row.M,
			Epoch: blobd.Epoch(row.Epoch), Offset: offset, StripeID: 1, Height: 64, Used: 64,
		}
		var out []byte
		for _, piece := range blobd.AppendFrame(nil, h, blobd.Secret{}, make([]byte, 64), nil) {
			out = append(out, piece...)
		}
		return out
	}
	data := content(77, 3*mib)
	for at := 4096 - blobd.FrameHeaderSize; at+4096 < len(data); at += 4096 {
		copy(data[at:], forged(&metadata.Partition{K: 2, M: 2}, at%4, int64(at)))
	}
	for i := range 4 {
		key := fmt.Sprint("forged", i)
		s[key] = data
		e.put(key, data)
	}
	e.RunSteward()
	row := e.specimenRow()
	for shard := range row.Shards {
		name, at, _ := e.framesOf(&row, shard)
		for what, put := range map[string][]byte{
			"torn":     make([]byte, blobd.FrameHeaderSize),
			"replaced": forged(&row, shard, at[1]-superblocks),
		} {
			before := e.Steward.Counters()
			e.patch(name, func(b []byte) { copy(b[at[1]:], put) })
			_, c := e.scrub()
			if c.Damaged-before.Damaged != 1 || c.Repaired-before.Repaired != 1 || c.ScrubUnreadable+c.ScrubMismatched != 0 {
				t.Errorf("shard %d, %s: %+v", shard, what, c)
			}
			if round, _ := e.scrub(); !round.Whole() {
				t.Errorf("shard %d, %s, repaired: %+v", shard, what, round)
			}
			name, at, _ = e.framesOf(&row, shard)
		}
	}
	e.holdsShelf(s)
	e.mustBeWhole()
}

// TestInterleaving19MisdirectedBlocks exchanges blocks and frames, each with a checksum that was
// made for it: in a frame, between frames and between shards.
func TestInterleaving19MisdirectedBlocks(t *testing.T) {
	e := newEnv(t, scrubbed(5, partition.Scheme{K: 2, M: 2}))
	s := e.fillShelf(14)
	e.RunSteward()
	row := e.specimenRow()
	swap := func(a, b []byte) {
		old := append([]byte(nil), a...)
		copy(a, b)
		copy(b, old)
	}
	const first = blobd.FrameHeaderSize
	for name, c := range map[string]struct {
		shards int64
		spoil  func()
	}{
		"two blocks of a frame": {1, func() {
			file, at, _ := e.framesOf(&row, 2)
			e.patch(file, func(b []byte) {
				b = b[at[0]+first:]
				swap(b[:blobd.BlockSize], b[blobd.BlockSize:2*blobd.BlockSize])
			})
		}},
		"blocks of two frames": {1, func() {
			file, at, _ := e.framesOf(&row, 3)
			e.patch(file, func(b []byte) {
				swap(b[at[0]+first:][:blobd.BlockSize], b[at[1]+first:][:blobd.BlockSize])
			})
		}},
		"two frames of a shard": {1, func() {
			file, at, heights := e.framesOf(&row, 2)
			size := min(blobd.FrameSize(heights[0]), blobd.FrameSize(heights[1]))
			e.patch(file, func(b []byte) { swap(b[at[0]:][:size], b[at[1]:][:size]) })
		}},
		"blocks of two shards": {2, func() {
			file, at, _ := e.framesOf(&row, 2)
			other, there, _ := e.framesOf(&row, 3)
			e.patch(file, func(b []byte) {
				e.patch(other, func(o []byte) { swap(b[at[1]+first:][:blobd.BlockSize], o[there[1]+first:][:blobd.BlockSize]) })
			})
		}},
	} {
		before := e.Steward.Counters()
		c.spoil()
		_, after := e.scrub()
		if got := after.Damaged - before.Damaged; got != c.shards || after.Repaired-before.Repaired != c.shards || after.ScrubUnreadable+after.ScrubMismatched != 0 {
			t.Errorf("%s: %d shards were found, want %d; %+v", name, got, c.shards, after)
		}
		if round, _ := e.scrub(); !round.Whole() {
			t.Errorf("%s, repaired: %+v", name, round)
		}
	}
	e.holdsShelf(s)
	e.mustBeWhole()
}

// TestInterleaving23HalfWrittenShard cuts the power at the changes of a round that finds damage and
// of the repairs that follow. What the next start finds of them, another round takes for what it
// is: everything is whole again, and nothing is left over.
func TestInterleaving23HalfWrittenShard(t *testing.T) {
	sc := partition.Scheme{K: 2, M: 2}
	e := newEnv(t, scrubbed(5, sc))
	s := e.fillShelf(12)
	e.RunSteward()
	row := e.specimenRow()
	for shard := range 2 {
		name, at, _ := e.framesOf(&row, 3*shard)
		e.patch(name, func(b []byte) { b[at[len(at)/2]+200] ^= 1 })
	}
	e.must(func() error { // the damage is durable
		for _, dir := range e.Dirs() {
			for _, name := range shardFiles(e, dir) {
				f, err := e.FS.Open(name)
				if err == nil {
					err = errors.Join(f.Sync(), f.Close())
				}
				if err != nil {
					return err
				}
			}
		}
		return nil
	}())
	type left struct {
		op faultfs.Op
		fs *vfs.MemFS
	}
	var mu sync.Mutex
	var crashes []left
	number, every := 0, 8
	if testing.Short() {
		every = 25
	}
	rng := rand.New(rand.NewPCG(1, 1))
	e.Faults.Hook(func(op faultfs.Op) {
		if op.Kind&faultfs.Changes == 0 {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if number++; number%every != 0 && (op.Kind&(faultfs.Rename|faultfs.Remove) == 0 || !strings.Contains(op.Name, "/tmp/")) {
			return
		}
		percent := []int{0, 50, 100}[len(crashes)%3]
		crashes = append(crashes, left{op, e.Mem().CrashClone(pebblevfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})})
	})
	_, c := e.scrub()
	e.Faults.Hook(nil)
	if c.Repaired != 2 || c.Damaged != 2 {
		t.Fatalf("%+v", c)
	}
	for i, crash := range crashes {
		crashes[i].fs = nil // each is a whole store in memory
		ok := t.Run(fmt.Sprint(i), func(t *testing.T) {
			o := scrubbed(5, sc)
			o.FS, o.Dirs = crash.fs, e.Dirs()
			after := &env{testcluster.New(t, o), t}
			after.RunSteward()
			after.scrub()
			if round, c := after.scrub(); !round.Whole() || c.ScrubUnreadable+c.ScrubMismatched != 0 {
				t.Errorf("%+v, %+v", round, c)
			}
			after.holdsShelf(s)
			after.mustBeWhole()
		})
		if !ok {
			t.Fatalf("crash %d before %+v", i, crash.op)
		}
	}
	t.Logf("%d crashes at %d changes", len(crashes), number)
	if len(crashes) < 3 {
		t.Errorf("only %d crashes", len(crashes))
	}
}
