package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/keys/memory"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/steward"
)

// shape is how a machine is built; a seed chooses one.
type shape struct {
	disks    int
	scheme   partition.Scheme
	memtable uint64
	grace    time.Duration
	delay    time.Duration // of repair
	inline   int64
	// encrypted says that everything is written with SSE-S3. All or nothing: a copy
	// that changes it has an entity tag of its own.
	encrypted bool
	// classed says that there are storage classes besides STANDARD, and versions that move.
	classed bool
}

func shapeOf(rng *rand.Rand) shape {
	s := []shape{
		{disks: 3, scheme: partition.Scheme{K: 2, M: 1}},
		{disks: 4, scheme: partition.Scheme{K: 2, M: 1}},
		{disks: 5, scheme: partition.Scheme{K: 2, M: 2}},
		{disks: 6, scheme: partition.Scheme{K: 3, M: 2}},
		{disks: 7, scheme: partition.Scheme{K: 4, M: 2}},
	}[rng.IntN(5)]
	s.memtable = []uint64{64 << 10, 256 << 10, 1 << 20}[rng.IntN(3)]
	s.grace = []time.Duration{-1, time.Minute}[rng.IntN(2)]
	s.delay = []time.Duration{-1, 15 * time.Minute}[rng.IntN(2)]
	s.inline = []int64{0, -1, 20_000}[rng.IntN(3)]
	s.encrypted = s.delay < 0 // half of the seeds, and none of those that are kept draws another number for it
	s.classed = s.memtable == 256<<10
	return s
}

// machine is a store with its disks, and those who use and break them. All of
// it belongs to one goroutine but for what processes do.
type machine struct {
	*plan
	t     *testing.T
	shape shape
	p     *platter
	proc  *process
	lib   *library
	world *world
	at    atomic.Int64 // the clock of histories

	dirs    []string         // in the order of the next start
	away    map[string]*node // directories that are not there
	photos  map[string]*node // of directories, as they once were
	hurt    map[string]bool  // directories that cannot be counted on until all is whole again
	rot     []spoiled        // what the media changed by themselves
	rules   []*standing
	readers []*reader
	keys    *memory.Provider
	faults  []fault  // that may happen
	outside *outside // nil: the metadata is on the disks
	due     []fault  // that have to happen
}

// encryption is how everything is written.
func (m *machine) encryption() objects.Encryption {
	if m.shape.encrypted {
		return objects.Encryption{Mode: objects.EncryptedS3}
	}
	return objects.Encryption{}
}

// standing is a fault of a disk that stays until it is mended.
type standing struct {
	faultfs.Rule
	remove func()
	stall  chan struct{}
}

// plan is what a seed decides, with a short memory of what was done.
type plan struct {
	rng  *rand.Rand
	turn int        // of the faults
	mu   sync.Mutex // guards what follows
	log  []string
	seen map[string]int // faults and other events by name
}

const remembered = 150

func (p *plan) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, fmt.Sprintf("%s %s", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...)))
	p.log = p.log[max(0, len(p.log)-remembered):]
}

func (p *plan) count(event string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[event]++
}

// did counts a fault and notes it.
func (p *plan) did(event, format string, args ...any) {
	p.count(event)
	p.note("* "+event+": "+format, args...)
}

// chance is true once in n times.
func (p *plan) chance(n int) bool { return p.rng.IntN(n) == 0 }

// one picks an element.
func one[T any](p *plan, from []T) T { return from[p.rng.IntN(len(from))] }

// process is a running server.
type process struct {
	*single.System
	m      *mount
	fs     *faultfs.FS
	kv     *unsure
	ctx    context.Context //nolint:containedctx // the life of the process
	cancel context.CancelFunc

	changes atomic.Int64
	killAt  atomic.Int64 // change before which it is killed; 0: never
	once    sync.Once
	killed  atomic.Bool
	left    *platter // the disks as they were when it was killed
	fence   func() error
	slow    atomic.Pointer[slowness]
}

// slowness is how long operations on a directory take.
type slowness struct {
	dir string
	by  time.Duration
}

// launch makes a process that has not opened anything.
func (m *machine) launch() *process {
	p := &process{m: m.p.mount(), fence: func() error { return nil }}
	if m.outside != nil {
		p.fence = m.outside.fence
	}
	p.ctx, p.cancel = context.WithCancel(context.WithoutCancel(m.t.Context()))
	p.fs = faultfs.New(p.m)
	p.fs.Hook(p.before)
	for _, r := range m.rules {
		r.remove = p.fs.Add(r.Rule)
	}
	return p
}

