package sim

import (
	"errors"
	"strings"
	"testing/synctest"

	"github.com/undercroft/undercroft/metadata"
)

// fault is something that goes wrong. fire makes it happen, or does nothing
// where more than the store has to survive would be lost.
type fault struct {
	name   string
	weight int
	fire   func(m *machine)
	// aims are the interleavings that it is made for: see the design's list of
	// what breaks a store.
	aims []int
}

var faults = []fault{
	{"restart", 2, (*machine).restart, []int{44}},
	{"kill", 2, (*machine).killed, []int{5, 11}},
	{"kill-in-batch", 3, (*machine).killInBatch, []int{8, 11, 23, 24}},
	{"power-loss", 2, (*machine).powerLoss, []int{4, 5}},
	{"power-loss-in-batch", 4, (*machine).powerLossInBatch, []int{4, 5, 7, 8, 17, 23}},

	{"disk-away", 2, (*machine).diskAway, []int{6, 12, 42}},
	{"disk-returns", 3, (*machine).diskReturns, []int{6, 12}},
	{"disk-emptied", 1, (*machine).diskEmptied, []int{47}},
	{"disk-old-copy", 2, (*machine).oldCopy, []int{6, 7, 12}},
	{"disks-swapped", 1, (*machine).disksSwapped, nil},
	{"disk-twice", 1, (*machine).diskTwice, []int{21}},
	{"disk-removed-live", 1, (*machine).removedLive, []int{15}},
	{"disk-unmounted-live", 1, (*machine).unmountedLive, []int{15, 47}},

	{"shard-bitflip", 2, (*machine).shardBitflip, []int{7, 14}},
	{"shard-zeroed", 1, (*machine).shardZeroed, []int{12}},
	{"shard-truncated", 1, (*machine).shardTruncated, nil},
	{"shard-lost", 1, (*machine).shardLost, nil},
	{"shards-swapped", 1, (*machine).shardsSwapped, []int{19}},
	{"mirror-bitflip", 2, (*machine).mirrorBitflip, []int{7}},
	{"mirror-zeroed", 1, (*machine).mirrorZeroed, []int{7}},
	{"mirror-truncated", 1, (*machine).mirrorTruncated, []int{7}},
	{"mirror-lost", 1, (*machine).mirrorLost, []int{7}},

	{"eio-reads", 1, (*machine).eioReads, nil},
	{"eio-writes", 1, (*machine).eioWrites, []int{8}},
	{"eio-syncs", 1, (*machine).eioSyncs, []int{16}},
	{"eio-range", 1, (*machine).eioRange, nil},
	{"torn-writes", 1, (*machine).tornWrites, []int{8}},
	{"no-space", 1, (*machine).noSpace, []int{45}},
	{"read-only", 1, (*machine).readOnly, nil},
	{"slow-disk", 1, (*machine).slowDisk, []int{7}},
	{"hanging-disk", 1, (*machine).hangingDisk, []int{7, 11}},
	{"disks-mended", 3, (*machine).disksMended, nil},

	{"kv-faults", 3, (*machine).kvFaults, []int{2, 9, 10, 24}},
	{"paused-writers", 2, (*machine).pausedWriters, []int{1, 9, 13}},
	{"takeover", 1, (*machine).takeover, []int{1, 11}},
	{"disk-drained", 2, (*machine).diskDrained, []int{12, 42}},
	{"photograph", 2, (*machine).photographed, nil},
}

// fault makes one.
func (m *machine) fault() {
	m.t.Helper()
	if m.chance(2) { // in turn, so that a few seeds see them all
		m.turn++
		m.faults[m.turn%len(m.faults)].fire(m)
		return
	}
	total := 0
	for _, f := range m.faults {
		total += f.weight
	}
	n := m.rng.IntN(total)
	for _, f := range m.faults {
		if n -= f.weight; n < 0 {
			f.fire(m)
			return
		}
	}
}

// down ends the process in some way.
func (m *machine) down() {
	m.t.Helper()
	switch m.rng.IntN(3) {
	case 0:
		m.stop()
		m.count("restart")
	case 1:
		m.kill()
		m.count("kill")
	default:
		m.kill()
		m.losePower("power-loss")
	}
}

