// Package single is the single-process shape: data directories become disks,
// as many of them as the data can lose and one more hold the embedded metadata
// engine, and partitions and objects stand on both.
//
// It decides what to do with each directory at start and never initialises
// one that may have held data: a known disk that is missing, empty or not
// mounted leaves the store degraded, and it says so. The metadata engine's
// files are mirrored (internal/vfs/mirror): the store starts without any of the
// directories that hold them as long as the others show that they are current.
//
// The package owns what it opens; Close releases it. Only cmd and
// internal/testcluster may import it.
package single

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/mirror"
	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/steward"
)

// Options say what to open. Dirs and Now are required.
type Options struct {
	FS   vfs.FS // nil: the operating system's
	Dirs []string
	Now  func() time.Time

	Region      string
	InlineLimit int64            // see objects.Options
	Scheme      partition.Scheme // zero: by the number of disks
	// Classes are the storage classes besides STANDARD; a zero scheme is that of STANDARD.
	Classes   map[string]partition.Scheme
	Capacity  int64 // of a shard, in bytes; zero: the default
	MinColumn int   // zero: the default
	// BufferMemory bounds the buffers of request bodies, in bytes; zero: the default.
	BufferMemory int64
	// Witness is a directory that votes on which metadata is the newest and holds
	// none of it; empty: there is none.
	Witness string
	// AcceptLoss starts with the newest metadata that is here although newer
	// metadata may be on directories that are missing.
	AcceptLoss bool
	// External says where the metadata is; nil: mirrored on the data directories.
	External *External
	Disk     disk.Options   // Expect, Cluster, Now and Logger are set here
	Engine   pebble.Options // FS and Logger are set here, and Now where it is nil
	// Wrap, where set, stands between the metadata and the engine: tests make commits fail.
	Wrap      func(kv.Engine) kv.Engine
	Steward   steward.Options          // Now and Logger are set here; a negative Interval leaves it at rest
	Lifecycle steward.LifecycleOptions // Now and Logger are set here
	// Keys makes the providers of the keys of encrypted objects over the
	// metadata; nil: encryption is not implemented.
	Keys func(context.Context, *metadata.DB) (keys.Providers, error)
	// DiskInterval is the time between looks at the directories, for disks that
	// are gone or back; zero: 30 seconds, negative: never, see LookAtDisks.
	DiskInterval time.Duration
	Logger       *slog.Logger
}

// System is an open store.
type System struct {
	Objects *objects.Service
	DB      *metadata.DB
	Store   *partition.Store
	Steward *steward.Steward // runs unless Options.Steward.Interval is negative

	opts      Options
	cluster   disk.ClusterID
	mirror    replicas       // the files of the engine
	scrubbing *scrubMetadata // nil: there are none
	lifecycle *steward.Lifecycle
	engine    kv.Engine
	pebble    *pebble.Engine // engine, where it is the embedded one
	remote    *metadataStore // nil: engine answers as long as it is open
	owner     owner          // of the data directories, where others share the metadata
	roster    roster

	change   turn            // of the changes of the disks
	life     context.Context //nolint:containedctx // ends with the store, and what it does in the background
	end      context.CancelFunc
	tasks    sync.WaitGroup // the watch over the disks
	jobs     sync.WaitGroup // what a change of the disks began
	looking  sync.Map       // directories that are being looked at
	asking   sync.Map       // directories that a change of the disks has asked something
	retiring sync.Map       // disks whose metadata is being given to others
}