// before is called before each operation on the disks.
func (p *process) before(op faultfs.Op) {
	if slow := p.slow.Load(); slow != nil && strings.HasPrefix(op.Name, slow.dir) && op.Kind&(faultfs.Write|faultfs.Sync|faultfs.Read) != 0 {
		// Real time: a virtual sleep under a mutex stops virtual time. What it
		// changes is the order of things, and no timeout.
		rest := unix.NsecToTimespec(int64(slow.by))
		_ = unix.Nanosleep(&rest, nil)
	}
	if op.Kind&faultfs.Changes == 0 {
		return
	}
	n := p.changes.Add(1)
	if at := p.killAt.Load(); at > 0 && n >= at {
		p.die()
	}
}

// die is kill -9: the disks stay as they are at this moment. What the process
// still does, to its end, it does to a copy that nobody looks at; whatever it
// answers from then on nobody hears.
func (p *process) die() {
	p.once.Do(func() {
		p.killed.Store(true)
		if err := p.fence(); err != nil { // or it would be applied what is not on the disks
			panic(err)
		}
		p.left = p.m.p.clone()
	})
}

// arm kills the process before the n-th change from now on.
func (p *process) arm(n int) { p.killAt.Store(p.changes.Load() + int64(n)) }

func (p *process) disarm() { p.killAt.Store(0) }

func (m *machine) options(p *process) single.Options {
	o := single.Options{
		FS: p.fs, Dirs: slices.Clone(m.dirs), Now: time.Now, Region: "us-east-1", Scheme: m.shape.scheme, Classes: m.shape.classes(), InlineLimit: m.shape.inline,
		Capacity: 8 << 20, BufferMemory: 32 << 20,
		Disk:   disk.Options{Reserve: -1, Preallocate: 256 << 10},
		Engine: pebble.Options{ReserveBytes: -1, BallastBytes: -1, MemTableBytes: m.shape.memtable, CacheBytes: 1 << 20},
		Steward: steward.Options{
			Interval: -1, Grace: m.shape.grace, IntentAge: time.Hour, SweepAfter: -1, RepairDelay: m.shape.delay,
		},
		Keys: func(context.Context, *metadata.DB) (keys.Providers, error) {
			return keys.Providers{S3: m.keys}, nil
		},
		Logger: slog.New(&journal{m.plan}),
		Wrap: func(e kv.Engine) kv.Engine {
			p.kv = &unsure{Engine: e, rng: rand.New(rand.NewPCG(m.rng.Uint64(), 1)), counts: m.count}
			if m.outside != nil {
				p.kv.always = m.outside.unsure
			}
			return p.kv
		},
	}
	if m.outside != nil {
		o.External = m.outside.external(p)
	}
	return o
}

// journal notes what the store logs as a warning.
type journal struct{ *plan }

func (*journal) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

func (j *journal) Handle(_ context.Context, r slog.Record) error {
	text := "log: " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		return true
	})
	j.note("%.600s", text)
	return nil
}

func (j *journal) WithAttrs([]slog.Attr) slog.Handler { return j }
func (j *journal) WithGroup(string) slog.Handler      { return j }

// try opens the store; the process may be killed while it opens.
func (m *machine) try(killAt int) (p *process, err error) {
	err = m.persist("start", func() error {
		p, err = m.open(killAt)
		return err
	})
	return p, err
}

func (m *machine) open(killAt int) (*process, error) {
	p := m.launch()
	if killAt > 0 {
		p.arm(killAt)
	}
	s, err := single.Open(p.ctx, m.options(p))
	if p.System = s; p.killed.Load() {
		err = errors.Join(errKilled, err)
	}
	if err != nil {
		m.end(p)
		return nil, err
	}
	p.disarm()
	return p, nil
}

var errKilled = errors.New("sim: the process was killed")

