package breaker

import "time"

// Status is what a breaker knows of its store, without asking.
type Status struct {
	// Open says that transactions are refused.
	Open bool
	// Locked says that the store was locked when it was last asked.
	Locked bool
	// Silence is for how long the store has not answered.
	Silence time.Duration
	// Reason is why it is thought to be away, while Open.
	Reason string
	// InFlight is how many transactions are under way or wait.
	InFlight int64
	// Refused counts transactions that failed without asking the store, Opened
	// how often the store went away.
	Refused, Opened uint64
}

// Status returns what the breaker knows.
func (e *Engine) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := Status{
		Open: e.open.Load(), Locked: e.locked, Silence: e.silent(),
		InFlight: e.inFlight.Load(), Refused: e.refused.Load(), Opened: e.opened.Load(),
	}
	if s.Open && e.last != nil {
		s.Reason = e.last.Error()
	}
	return s
}
