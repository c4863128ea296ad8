package sim

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/steward"
)

// background lets a job do a step or several.
func (m *machine) background() {
	m.t.Helper()
	job := one(m.plan, m.proc.Steward.Jobs())
	for range 1 + m.rng.IntN(4) {
		p, err := job.Step(m.proc.ctx)
		m.count("job " + job.Name())
		if p.Done > 0 || err != nil {
			m.note("%s: %+v %v", job.Name(), p, err)
		}
		if err != nil && !m.troubled() && !m.proc.killed.Load() {
			m.t.Errorf("%s: %v", job.Name(), err)
		}
		if !p.More {
			return
		}
	}
}

// beside lets jobs step while a batch runs.
func (m *machine) beside(run func() history) history {
	m.t.Helper()
	p, troubled := m.proc, m.troubled()
	jobs := p.Steward.Jobs()
	m.rng.Shuffle(len(jobs), func(i, j int) { jobs[i], jobs[j] = jobs[j], jobs[i] })
	done := make(chan struct{})
	var wg sync.WaitGroup
	for _, job := range jobs[:1+m.rng.IntN(4)] {
		steps := 1 + m.rng.IntN(8)
		wg.Go(func() {
			for range steps {
				select {
				case <-done:
					return
				default:
				}
				progress, err := job.Step(p.ctx)
				if m.count("beside " + job.Name()); progress.Done > 0 || err != nil {
					m.note("beside: %s: %+v %v", job.Name(), progress, err)
				}
				if err != nil && !troubled && !p.killed.Load() {
					m.t.Errorf("%s beside operations: %v", job.Name(), err)
				}
			}
		})
	}
	h := run()
	close(done)
	wg.Wait()
	return h
}

// heal ends all faults, brings back what can be brought back, and lets repair
// run until it finds nothing more. Then everything must be whole.
func (m *machine) heal() {
	m.t.Helper()
	m.note("heal")
	m.finishReaders()
	m.mendDisks()
	for _, dir := range slices.Sorted(maps.Keys(m.away)) {
		m.p.putBack(dir, m.away[dir])
		delete(m.away, dir)
		m.did("disk-returns", "%s", dir)
	}
	m.stop()
	for _, dir := range m.dirs {
		m.p.ensure(dir) // a new disk is mounted where one was removed
	}
	m.start()
	m.replaceEmptied()
	m.verify()
	m.drain()
	for range 20 {
		if m.whole() == "" {
			break
		}
		time.Sleep(10 * time.Minute) //nolint:forbidigo // virtual time: what rests is tried again
		m.drain()
	}
	if why := m.whole(); why != "" {
		m.t.Fatalf("after the repair: %s", why)
	}
	m.scrub()
	clear(m.hurt)
	m.verify()
	m.mustBeTidy()
	m.count("healed")
	if m.chance(3) {
		m.survives()
	}
}

// scrub lets all frames be read, and what is found be repaired. What is rotten
// in shards then is nothing that anything refers to. Copies of metadata that
// nobody has read since are mended here.
func (m *machine) scrub() {
	m.t.Helper()
	m.proc.Steward.ScrubNow()
	for range 3 {
		m.drain()
	}
	for n := 0; n < 20 && m.restless() && m.whole() != ""; n++ {
		time.Sleep(10 * time.Minute) //nolint:forbidigo // virtual time: what rests is tried again
		m.drain()
	}
	if why := m.whole(); why != "" {
		m.t.Fatalf("after the scrub: %s", why)
	}
	for _, s := range slices.Backward(m.rot) {
		switch left := m.p.remains(s); {
		case left && strings.Contains(s.name, "/shards/"):
			m.count("rot-in-garbage")
		case left:
			m.count("rot-in-metadata")
			m.p.mend(s)
		default:
			m.count("rot-repaired")
		}
	}
	m.rot = nil
}

