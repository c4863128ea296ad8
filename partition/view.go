package partition

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// maxViews bounds the cache of partition rows.
const maxViews = 8192

// view is what a reader needs of a partition's row. It is never changed.
type view struct {
	scheme
	id     metadata.PartitionID
	epoch  metadata.Epoch
	secret blobd.Secret
	disks  []*disk   // of the shards; nil for one that is missing
	short  []uint8   // shards that the row says are lost or damaged
	read   time.Time // when
	now    func() time.Time
	store  *Store
	// foreground says that somebody waits for what is read: such reads are hedged,
	// and show what is usual for a disk.
	foreground bool
	// absent is when a shard's disk did not have it; 0: never.
	absent []atomic.Int64
}

// inBackground is the view for reads that nobody waits for.
func (v *view) inBackground() *view {
	w := *v
	w.foreground = false
	return &w
}

func (v *view) shard(i int) blobd.ShardID { return shardID(v.id, i) }

// viewCache remembers views. A stale one does no harm: what it says is where
// to look, and what is found there verifies or does not.
type viewCache struct {
	store *Store

	mu    sync.RWMutex // guards what follows
	views map[metadata.PartitionID]*view
}

func newViewCache(s *Store) *viewCache {
	return &viewCache{store: s, views: map[metadata.PartitionID]*view{}}
}

// get returns the view of a partition, ErrGone where there is none.
func (c *viewCache) get(ctx context.Context, id metadata.PartitionID) (*view, error) {
	if err := c.store.Elsewhere(); err != nil {
		return nil, err
	}
	c.mu.RLock()
	v := c.views[id]
	c.mu.RUnlock()
	if v != nil {
		return v, nil
	}
	return c.load(ctx, id)
}

// load reads the row and remembers it.
func (c *viewCache) load(ctx context.Context, id metadata.PartitionID) (*view, error) {
	var row *metadata.Partition
	err := c.store.db.View(ctx, class, func(r *metadata.Reader) (err error) {
		row, err = r.Partition(id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("partition %s: %w", pid(id), err)
	}
	if row == nil || row.State == metadata.PartitionDropped {
		c.forget(id)
		return nil, fmt.Errorf("%w: %s", ErrGone, pid(id))
	}
	v := c.store.readView(row)
	v.foreground = true
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.views) >= maxViews {
		for old := range c.views { // any one: map order is random enough
			delete(c.views, old)
			break
		}
	}
	c.views[id] = v
	return v, nil
}

// reload returns a newer view than v, or nil where nothing has changed.
func (c *viewCache) reload(ctx context.Context, v *view) (*view, error) {
	now, err := c.load(ctx, v.id)
	if err != nil {
		return nil, err
	}
	if now.epoch == v.epoch && slices.Equal(now.disks, v.disks) {
		return nil, nil //nolint:nilnil // nil is the answer: nothing newer
	}
	return now, nil
}

// doubt forgets a view that led to where a frame was not, for who comes next:
// what is read forever from other shards may only have moved. A new view is
// believed for a while.
func (c *viewCache) doubt(v *view) {
	if v.now().Sub(v.read) < absence {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.views[v.id]; now != nil && !now.read.After(v.read) {
		delete(c.views, v.id)
	}
}

func (c *viewCache) forget(id metadata.PartitionID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.views, id)
}

// clear forgets all, after the set of disks has changed.
func (c *viewCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.views)
}
