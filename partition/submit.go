package partition

import (
	"context"
	"fmt"
	"sync"
)

const (
	// batchBelow is the size under which a blob shares a stripe with others;
	// larger ones have one of their own.
	batchBelow = 256 << 10
	// maxBatches are being flushed while the next one fills: two, so that one
	// is encoded while the disks sync the other.
	maxBatches    = 2
	maxBatchBlobs = 1024
	minBatchBytes = 1 << 20
	// maxFlying large stripes are between encoding and durability: what bounds
	// the memory for parity.
	maxFlying = 8
)

// Submit writes the first n bytes of buf as a blob of their own. It takes
// buf, which is freed when the bytes are durable or have failed. It returns at
// once; the caller waits with [Pending.Wait] and calls [Pending.Done] when the
// transaction that publishes the blob has ended. When ctx ends before the write
// has started it is dropped.
func (s *Store) Submit(ctx context.Context, b Blob, buf *Buffer, n int) *Pending {
	p := &Pending{blob: b, buf: buf, n: n, expired: ctx.Err, done: make(chan struct{})}
	err := b.valid()
	if n <= 0 || n > buf.cap {
		err = fmt.Errorf("%w: %d bytes in a buffer of %d", ErrInvalid, n, buf.cap)
	}
	if err == nil && !s.begin() {
		err = ErrClosed
	}
	if err != nil {
		buf.Free()
		p.fail(err)
		return p
	}
	s.stats.blobs.Add(1)
	s.stats.bytes.Add(int64(n))
	c := s.classes.of(b.Class)
	if n < batchBelow {
		c.batches.submit(p) //nolint:contextcheck // the write outlives its request
		return p
	}
	go s.writeLarge(c, p) //nolint:contextcheck // the write outlives its request
	return p
}

// spawn runs fn in the background. It is called by work that Close waits for,
// and Close waits for fn too.
func (s *Store) spawn(fn func()) {
	s.work.Go(fn)
}

// writeLarge gives a piece a stripe of its own.
func (s *Store) writeLarge(c *storageClass, p *Pending) {
	defer s.work.Done()
	s.flying <- struct{}{}
	defer func() { <-s.flying }()
	s.write([]*Pending{p}, c.large)
}

// batcher collects small blobs into stripes. A batch closes when an earlier
// one is durable: no timer, and the busier, the larger.
type batcher struct {
	class *storageClass
	store *Store

	mu      sync.Mutex // guards what follows
	waiting []*Pending
	flying  int
}

func newBatcher(c *storageClass) *batcher {
	return &batcher{class: c, store: c.store}
}

// limit is the bytes of blobs and directory in one stripe. Twice the overhead is
// left, since the scheme may grow a step between the batch and its partition.
func (b *batcher) limit() int {
	return max(largeBuffer-2*batchOverhead(b.class.scheme().K), minBatchBytes)
}

func (b *batcher) submit(p *Pending) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, p)
	if b.flying < maxBatches {
		b.flying++
		go b.run()
	}
}

// run flushes batches until nothing waits.
func (b *batcher) run() {
	for group := b.take(); group != nil; group = b.take() {
		b.store.stats.batches.Add(1)
		b.store.write(group, b.class.batch)
		for range group {
			b.store.work.Done()
		}
	}
}

// take removes the next batch from the queue, or ends a run.
func (b *batcher) take() []*Pending {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		b.waiting = nil
		b.flying--
		return nil
	}
	size, n, limit := directoryHeader, 0, b.limit()
	for _, p := range b.waiting {
		size += p.n + p.blob.directorySize()
		if n > 0 && (size > limit || n == maxBatchBlobs) {
			break
		}
		n++
	}
	group := b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	return group
}
