package load

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// maxMine bounds how many keys a worker of the mixed load remembers.
const maxMine = 1 << 16

// tally is what one worker counted for one operation.
type tally struct {
	hist     Histogram
	ok       uint64
	failed   uint64
	requests uint64
	bytes    int64
	keys     uint64
	errors   map[string]uint64
}

// worker is one connection and what it measured.
type worker struct {
	run     *run
	client  *client
	rng     *rand.Rand
	tallies map[Op]*tally
	token   string   // of the listing under way
	mine    []string // keys that the mixed load put and may delete
}

func newWorker(r *run, seed uint64) *worker {
	return &worker{
		run: r, client: newClient(r.cfg), tallies: map[Op]*tally{},
		rng: rand.New(rand.NewPCG(seed, 0x5eed)),
	}
}

// outcome is one operation that was tried.
type outcome struct {
	op    Op
	bytes int64
	keys  int
	err   error
}

func (w *worker) loop(ctx context.Context) {
	defer w.client.conn.close()
	stop := context.AfterFunc(ctx, func() { w.run.phase.Store(done) })
	defer stop()
	failures := 0
	for w.run.phase.Load() != done && failures < maxFailures {
		seq := w.run.next.Add(1) - 1
		if w.run.cfg.Count > 0 && seq >= w.run.cfg.Count {
			return
		}
		before, began := w.client.requests, time.Now()
		o := w.do(ctx, seq)
		took := time.Since(began)
		if o.err != nil {
			failures++
		} else {
			failures = 0
		}
		if w.run.phase.Load() == measuring {
			w.record(o, took, w.client.requests-before)
		}
	}
}

func (w *worker) record(o outcome, took time.Duration, requests uint64) {
	t := w.tallies[o.op]
	if t == nil {
		t = &tally{errors: map[string]uint64{}}
		w.tallies[o.op] = t
	}
	t.requests += requests
	if o.err != nil {
		t.failed++
		t.errors[classify(o.err)]++
		return
	}
	t.ok++
	t.bytes += o.bytes
	t.keys += uint64(o.keys)
	t.hist.Record(took)
}

// classify names an error in few words: the S3 code, or what the connection did.
func classify(err error) string {
	if no, ok := errors.AsType[*codeError](err); ok {
		return no.code
	}
	switch {
	case errors.Is(err, errWrongBody):
		return "WrongBody"
	case errors.Is(err, errMalformed):
		return "MalformedResponse"
	default:
		return "Connection"
	}
}

// do runs operation number seq of the configured kind.
func (w *worker) do(ctx context.Context, seq uint64) outcome {
	cfg := w.run.cfg
	switch cfg.Op {
	case OpPut:
		if cfg.Rewrite > 0 {
			return w.put(ctx, w.run.key(seq%uint64(cfg.Rewrite)), seq)
		}
		return w.put(ctx, w.run.freshKey(seq), seq)
	case OpPrepare:
		return w.put(ctx, w.run.key(seq), seq)
	case OpGet:
		return w.get(ctx)
	case OpHead:
		return w.head(ctx)
	case OpList:
		return w.list(ctx)
	case OpDelete:
		return outcome{op: OpDelete, err: w.client.del(ctx, w.run.key(seq))}
	case OpMultipart:
		err := w.client.multipart(ctx, w.run.freshKey(seq), w.run.payload(seq))
		return outcome{op: OpMultipart, bytes: cfg.Size * int64(cfg.Parts), err: err}
	case OpMixed:
	}
	return w.mixed(ctx, seq)
}

func (w *worker) put(ctx context.Context, key string, seq uint64) outcome {
	return outcome{op: OpPut, bytes: w.run.cfg.Size, err: w.client.put(ctx, key, w.run.payload(seq))}
}

func (w *worker) get(ctx context.Context) outcome {
	i := w.rng.Uint64N(uint64(w.run.cfg.Objects))
	n, err := w.client.get(ctx, w.run.key(i), w.run.payload(i))
	return outcome{op: OpGet, bytes: n, err: err}
}

func (w *worker) head(ctx context.Context) outcome {
	i := w.rng.Uint64N(uint64(w.run.cfg.Objects))
	return outcome{op: OpHead, err: w.client.head1(ctx, w.run.key(i), w.run.cfg.Size)}
}

func (w *worker) list(ctx context.Context) outcome {
	p, err := w.client.list(ctx, w.run.cfg.Prefix, w.token)
	w.token = p.next
	return outcome{op: OpList, keys: p.keys, err: err}
}

// mixed picks by warp's usual shares. Only keys that this worker put itself are
// deleted, so that reads never miss.
func (w *worker) mixed(ctx context.Context, seq uint64) outcome {
	switch dice := w.rng.IntN(100); {
	case dice < 45:
		return w.get(ctx)
	case dice < 75:
		return w.head(ctx)
	case dice < 90 || len(w.mine) == 0:
		key := w.run.freshKey(seq)
		o := w.put(ctx, key, seq)
		if o.err == nil && len(w.mine) < maxMine {
			w.mine = append(w.mine, key)
		}
		return o
	default:
		key := w.mine[len(w.mine)-1]
		w.mine = w.mine[:len(w.mine)-1]
		return outcome{op: OpDelete, err: w.client.del(ctx, key)}
	}
}