// up starts a process and holds that everything is there.
func (m *machine) up() {
	m.t.Helper()
	m.start()
	m.verify()
}

func (m *machine) restart() {
	m.t.Helper()
	m.stop()
	m.did("restart", "")
	m.reorder()
	m.up()
}

// reorder changes the order of the directories of the next start.
func (m *machine) reorder() {
	if m.chance(2) {
		m.rng.Shuffle(len(m.dirs), func(i, j int) { m.dirs[i], m.dirs[j] = m.dirs[j], m.dirs[i] })
		m.did("another-order", "%v", m.dirs)
	}
}

func (m *machine) killed() {
	m.t.Helper()
	m.kill()
	m.did("kill", "")
	m.reorder()
	m.up()
}

func (m *machine) powerLoss() {
	m.t.Helper()
	m.kill()
	m.losePower("power-loss")
	m.up()
}

// interrupted runs a batch during which the process is killed, or the
// background after it.
func (m *machine) interrupted() history {
	m.t.Helper()
	m.proc.arm(1 + m.rng.IntN(100))
	calls := m.calls(1 + m.rng.IntN(8))
	h := m.beside(func() history { return m.batch(calls) })
	for range 6 {
		if !m.proc.killed.Load() {
			m.background()
		}
	}
	m.kill()
	return h
}

func (m *machine) killInBatch() {
	m.t.Helper()
	h := m.interrupted()
	m.did("kill-in-batch", "")
	m.start()
	m.settle(h)
	m.verify()
}

func (m *machine) powerLossInBatch() {
	m.t.Helper()
	h := m.interrupted()
	m.losePower("power-loss-in-batch")
	m.start()
	m.settle(h)
	m.verify()
}

func (m *machine) diskAway() {
	m.t.Helper()
	dir := m.victim()
	if dir == "" {
		return
	}
	m.down()
	m.hurting(dir)
	if n := m.p.takeAway(dir); n != nil {
		m.away[dir] = n
		m.did("disk-away", "%s", dir)
	}
	m.up()
}

func (m *machine) diskReturns() {
	m.t.Helper()
	for _, dir := range m.dirs {
		if n := m.away[dir]; n != nil {
			if m.chance(3) { // while the store runs
				m.p.putBack(dir, n)
				delete(m.away, dir)
				m.did("disk-returns", "%s, live", dir)
				m.proc.LookAtDisks(m.proc.ctx)
				m.verify()
				return
			}
			m.down()
			m.p.putBack(dir, n)
			delete(m.away, dir)
			m.did("disk-returns", "%s", dir)
			m.up()
			return
		}
	}
}

func (m *machine) diskEmptied() {
	m.t.Helper()
	dir := m.victim()
	if dir == "" {
		return
	}
	m.down()
	m.hurting(dir)
	m.p.empty(dir)
	delete(m.photos, dir)
	m.did("disk-emptied", "%s", dir)
	m.up()
}

// photographed keeps copies of directories, for a time to come.
func (m *machine) photographed() {
	if dir := one(m.plan, m.dirs); m.away[dir] == nil && m.p.has(dir) && !m.p.isEmpty(dir) {
		m.photos[dir] = m.p.photograph(dir)
		m.did("photograph", "%s", dir)
	}
}

func (m *machine) oldCopy() {
	m.t.Helper()
	var from []string
	for _, dir := range m.dirs {
		if m.photos[dir] != nil && m.away[dir] == nil && (m.hurt[dir] || m.spare() > 0) && m.p.has(dir) && !m.p.isEmpty(dir) {
			from = append(from, dir)
		}
	}
	if len(from) == 0 {
		m.photographed()
		return
	}
	dir := one(m.plan, from)
	m.down()
	m.hurting(dir)
	m.p.putBack(dir, (&copier{map[*node]*node{}}).node(m.photos[dir]))
	m.did("disk-old-copy", "%s", dir)
	m.up()
}

