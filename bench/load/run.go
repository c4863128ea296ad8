package load

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	payloadVariants = 4   // bodies that differ, of small size
	maxFailures     = 100 // in a row, after which a worker gives up
)

// The phases of a run. Only operations that end while measuring count.
const (
	warming int32 = iota
	measuring
	done
)

// Run does what cfg says and reports it. It fails when the run could not be set
// up; failed operations are counted in the report instead.
func Run(ctx context.Context, cfg Config, observe *Observer) (*Report, error) {
	if err := cfg.normalize(); err != nil {
		return nil, err
	}
	r := &run{cfg: &cfg, id: strconv.FormatInt(time.Now().UnixNano(), 36)}
	variants := payloadVariants
	if cfg.Size > 1<<20 {
		variants = 1
	}
	for i := range variants {
		r.payloads = append(r.payloads, newPayload(int(cfg.Size), uint64(i)+1, &cfg))
	}
	setup := newClient(&cfg)
	defer setup.conn.close()
	if err := setup.createBucket(ctx); err != nil {
		return nil, fmt.Errorf("create bucket %s: %w", cfg.Bucket, err)
	}
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	return r.measure(ctx, observe)
}

// run is the state that workers share.
type run struct {
	cfg      *Config
	id       string
	payloads []*payload
	next     atomic.Uint64
	phase    atomic.Int32
}

// key of object i; spread over the key space so that puts are not in order.
func (r *run) key(i uint64) string {
	const digits = "0123456789abcdef"
	x := i + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	b := make([]byte, 0, len(r.cfg.Prefix)+16)
	b = append(b, r.cfg.Prefix...)
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[x>>shift&15])
	}
	return string(b)
}

// freshKey is a key that no earlier run used.
func (r *run) freshKey(i uint64) string { return r.key(i) + "-" + r.id }

func (r *run) payload(i uint64) *payload { return r.payloads[i%uint64(len(r.payloads))] }

// prepare puts the objects that the operation needs.
func (r *run) prepare(ctx context.Context) error {
	switch r.cfg.Op {
	case OpGet, OpHead, OpList, OpDelete, OpMixed:
	case OpPut, OpMultipart, OpPrepare:
		return nil
	}
	if r.cfg.SkipPrepare {
		return nil
	}
	cfg := *r.cfg
	cfg.Op, cfg.Count, cfg.Warmup = OpPrepare, uint64(cfg.Objects), 0
	pre := &run{cfg: &cfg, payloads: r.payloads}
	report, err := pre.measure(ctx, nil)
	if err != nil {
		return err
	}
	if n := report.Total.Failed; n > 0 {
		return fmt.Errorf("prepare: %d of %d objects failed: %v", n, cfg.Objects, report.Total.Errors)
	}
	return nil
}

// measure runs the workers through warmup and window.
func (r *run) measure(ctx context.Context, observe *Observer) (*Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	workers := make([]*worker, r.cfg.Concurrency)
	var group sync.WaitGroup
	finished := make(chan struct{})
	if r.cfg.Warmup == 0 {
		r.phase.Store(measuring)
	}
	window, err := observe.begin(ctx)
	if err != nil {
		return nil, err
	}
	for i := range workers {
		workers[i] = newWorker(r, uint64(i))
		group.Go(func() { workers[i].loop(ctx) })
	}
	go func() { group.Wait(); close(finished) }()
	if r.cfg.Warmup > 0 {
		await(ctx, finished, r.cfg.Warmup)
		if window, err = observe.begin(ctx); err != nil {
			return nil, err
		}
		r.phase.Store(measuring)
	}
	limit := r.cfg.Duration
	if r.cfg.Count > 0 {
		limit = 0
	}
	await(ctx, finished, limit)
	r.phase.Store(done)
	ended, err := window.end(ctx)
	if err != nil {
		return nil, err
	}
	<-finished
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	return r.report(workers, ended), nil
}

// await blocks until finished is closed, ctx ends or d passed; d = 0 is no limit.
func await(ctx context.Context, finished <-chan struct{}, d time.Duration) {
	var timeout <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-finished:
	case <-ctx.Done():
	case <-timeout:
	}
}
