// Package faultfs wraps a file system and makes it fail on purpose: errors,
// flipped bits, stalls and vanished directories by rule, and a hook before
// every operation, so that a test can take a power-loss clone at the n-th
// one ([Crashes]).
//
// Operations without a matching rule behave as the file system below. It is
// safe for concurrent use. Tests only.
package faultfs

import (
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/undercroft/undercroft/internal/vfs"
)

// Kind is a set of operations.
type Kind uint32

// The operations that rules and hooks tell apart.
const (
	Read   Kind = 1 << iota // ReadAt and Read
	Write                   // Write, WriteAt and WritevAt
	Sync                    // Sync and SyncData of files and directories, full SyncTo
	Extend                  // vfs.Extend and Preallocate
	Punch                   // vfs.PunchHole
	Create                  // Create and ReuseForWrite
	Open                    // Open, OpenReadWrite, OpenDir
	Remove                  // Remove and RemoveAll
	Rename                  // Rename
	Link                    // Link
	Mkdir                   // MkdirAll
	List                    // List
	Stat                    // Stat by name
	Usage                   // GetDiskUsage
	Lock                    // Lock
	kinds  = iota

	// Names are the operations that look a name up.
	Names = Create | Open | Remove | Rename | Link | Mkdir | List | Stat | Usage | Lock
	// Changes are the operations after which a crash leaves something else.
	Changes = Write | Sync | Extend | Punch | Create | Remove | Rename | Link | Mkdir
	// All is every operation.
	All = 1<<kinds - 1
)

// Op is one operation. Offset and Length are zero where they mean nothing.
type Op struct {
	Kind   Kind
	Name   string
	Offset int64
	Length int64
}

// Rule says what happens to the operations it matches. One rule does one of:
// Err, Flip, Stall.
type Rule struct {
	Kinds Kind
	// Path must be contained in the file's name; empty matches all. What begins
	// right below a directory "shards" does not count: names there are random, and one
	// of them may be that of a data directory.
	Path string
	// From and To restrict Read, Write, Extend and Punch to those that touch
	// [From,To); a To of zero means no restriction.
	From, To int64
	// Skip lets that many matches pass, Times is how many then suffer; zero
	// Times means all of them.
	Skip, Times int

	// Err is returned instead of doing the operation.
	Err error
	// Torn, with Err, first writes half of a Write.
	Torn bool
	// Flip inverts bit FlipBit (0..7) of byte From of the file when it is read.
	Flip    bool
	FlipBit uint
	// Stall blocks the operation until the channel is closed; then it is done.
	Stall <-chan struct{}
	// Stalled, if not nil, gets one value, without blocking, for each
	// operation that starts to wait.
	Stalled chan<- struct{}
}

// FS is the wrapper.
type FS struct {
	below  vfs.FS
	hook   atomic.Pointer[func(Op)]
	counts [kinds]atomic.Int64
	bytes  [kinds]atomic.Int64

	mu    sync.Mutex // guards rules and the counters in them
	rules []*active
}

type active struct {
	Rule
	seen int
}

var _ vfs.FS = (*FS)(nil)

// New wraps below.
func New(below vfs.FS) *FS { return &FS{below: below} }

// Add puts a rule in force; the function returned takes it out again. The
// first matching rule that has something to do wins.
func (f *FS) Add(r Rule) (remove func()) {
	a := &active{Rule: r}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, a)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for i, x := range f.rules {
			if x == a {
				f.rules = append(f.rules[:i:i], f.rules[i+1:]...)
				return
			}
		}
	}
}

// Vanish makes every name under dir lead nowhere, as if the directory had been
// removed or unmounted. Open files go on working.
func (f *FS) Vanish(dir string) (comeBack func()) {
	return f.Add(Rule{Kinds: Names, Path: dir, Err: fs.ErrNotExist})
}

// Hook calls fn before every operation, on the goroutine that does it; nil
// ends that. Operations that fn does itself on f call it again.
func (f *FS) Hook(fn func(Op)) {
	if fn == nil {
		f.hook.Store(nil)
		return
	}
	f.hook.Store(&fn)
}

// Count is how many operations of these kinds were begun.
func (f *FS) Count(k Kind) int64 { return sum(&f.counts, k) }

// Bytes is how many bytes the operations of these kinds were about.
func (f *FS) Bytes(k Kind) int64 { return sum(&f.bytes, k) }

func sum(counters *[kinds]atomic.Int64, k Kind) int64 {
	var n int64
	for i := range counters {
		if k&(1<<i) != 0 {
			n += counters[i].Load()
		}
	}
	return n
}

// before counts op, calls the hook, waits where a rule says so, and answers
// the rule that applies, if any.
func (f *FS) before(op Op) *Rule {
	for i := range f.counts {
		if op.Kind&(1<<i) != 0 {
			f.counts[i].Add(1)
			f.bytes[i].Add(op.Length)
		}
	}
	if hook := f.hook.Load(); hook != nil {
		(*hook)(op)
	}
	r := f.match(op)
	if r == nil || r.Stall == nil {
		return r
	}
	if r.Stalled != nil {
		select {
		case r.Stalled <- struct{}{}:
		default:
		}
	}
	<-r.Stall
	return r
}

func (f *FS) match(op Op) *Rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.rules {
		if !a.matches(op) {
			continue
		}
		a.seen++
		if a.seen > a.Skip && (a.Times == 0 || a.seen <= a.Skip+a.Times) {
			return &a.Rule
		}
	}
	return nil
}

func (r *Rule) matches(op Op) bool {
	if r.Kinds&op.Kind == 0 || !contained(op.Name, r.Path) {
		return false
	}
	from, to := r.From, r.To
	if r.Flip {
		to = from + 1
	}
	if to == 0 || op.Kind&(Read|Write|Extend|Punch) == 0 {
		return true
	}
	return op.Offset < to && op.Offset+op.Length > from
}

// fail is before for operations that either happen or do not.
func (f *FS) fail(op Op) error {
	if r := f.before(op); r != nil {
		return r.Err
	}
	return nil
}

func contained(name, path string) bool {
	i := strings.Index(name, path)
	return i >= 0 && (path == "" || !strings.HasSuffix(name[:i], "/shards"))
}
