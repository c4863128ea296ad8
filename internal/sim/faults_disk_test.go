package sim

import (
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/undercroft/undercroft/internal/vfs/faultfs"
)

// pick chooses a file of a directory that may be hurt.
func (m *machine) pick(below string) (dir, name string) {
	dir = m.victim()
	if dir == "" {
		return "", ""
	}
	files := m.p.files(dir + "/" + below)
	files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "/LOCK") })
	if len(files) == 0 {
		return "", ""
	}
	return dir, one(m.plan, files)
}

// spoil changes pages of a file.
func (m *machine) spoil(event, below string, fn func(*block)) {
	dir, name := m.pick(below)
	if name == "" {
		return
	}
	pages := m.p.pagesOf(name)
	for range 1 + m.rng.IntN(3) {
		if len(pages) == 0 {
			return
		}
		s, ok := m.p.spoil(name, one(m.plan, pages), fn)
		if !ok {
			continue
		}
		m.hurting(dir)
		m.rot = append(m.rot, s)
		m.did(event, "%s page %d", name, s.index)
	}
	if m.chance(3) {
		m.down()
		m.start()
	}
	m.verify()
}

func (m *machine) flip(b *block) {
	for range 1 + m.rng.IntN(8) {
		b[m.rng.IntN(len(b))] ^= 1 << m.rng.IntN(8)
	}
}

func (m *machine) zero(b *block) { clear(b[m.rng.IntN(len(b)):]) }

func (m *machine) shardBitflip()  { m.t.Helper(); m.spoil("shard-bitflip", "shards", m.flip) }
func (m *machine) shardZeroed()   { m.t.Helper(); m.spoil("shard-zeroed", "shards", m.zero) }
func (m *machine) mirrorBitflip() { m.t.Helper(); m.spoil("mirror-bitflip", "metadata", m.flip) }
func (m *machine) mirrorZeroed()  { m.t.Helper(); m.spoil("mirror-zeroed", "metadata", m.zero) }

// whileDown changes a file while no process runs.
func (m *machine) whileDown(event, below string, fn func(name string) bool) {
	m.t.Helper()
	dir, name := m.pick(below)
	if name == "" {
		return
	}
	m.down()
	if m.p.has(name) && fn(name) {
		m.hurting(dir)
		m.did(event, "%s", name)
	}
	m.up()
}

func (p *platter) has(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.find(name) != nil
}

func (m *machine) cutFile(name string) bool {
	if pages := m.p.pagesOf(name); len(pages) > 0 {
		return m.p.truncate(name, m.rng.Int64N(int64(pages[len(pages)-1]+1)*pageSize))
	}
	return false
}

func (m *machine) shardTruncated() {
	m.t.Helper()
	m.whileDown("shard-truncated", "shards", m.cutFile)
}

func (m *machine) mirrorTruncated() {
	m.t.Helper()
	m.whileDown("mirror-truncated", "metadata", m.cutFile)
}

func (m *machine) drop(name string) bool { return m.p.takeAway(name) != nil }

func (m *machine) shardLost()  { m.t.Helper(); m.whileDown("shard-lost", "shards", m.drop) }
func (m *machine) mirrorLost() { m.t.Helper(); m.whileDown("mirror-lost", "metadata", m.drop) }

func (m *machine) shardsSwapped() {
	m.t.Helper()
	m.whileDown("shards-swapped", "shards", func(name string) bool {
		dir := "/" + split(name)[0]
		other := one(m.plan, m.shardFiles(dir))
		if other == name {
			return false
		}
		a, b := m.p.takeAway(name), m.p.takeAway(other)
		m.p.putBack(name, b)
		m.p.putBack(other, a)
		return true
	})
}

// failing makes operations on a directory fail from now on.
func (m *machine) failing(event string, r faultfs.Rule) {
	m.t.Helper()
	dir := m.victim()
	if dir == "" {
		return
	}
	m.hurting(dir)
	r.Path = dir + one(m.plan, []string{"/", "/shards/", "/metadata/"})
	if r.Stall != nil {
		// A mirror that is being taken in waits for mutexes: see below.
		r.Path = dir + "/shards/"
		if st, err := m.proc.Status(m.proc.ctx); err == nil && !st.Metadata.Degraded && m.chance(2) {
			r.Path = dir + "/metadata/"
		}
	}
	if r.Stall == nil && m.chance(2) {
		r.Skip, r.Times = m.rng.IntN(20), 1+m.rng.IntN(3)
	}
	m.add(r)
	m.did(event, "%s skip %d times %d", r.Path, r.Skip, r.Times)
	if r.Stall != nil {
		// One at a time: a request that waits for a mutex which a hanging one
		// holds would stop virtual time.
		for range 3 {
			m.settle(m.batch(m.calls(1)))
		}
		return
	}
	m.work()
	m.work()
}

func (m *machine) eioReads() {
	m.t.Helper()
	m.failing("eio-reads", faultfs.Rule{Kinds: faultfs.Read, Err: syscall.EIO})
}

func (m *machine) eioWrites() {
	m.t.Helper()
	m.failing("eio-writes", faultfs.Rule{Kinds: faultfs.Write, Err: syscall.EIO})
}

func (m *machine) eioSyncs() {
	m.t.Helper()
	m.failing("eio-syncs", faultfs.Rule{Kinds: faultfs.Sync, Err: syscall.EIO})
}

func (m *machine) eioRange() {
	m.t.Helper()
	from := m.rng.Int64N(mib)
	m.failing("eio-range", faultfs.Rule{Kinds: faultfs.Read | faultfs.Write, Err: syscall.EIO, From: from, To: from + 1 + m.rng.Int64N(256*kib)})
}

func (m *machine) tornWrites() {
	m.t.Helper()
	m.failing("torn-writes", faultfs.Rule{Kinds: faultfs.Write, Err: syscall.EIO, Torn: true})
}

func (m *machine) readOnly() {
	m.t.Helper()
	m.failing("read-only", faultfs.Rule{Kinds: faultfs.Changes, Err: syscall.EROFS})
}

func (m *machine) hangingDisk() {
	m.t.Helper()
	m.failing("hanging-disk", faultfs.Rule{Kinds: one(m.plan, []faultfs.Kind{faultfs.Write | faultfs.Sync, faultfs.Sync}), Stall: make(chan struct{})})
	m.disksMended()
}

func (m *machine) slowDisk() {
	m.t.Helper()
	dir := m.victim()
	if dir == "" {
		return
	}
	m.hurting(dir)
	d := time.Duration(1+m.rng.IntN(1000)) * time.Microsecond
	m.proc.slow.Store(&slowness{dir + "/", d})
	m.did("slow-disk", "%s %v", dir, d)
	m.work()
	m.work()
}

func (m *machine) noSpace() {
	m.t.Helper()
	dir := m.victim()
	if dir == "" {
		return
	}
	m.hurting(dir)
	m.p.limit(dir, m.rng.Int64N(mib))
	m.did("no-space", "%s", dir)
	m.work()
	m.work()
}

// limit leaves a disk with so many free bytes.
func (p *platter) limit(dir string, free int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sizes[dir[1:]] = p.used(dir[1:]) + free
}

func (m *machine) disksMended() {
	if len(m.rules) > 0 {
		m.mendDisks()
		m.did("disks-mended", "")
	}
}
