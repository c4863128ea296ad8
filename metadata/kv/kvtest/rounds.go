package kvtest

import (
	"context"
	"sync"

	"github.com/undercroft/undercroft/metadata/kv"
)

// What a range reply of FoundationDB holds, in bytes, and what a row takes in it
// besides its key and value.
const (
	replyBytes  = 80_000
	rowOverhead = 24
)

// Counts is what transactions cost across a network.
type Counts struct {
	// ReadVersions were taken; transactions that share one count once.
	ReadVersions int
	// Rounds is how often reads were sent after an answer was waited for: reads
	// that are sent before any of them is waited for share a round.
	Rounds int
	// Gets and Ranges were sent. A key that the transaction has read before is not.
	Gets, Ranges int
	// Replies of ranges were needed for the rows that were consumed.
	Replies int
	// Bytes of keys and values were written.
	Bytes int
	// Commits wrote something. Attempts are the runs of functions.
	Commits, Attempts int
}

// Rounds is an engine that counts what it is asked for as a remote engine would
// be asked. The engine within decides what is read.
type Rounds struct {
	kv.Engine
	// Of, when set, says of which calls to count.
	Of func(ctx context.Context) bool

	mu     sync.Mutex // guards counts
	counts Counts
}

var _ kv.Remote = (*Rounds)(nil)

// CountRounds wraps an engine.
func CountRounds(e kv.Engine) *Rounds { return &Rounds{Engine: e} }

// Remote is true.
func (e *Rounds) Remote() bool { return true }

// Take returns the counts since the last Take.
func (e *Rounds) Take() Counts {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.counts
	e.counts = Counts{}
	return c
}

func (e *Rounds) count(f func(c *Counts)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f(&e.counts)
}

func (e *Rounds) isOf(ctx context.Context) bool { return e.Of == nil || e.Of(ctx) }

// View counts what fn reads.
func (e *Rounds) View(ctx context.Context, o kv.TxOptions, fn func(kv.Reader) error) error {
	if !e.isOf(ctx) {
		return e.Engine.View(ctx, o, fn)
	}
	return e.Engine.View(ctx, o, func(r kv.Reader) error {
		return fn(&countedReader{r, e.trip(&o)})
	})
}

// Update counts what fn reads and writes.
func (e *Rounds) Update(ctx context.Context, o kv.TxOptions, fn func(kv.Tx) error) (kv.Commit, error) {
	if !e.isOf(ctx) {
		return e.Engine.Update(ctx, o, fn)
	}
	bytes := 0
	c, err := e.Engine.Update(ctx, o, func(tx kv.Tx) error {
		t := e.trip(&o)
		err := fn(&countedTx{Tx: tx, countedReader: countedReader{tx, t}})
		bytes = t.bytes
		return err
	})
	if err == nil && !c.ReadOnly {
		e.count(func(all *Counts) { all.Commits, all.Bytes = all.Commits+1, all.Bytes+bytes })
	}
	return c, err
}

// trip is the way of one attempt to and fro.
type trip struct {
	e       *Rounds
	session *kv.Session
	begun   bool
	round   int  // of this attempt
	flying  bool // reads of the round were sent, none was waited for
	known   map[string]struct{}
	bytes   int
}

func (e *Rounds) trip(o *kv.TxOptions) *trip {
	e.count(func(c *Counts) { c.Attempts++ })
	return &trip{e: e, session: o.Session, known: make(map[string]struct{})}
}

// begin takes the read version of r, unless it is that of the session.
func (t *trip) begin(r kv.Reader) {
	if t.begun {
		return
	}
	t.begun = true
	before := t.session.Reused()
	_, err := r.ReadVersion()
	if err == nil && t.session.Reused() == before {
		t.e.count(func(c *Counts) { c.ReadVersions++ })
	}
}

// send sends a read and returns its round.
func (t *trip) send() int {
	if !t.flying {
		t.flying = true
		t.round++
		t.e.count(func(c *Counts) { c.Rounds++ })
	}
	return t.round
}

// await waits for a read of a round: all of the round have come then.
func (t *trip) await(round int) {
	if round == t.round {
		t.flying = false
	}
}

// know says whether a key was read or written before.
func (t *trip) know(key []byte) bool {
	_, ok := t.known[string(key)]
	t.known[string(key)] = struct{}{}
	return ok
}

type countedReader struct {
	kv.Reader
	t *trip
}

func (r countedReader) Get(key []byte) kv.Future {
	r.t.begin(r.Reader)
	f := &countedFuture{Future: r.Reader.Get(key), t: r.t}
	if !r.t.know(key) {
		f.round = r.t.send()
		r.t.e.count(func(c *Counts) { c.Gets++ })
	}
	return f
}

func (r countedReader) GetRange(rng kv.Range, o kv.RangeOptions) kv.Iterator {
	r.t.begin(r.Reader)
	it := &countedIterator{Iterator: r.Reader.GetRange(rng, o), t: r.t, round: r.t.send()}
	r.t.e.count(func(c *Counts) { c.Ranges, c.Replies = c.Ranges+1, c.Replies+1 })
	return it
}

func (r countedReader) Generation() kv.Future {
	r.t.begin(r.Reader)
	return r.Reader.Generation() // comes with the read version
}

func (r countedReader) ReadVersion() (uint64, error) {
	r.t.begin(r.Reader)
	return r.Reader.ReadVersion()
}

type countedFuture struct {
	kv.Future
	t     *trip
	round int // 0: it was not sent
}

func (f *countedFuture) Wait() ([]byte, error) {
	f.t.await(f.round)
	return f.Future.Wait()
}

// countedIterator counts a reply for each part of the rows that it returns.
type countedIterator struct {
	kv.Iterator
	t     *trip
	round int
	bytes int // of the reply
}

func (i *countedIterator) Next() bool {
	if i.bytes >= replyBytes {
		i.bytes = 0
		i.round = i.t.send()
		i.t.e.count(func(c *Counts) { c.Replies++ })
	}
	i.t.await(i.round)
	if !i.Iterator.Next() {
		return false
	}
	p := i.Pair()
	i.bytes += len(p.Key) + len(p.Value) + rowOverhead
	return true
}

type countedTx struct {
	kv.Tx
	countedReader
}

// What both parts have is the reader's.

func (t *countedTx) Get(key []byte) kv.Future { return t.countedReader.Get(key) }

func (t *countedTx) GetRange(r kv.Range, o kv.RangeOptions) kv.Iterator {
	return t.countedReader.GetRange(r, o)
}

func (t *countedTx) Generation() kv.Future { return t.countedReader.Generation() }

func (t *countedTx) ReadVersion() (uint64, error) { return t.countedReader.ReadVersion() }

func (t *countedTx) Snapshot() kv.Reader { return countedReader{t.Tx.Snapshot(), t.t} }

func (t *countedTx) Set(key, value []byte) {
	t.t.know(key)
	t.t.bytes += len(key) + len(value)
	t.Tx.Set(key, value)
}

func (t *countedTx) Delete(key []byte) {
	t.t.know(key)
	t.Tx.Delete(key)
}

func (t *countedTx) AddReadConflictRange(r kv.Range) {
	t.t.begin(t.Tx)
	t.Tx.AddReadConflictRange(r)
}
