package pebble_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
)

// The crash workload: each worker counts commits in its row "w<worker>", and
// every commit also writes the same number into two far rows, fills a long row
// with its last byte and adds one to a shared counter, so that half a commit
// shows. Most of the long rows are long enough for a blob file.

const crashWorkers = 6

// evidence is what callers were told.
type evidence struct {
	mu sync.Mutex
	told
}

type told struct {
	acked [crashWorkers]int // commits acknowledged
	seen  [crashWorkers]int // the highest number that a read has returned
	total uint64            // the highest counter that a read has returned
}

func (ev *evidence) now() told {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	return ev.told
}

func workerRow(prefix string, worker int) []byte { return fmt.Appendf(nil, "%s%d", prefix, worker) }

func atoi(v []byte) int {
	n, _ := strconv.Atoi(string(v))
	return n
}

// state is what an engine shows in one View.
type state struct {
	rows  [crashWorkers]int
	total uint64
}

func readState(ctx context.Context, e *pebble.Engine) (state, error) {
	var s state
	err := e.View(ctx, kv.TxOptions{}, func(r kv.Reader) error {
		for w := range crashWorkers {
			var values [3]int
			for i, prefix := range []string{"a", "w", "z"} {
				v, err := r.Get(workerRow(prefix, w)).Wait()
				if err != nil {
					return err
				}
				values[i] = atoi(v)
			}
			if values[0] != values[1] || values[1] != values[2] {
				return fmt.Errorf("worker %d: half a commit: %v", w, values)
			}
			s.rows[w] = values[1]
			long, err := r.Get(workerRow("long", w)).Wait()
			if err != nil {
				return err
			}
			if bytes.Count(long, []byte{byte(values[1])}) != len(long) {
				return fmt.Errorf("worker %d: commit %d has another's long row: %x", w, values[1], long[:1])
			}
		}
		v, err := r.Get([]byte("total")).Wait()
		if len(v) == 8 {
			s.total = binary.LittleEndian.Uint64(v)
		}
		return err
	})
	if err != nil {
		return s, err
	}
	sum := 0
	for _, n := range s.rows {
		sum += n
	}
	if s.total != uint64(sum) {
		return s, fmt.Errorf("counter is %d, rows sum to %d", s.total, sum)
	}
	return s, nil
}

func crashWorker(ctx context.Context, e *pebble.Engine, w int, ev *evidence) error {
	r := rand.New(rand.NewPCG(uint64(w), 99))
	for ctx.Err() == nil {
		n := 0
		_, err := e.Update(ctx, kv.TxOptions{}, func(tx kv.Tx) error {
			v, err := tx.Get(workerRow("w", w)).Wait()
			if err != nil {
				return err
			}
			n = atoi(v) + 1
			if r.IntN(2) == 0 {
				tx.DeleteRange(kv.Range{Begin: workerRow("a", w), End: kv.KeyAfter(workerRow("a", w))})
			}
			for _, prefix := range []string{"a", "w", "z"} {
				tx.Set(workerRow(prefix, w), []byte(strconv.Itoa(n)))
			}
			tx.Set(workerRow("long", w), bytes.Repeat([]byte{byte(n)}, 1+r.IntN(4000)))
			tx.Add([]byte("total"), 1)
			return nil
		})
		if err != nil {
			return ignoreEnd(err)
		}
		ev.mu.Lock()
		ev.acked[w] = n
		ev.mu.Unlock()
	}
	return nil
}

// ignoreEnd drops the errors of a workload that was stopped.
func ignoreEnd(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, kv.ErrUnavailable) || errors.Is(err, kv.ErrUnknownCommit) {
		return nil
	}
	return err
}

func crashReader(ctx context.Context, e *pebble.Engine, ev *evidence) error {
	for ctx.Err() == nil {
		s, err := readState(ctx, e)
		if err != nil {
			return ignoreEnd(err)
		}
		ev.mu.Lock()
		for w, n := range s.rows {
			ev.seen[w] = max(ev.seen[w], n)
		}
		ev.total = max(ev.total, s.total)
		ev.mu.Unlock()
		// What an update that writes nothing has read is durable as well.
		var n int
		_, err = e.Update(ctx, kv.TxOptions{}, func(tx kv.Tx) error {
			v, err := tx.Get(workerRow("w", 0)).Wait()
			n = atoi(v)
			return err
		})
		if err != nil {
			return ignoreEnd(err)
		}
		ev.mu.Lock()
		ev.seen[0] = max(ev.seen[0], n)
		ev.mu.Unlock()
	}
	return nil
}

// TestPowerLoss runs writers and readers, takes crash images while they run,
// and opens each image: what was acknowledged or shown before the image was
// taken is in it, and every commit is whole.
func TestPowerLoss(t *testing.T) {
	for _, percent := range []int{0, 50, 100} {
		t.Run(fmt.Sprintf("%d percent of unsynced data survive", percent), func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 0))
			fs := vfs.NewCrashableMem()
			// A power loss of a power loss: each image runs a workload too.
			for range 4 {
				fs = crashOnce(t, fs, vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: r})
			}
		})
	}
}

func crashOnce(t *testing.T, fs *vfs.MemFS, cfg vfs.CrashCloneCfg) *vfs.MemFS {
	t.Helper()
	mem := faultfs.NewMem(fs)
	e := open(t, pebble.Options{FS: mem, MemTableBytes: 64 << 10})
	var ev evidence
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	errs := make(chan error, crashWorkers+1)
	for w := range crashWorkers {
		go func() { errs <- crashWorker(ctx, e, w, &ev) }()
	}
	go func() { errs <- crashReader(ctx, e, &ev) }()

	var image *vfs.MemFS
	for range 3 {
		waitCommits(t, e, e.Stats().Commits+uint64(20+cfg.RNG.IntN(100)))
		before := ev.now()
		image = mem.CrashClone(cfg)
		checkImage(t, image.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: cfg.RNG}), before)
	}
	cancel()
	for range crashWorkers + 1 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	return image
}

// waitCommits runs small commits of its own until n have been made.
func waitCommits(t *testing.T, e *pebble.Engine, n uint64) {
	t.Helper()
	for e.Stats().Commits < n {
		_, err := e.Update(t.Context(), kv.TxOptions{}, func(tx kv.Tx) error {
			tx.Set([]byte("tick"), nil)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// checkImage opens a crash image, reads it, and crashes again at once without
// anything unsynced: what the first reading showed has to be there still.
func checkImage(t *testing.T, image *vfs.MemFS, before told) {
	t.Helper()
	mem := faultfs.NewMem(image)
	e := open(t, pebble.Options{FS: mem, MemTableBytes: 64 << 10})
	first, err := readState(t.Context(), e)
	if err != nil {
		t.Fatalf("after the crash: %v", err)
	}
	for w, n := range first.rows {
		if n < before.acked[w] || n < before.seen[w] {
			t.Errorf("worker %d: %d commits after the crash, %d were acknowledged and %d seen", w, n, before.acked[w], before.seen[w])
		}
	}
	if first.total < before.total {
		t.Errorf("counter is %d after the crash, %d was seen", first.total, before.total)
	}
	again := mem.CrashClone(vfs.CrashCloneCfg{})
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	e = open(t, pebble.Options{FS: again, MemTableBytes: 64 << 10})
	second, err := readState(t.Context(), e)
	if err != nil {
		t.Fatalf("after the second crash: %v", err)
	}
	if second != first {
		t.Errorf("a View showed %v, after the next power loss it is %v", first, second)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
