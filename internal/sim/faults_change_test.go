package sim

import (
	"errors"

	"github.com/undercroft/undercroft/internal/single"
)

// diskDrained takes a disk out of service as an administrator does, beside
// operations and restarts: it is put back, or removed and replaced by another.
func (m *machine) diskDrained() {
	m.t.Helper()
	if len(m.hurt) > 0 || m.proc.kv.on() {
		return
	}
	dir := one(m.plan, m.dirs)
	if err := m.administer("drain", func() (single.Changed, error) { return m.proc.DrainDisk(m.proc.ctx, dir) }); err != nil {
		m.did("disk-drain-refused", "%s: %v", dir, err)
		if !errors.Is(err, single.ErrRefused) {
			m.t.Errorf("drain %s: %v", dir, err)
		}
		return
	}
	m.did("disk-drained", "%s", dir)
	for range 4 {
		m.work()
		m.background()
		if m.chance(5) {
			m.down()
			m.up()
		}
	}
	if m.chance(3) {
		if err := m.administer("put back", func() (single.Changed, error) { return m.proc.CancelDrain(m.proc.ctx, dir) }); err != nil {
			m.t.Errorf("put %s back: %v", dir, err)
		}
		m.did("disk-drain-cancelled", "%s", dir)
		return
	}
	m.finishReaders()
	for range 10 {
		m.drain()
		if m.isDrained(dir) {
			m.removeAndReplace(dir)
			return
		}
	}
	m.t.Errorf("%s is not drained: %+v", dir, m.proc.Missing())
}

func (m *machine) isDrained(dir string) bool {
	m.t.Helper()
	var disks []single.DiskStatus
	err := m.persist("disks", func() (err error) {
		disks, err = m.proc.Disks(m.proc.ctx)
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	for _, d := range disks {
		if d.Path == dir && d.State == "draining" {
			m.note("%s: %+v", dir, d)
			return d.Drained
		}
	}
	return false
}

func (m *machine) removeAndReplace(dir string) {
	m.t.Helper()
	if err := m.administer("remove", func() (single.Changed, error) { return m.proc.RemoveDisk(m.proc.ctx, dir) }); err != nil {
		m.t.Fatalf("remove %s: %v", dir, err)
	}
	m.p.takeAway(dir)
	m.p.ensure(dir)
	delete(m.photos, dir)
	m.did("disk-removed", "%s", dir)
	m.work()
	if err := m.addDisk(dir); err != nil {
		m.t.Fatalf("add a disk at %s: %v", dir, err)
	}
	m.did("disk-added", "%s", dir)
	m.verify()
}
