//go:build fdb

package fdb

import (
	"time"

	"github.com/apple/foundationdb/bindings/go/src/fdb"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/internal/txn"
)

// snapshot is the version that one attempt reads. All reads are the library's
// snapshot reads: what they conflict with is added at the commit, if there is one.
type snapshot struct {
	a          *attempt
	reads      map[string]*read // by key, so that none is fetched twice
	generation *read
	version    fdb.FutureInt64 // nil before it was asked for, and where the session knows it
	err        error           // of asking for it

	// Of the session.
	stamp  kv.Stamp
	asked  time.Time
	ticket uint64
	reused bool // stamp is what this attempt reads at
}

var _ txn.Remote = (*snapshot)(nil)

func newSnapshot(a *attempt) *snapshot {
	s := &snapshot{a: a}
	session := a.o.Session
	if session == nil {
		return s
	}
	if a.n > 0 {
		session.Drop()
	}
	s.asked = a.e.opts.Now()
	if s.stamp, s.ticket, s.reused = session.Take(s.asked); s.reused {
		return s
	}
	s.Touch()
	s.StartGeneration()
	return s
}

// keepStamp gives the session what this attempt has read, where it is there.
func (s *snapshot) keepStamp() {
	if s.a.o.Session == nil || s.reused || s.version == nil || !s.version.IsReady() {
		return
	}
	version, err := s.version.Get()
	if err != nil || !s.generation.ready() {
		return
	}
	generation, err := s.generation.Wait()
	if err != nil {
		return
	}
	s.a.o.Session.Keep(kv.Stamp{Version: uint64(version), Generation: generation}, s.ticket, s.asked)
}

// Start sends a read of key, unless one was sent before.
func (s *snapshot) Start(key []byte) kv.Future {
	if r := s.reads[string(key)]; r != nil {
		return r
	}
	r := s.start(s.a.e.space.key(key))
	if s.reads == nil {
		s.reads = map[string]*read{}
	}
	s.reads[string(key)] = r
	return r
}

// StartGeneration asks for the stamp that comes with the version.
func (s *snapshot) StartGeneration() kv.Future {
	switch {
	case s.generation != nil:
	case s.reused:
		s.generation = &read{value: s.stamp.Generation}
	default:
		s.Touch()
		s.generation = s.start(fdb.Key(generationKey))
		s.generation.version = s.version
	}
	return s.generation
}

func (s *snapshot) start(key fdb.Key) *read {
	s.a.e.count.reads.Add(1)
	tr, err := s.a.native()
	if err != nil {
		return &read{err: err}
	}
	return &read{a: s.a, future: tr.Snapshot().Get(key)}
}

// Scan sends the first request of a walk.
func (s *snapshot) Scan(r kv.Range, o kv.RangeOptions) txn.Cursor {
	return newCursor(s.a, r, o)
}

// Touch asks for the version.
func (s *snapshot) Touch() {
	if s.version != nil || s.reused || s.err != nil {
		return
	}
	tr, err := s.a.native()
	if err != nil {
		s.err = err
		return
	}
	s.version = tr.Snapshot().GetReadVersion()
}

// Await waits for the version.
func (s *snapshot) Await() (uint64, error) {
	if s.reused {
		return readVersion(int64(s.stamp.Version)), nil
	}
	s.Touch()
	if s.err != nil {
		return 0, s.err
	}
	v, err := s.version.Get()
	if err != nil {
		return 0, s.a.failed(err)
	}
	return readVersion(v), nil
}

// Version is that of Await, 0 after an error.
func (s *snapshot) Version() uint64 {
	v, err := s.Await()
	if err != nil {
		return 0
	}
	return v
}

// Generation waits for the stamp, nil after an error.
func (s *snapshot) Generation() []byte {
	g, err := s.StartGeneration().Wait()
	if err != nil {
		return nil
	}
	return g
}

// Get reads and waits.
func (s *snapshot) Get(key []byte) ([]byte, error) { return s.Start(key).Wait() }

// Forward walks r in ascending order.
func (s *snapshot) Forward(r kv.Range) (txn.Cursor, error) {
	return s.Scan(r, kv.RangeOptions{}), nil
}

// Backward walks r in descending order.
func (s *snapshot) Backward(r kv.Range) (txn.Cursor, error) {
	return s.Scan(r, kv.RangeOptions{Reverse: true}), nil
}

// read is a key that is being read.
type read struct {
	a      *attempt
	future fdb.FutureByteSlice // nil once it was waited for
	// version is set where the value comes with it: in the library such a read never
	// ends when there is no version, because the database is locked or throttled.
	version fdb.FutureInt64
	value   []byte
	err     error
}

func (r *read) ready() bool { return r.future == nil || r.future.IsReady() }

// Wait returns the value.
func (r *read) Wait() ([]byte, error) {
	if r.future == nil {
		return r.value, r.err
	}
	var value []byte
	var err error
	if r.version != nil {
		_, err = r.version.Get()
	}
	if err == nil {
		value, err = r.future.Get()
	}
	r.value, r.err = value, r.a.failed(err)
	r.a, r.future, r.version = nil, nil, nil // so that the collector may free it in the library
	return r.value, r.err
}
