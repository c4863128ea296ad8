package kv_test

import (
	"testing"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

func TestSession(t *testing.T) {
	var s kv.Session
	now := time.Unix(1_800_000_000, 0)
	holds := func(at time.Time, want uint64) (ticket uint64) {
		t.Helper()
		stamp, ticket, ok := s.Take(at)
		if ok != (want != 0) || stamp.Version != want {
			t.Fatalf("the session holds %d, %v, want %d", stamp.Version, ok, want)
		}
		return ticket
	}
	ticket := holds(now, 0)
	s.Keep(kv.Stamp{Version: 7, Generation: []byte("g")}, ticket, now)
	holds(now, 7)
	holds(now.Add(kv.MaxSessionAge), 7)
	holds(now.Add(kv.MaxSessionAge+1), 0)
	holds(now.Add(-1), 0)
	ticket = holds(now, 7)
	s.Drop()
	holds(now, 0)
	s.Keep(kv.Stamp{Version: 8}, ticket, now) // was asked for before the Drop
	ticket = holds(now, 0)
	s.Keep(kv.Stamp{Version: 9}, ticket, now)
	holds(now, 9)
	if got := s.Reused(); got != 4 {
		t.Errorf("%d read versions were saved", got)
	}
}

// Where there is no request there is no session, and nothing to ask before.
func TestNoSession(t *testing.T) {
	var s *kv.Session
	s.Keep(kv.Stamp{Version: 7}, 0, time.Time{})
	s.Drop()
	if _, _, ok := s.Take(time.Time{}); ok || s.Reused() != 0 {
		t.Error("nothing holds a version")
	}
}
