package partition

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/memory"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// history is a store that loses disks, at random.
type history struct {
	*world
	t    *testing.T
	rng  *rand.Rand
	sc   Scheme
	now  *handClock
	s    *Store
	live map[metadata.DataID]stored
	next uint64

	victims []int                // disks that anything may happen to, until they are whole again
	away    map[int]bool         // of them, those that are not attached
	old     map[int]*memory.Disk // of them, how they were once
	log     []string
}

func newHistory(t *testing.T, seed uint64, sc Scheme, disks int) *history {
	t.Helper()
	h := &history{
		t: t, rng: rand.New(rand.NewPCG(seed, 77)), sc: sc, now: newHandClock(time.Unix(1_790_000_000, 0)),
		live: map[metadata.DataID]stored{}, away: map[int]bool{}, old: map[int]*memory.Disk{},
	}
	engine := mem.New(mem.Options{Now: time.Now, Faults: mem.Faults{Seed: seed, Hook: func(p mem.Point) mem.Fault {
		if p.Place != mem.AtCommit || p.Class != class {
			return mem.None
		}
		switch p.Seq % 11 {
		case 3:
			return mem.UnknownApplied
		case 7:
			return mem.UnknownLost
		case 9:
			return mem.Conflict
		}
		return mem.None
	}}})
	h.world = newWorldOn(t, disks, engine)
	h.inventory(t, metadata.DiskActive)
	h.start()
	return h
}

func (h *history) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

