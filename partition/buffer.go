package partition

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// The classes of buffers: what each can hold, in bytes.
const (
	smallBuffer  = 64 << 10
	mediumBuffer = 1 << 20
	largeBuffer  = 4 << 20

	readBuffer = 512 << 10 // a slab only
)

// slack is the room behind a buffer's bytes for the directory entry of one
// blob and the padding of up to maxK columns, so that a piece is encoded where
// it lies.
const slack = 16 << 10

const (
	maxBufferQueue = 1024
	maxBufferWait  = 3 * time.Second
)

// slab is memory that is used again.
type slab struct{ b []byte }

// slabs recycles memory in a few sizes. Idle memory is the garbage
// collector's to take. The zero value is ready.
type slabs struct {
	pools [4]sync.Pool
	freed func(*slab) // tests only: sees what is given back
}

func slabSizes() [4]int {
	return [4]int{smallBuffer + slack, readBuffer + slack, mediumBuffer + slack, largeBuffer + slack}
}

// get returns a slab of at least n bytes with any content.
func (s *slabs) get(n int) *slab {
	for i, size := range slabSizes() {
		if n > size {
			continue
		}
		if m, ok := s.pools[i].Get().(*slab); ok {
			return m
		}
		return &slab{make([]byte, size)}
	}
	return &slab{make([]byte, n)}
}

func (s *slabs) put(m *slab) {
	if m == nil {
		return
	}
	if s.freed != nil {
		s.freed(m)
	}
	for i, size := range slabSizes() {
		if len(m.b) == size {
			s.pools[i].Put(m)
			return
		}
	}
}

// Buffer is memory for one blob, from the bounded pool of a Store. It is used
// by one goroutine at a time, and given up by Free or by [Store.Submit].
type Buffer struct {
	pool  *buffers
	slab  *slab
	cap   int
	freed atomic.Bool
}

// Cap is how many bytes the buffer holds, at most 4 MiB.
func (b *Buffer) Cap() int { return b.cap }

// Bytes is the buffer's memory, Cap bytes long, with any content.
func (b *Buffer) Bytes() []byte { return b.slab.b[:b.cap:b.cap] }

// Free returns the buffer to the pool. It may be called repeatedly; the bytes
// must not be used afterwards.
func (b *Buffer) Free() {
	if b.freed.Swap(true) {
		return
	}
	b.pool.slabs.put(b.slab)
	b.pool.budgetOf(b.cap).release(int64(b.cap) + slack)
	b.slab = nil
}

// buffers is the bounded pool. Small buffers have a share of their own, so
// that small writes do not wait for large ones.
type buffers struct {
	slabs *slabs
	small *budget
	large *budget
}

func newBuffers(s *slabs, memory int64) *buffers {
	small := max(memory/8, smallBuffer+slack)
	large := max(memory-small, mediumBuffer+slack)
	return &buffers{
		slabs: s,
		small: newBudget(small, maxBufferQueue, maxBufferWait),
		large: newBudget(large, maxBufferQueue, maxBufferWait),
	}
}

func (p *buffers) budgetOf(size int) *budget {
	if size <= smallBuffer {
		return p.small
	}
	return p.large
}

// get takes a buffer for want bytes, negative where nobody knows.
func (p *buffers) get(ctx context.Context, want int64) (*Buffer, error) {
	size := mediumBuffer
	switch {
	case want >= 0 && want <= smallBuffer:
		size = smallBuffer
	case want > mediumBuffer && p.large.try(largeBuffer+slack, p.large.total/2):
		return p.make(largeBuffer), nil
	}
	if err := p.budgetOf(size).acquire(ctx, int64(size)+slack); err != nil {
		return nil, err
	}
	return p.make(size), nil
}

func (p *buffers) make(size int) *Buffer {
	return &Buffer{pool: p, slab: p.slabs.get(size + slack), cap: size}
}
