package mem

import (
	"slices"

	"github.com/undercroft/undercroft/metadata/kv"
)

// maxPast bounds the versions that sessions may read besides the latest.
const maxPast = 64

// Remote says whether the engine was told to be.
func (e *Engine) Remote() bool { return e.remote }

// beginIn takes the version of a session, where it has one.
func (a *attempt) beginIn(session *kv.Session) (*snapshot, error) {
	if a.point.Attempt > 0 {
		session.Drop()
	}
	asked := a.e.now()
	stamp, ticket, ok := session.Take(asked)
	a.e.mu.Lock()
	defer a.e.mu.Unlock()
	s := a.e.head
	switch {
	case !ok:
		session.Keep(kv.Stamp{Version: s.version, Generation: s.generation}, ticket, asked)
	case stamp.Version != s.version:
		i := slices.IndexFunc(a.e.past, func(p snapshot) bool { return p.version == stamp.Version })
		if i < 0 {
			return nil, kv.ErrTooOld
		}
		s = a.e.past[i]
	}
	a.e.reading[s.version]++
	return &s, nil
}

// remember keeps the latest version for sessions, before there is a later one.
func (e *Engine) remember() {
	if !e.remote {
		return
	}
	if len(e.past) == maxPast {
		e.past = slices.Delete(e.past, 0, 1)
	}
	e.past = append(e.past, e.head)
}