// drain runs the background until it rests.
func (m *machine) drain() {
	m.t.Helper()
	if err := m.proc.AwaitMirrors(m.proc.ctx); err != nil {
		m.t.Fatalf("mirrors: %v", err)
	}
	for range 2 {
		time.Sleep(2 * time.Minute) //nolint:forbidigo // virtual time: garbage rests, mirrors are looked at
		before := m.proc.Steward.Counters()
		err := m.persist("drain", func() error {
			_, err := m.proc.Steward.Drain(m.proc.ctx)
			return err
		})
		m.noteWork(before, m.proc.Steward.Counters())
		if err != nil {
			m.note("drain: %v", err)
			if len(m.hurt) == 0 {
				m.t.Errorf("drain: %v", err)
			}
		}
	}
}

// noteWork notes the counters that moved.
func (m *machine) noteWork(before, after steward.Counters) {
	was, is := reflect.ValueOf(before), reflect.ValueOf(after)
	text := ""
	for i := range was.NumField() {
		if d := is.Field(i).Int() - was.Field(i).Int(); d != 0 && was.Type().Field(i).Name != "Steps" {
			text += fmt.Sprintf(" %s+%d", was.Type().Field(i).Name, d)
		}
	}
	if text != "" {
		m.note("the background did%s", text)
	}
}

// replaceEmptied gives up disks whose directories are empty, and makes new ones
// there, as their administrator does.
func (m *machine) replaceEmptied() {
	m.t.Helper()
	for _, x := range m.proc.Missing() {
		if !m.p.isEmpty(x.Path) {
			continue
		}
		remove := func() (single.Changed, error) { return m.proc.RemoveLostDisk(m.proc.ctx, x.ID) }
		err := m.administer("give up", remove)
		for n := 0; n < 5 && errors.Is(err, single.ErrRefused); n++ {
			m.note("give up %s: %v", x.Path, err)
			m.drain() // others have to be looked at first
			err = m.administer("give up", remove)
		}
		if err != nil {
			m.t.Fatalf("give up %s: %v", x.Path, err)
		}
		if err := m.addDisk(x.Path); err != nil {
			m.t.Fatalf("add a disk at %s: %v", x.Path, err)
		}
		m.did("disk-replaced", "%s %s", x.Path, x.ID)
	}
}

// ensure makes a directory below the root where there is none.
func (p *platter) ensure(dir string) {
	if !p.has(dir) {
		p.mu.Lock()
		n := p.make(true)
		p.mu.Unlock()
		p.putBack(dir, n)
	}
}

func (p *platter) isEmpty(dir string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.find(dir)
	return n != nil && len(n.names) == 0
}