func (h *history) start() {
	var out []blobd.Disk
	for i, d := range h.disks {
		if !h.away[i] {
			out = append(out, d)
		}
	}
	s, err := Open(h.t.Context(), h.db, Options{
		Disks: out, KnownDisks: len(h.disks), Scheme: h.sc, Capacity: minCapacity, MinColumn: 16 << 10,
		Now: h.now.now,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.s = s
}

func (h *history) restart() {
	h.note("restart without %v", h.away)
	if h.rng.IntN(2) == 0 {
		closeStore(h.t, h.s) // else it is dropped, as by a crash
	}
	h.start()
}

func (h *history) put() {
	size := []int{100, 20_000, 300_000, 1 << 20, 3 << 20}[h.rng.IntN(5)]
	h.next++
	data := pattern(size, h.next)
	p := submit(h.t, h.s, data)
	defer p.Done()
	placed, err := p.Wait(h.t.Context())
	if errors.Is(err, ErrNoDisks) {
		return
	}
	if err != nil {
		h.t.Fatal(err)
	}
	if h.rng.IntN(4) == 0 {
		return // never published
	}
	id := h.db.NewDataID()
	if err := h.publish(h.t.Context(), id, placed); err != nil {
		h.t.Fatal(err)
	}
	h.live[id] = stored{data, placed}
}

func (h *history) remove() {
	for id, b := range h.live {
		if h.rng.IntN(3) == 0 {
			x := []metadata.Extent{b.placed.Extent}
			if err := h.db.Update(h.t.Context(), "test", func(tx *metadata.Tx) error { return tx.Unpublish(id, x) }); err != nil {
				h.t.Fatal(err)
			}
			delete(h.live, id)
			return
		}
	}
}

// harm does something to a victim.
func (h *history) harm() {
	i := h.victims[h.rng.IntN(len(h.victims))]
	d := h.disks[i]
	ids, _ := d.List(h.t.Context())
	slices.SortFunc(ids, func(a, b blobd.ShardID) int { return bytes.Compare([]byte(a.String()), []byte(b.String())) })
	pick := func() blobd.ShardID { return ids[h.rng.IntN(len(ids))] }
	switch n := h.rng.IntN(7); {
	case n == 0:
		h.away[i] = true
		h.restart()
	case n == 1 && h.away[i]:
		h.back(i)
	case n == 2:
		h.old[i] = d.Copy()
	case n == 3 && len(ids) > 0:
		h.note("disk %d loses a shard", i)
		d.Lose(pick())
	case n == 4 && len(ids) > 0:
		id := pick()
		h.note("disk %d rots %s", i, id)
		for range 20 {
			_ = d.Corrupt(id, h.rng.Int64N(4<<20), uint(h.rng.IntN(8)))
		}
	case n == 5 && !h.away[i]:
		h.note("disk %d fails", i)
		d.Fail(errors.New("gone"))
		h.disks[i] = d.Copy() // what a start finds
	}
}

// back attaches a victim again while the store runs, perhaps as it was once.
func (h *history) back(i int) {
	h.disks[i] = h.disks[i].Copy()
	if old := h.old[i]; old != nil && h.rng.IntN(2) == 0 {
		h.note("disk %d is back, stale", i)
		h.disks[i] = old.Copy()
	} else if h.rng.IntN(4) == 0 {
		h.note("disk %d is back, empty", i)
		h.disks[i] = memory.New(h.disks[i].ID())
	} else {
		h.note("disk %d is back", i)
	}
	delete(h.away, i)
	if err := h.s.AddDisk(h.disks[i]); err != nil {
		h.t.Fatal(err)
	}
}

// job does a step of one of the jobs, which may end at any transaction or frame.
func (h *history) job() {
	ctx, cancel := context.WithCancel(h.t.Context())
	defer cancel()
	left := h.rng.IntN(12)
	pace := func(ctx context.Context, _ int64) error {
		if left--; left == 0 {
			cancel()
		}
		return ctx.Err()
	}
	rows := h.rows(h.t)
	if len(rows) == 0 {
		return
	}
	row := &rows[h.rng.IntN(len(rows))]
	var err error
	switch h.rng.IntN(8) {
	case 0:
		for _, p := range h.s.tracked() {
			if h.rng.IntN(2) == 0 {
				h.s.retire(p)
			}
		}
	case 1:
		_, err = h.s.SealIdle(ctx)
	case 2:
		_, err = h.s.NoteDamage(ctx)
	case 3:
		_, _, err = h.s.Reconcile(ctx)
	case 4:
		_, err = h.s.CheckReopened(ctx)
	case 5:
		_, _, err = h.s.Sweep(ctx, row.ID, 0, 1000)
	case 6:
		_, err = h.s.Drop(ctx, row.ID)
	default:
		shard := uint8(h.rng.IntN(len(row.Shards)))
		var r Repaired
		if r, err = h.s.Repair(ctx, row.ID, shard, pace); r.Done {
			h.note("repaired %s.%d of %+v", pid(row.ID), shard, r)
		}
	}
	if err != nil {
		h.note("job: %v", err)
	}
	h.now.add(time.Duration(h.rng.IntN(600)) * time.Second)
}

// holds reads everything.
func (h *history) holds(when string) {
	h.t.Helper()
	for _, b := range h.live {
		got, err := read(h.t, h.s, whole1(b.placed.Extent))
		if err != nil || !bytes.Equal(got, b.data) {
			for _, line := range h.log {
				h.t.Log(line)
			}
			h.t.Log(h.row(h.t, b.placed.Extent.Partition))
			at := 0
			for at < min(len(got), len(b.data)) && got[at] == b.data[at] {
				at++
			}
			again, e := read(h.t, h.s, whole1(b.placed.Extent))
			h.t.Logf("the first %d bytes are right; read again: right %v, %v", at, bytes.Equal(again, b.data), e)
			h.t.Fatalf("%s: %+v reads back as %d bytes, %v", when, b.placed.Extent, len(got), err)
		}
	}
}

// heal lets the victims come back for good and runs the jobs to the end: then every
// frame is there.
func (h *history) heal() {
	for _, i := range h.victims {
		h.disks[i] = h.disks[i].Copy()
		delete(h.away, i)
	}
	h.restart()
	for _, p := range h.s.tracked() { // nobody looks for rot in what is written to
		h.s.retire(p)
	}
	for round := 0; ; round++ {
		again := false
		h.now.add(time.Hour)
		if _, err := h.s.SealIdle(h.t.Context()); err != nil {
			h.note("seal: %v", err)
			again = true
		}
		reconcileAll(h.t, h.s)
		if retired, err := h.s.CheckReopened(h.t.Context()); err != nil || retired {
			again = true
		}
		again = h.scrub() || again
		if !again {
			break
		}
		if round > 30 {
			for _, line := range h.log {
				h.t.Log(line)
			}
			h.t.Fatal("no end of repairs")
		}
	}
	sw := &sealedWorld{world: h.world}
	sw.mustBeWhole(h.t, h.s)
	sw.mustHaveNoStrays(h.t)
}

// scrub verifies every sealed partition, and repairs what it finds. It reports
// whether there was anything.
func (h *history) scrub() (worked bool) {
	for _, row := range h.rows(h.t) {
		if row.State != metadata.PartitionSealed {
			continue
		}
		bad, err := h.s.verifyReferenced(h.t.Context(), newOpenPartition(row, nil, 0), &findings{disks: h.s.disks.attached(&row), lost: row.Lost})
		if err != nil {
			h.note("verify: %v", err)
		}
		for _, shard := range bad {
			if noted, err := h.s.recordShort(h.t.Context(), &row, shard, false); err != nil || noted {
				worked = true
			}
		}
		for _, shard := range h.row(h.t, row.ID).Missing(func(id metadata.DiskID) bool { return !h.s.Serves(id) }) {
			worked = true
			if _, err := h.s.Repair(h.t.Context(), row.ID, shard, nil); err != nil {
				h.note("repair: %v", err)
			}
		}
		if gone, err := h.s.Drop(h.t.Context(), row.ID); err != nil {
			h.note("drop: %v, %v", gone, err)
		}
	}
	return worked
}

// Whatever happens to m disks, in whatever order, while the jobs run and end anywhere:
// what was acknowledged is read, and once the disks are there again every frame
// is. Then m others have their turn. More: UNDERCROFT_TEST_SEEDS=1000.
func TestHistoriesOfLostDisks(t *testing.T) {
	seeds := uint64(8)
	if n, err := strconv.ParseUint(os.Getenv("UNDERCROFT_TEST_SEEDS"), 10, 64); err == nil {
		seeds = n
	}
	for seed := range seeds {
		sc := []Scheme{{1, 1}, {2, 1}, {2, 2}, {4, 2}}[seed%4]
		t.Run(fmt.Sprint(seed, " ", sc), func(t *testing.T) {
			h := newHistory(t, seed, sc, sc.K+sc.M+int(seed%3))
			for range 3 {
				h.victims = h.rng.Perm(len(h.disks))[:sc.M]
				clear(h.old)
				for range 40 {
					switch h.rng.IntN(6) {
					case 0, 1:
						h.put()
					case 2:
						h.remove()
					case 3:
						h.harm()
					default:
						h.job()
					}
					if h.rng.IntN(4) == 0 {
						h.holds("meanwhile")
					}
				}
				h.holds("before the end")
				h.heal()
				h.holds("healed")
			}
			closeStore(t, h.s)
		})
	}
}
