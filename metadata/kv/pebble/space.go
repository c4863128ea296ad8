package pebble

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/internal/txn"
)

// ballastName is a file that holds space for hard times. Pebble ignores it.
const ballastName = "ballast"

// probeEvery is how often the free space is looked at.
const probeEvery = time.Second

// space decides which transactions may write when the disk is nearly full.
//
// Below the reserve new values are refused, so that the disk does not run full
// by this engine's doing. When it does run full, by somebody else's, the
// ballast is removed and the failed write is repeated once.
type space struct {
	fs      vfs.FS
	dir     string
	reserve int64
	ballast int64
	now     func() time.Time
	log     *slog.Logger

	short  atomic.Bool // new values are refused
	mu     sync.Mutex  // guards what follows
	probed time.Time
	spent  bool // the ballast is gone
}

// allows reports whether a transaction may commit. Pure deletions always may.
func (s *space) allows(t *txn.Tx, freesSpace func(string) bool, class string) error {
	if !s.short.Load() || t.Frees() || freesSpace(class) {
		return nil
	}
	s.probe()
	if !s.short.Load() {
		return nil
	}
	return kv.ErrNoSpace
}

// watch looks at the free space after a sync.
func (s *space) watch() {
	if s.reserve > 0 || s.short.Load() {
		s.probe()
	}
}

// full runs when a write found the disk full.
func (s *space) full() {
	s.short.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probed = s.now()
	if s.spent || s.ballast <= 0 {
		return
	}
	s.spent = true
	if err := s.fs.Remove(s.fs.PathJoin(s.dir, ballastName)); err != nil {
		s.log.Error("cannot remove the ballast file", slog.Any("error", err))
		return
	}
	s.log.Warn("metadata disk is full: ballast released, only deletions are accepted")
}

// probe looks at the free space, at most once in probeEvery, and puts the
// ballast back when there is room.
func (s *space) probe() {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.probed) < probeEvery && !s.probed.IsZero() {
		return
	}
	s.probed = now
	usage, err := s.fs.GetDiskUsage(s.dir)
	known := err == nil
	if err != nil && !errors.Is(err, vfs.ErrUnsupported) {
		return
	}
	if known && s.reserve > 0 && usage.AvailBytes < uint64(s.reserve) {
		if !s.short.Swap(true) {
			s.log.Warn("metadata disk is nearly full: only deletions are accepted",
				slog.Uint64("available", usage.AvailBytes), slog.Int64("reserve", s.reserve))
		}
		return
	}
	if !s.short.Load() {
		return
	}
	if s.spent {
		// Room for the ballast and for more than a moment's work after it.
		if known && usage.AvailBytes < uint64(max(s.reserve, 0)+2*s.ballast) {
			return
		}
		if err := s.place(); err != nil {
			s.log.Warn("cannot put the ballast back", slog.Any("error", err))
			return
		}
		s.spent = false
	}
	s.short.Store(false)
	s.log.Info("metadata disk has room again")
}

// open places the ballast if it is not there. A disk too full for it starts
// short of space instead of failing.
func (s *space) open() {
	s.mu.Lock()
	if s.ballast > 0 {
		if _, err := s.fs.Stat(s.fs.PathJoin(s.dir, ballastName)); err != nil {
			if err := s.place(); err != nil {
				s.spent = true
				s.short.Store(true)
				s.log.Warn("no room for the ballast", slog.Any("error", err))
			}
		}
	}
	s.mu.Unlock()
	s.probe()
}

// place writes the ballast: allocated where the file system can, and written
// out, because a hole holds no space.
func (s *space) place() error {
	name := s.fs.PathJoin(s.dir, ballastName)
	f, err := s.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("create ballast: %w", err)
	}
	err = f.Preallocate(0, s.ballast)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write ballast: %w", errors.Join(err, s.fs.Remove(name)))
	}
	return nil
}
