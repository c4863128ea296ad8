package disk

import (
	"sync/atomic"
	"time"
)

// Stats counts what a disk did since it was opened.
type Stats struct {
	// Appends and AppendedBytes count frames written, whether or not their
	// sync succeeded.
	Appends, AppendedBytes int64
	// Syncs counts the syncs of appends and superblocks; SyncTime is how long
	// they took, added up, and SyncLongest the longest.
	Syncs                 int64
	SyncTime, SyncLongest time.Duration
	Reads, ReadBytes      int64
	// OpenShards is how many shards have open files now.
	OpenShards int
}

type counters struct {
	appends, appendedBytes       atomic.Int64
	syncs, syncTime, syncLongest atomic.Int64
	reads, readBytes             atomic.Int64
}

func (c *counters) synced(d time.Duration) {
	c.syncs.Add(1)
	c.syncTime.Add(int64(d))
	for {
		old := c.syncLongest.Load()
		if int64(d) <= old || c.syncLongest.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// Stats returns the counters as they are now.
func (d *Disk) Stats() Stats {
	d.mu.Lock()
	open := len(d.shards)
	d.mu.Unlock()
	c := &d.stats
	return Stats{
		Appends:       c.appends.Load(),
		AppendedBytes: c.appendedBytes.Load(),
		Syncs:         c.syncs.Load(),
		SyncTime:      time.Duration(c.syncTime.Load()),
		SyncLongest:   time.Duration(c.syncLongest.Load()),
		Reads:         c.reads.Load(),
		ReadBytes:     c.readBytes.Load(),
		OpenShards:    open,
	}
}
