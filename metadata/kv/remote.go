package kv

import (
	"sync"
	"time"
)

// Remote is what an engine is as well whose reads cross a network, so that
// round trips count: it is found by [IsRemote]. What wraps an engine answers as
// what it wraps does.
//
// A remote engine remembers the reads of a transaction: a key that was read
// before is not fetched again.
type Remote interface {
	// Remote says whether reads cross a network.
	Remote() bool
}

// IsRemote says whether reads of an engine cross a network.
func IsRemote(e Engine) bool {
	r, ok := Find[Remote](e)
	return ok && r.Remote()
}

// MaxSessionAge is how long a read version serves a session after it was taken.
const MaxSessionAge = time.Second

// Session lets the transactions of one request share a read version. A version
// that was taken after the request began shows every commit that was
// acknowledged before it began, so that reads at it are linearizable, and
// writes after them are as serializable as at any other version. The version is
// dropped where something newer has to be seen: by every transaction of the
// request that is not to share it, and with every Update.
//
// Of the engine: before it takes a read version of a View or Update with a session,
// it asks Take. Where that has a version, the transaction reads at it, and a
// Generation without conflicts answers the stamp that came with it, without a read.
// Else the engine takes a version as usual and hands it to Keep, with its stamp, once
// it has both. Every attempt but the first calls Drop before. A version that the
// engine cannot read any more is ErrTooOld, whereupon fn runs again.
//
// It is safe for concurrent use. A nil Session never has a version.
type Session struct {
	mu      sync.Mutex // guards what follows
	held    bool
	stamp   Stamp
	taken   time.Time
	reused  uint64
	dropped uint64 // how often; a version that was asked for before is not kept
}

// Stamp is a read version and the generation that came with it.
type Stamp struct {
	Version    uint64
	Generation []byte
}

// Take returns the version that the session holds at a time, if it is young. The
// ticket is for Keep.
func (s *Session) Take(now time.Time) (stamp Stamp, ticket uint64, ok bool) {
	if s == nil {
		return Stamp{}, 0, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.held || now.Sub(s.taken) > MaxSessionAge || now.Before(s.taken) {
		return Stamp{}, s.dropped, false
	}
	s.reused++
	return s.stamp, s.dropped, true
}

// Keep holds a version that was asked for at a time, under the ticket of the
// Take before that. It does nothing where the session was told to Drop since.
func (s *Session) Keep(stamp Stamp, ticket uint64, asked time.Time) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ticket == s.dropped {
		s.held, s.stamp, s.taken = true, stamp, asked
	}
}

// Drop lets the version go: what the request reads from now on is newer.
func (s *Session) Drop() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held, s.stamp = false, Stamp{}
	s.dropped++
}

// Reused is how often Take had a version: that many read versions were saved.
func (s *Session) Reused() uint64 {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reused
}