// disksSwapped mounts two disks at each other's places.
func (m *machine) disksSwapped() {
	m.t.Helper()
	a, b := one(m.plan, m.dirs), one(m.plan, m.dirs)
	if a == b || m.away[a] != nil || m.away[b] != nil || m.hurt[a] || m.hurt[b] || len(m.rules) > 0 {
		return
	}
	m.down()
	x, y := m.p.takeAway(a), m.p.takeAway(b)
	m.p.putBack(a, y)
	m.p.putBack(b, x)
	m.photos[a], m.photos[b] = m.photos[b], m.photos[a]
	m.did("disks-swapped", "%s %s", a, b)
	m.up()
}

// diskTwice starts with a disk and a copy of it, which must be refused.
func (m *machine) diskTwice() {
	m.t.Helper()
	dir := one(m.plan, m.dirs)
	if m.away[dir] != nil || m.hurt[dir] || len(m.rules) > 0 {
		return
	}
	m.down()
	m.p.putBack("/copy", m.p.photograph(dir))
	m.dirs = append(m.dirs, "/copy")
	p, err := m.try(0)
	if err == nil {
		m.end(p)
		m.t.Errorf("a start with %s and a copy of it is not refused", dir)
	} else if !strings.Contains(err.Error(), "same disk") {
		m.t.Errorf("a start with %s and a copy of it: %v", dir, err)
	}
	m.dirs = m.dirs[:len(m.dirs)-1]
	m.p.takeAway("/copy")
	m.did("disk-twice", "%s: %v", dir, err)
	m.up()
}

func (m *machine) removedLive() {
	m.t.Helper()
	dir := m.victim()
	if dir == "" {
		return
	}
	m.hurting(dir)
	m.p.takeAway(dir)
	delete(m.photos, dir)
	m.did("disk-removed-live", "%s", dir)
	m.work()
}

func (m *machine) unmountedLive() {
	m.t.Helper()
	dir := m.victim()
	if dir == "" {
		return
	}
	m.hurting(dir)
	if n := m.p.takeAway(dir); n != nil {
		m.away[dir] = n
		m.did("disk-unmounted-live", "%s", dir)
	}
	m.work()
}

// kvFaults lets commits conflict or end unknown for some time.
func (m *machine) kvFaults() {
	m.t.Helper()
	m.proc.kv.set(0.1 + 0.3*m.rng.Float64())
	m.did("kv-faults", "")
	for range 3 {
		m.work()
		m.background()
	}
	m.proc.kv.set(0)
}

// pausedWriters stops writers between their data and their commit, while the
// background goes on.
func (m *machine) pausedWriters() { m.t.Helper(); m.paused(func() {}) }

// takeover raises the epochs of open partitions under paused writers, as
// another process does that believes this one dead. What they publish then is
// refused.
func (m *machine) takeover() {
	m.t.Helper()
	raised := 0
	m.paused(func() {
		err := m.persist("takeover", func() error {
			return m.proc.DB.Update(m.proc.ctx, "sim", func(tx *metadata.Tx) error {
				raised = 0
				rows, err := tx.Partitions(0, 0)
				for i := range rows {
					if rows[i].State == metadata.PartitionOpen {
						raised++
						rows[i].Epoch++
						err = errors.Join(err, tx.PutPartition(&rows[i]))
					}
				}
				return err
			})
		})
		if err != nil {
			m.t.Fatal(err)
		}
	})
	m.did("takeover", "of %d partitions", raised)
	m.kill() // who lost its partitions ends
	m.up()
}

func (m *machine) paused(meanwhile func()) {
	m.t.Helper()
	m.proc.kv.pause()
	done := make(chan history, 1)
	calls := m.calls(2 + m.rng.IntN(6))
	go func() { done <- m.batch(calls) }()
	synctest.Wait()
	stopped := m.proc.kv.waiting()
	m.did("paused-writers", "%d", stopped)
	for range 3 + m.rng.IntN(10) {
		m.background()
	}
	meanwhile()
	m.proc.kv.resume()
	m.settle(<-done)
}

// empty removes what is in a directory.
func (p *platter) empty(dir string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.find(dir); n != nil {
		n.names, n.syncedNames, n.renames, n.left = map[string]*node{}, map[string]*node{}, nil, nil
	}
}
