package partition

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/memory"
)

// keptFree is what requests leave of a disk in memory, which has 1 TiB.
const keptFree = maxReserve

// offer makes a blob that waits to be written.
func offer(t *testing.T, s *Store) *Pending {
	t.Helper()
	const n = 300 << 10
	buf, err := s.Buffer(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	copy(buf.Bytes(), pattern(n, 1))
	return &Pending{blob: Blob{ID: s.db.NewDataID()}, buf: buf, n: n, expired: t.Context().Err, done: make(chan struct{})}
}

// writeTo writes a blob to the first lane with room.
func writeTo(t *testing.T, s *Store, lanes ...*lane) error {
	t.Helper()
	p := offer(t, s)
	s.flying <- struct{}{}
	s.write([]*Pending{p}, lanes...)
	<-s.flying
	_, err := p.Wait(context.WithoutCancel(t.Context()))
	p.Done()
	return err
}

func compact(t *testing.T, s *Store) error {
	t.Helper()
	return writeTo(t, s, s.classes.standard.large, s.classes.standard.spare)
}

func (w *world) free(bytes uint64, disks ...*memory.Disk) {
	for _, d := range disks {
		d.SetFree(bytes)
	}
}

// TestCompactionHasRoomBeyondRequests on full disks, whatever else is wrong with one.
func TestCompactionHasRoomBeyondRequests(t *testing.T) {
	w := newWorld(t, 4)
	said := &lines{}
	s := w.open(t, Options{Scheme: Scheme{2, 1}, Logger: slog.New(slog.NewTextHandler(said, nil))})
	defer closeStore(t, s)
	byID := slices.SortedFunc(slices.Values(w.disks), func(a, b *memory.Disk) int {
		x, y := a.ID(), b.ID()
		return slices.Compare(x[:], y[:])
	})
	w.free(keptFree/2, byID[:3]...)
	byID[3].Fail(errors.New("gone"))
	if err := writeTo(t, s, s.classes.standard.large); !errors.Is(err, ErrNoSpace) {
		t.Errorf("a request on full disks: %v", err)
	}
	for range 5 {
		if err := compact(t, s); err != nil {
			t.Errorf("compaction on full disks: %v", err)
		}
	}
	if n := said.count("no new partition"); n != 1 {
		t.Errorf("full disks are warned of %d times", n)
	}
	w.free(keptFree/8, byID...)
	s.retireAll(s.classes.standard.spare)
	if err := compact(t, s); !errors.Is(err, ErrNoSpace) {
		t.Errorf("compaction beyond what is its: %v", err)
	}
}

func (s *Store) retireAll(l *lane) {
	for _, p := range l.open() {
		s.retire(p)
	}
}

// lines is a log.
type lines struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

// TestCompactionIsNotNarrowedByFullDisks: what takes three times its size does not give
// back what takes one and a half.
func TestCompactionIsNotNarrowedByFullDisks(t *testing.T) {
	w := newWorld(t, 6)
	s := w.open(t, Options{Scheme: Scheme{4, 2}})
	defer closeStore(t, s)
	w.free(keptFree/2, w.disks[:3]...)
	w.free(keptFree/8, w.disks[3:]...)
	if err := compact(t, s); !errors.Is(err, ErrNoSpace) || len(w.rows(t)) != 0 {
		t.Errorf("%v, %d partitions", err, len(w.rows(t)))
	}
	w.free(keptFree/2, w.disks...)
	if err := compact(t, s); err != nil || w.rows(t)[0].K != 4 {
		t.Errorf("%v, %+v", err, w.rows(t))
	}
}

// TestCompactionLeavesDisksThatRefuseAlone: disks that show room and take nothing get no
// partition for each stripe.
func TestCompactionLeavesDisksThatRefuseAlone(t *testing.T) {
	w := newWorld(t, 3)
	s := w.open(t, Options{Scheme: Scheme{2, 1}, Now: func() time.Time { return time.Unix(1e6, 0) }})
	defer closeStore(t, s)
	for _, d := range w.disks {
		d.SetFree(keptFree / 2)
		d.FailAppends(-1, blobd.ErrNoSpace)
	}
	for range 3 {
		if err := compact(t, s); err == nil {
			t.Fatal("a disk that is full took it")
		}
	}
	if n := s.stats.created.Load(); n > 2 {
		t.Errorf("%d partitions for 3 stripes", n)
	}
}

// TestRestartGivesRequestsNothingOfCompaction: nothing of the room that is compaction's alone.
func TestRestartGivesRequestsNothingOfCompaction(t *testing.T) {
	w := newWorld(t, 3)
	o := Options{Scheme: Scheme{2, 1}}
	s := w.open(t, o)
	w.free(keptFree/2, w.disks...)
	if err := compact(t, s); err != nil {
		t.Fatal(err)
	}
	if n := len(s.classes.standard.spare.open()); n != 1 {
		t.Fatalf("%d partitions of compaction", n)
	}
	closeStore(t, s)
	s = w.open(t, o)
	defer closeStore(t, s)
	settle(t, s)
	for _, l := range s.classes.standard.lanes() {
		if err := writeTo(t, s, l); !errors.Is(err, ErrNoSpace) {
			t.Errorf("a request after the restart: %v", err)
		}
	}
}
