package pebble

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/internal/txn"
)

// fixed is a snapshot of nothing at one version.
type fixed struct{ version uint64 }

func (f fixed) Begin() (txn.Snapshot, error)          { return f, nil }
func (f fixed) Version() uint64                       { return f.version }
func (f fixed) Generation() []byte                    { return nil }
func (f fixed) Get([]byte) ([]byte, error)            { return nil, nil }
func (f fixed) Forward(kv.Range) (txn.Cursor, error)  { return nil, kv.ErrUnavailable }
func (f fixed) Backward(kv.Range) (txn.Cursor, error) { return nil, kv.ErrUnavailable }
func newTx(t *testing.T, version uint64, now time.Time) *txn.Tx {
	t.Helper()
	return txn.New(txn.Config{Source: fixed{version}, Now: func() time.Time { return now }, Context: t.Context()})
}

func oracleKey(r *rand.Rand) []byte { return fmt.Appendf(nil, "%03d", r.IntN(400)) }

func oracleRange(r *rand.Rand) kv.Range {
	a, b := oracleKey(r), oracleKey(r)
	if bytes.Compare(a, b) > 0 {
		a, b = b, a
	}
	return kv.Range{Begin: a, End: kv.KeyAfter(b)}
}

// written is what one commit of the model wrote.
type written struct {
	version uint64
	ranges  []kv.Range
}

func (w written) touches(r kv.Range) bool {
	for _, x := range w.ranges {
		if bytes.Compare(x.Begin, r.End) < 0 && bytes.Compare(r.Begin, x.End) < 0 {
			return true
		}
	}
	return false
}

type oracleRun struct {
	t      *testing.T
	r      *rand.Rand
	o      oracle
	now    time.Time
	last   uint64
	model  []written
	active []*txn.Tx
}

// TestOracleAgainstScan compares the oracle with a scan of all commits, with
// many readers of all ages coming and going.
func TestOracleAgainstScan(t *testing.T) {
	for range 4 {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		run := &oracleRun{t: t, r: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(0, 0)}
		conflicts := 0
		for range 4000 {
			switch {
			case len(run.active) < 3 || run.r.IntN(3) == 0 && len(run.active) < 40:
				run.begin()
			case run.r.IntN(2) == 0:
				run.commit()
			default:
				conflicts += run.finish()
			}
		}
		if conflicts < 100 {
			t.Errorf("only %d conflicts: the test proves little", conflicts)
		}
		for len(run.active) > 0 {
			run.finish()
		}
		run.commit()
		if o := &run.o; o.points.Len() != 0 || o.steps.Len() != 0 || len(o.history) != 0 || o.spans != 0 || len(o.readers) != 0 {
			t.Errorf("left behind without readers: %d points, %d steps, %d commits, %d spans, %d readers",
				o.points.Len(), o.steps.Len(), len(o.history), o.spans, len(o.readers))
		}
	}
}

func (run *oracleRun) begin() {
	tx := newTx(run.t, run.last, run.now)
	run.o.enter(run.last, run.now)
	for range 1 + run.r.IntN(3) {
		switch run.r.IntN(6) {
		case 0:
			tx.AddReadConflictRange(oracleRange(run.r))
		default:
			tx.Get(oracleKey(run.r))
		}
	}
	run.active = append(run.active, tx)
}

func (run *oracleRun) commit() {
	tx := newTx(run.t, run.last, run.now)
	w := written{version: run.last + 1}
	for range 1 + run.r.IntN(4) {
		switch run.r.IntN(8) {
		case 0:
			r := oracleRange(run.r)
			if run.r.IntN(3) > 0 {
				r.End = kv.KeyAfter(append(r.Begin, 'x'))
			}
			tx.DeleteRange(r)
			w.ranges = append(w.ranges, r)
		case 1:
			r := oracleRange(run.r)
			r.End = kv.KeyAfter(r.Begin)
			tx.AddWriteConflictRange(r)
			w.ranges = append(w.ranges, r)
		default:
			key := oracleKey(run.r)
			tx.Set(key, nil)
			w.ranges = append(w.ranges, kv.Range{Begin: key, End: kv.KeyAfter(key)})
		}
	}
	run.last++
	run.o.commit(tx, run.last, run.now)
	run.model = append(run.model, w)
}

// finish checks a random reader and takes it out.
func (run *oracleRun) finish() int {
	i := run.r.IntN(len(run.active))
	tx := run.active[i]
	run.active = append(run.active[:i], run.active[i+1:]...)
	version := tx.Taken().Version()
	run.o.leave(version)
	if version < run.o.floor {
		run.t.Fatalf("a reader of version %d is too old, the floor is %d", version, run.o.floor)
	}
	want := false
	for _, w := range run.model[version:] {
		for _, key := range tx.ReadPoints() {
			want = want || w.touches(kv.Range{Begin: key, End: kv.KeyAfter(key)})
		}
		for _, r := range tx.ReadRanges() {
			want = want || w.touches(r)
		}
	}
	if got := run.o.conflicts(tx, version); got != want {
		run.t.Fatalf("reader of %q %q at version %d: conflict %v, want %v", tx.ReadPoints(), tx.ReadRanges(), version, got, want)
	}
	if want {
		return 1
	}
	return 0
}

func TestOracleForgetsBehindExpiredReaders(t *testing.T) {
	start := time.Unix(0, 0)
	var o oracle
	o.enter(0, start)
	late := start.Add(kv.MaxAge + 1)
	o.enter(0, start)
	for v := range uint64(100) {
		tx := newTx(t, v, late)
		tx.Set(binary.BigEndian.AppendUint64(nil, v), nil)
		o.commit(tx, v+1, late)
	}
	if o.spans != 0 || o.floor != 100 {
		t.Errorf("%d spans are kept for a reader that has expired, floor %d", o.spans, o.floor)
	}
	o.leave(0)
	o.leave(0)
	if len(o.readers) != 0 {
		t.Errorf("%d readers left", len(o.readers))
	}
}

func TestOracleHistoryIsBounded(t *testing.T) {
	now := time.Unix(0, 0)
	var o oracle
	o.enter(0, now)
	const perCommit = 10_000
	for v := range uint64(maxHistory/perCommit + 3) {
		tx := newTx(t, v, now)
		for i := range uint64(perCommit) {
			tx.Set(binary.BigEndian.AppendUint64(nil, v*perCommit+i), nil)
		}
		o.commit(tx, v+1, now)
		if o.spans > maxHistory {
			t.Fatalf("%d spans", o.spans)
		}
	}
	if o.floor == 0 {
		t.Error("nothing was forgotten")
	}
}

func TestMergerIsAssociative(t *testing.T) {
	m := addMerger()
	operands := [][]byte{{5}, {}, stampOf(-7), stampOf(1 << 40), append(stampOf(3), "tail"...)}
	newer, err := m.Merge(nil, operands[0])
	if err != nil {
		t.Fatal(err)
	}
	older, err := m.Merge(nil, operands[len(operands)-1])
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(operands) - 1 {
		if err := newer.MergeNewer(operands[i+1]); err != nil {
			t.Fatal(err)
		}
		if err := older.MergeOlder(operands[len(operands)-2-i]); err != nil {
			t.Fatal(err)
		}
	}
	a, _, errA := newer.Finish(true)
	b, _, errB := older.Finish(false)
	if errA != nil || errB != nil || !bytes.Equal(a, b) || !bytes.Equal(a, stampOf(5-7+1<<40+3)) {
		t.Errorf("sums %x, %v and %x, %v", a, errA, b, errB)
	}
}

func stampOf(n int64) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(n)) }
