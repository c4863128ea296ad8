package partition

import "sync/atomic"

// frameRefs holds the memory that the appends of one stripe read until the
// last of them has ended.
type frameRefs struct {
	stripe  *stripe
	slabs   *slabs
	scratch *slab
	refs    atomic.Int32
}

func (r *frameRefs) release() {
	if r.refs.Add(-1) > 0 {
		return
	}
	r.slabs.put(r.scratch)
	r.stripe.release()
}