// Missing is a disk of the inventory that is not in service.
type Missing struct {
	ID     string `json:"id"`
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// Open opens the store in the directories, or initialises a new one where all
// of them are empty. Errors are one line that says what to do.
func Open(ctx context.Context, o Options) (*System, error) {
	if o.FS == nil {
		o.FS = vfs.Default()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &System{opts: o, change: newTurn()}
	s.life, s.end = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	if every := o.DiskInterval; every >= 0 && !o.isGateway() {
		if every == 0 {
			every = defaultLook
		}
		s.tasks.Go(func() { s.watch(s.life, every) })
	}
	return s, nil
}

func (s *System) open(ctx context.Context) error {
	dirs, err := survey(s.opts.FS, s.opts.Dirs)
	if err != nil {
		return err
	}
	s.warnSharedDevices()
	if err := s.openState(ctx, dirs); err != nil {
		return err
	}
	s.cluster = dirs.cluster
	s.roster.dirs, s.roster.given = slices.Clone(s.opts.Dirs), len(s.opts.Dirs)
	if err := s.takeInventory(ctx, dirs); err != nil {
		return err
	}
	if s.opts.External != nil && !s.opts.isGateway() {
		if err := s.DB.MakeCopyID(ctx); err != nil {
			return fmt.Errorf("tell the metadata from its copies: %w", err)
		}
	}
	if s.opts.External != nil || s.opts.AcceptLoss {
		if err := s.keepHomes(s.Directories()); err != nil {
			return err
		}
	}
	if err := s.keepMirrors(ctx); err != nil {
		return err
	}
	s.mirror.Throttle(resyncRate) // until here nobody is served
	return s.openData(ctx)
}

// openState opens the metadata of the directories, wherever it is.
func (s *System) openState(ctx context.Context, dirs *directories) error {
	if s.opts.External != nil {
		if err := s.openExternal(ctx, dirs); err != nil {
			return err
		}
		return s.join(ctx, dirs)
	}
	if err := s.checkHomes(dirs); err != nil {
		return err
	}
	if err := s.prepare(dirs); err != nil {
		return err
	}
	return s.openMetadata(dirs) //nolint:contextcheck // opening the engine is not cut short
}

// openMetadata opens the engine on the mirrors that are current, and records
// that there is a state from now on.
func (s *System) openMetadata(dirs *directories) (err error) {
	if err := s.openEngine(dirs, nil); err != nil {
		return err
	}
	s.DB, err = metadata.Open(s.wrapped(), metadata.Options{Now: s.opts.Now, MustExist: s.mirror.Initialised()})
	if errors.Is(err, metadata.ErrNoState) { // an import ended before it began
		return fmt.Errorf("%w: import it or restore it from a backup; it is not created again, because that would lose every object", err)
	}
	if err != nil {
		return err
	}
	return s.mirror.SetInitialised()
}

// openEngine opens the engine on the mirrors that are current, with options that
// change, if it is set, has changed.
func (s *System) openEngine(dirs *directories, change func(*pebble.Options)) (err error) {
	s.mirror.set, err = mirror.Open(s.mirrorOptions(dirs))
	if err != nil {
		return refused(err, s.opts.Dirs)
	}
	var homes []string
	for _, d := range s.mirror.Status().Members {
		homes = append(homes, s.opts.FS.PathJoin(d.Path, "metadata"))
	}
	e := s.opts.Engine
	e.FS, e.Logger = s.mirror.set, s.opts.Logger
	if e.Now == nil {
		e.Now = s.opts.Now
	}
	e.FreesSpace, e.MustExist = FreesSpace, s.mirror.Initialised()
	if change != nil {
		change(&e)
	}
	s.pebble, err = pebble.Open(mirror.Virtual, e)
	if err == nil {
		s.engine = s.pebble
	}
	switch {
	case errors.Is(err, pebble.ErrNotThere):
		return fmt.Errorf("the metadata is gone from %s (%w): restore it from a backup; "+
			"it is not created again, because that would lose every object", strings.Join(homes, ", "), err)
	case err != nil:
		return fmt.Errorf("open the metadata in %s: %w", strings.Join(homes, ", "), err)
	}
	return nil
}

// FreesSpace names the transaction classes that go on when the disk of the
// metadata is full. Those that leave a delete marker are not among them.
func FreesSpace(class string) bool {
	return slices.Contains([]string{"delete", "delete-bucket", "abort", "abandon", "collect", steward.LeaseClass, "open", "partition", "account-revoke"}, class)
}

// Background names the transaction classes that nobody waits for: those of background
// jobs, which shared metadata may hold back when it is busy. Their leases, and what the
// administrator says to them, are not among them: they would end while a job runs.
func Background(class string) bool {
	return slices.Contains([]string{"collect", "lifecycle", "transition", "relocate", "rewrap", "export", "check"}, class)
}

func (s *System) openData(ctx context.Context) error {
	var disks []blobd.Disk
	for _, d := range s.roster.attached() {
		disks = append(disks, d)
	}
	known := len(s.roster.inventory())
	store, err := partition.Open(ctx, s.DB, partition.Options{
		Disks: disks, KnownDisks: known, Scheme: s.affordable(known), Classes: s.affordableClasses(), MinColumn: s.opts.MinColumn,
		Capacity: s.opts.Capacity, BufferMemory: s.opts.BufferMemory,
		Diskless: s.opts.isGateway(), Shared: s.opts.isShared(),
		Now: s.opts.Now, Logger: s.opts.Logger,
	})
	if err != nil {
		return fmt.Errorf("open the partitions: %w", err)
	}
	s.Store = store
	s.warnOfRetiredClasses(ctx)
	var sealers keys.Providers
	if s.opts.Keys != nil {
		if sealers, err = s.opts.Keys(ctx, s.DB); err != nil {
			return fmt.Errorf("open the keys of encryption: %w", err)
		}
	}
	s.Objects = objects.New(s.DB, store, objects.Options{
		Region: s.opts.Region, InlineLimit: s.opts.InlineLimit, Keys: sealers, Now: s.opts.Now, Logger: s.opts.Logger,
	})
	s.startSteward(ctx, s.rewrapJob(sealers))
	return nil
}

func (s *System) startSteward(ctx context.Context, extra ...steward.Job) {
	o := s.opts.Steward
	o.Now, o.Logger, o.Sole, o.Diskless = s.opts.Now, s.opts.Logger, !s.opts.isShared(), s.opts.isGateway()
	l := s.opts.Lifecycle
	l.Now, l.Logger = s.opts.Now, s.opts.Logger
	s.lifecycle = steward.NewLifecycle(s.DB, s.Objects, l)
	if s.mirror.set != nil {
		s.scrubbing = newScrubMetadata(s.mirror.set, o.ScrubInterval, s.opts.Now)
		extra = append(extra, s.scrubbing)
	}
	if !o.Diskless { // transitions need disks
		extra = append(extra, s.lifecycle)
	}
	o.ExtraJobs = append(append(o.ExtraJobs, extra...), &lockClock{db: s.DB, log: s.opts.Logger})
	s.Steward = steward.New(s.DB, s.Store, o)
	if o.Interval >= 0 {
		s.Steward.Start(ctx)
	}
}

// Missing lists the disks of the inventory that are not in service, and why.
func (s *System) Missing() []Missing { return s.roster.missing() }

// Err answers why the store cannot serve, nil while it does: the metadata
// engine has failed, or another process has taken the data directories.
func (s *System) Err() error {
	if s.pebble != nil {
		return s.pebble.Err()
	}
	return s.owner.err()
}

// Failed is closed when Err comes to say why; the process should stop then. A nil
// channel never is: metadata that others keep may come back.
func (s *System) Failed() <-chan struct{} {
	if s.pebble != nil {
		return s.pebble.Failed()
	}
	return s.owner.lost
}

// Check walks the metadata and holds rows, references and counters against
// each other. It writes each problem as a line, then a summary, and fails when
// there were problems.
func (s *System) Check(ctx context.Context, w io.Writer) error {
	summary, err := metadata.Check(ctx, s.DB, func(p metadata.Problem) {
		_, _ = fmt.Fprintln(w, p) // the count tells what a broken writer does not
	})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w, summary); err != nil {
		return err
	}
	if !summary.Clean() {
		return fmt.Errorf("the check found %d problems", summary.Problems)
	}
	return nil
}

// AwaitMirrors waits until the metadata has all the mirrors that there are
// directories for, and what changes of the disks began beside that is done.
func (s *System) AwaitMirrors(ctx context.Context) error {
	s.jobs.Wait()
	return s.mirror.Quiet(ctx)
}

// Close drains writers and releases everything. It may be called on a store
// that opened in part. Disks that do not answer are waited for until ctx ends, and
// for a while at most.
func (s *System) Close(ctx context.Context) error {
	errs := []error{s.endChanges(ctx)}
	if s.Steward != nil {
		s.Steward.Close()
	}
	if s.Store != nil {
		errs = append(errs, s.Store.Close(ctx))
	}
	if s.DB != nil && s.engine != nil && s.Err() == nil {
		errs = append(errs, s.unlessAway(ctx, s.keepLockTime(ctx)), s.disown(ctx))
	}
	if s.engine != nil {
		errs = append(errs, s.engine.Close())
	}
	errs = append(errs, s.mirror.Close(), s.closeDisks(ctx))
	s.Store, s.engine, s.pebble, s.mirror = nil, nil, nil, replicas{}
	return errors.Join(errs...)
}

// endChanges waits for changes of the disks under way, and lets none begin. One that
// waits for a disk which does not answer is left to itself when ctx ends.
func (s *System) endChanges(ctx context.Context) error {
	if s.end == nil {
		return nil // checked while it is stopped
	}
	s.end()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.tasks.Wait()
		s.change.await() // and no other begins after the end of life
		s.jobs.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	timer := time.NewTimer(closeGrace)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
		return fmt.Errorf("a change of the disks does not end: %w", ctx.Err())
	}
}
