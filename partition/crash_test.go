package partition

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/undercroft/undercroft/blobd"
	blobdisk "github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	kvpebble "github.com/undercroft/undercroft/metadata/kv/pebble"
)

// machine is a whole system on one file system: Pebble and three disks.
type machine struct {
	world
	store  *Store
	closer []func() error
}

// patient is an engine that waits for a commit as long as it takes: operations
// stand still while what a crash at them leaves is verified.
type patient struct{ kv.Engine }

func (p patient) Update(ctx context.Context, o kv.TxOptions, fn func(kv.Tx) error) (kv.Commit, error) {
	o.Timeout = standstill
	return p.Engine.Update(ctx, o, fn)
}

// standstill is more than a machine under load needs for a verification.
const standstill = time.Hour

// frozen is the clock of a machine: no transaction grows too old.
func frozen() time.Time { return time.Unix(1_790_000_000, 0).UTC() }

func diskDir(i int) string { return fmt.Sprintf("d%d", i) }

func startMachine(ctx context.Context, fsys vfs.FS) (*machine, error) {
	m := &machine{}
	engine, err := kvpebble.Open("meta", kvpebble.Options{FS: fsys, Now: frozen, ReserveBytes: -1, BallastBytes: -1})
	if err != nil {
		return nil, err
	}
	m.closer = append(m.closer, engine.Close)
	if m.db, err = metadata.Open(patient{engine}, metadata.Options{Now: frozen}); err != nil { //nolint:contextcheck // it takes none
		return nil, errors.Join(err, m.stop())
	}
	var disks []blobd.Disk
	for i := range 3 {
		d, err := blobdisk.Open(fsys, diskDir(i), blobdisk.Options{Preallocate: 1 << 20, Reserve: -1})
		if err != nil {
			return nil, errors.Join(err, m.stop())
		}
		m.closer = append(m.closer, d.Close)
		disks = append(disks, d)
	}
	m.store, err = Open(ctx, m.db, Options{Disks: disks, Capacity: minCapacity, MinColumn: 4096, AppendTimeout: standstill})
	if err != nil {
		return nil, errors.Join(err, m.stop())
	}
	m.closer = append(m.closer, func() error { return m.store.Close(ctx) })
	return m, nil
}

func (m *machine) stop() error {
	var errs []error
	for _, stop := range slices.Backward(m.closer) {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}

// ledger is what a client was told.
type ledger struct {
	mu    sync.Mutex
	blobs []stored
}

func (l *ledger) add(b stored) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blobs = append(l.blobs, b)
}

func (l *ledger) list() []stored {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clip(l.blobs)
}

func formatDisks(t *testing.T, fsys vfs.FS) {
	t.Helper()
	for i := range 3 {
		if err := blobdisk.Format(fsys, diskDir(i), blobdisk.NewIdentity(blobdisk.ClusterID{1}, frozen())); err != nil {
			t.Fatal(err)
		}
	}
}

// Power is lost at every fifth operation that changes something: each blob
// whose publication was acknowledged is read back, and nothing is written over.
func TestPowerLoss(t *testing.T) {
	var acknowledged ledger
	crashes := 0
	faultfs.Crashes(1, func(fsys *faultfs.FS) {
		formatDisks(t, fsys)
		m, err := startMachine(t.Context(), fsys)
		if err != nil {
			t.Fatal(err)
		}
		for i, size := range []int{9000, 200_000, 1, 1 << 20, 4 << 20, 30_000, 3 << 20, 70_000, 4 << 20, 4 << 20, 4 << 20} {
			data := pattern(size, uint64(i))
			b := stored{data, put(t, m.store, data)}
			if err := m.publish(t.Context(), metadata.DataID{byte(i + 1)}, b.placed); err != nil {
				t.Fatal(err)
			}
			acknowledged.add(b)
		}
		if n, err := m.store.SealIdle(t.Context()); err != nil || n == 0 {
			t.Errorf("sealed %d, %v", n, err)
		}
		if err := m.stop(); err != nil {
			t.Error(err)
		}
	}, acknowledged.list, func(c faultfs.Crash, blobs []stored) {
		if len(blobs) == 0 || c.Number%5 != 0 {
			return
		}
		crashes++
		if err := afterCrash(context.WithoutCancel(t.Context()), c.FS, blobs); err != nil {
			t.Errorf("crash %d before %+v, %d%% survive: %v", c.Number, c.Op, c.Percent, err)
		}
	})
	if crashes < 30 {
		t.Errorf("only %d crashes", crashes)
	}
	t.Logf("%d crashes", crashes)
}

func afterCrash(ctx context.Context, fsys vfs.FS, blobs []stored) (err error) {
	m, err := startMachine(ctx, fsys)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.stop()) }()
	data := pattern(50_000, 99)
	buf, err := m.store.Buffer(ctx, int64(len(data)))
	if err != nil {
		return err
	}
	p := m.store.Submit(ctx, Blob{}, buf, copy(buf.Bytes(), data))
	defer p.Done()
	placed, err := p.Wait(ctx)
	if err != nil {
		return err
	}
	for i, b := range append(blobs, stored{data, placed}) {
		var out bytes.Buffer
		r := m.store.NewReader(ctx, segments(whole1(b.placed.Extent)))
		_, err = r.WriteTo(&out) //nolint:contextcheck // the reader has it
		if err = errors.Join(err, r.Close()); err != nil {
			return fmt.Errorf("blob %d: %w", i, err)
		}
		if !bytes.Equal(out.Bytes(), b.data) {
			return fmt.Errorf("blob %d: wrong bytes", i)
		}
		e := b.placed.Extent
		if i < len(blobs) && e.Partition == placed.Extent.Partition && placed.Extent.Stripe < e.Stripe+blobd.FrameSize(e.Height) {
			return fmt.Errorf("blob %d: written over", i)
		}
	}
	if c := m.store.Status().Counters; c.Reconstructed > 0 {
		return fmt.Errorf("%d blocks were damaged", c.Reconstructed)
	}
	return nil
}
