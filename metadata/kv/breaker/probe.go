package breaker

import (
	"context"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// probeClass is the class of the breaker's own transactions.
const probeClass = "probe"

// alwaysProbe is how often the store is asked although others ask it too: the time
// of probes is that of read versions.
const alwaysProbe = 5 * time.Second

// watch asks the store while nobody else does, and opens the breaker when it has
// been silent.
func (e *Engine) watch(ctx context.Context) {
	ticker := time.NewTicker(e.o.ProbeInterval)
	defer ticker.Stop()
	idle := make(chan struct{}, 1) // has a token while no probe is under way
	idle <- struct{}{}
	probed := e.o.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		silence := e.silent()
		if silence > e.o.Silence {
			e.mu.Lock()
			e.trip()
			e.mu.Unlock()
		}
		now := e.o.Now()
		if !e.wanted(silence) && now.Sub(probed) < alwaysProbe {
			continue
		}
		select {
		case <-idle:
			probed = now
			e.tasks.Go(func() {
				e.probe(ctx)
				idle <- struct{}{}
			})
		default: // one that hangs is answered when the store is back
		}
	}
}

// wanted says whether a probe would tell something.
func (e *Engine) wanted(silence time.Duration) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.locked || e.failures > 0 || e.open.Load() || silence >= 2*e.o.ProbeInterval
}

// probe takes a read version, and commits too while the store is locked. How it
// ends is counted.
func (e *Engine) probe(ctx context.Context) {
	o := kv.TxOptions{Class: probeClass, Timeout: e.o.Silence, MaxRetries: -1}
	c := call{e: e, began: e.o.Now()}
	e.inFlight.Add(1)
	defer e.inFlight.Add(-1)
	e.mu.Lock()
	locked := e.locked
	e.mu.Unlock()
	if !locked {
		_ = c.end(kv.Commit{ReadOnly: true}, e.inner.View(ctx, o, func(r kv.Reader) error {
			_, err := r.ReadVersion()
			return err
		}))
		return
	}
	commit, err := e.inner.Update(ctx, o, func(tx kv.Tx) error {
		tx.AddWriteConflictRange(kv.Range{Begin: probeKey(), End: kv.KeyAfter(probeKey())})
		return nil
	})
	_ = c.end(commit, err)
}

// probeKey is one that nobody reads: a commit that only conflicts there changes
// nothing.
func probeKey() []byte { return []byte("\xfeprobe") }