// start opens the store; a start that does not succeed fails the test, unless
// it was killed, as some are.
func (m *machine) start() {
	m.t.Helper()
	for n := range 4 {
		killAt := 0
		if n < 3 && m.chance(8) {
			killAt = 1 + m.rng.IntN(60)
		}
		p, err := m.try(killAt)
		if err == nil {
			m.proc = p
			break
		}
		if !errors.Is(err, errKilled) {
			m.t.Fatalf("the store does not start: %v", err)
		}
		m.did("kill-at-start", "before change %d: %v", killAt, err)
		if m.chance(2) {
			m.losePower("power-loss-at-start")
		}
	}
	m.note("started in %v without %v", m.dirs, m.missing())
}

func (m *machine) missing() (paths []string) {
	for _, x := range m.proc.Missing() {
		paths = append(paths, x.Path)
	}
	return paths
}

// end releases what a process that is over still holds.
func (m *machine) end(p *process) {
	p.die()
	m.p = p.left
	for _, r := range m.rules {
		if r.remove != nil {
			r.remove()
		}
	}
	p.slow.Store(nil)
	for _, r := range m.rules {
		if r.stall != nil {
			close(r.stall)
			r.stall = nil
		}
	}
	m.rules = slices.DeleteFunc(m.rules, func(r *standing) bool { return r.Stall != nil }) // nothing hangs over a reboot
	if p.kv != nil {
		p.kv.resume()
	}
	if p.System != nil {
		if err := p.Close(p.ctx); err != nil {
			m.note("close of what was killed: %v", err)
		}
	}
	p.cancel()
}

// kill ends the process as kill -9 does.
func (m *machine) kill() {
	p := m.proc
	p.die()
	m.stopReaders()
	m.end(p)
	m.proc = nil
}

// stop ends the process as it should be ended.
func (m *machine) stop() {
	m.t.Helper()
	m.finishReaders()
	for _, r := range m.rules {
		if r.stall != nil {
			close(r.stall)
			r.stall = nil
		}
	}
	p := m.proc
	p.kv.resume()
	store := p.Store
	err := p.Close(p.ctx)
	p.System = nil
	if err != nil {
		m.note("close: %v", err)
		if len(m.hurt) == 0 && (!m.restless() || !passes(err)) {
			m.t.Errorf("close: %v", err)
		}
	}
	if st := store.Status(); st.BufferMemory != 0 || st.ReadMemory != 0 {
		m.t.Errorf("after the end %d bytes of bodies and %d of reads are in use", st.BufferMemory, st.ReadMemory)
	}
	m.end(p)
	m.proc = nil
}

func (m *machine) losePower(event string) {
	torn := m.p.losePower(m.rng)
	m.did(event, "%d writes are torn", torn)
	if torn > 0 {
		m.count("torn-sectors")
	}
}

// spare is how many more directories may be hurt.
func (m *machine) spare() int { return m.shape.scheme.M - len(m.hurt) }

// victim picks a directory that may be hurt, "" where none may.
func (m *machine) victim() string {
	var from []string
	for _, d := range m.dirs {
		if m.away[d] == nil && (m.hurt[d] || m.spare() > 0) {
			from = append(from, d)
		}
	}
	if len(from) == 0 {
		return ""
	}
	return one(m.plan, from)
}

func (m *machine) hurting(dir string) { m.hurt[dir] = true }

// add puts a rule in force until it is mended.
func (m *machine) add(r faultfs.Rule) *standing {
	s := &standing{Rule: r}
	if r.Stall != nil {
		s.stall = make(chan struct{})
		s.Stall, r.Stall = s.stall, s.stall
	}
	if m.proc != nil {
		s.remove = m.proc.fs.Add(r)
	}
	m.rules = append(m.rules, s)
	return s
}

// mendDisks ends all faults of disks that rules make.
func (m *machine) mendDisks() {
	for _, r := range m.rules {
		if r.remove != nil {
			r.remove()
		}
		if r.stall != nil {
			close(r.stall)
		}
	}
	m.rules = nil
	if m.proc != nil {
		m.proc.slow.Store(nil)
		m.proc.kv.set(0)
	}
	m.p.mu.Lock()
	clear(m.p.sizes)
	m.p.mu.Unlock()
}

// troubled reports whether a request may be refused for what goes on.
func (m *machine) troubled() bool { return len(m.hurt) > 0 || m.restless() || m.proc.kv.on() }

// restless reports whether the metadata may be away at any moment.
func (m *machine) restless() bool { return m.outside != nil && m.outside.restless }

func (u *unsure) on() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.share > 0 || u.gate != nil
}
