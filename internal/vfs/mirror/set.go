package mirror

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/undercroft/undercroft/internal/vfs"
)

// Virtual is the name of the mirrored directory in the file system that a
// [Set] is.
const Virtual = "/mirrored-metadata"

const (
	filesDir     = "metadata"
	sumsDir      = "metadata-sums"
	defaultStall = 10 * time.Second
	defaultRetry = time.Minute
)

// The errors of a set, besides those of the file system below and
// [vfs.ErrLocked].
var (
	// ErrNoRecord: no directory has a record: there is no store yet.
	ErrNoRecord = errors.New("mirror: no membership record")
	// ErrNoMember: no directory that is here holds the newest state.
	ErrNoMember = errors.New("no directory with the newest metadata is here")
	// ErrStalled: a directory did not answer for long after another had.
	ErrStalled = errors.New("mirror: the directory does not answer")
	// ErrLost: too few directories take the record of who holds the files.
	ErrLost = errors.New("mirror: too few directories can be written")
)

// Options shape a set. FS and Dirs are required.
type Options struct {
	FS vfs.FS
	// Dirs are the data directories that are here.
	Dirs []Dir
	// Verify says whether a directory still is what it was; nil: it is there.
	Verify func(Dir) error
	// Witness is a directory, "" for none, that is told of the record and votes, and
	// holds none of the files. It is made where it is empty.
	Witness string
	// Store tells a witness of this store from that of another one.
	Store string
	// Stall is how long a directory may take after another was done before it
	// counts as failed; zero: ten seconds.
	Stall time.Duration
	// Retry is the time between attempts to take a directory in; zero: a
	// minute.
	Retry time.Duration
	// AcceptLoss starts with the newest state that is here although a newer
	// one cannot be ruled out.
	AcceptLoss bool
	Logger     *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Stall == 0 {
		o.Stall = defaultStall
	}
	if o.Retry == 0 {
		o.Retry = defaultRetry
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Verify == nil {
		fsys := o.FS
		o.Verify = func(d Dir) error { _, err := fsys.Stat(d.Path); return err }
	}
	return o
}

// The roles of a directory.
const (
	outside int32 = iota // holds the record only
	joining              // gets all changes, is not relied on
	active               // a member
)

// node is a data directory.
type node struct {
	Dir
	files, sums string
	role        atomic.Int32
	record      sync.Mutex    // held by a write of its record
	unreachable atomic.Bool   // its record could not be written
	retired     atomic.Bool   // the set is to do without it
	witness     bool          // it holds the record only
	life        atomic.Uint64 // grows whenever it is taken in
	busy        atomic.Int64  // changes under way, those given up included
	problem     atomic.Pointer[error]
	rest        rest      // under Set.mu
	lock, guard io.Closer // of the files, of the record; under Set.mu
	released    bool      // it takes no locks any more; under Set.mu
}

// Set is the file system that mirrors [Virtual].
//
// Locks, in order: entry, names, file.mu, publishing, mu.
type Set struct {
	opts Options
	base vfs.FS
	seed maphash.Seed // of hashes that compare copies

	entry turn   // one directory is made known or forgotten at a time
	names *rests // held for reading by changes of names, for writing by who needs them to rest
	open  openFiles

	publishing turn // one change of the record at a time; guards rec
	rec        *Record
	shown      atomic.Pointer[Record] // rec, for who does not wait
	failure    atomic.Pointer[error]
	witness    atomic.Pointer[error] // why there is none
	// changed counts the members that went out, recorded how many of them the
	// confirmed record says: nothing is acknowledged while they differ.
	changed, recorded atomic.Uint64

	mu      sync.Mutex // guards nodes, roles, want, healing and resync
	nodes   []*node
	want    int
	healing map[copyName]bool
	resync  Resync
	view    atomic.Pointer[[]*node] // members, then joining ones
	count   counters
	rate    atomic.Int64 // bytes per second of copying to a new member; 0: no bound

	wake    chan struct{}      // the maintenance has something to do
	ask     chan chan struct{} // closed when it has nothing more to do
	stop    chan struct{}
	closing atomic.Bool
	jobs    sync.WaitGroup
}

type copyName struct {
	n    *node
	name string
}

type counters struct{ ejected, joined, healed, otherReads, scrubbed, scrubBad, undecided atomic.Uint64 }

func newSet(o Options) *Set {
	s := &Set{
		opts: o, base: o.FS, seed: maphash.MakeSeed(), healing: map[copyName]bool{},
		wake: make(chan struct{}, 1), stop: make(chan struct{}), ask: make(chan chan struct{}),
		entry: make(turn, 1), publishing: make(turn, 1), names: newRests(),
	}
	s.open.files, s.open.readers = map[*file]bool{}, map[*reader]bool{}
	for _, d := range o.Dirs {
		s.nodes = append(s.nodes, s.newNode(d))
	}
	s.refreshLocked()
	return s
}

func (s *Set) newNode(d Dir) *node {
	return &node{Dir: d, files: s.base.PathJoin(d.Path, filesDir), sums: s.base.PathJoin(d.Path, sumsDir)}
}

// refreshLocked renews the view after a change of roles.
func (s *Set) refreshLocked() {
	var all, late []*node
	for _, n := range s.nodes {
		switch n.role.Load() {
		case active:
			all = append(all, n)
		case joining:
			late = append(late, n)
		}
	}
	all = append(all, late...)
	s.view.Store(&all)
}

// members are the active nodes.
func (s *Set) members() []*node {
	all := *s.view.Load()
	i := slices.IndexFunc(all, func(n *node) bool { return n.role.Load() != active })
	if i < 0 {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(n *node) bool { return n.role.Load() != active })
}

// Err is why nothing can be acknowledged any more, or nil.
func (s *Set) Err() error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *Set) fail(err error) error {
	s.failure.CompareAndSwap(nil, &err)
	return s.Err()
}

