package partition

import (
	"context"
	"sync"

	"github.com/undercroft/undercroft/metadata"
)

// Blob names the bytes of a buffer. Key and Version go into the stripe's
// directory, for salvage and compaction; Key includes the bucket's id and has
// at most 2,048 bytes, Version at most 255.
type Blob struct {
	ID           metadata.DataID
	Piece        uint32
	Key, Version string
	// Class is the storage class, whose partitions take the blob; one that the store
	// does not have is as good as STANDARD, "".
	Class string
}

// Pending is a blob on its way to the disks.
type Pending struct {
	blob    Blob
	buf     *Buffer
	n       int
	expired func() error  // says whether the submitter still wants it
	done    chan struct{} // closed when placed or err is set
	placed  metadata.Placed
	err     error

	mu   sync.Mutex     // guards what follows
	hold *openPartition // kept from being sealed
	over bool           // Done was called
}

// Wait returns where the blob lies, once it is durable on every frame of its
// stripe, or why it is not. When ctx ends first the write goes on. It may be
// called repeatedly.
func (p *Pending) Wait(ctx context.Context) (metadata.Placed, error) {
	select {
	case <-p.done:
		return p.placed, p.err
	default:
	}
	select {
	case <-p.done:
		return p.placed, p.err
	case <-ctx.Done():
		return metadata.Placed{}, ctx.Err()
	}
}

// Done says that the transaction that publishes the blob ended, either way:
// its partition may be sealed. It must be called for every Pending, once Wait
// returned an error too, and may be called repeatedly.
func (p *Pending) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.letGo()
}

// letGo releases the hold. The caller holds mu.
func (p *Pending) letGo() {
	if p.hold != nil {
		p.hold.release(1)
		p.hold = nil
	}
}

// succeed ends the wait. The hold that part has for the blob passes to p.
func (p *Pending) succeed(part *openPartition, placed metadata.Placed) {
	p.mu.Lock()
	p.hold = part
	if p.over {
		p.letGo()
	}
	p.mu.Unlock()
	p.placed = placed
	close(p.done)
}

func (p *Pending) fail(err error) {
	p.err = err
	close(p.done)
}
