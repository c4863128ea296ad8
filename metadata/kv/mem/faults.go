package mem

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// Fault is what goes wrong at one point of a transaction.
type Fault int

// Faults. Those about the commit do nothing at other points.
const (
	// None lets the transaction go on.
	None Fault = iota
	// Conflict makes the commit fail with kv.ErrConflict: the engine retries.
	Conflict
	// TooOld makes the read or the commit fail with kv.ErrTooOld.
	TooOld
	// Unavailable makes the read or the commit fail with kv.ErrUnavailable.
	Unavailable
	// UnknownApplied applies the commit and answers kv.ErrUnknownCommit.
	UnknownApplied
	// UnknownLost drops the commit and answers kv.ErrUnknownCommit.
	UnknownLost
)

// Place is a point of a transaction where a fault may be injected.
type Place int

// Places.
const (
	// AtRead is before each read.
	AtRead Place = iota
	// AtCommit is before the commit of an Update that wrote something.
	AtCommit
)

// Point identifies one moment for a hook.
type Point struct {
	Place Place
	// Class is the transaction's TxOptions.Class.
	Class string
	// Attempt counts the runs of the same function from 0.
	Attempt int
	// Seq counts the points of this place in the engine's life from 1.
	Seq uint64
}

// Faults makes an engine fail on purpose. The same seed and the same sequence
// of calls give the same faults.
type Faults struct {
	// Seed starts the random numbers.
	Seed uint64
	// Hook, when set, decides before the probabilities do; an answer other than
	// None is final. It may be called by several goroutines at once.
	Hook func(Point) Fault
	// The probability of each fault at each commit, 0 to 1.
	CommitConflict, CommitTooOld, CommitUnavailable float64
	CommitUnknownApplied, CommitUnknownLost         float64
	// The probability of each fault at each read.
	ReadTooOld, ReadUnavailable float64
	// Delay is the longest random delay before a commit, and a tenth of it
	// before a transaction's reads begin. Delays are timers, so in a synctest
	// bubble they cost nothing.
	Delay time.Duration
	// Rival, when set, runs after each commit with an unknown outcome and
	// before the caller learns of it: what another gateway may do in between.
	// Its own transactions on the engine suffer no faults if they use ctx.
	Rival func(ctx context.Context, e *Engine)
}

type quietKey struct{}

// Quiet returns a context under which no faults are injected.
func Quiet(ctx context.Context) context.Context { return context.WithValue(ctx, quietKey{}, true) }

func isQuiet(ctx context.Context) bool { return ctx.Value(quietKey{}) != nil }

// injector draws faults.
type injector struct {
	faults Faults
	mu     sync.Mutex
	random *rand.Rand
	seq    [2]uint64
}

func newInjector(f Faults) *injector {
	return &injector{faults: f, random: rand.New(rand.NewPCG(f.Seed, 0x5eed))}
}

type chance struct {
	fault       Fault
	probability float64
}

// at draws the fault of one point.
func (i *injector) at(p Point) Fault {
	i.mu.Lock()
	i.seq[p.Place]++
	p.Seq = i.seq[p.Place]
	roll := i.random.Float64()
	i.mu.Unlock()
	if i.faults.Hook != nil {
		if f := i.faults.Hook(p); f != None {
			return f
		}
	}
	chances := []chance{{TooOld, i.faults.ReadTooOld}, {Unavailable, i.faults.ReadUnavailable}}
	if p.Place == AtCommit {
		chances = []chance{
			{Conflict, i.faults.CommitConflict},
			{TooOld, i.faults.CommitTooOld},
			{Unavailable, i.faults.CommitUnavailable},
			{UnknownApplied, i.faults.CommitUnknownApplied},
			{UnknownLost, i.faults.CommitUnknownLost},
		}
	}
	for _, c := range chances {
		if roll < c.probability {
			return c.fault
		}
		roll -= c.probability
	}
	return None
}

// delay draws a duration in [0, limit).
func (i *injector) delay(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return time.Duration(i.random.Int64N(int64(limit)))
}

// failure is the error of a fault that applies nothing.
func failure(f Fault) error {
	switch f {
	case Conflict:
		return kv.ErrConflict
	case TooOld:
		return kv.ErrTooOld
	case Unavailable:
		return kv.ErrUnavailable
	case UnknownLost:
		return kv.ErrUnknownCommit
	case None, UnknownApplied:
	}
	return nil
}