// whole says what is missing for the store to survive the next losses.
func (m *machine) whole() string {
	m.t.Helper()
	var x metadata.Redundancy
	err := m.persist("redundancy", func() (err error) {
		x, err = m.proc.Store.Redundancy(m.proc.ctx)
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	if !x.Whole() {
		text := fmt.Sprintf("redundancy %+v, health %+v, missing %v", x, m.proc.Steward.Health(), m.proc.Missing())
		for _, row := range m.rows() {
			text += fmt.Sprintf("\npartition %016x state %d epoch %d lost %v damaged %v", uint64(row.ID), row.State, row.Epoch, row.Lost, row.Damaged)
		}
		return text
	}
	st := m.status()
	if md := st.Metadata; m.outside == nil && (md.Degraded || len(md.Mirrors) != m.shape.scheme.M+1) {
		return fmt.Sprintf("metadata %+v", md)
	}
	return ""
}

func (m *machine) rows() (rows []metadata.Partition) {
	m.t.Helper()
	err := m.persist("partitions", func() error {
		rows = nil
		return m.proc.DB.EachPartition(m.proc.ctx, "sim", func(row *metadata.Partition) error {
			rows = append(rows, *row)
			return nil
		})
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return rows
}

// shardFiles are the files of shards in a directory.
func (m *machine) shardFiles(dir string) (out []string) {
	for _, name := range m.p.files(dir) {
		if strings.HasPrefix(name, dir+"/shards/") {
			out = append(out, name)
		}
	}
	return out
}

// mustBeTidy holds that the disks have the files that the rows name, and no
// others.
func (m *machine) mustBeTidy() {
	m.t.Helper()
	st := m.status()
	var files, want []string
	for _, d := range st.Disks {
		for _, name := range m.p.files(d.Path) {
			base := strings.TrimPrefix(name, d.Path+"/")
			switch {
			case strings.HasPrefix(base, "shards/"):
				files = append(files, d.ID+"/"+path.Base(name))
			case strings.HasPrefix(base, "tmp/"):
				m.t.Errorf("%s is left over", name)
			}
		}
	}
	for _, row := range m.rows() {
		for i, id := range row.Shards {
			want = append(want, fmt.Sprintf("%x/%016x.%02d", id[:], uint64(row.ID), i))
		}
	}
	slices.Sort(files)
	slices.Sort(want)
	if !slices.Equal(files, want) {
		m.t.Errorf("files of shards\n%s\nthe rows name\n%s", strings.Join(files, "\n"), strings.Join(want, "\n"))
	}
}

// survives holds that a copy of the disks that loses power and any m of them
// gives everything back.
func (m *machine) survives() {
	m.t.Helper()
	other := &machine{
		plan: m.plan, t: m.t, shape: m.shape, p: m.p.clone(), lib: m.lib, world: m.world, keys: m.keys,
		dirs: slices.Clone(m.dirs), away: map[string]*node{}, photos: map[string]*node{}, hurt: map[string]bool{},
	}
	if m.outside != nil {
		var err error
		if other.outside, err = m.outside.copied(); err != nil {
			m.t.Fatal(err)
		}
		other.outside.restless, other.outside.unsure = m.outside.restless, m.outside.unsure
	}
	other.p.losePower(m.rng)
	for range m.shape.scheme.M {
		dir := one(m.plan, other.dirs)
		other.p.takeAway(dir)
		other.hurt[dir] = true
		other.away[dir] = &node{}
	}
	m.did("loss-of-m", "%v", slices.Sorted(maps.Keys(other.hurt)))
	other.start()
	other.verify()
	other.kill()
}

// empty deletes everything and holds that nothing is left of it.
func (m *machine) empty() {
	m.t.Helper()
	var calls []*call
	for key, versions := range m.world.keys {
		bucket, _ := nameOf(key)
		for _, v := range versions {
			calls = append(calls, &call{action: aDelete, bucket: bucket, key: key, version: v.id})
		}
	}
	for id, u := range m.world.uploads {
		bucket, _ := nameOf(id)
		calls = append(calls, &call{action: aAbort, bucket: bucket, key: u.key, id: id})
	}
	for _, c := range calls {
		m.remove(c)
	}
	m.world = &world{modes: m.world.modes, keys: map[string][]version{}, uploads: map[string]upload{}}
	time.Sleep(2 * time.Hour) //nolint:forbidigo // virtual time: intents and tokens grow old
	m.drain()
	// An intent that ended late names a manifest, that names data, and those lie in a
	// partition: each rests before it is collected.
	for n := 0; n < 5 && m.remains() != ""; n++ {
		m.drain()
	}
	m.verify()
	m.mustBeTidy()
	if left := m.remains(); left != "" {
		m.t.Errorf("something is left over: %s", left)
	}
}

// remains says what is there although no object is.
func (m *machine) remains() (left string) {
	m.t.Helper()
	var s metadata.Summary
	err := m.persist("check", func() (err error) {
		s, err = metadata.Check(m.proc.ctx, m.proc.DB, func(p metadata.Problem) { m.t.Errorf("check: %v", p) })
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	counts := []int64{s.Objects, s.Uploads, s.Parts, s.DataIDs, s.Manifests, s.Extents, s.Refs, s.Pins, s.Garbage, s.Intents, s.LiveBytes}
	if !slices.Equal(counts, make([]int64, len(counts))) {
		left = fmt.Sprint(s)
	}
	for _, row := range m.rows() {
		if row.State != metadata.PartitionOpen {
			left += fmt.Sprintf(" partition %x in state %v", row.ID, row.State)
		}
	}
	return left
}