// settle decides what a change that ended with these errors on these nodes
// comes to. Where some succeeded the others are ejected, durably, before it
// returns nil; where none did the first error is the answer.
func (s *Set) settle(nodes []*node, errs []error) error {
	var first error
	done := false
	for i, n := range nodes {
		if n.role.Load() != active {
			continue
		}
		if errs[i] == nil {
			done = true
		} else if first == nil {
			first = errs[i]
		}
	}
	if !done {
		if first == nil {
			first = fmt.Errorf("%w: no member is left", ErrLost)
		}
		return first
	}
	for i, n := range nodes {
		if errs[i] != nil && !s.eject(n, errs[i]) {
			return errs[i]
		}
	}
	return s.settled()
}

// settled waits until the record says who is out.
func (s *Set) settled() error {
	if s.recorded.Load() == s.changed.Load() {
		return s.Err()
	}
	s.publishing.Lock()
	defer s.publishing.Unlock()
	if s.recorded.Load() == s.changed.Load() {
		return s.Err()
	}
	return s.publishLocked((*Record).half)
}

// gone: the set does without it.
func (n *node) gone() bool { return n.retired.Load() && n.role.Load() == outside }

// rest is how long a node that failed is left alone, in turns of the
// maintenance: twice as long each time, because each attempt that ends with the next
// stall holds commits up. One that has been a member for long begins anew.
type rest struct{ turns, failures, calm int }

const (
	maxRest  = 6 // doublings: an hour of minutes
	calmRest = 60
)

func (r *rest) again() {
	r.turns, r.calm = 1<<min(r.failures, maxRest), 0
	r.failures++
}

// over counts a turn and reports whether the node may be tried again.
func (r *rest) over() bool {
	r.turns = max(r.turns-1, 0)
	return r.turns == 0
}

func (r *rest) served() {
	if r.calm++; r.calm >= calmRest {
		*r = rest{}
	}
}

// eject takes a node out of the view; the record has to follow before
// anything is acknowledged. It reports false for the last member.
func (s *Set) eject(n *node, cause error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch n.role.Load() {
	case outside:
		return true
	case active:
		if len(s.members()) == 1 {
			return false
		}
		s.changed.Add(1) // before anybody goes on without it
		s.count.ejected.Add(1)
		s.opts.Logger.Error("metadata mirror is ejected", slog.String("directory", n.Path), slog.Any("error", cause))
	default:
		s.opts.Logger.Warn("metadata mirror cannot be brought up to date", slog.String("directory", n.Path), slog.Any("error", cause))
	}
	if errors.Is(cause, ErrStalled) {
		n.unreachable.Store(true) // or the record would wait for it once more
	}
	n.problem.Store(&cause)
	n.rest.again()
	n.role.Store(outside)
	s.refreshLocked()
	s.poke()
	return true
}

func (s *Set) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// rest waits for the jobs, but not for one on a directory that does not answer.
func (s *Set) rest() {
	done := make(chan struct{})
	go func() {
		s.jobs.Wait()
		close(done)
	}()
	timer := time.NewTimer(s.opts.Stall)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// Close ends the maintenance and gives the locks up. Files are closed before.
func (s *Set) Close() error {
	s.mu.Lock()
	again := s.closing.Swap(true)
	s.mu.Unlock()
	if again {
		return nil
	}
	close(s.stop)
	s.rest()
	var errs []error
	for _, n := range s.all() {
		errs = append(errs, s.release(n))
	}
	return errors.Join(errs...)
}

func (s *Set) all() []*node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.nodes)
}
