package single

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/metadata"
)

const (
	defaultLook = 30 * time.Second
	// lookTimeout bounds the wait for one look at the directories. One that
	// does not answer is not asked again before it has.
	lookTimeout = 10 * time.Second
	// closeTimeout bounds the wait for what is under way on a disk that failed.
	closeTimeout = 10 * time.Second
	// closeGrace is what disks that answer have for being closed when there is no time left.
	closeGrace = time.Second
	// minComeback and maxComeback bound how long a disk that failed again
	// after it was taken back is left alone; each time doubles it, so that one
	// that fails all the time is repaired elsewhere in the end.
	minComeback = 30 * time.Second
	maxComeback = time.Hour
)

// comebacks is how often a disk that failed was taken back.
type comebacks struct {
	times int
	last  time.Time
}

// sight is what a look found in a directory.
type sight struct {
	path     string
	state    disk.State
	identity disk.Identity
	err      error
}

// watch looks at the directories every so often until the store is closed.
func (s *System) watch(ctx context.Context, every time.Duration) {
	timer := time.NewTicker(every)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			s.LookAtDisks(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// LookAtDisks looks once whether the disks in service still are where they were, and
// takes those back that are there again. It goes on with what a change of
// the disks left to do.
func (s *System) LookAtDisks(ctx context.Context) {
	seen := s.lookAll(ctx)
	ctx, end, err := s.beginChange(ctx)
	if err != nil {
		return
	}
	defer end()
	places := map[blobd.DiskID][]sight{}
	for _, at := range seen {
		if at.err == nil && at.state == disk.Identified {
			places[at.identity.Disk] = append(places[at.identity.Disk], at)
		}
	}
	s.noteOddities(seen, places)
	for range 2 { // directories that traded places are in each other's way at first
		for _, row := range s.roster.inventory() {
			if id := blobd.DiskID(row.ID); !s.roster.serves(id) {
				s.lookForDisk(ctx, row, places[id], seen)
			}
		}
	}
	for _, row := range s.roster.inventory() {
		s.keepMirror(ctx, row)
	}
	if err := s.resize(ctx); err != nil && ctx.Err() == nil {
		s.opts.Logger.WarnContext(ctx, "scheme of new partitions stays as it is", slog.Any("error", err))
	}
}

// lookAll looks at all directories at once. What does not answer in time is as
// good as not there.
func (s *System) lookAll(ctx context.Context) []sight {
	dirs := s.roster.directories()
	found := make(chan sight, len(dirs))
	waiting := 0
	for _, path := range dirs {
		if _, busy := s.looking.LoadOrStore(path, true); busy {
			continue
		}
		waiting++
		go func() {
			at := s.lookAt(path)
			s.looking.Delete(path)
			found <- at
		}()
	}
	timer := time.NewTimer(lookTimeout)
	defer timer.Stop()
	var out []sight
	for range waiting {
		select {
		case at := <-found:
			out = append(out, at)
		case <-timer.C:
			return out
		case <-ctx.Done():
			return out
		}
	}
	return out
}

// lookAt looks at a directory, and whether the disk that was opened in it is the
// one that is there.
func (s *System) lookAt(path string) sight {
	for _, d := range s.roster.attached() {
		if samePlace(d.Dir(), path) {
			_ = d.Look() // it says so itself
		}
	}
	at := sight{path: path}
	at.state, at.identity, at.err = disk.Probe(s.opts.FS, path)
	return at
}

// noteOddities says what directories hold that is not to be used: copies of a disk that
// serves, disks of others, removed ones.
func (s *System) noteOddities(seen []sight, places map[blobd.DiskID][]sight) {
	for _, at := range seen {
		text := ""
		if at.err == nil && at.state == disk.Identified {
			text = s.oddity(at, places[at.identity.Disk])
		}
		if s.roster.note(at.path, text) {
			s.opts.Logger.Error("directory is left alone", slog.String("path", at.path), slog.String("disk", at.identity.Disk.String()), slog.String("reason", text))
		}
	}
}

func (s *System) oddity(at sight, same []sight) string {
	id := at.identity.Disk
	row, known := s.roster.row(id)
	d := s.roster.get(id)
	switch {
	case at.identity.Cluster != s.cluster:
		return "it holds a disk of another store"
	case !known:
		return fmt.Sprintf("it holds disk %s, which this store does not know; `undercroft admin disk add` takes it in", id)
	case row.State == metadata.DiskRemoved:
		return removedText
	case d != nil && d.Failed() == nil && !samePlace(d.Dir(), at.path):
		return fmt.Sprintf("it holds a copy of disk %s, which is in service at %s, or is a second mount of it", id, d.Dir())
	case len(same) > 1 && (d == nil || d.Failed() != nil):
		return "it is one of several directories that hold disk " + id.String() + ": leave only one of them"
	}
	return ""
}

// lookForDisk takes a disk back that is not in service, where exactly one directory
// holds it, or says why not.
func (s *System) lookForDisk(ctx context.Context, row metadata.Disk, places []sight, seen []sight) {
	id := blobd.DiskID(row.ID)
	why := ""
	switch {
	case len(places) == 0:
		why = s.whereIsIt(row.Path, seen)
	case len(places) > 1:
		var paths []string
		for _, at := range places {
			paths = append(paths, at.path)
		}
		why = "several directories hold it: " + strings.Join(paths, ", ")
	case places[0].identity.Cluster != s.cluster:
		why = places[0].path + " says that it is of another store"
	default:
		if until := s.roster.restsUntil(id); s.opts.Now().Before(until) {
			why = fmt.Sprintf("it is there, and is left alone until %s because it failed again and again", until.UTC().Format(time.RFC3339))
			break
		}
		if err := s.takeBack(ctx, row, places[0].path); err != nil {
			why = err.Error()
		}
	}
	if why != "" && s.roster.explain(id, why) {
		s.opts.Logger.ErrorContext(ctx, "disk is not in service", slog.String("disk", id.String()), slog.String("path", row.Path), slog.String("reason", why))
	}
}

// whereIsIt says why the last place of a disk does not have it; "" where that is
// not known.
func (s *System) whereIsIt(path string, seen []sight) string {
	for _, at := range seen {
		if samePlace(at.path, path) {
			return whyNot(at.state, at.err)
		}
	}
	return ""
}

// takeBack attaches a disk of the inventory that is at a path, in place of what is
// left of it from before. The caller holds change.
func (s *System) takeBack(ctx context.Context, row metadata.Disk, path string) error {
	id := blobd.DiskID(row.ID)
	if err := s.answers(ctx, path, func() error { return disk.Trial(s.opts.FS, path) }); err != nil {
		return err
	}
	old := s.roster.get(id)
	if old != nil {
		if err := s.closeDisk(old); err != nil {
			return err
		}
	}
	d, err := s.openDisk(path, id, s.cluster)
	if err != nil {
		return err
	}
	if old != nil {
		s.roster.failedAgain(id, s.opts.Now())
	}
	s.remember(ctx, path)
	if err := s.returned(ctx, row, d); err != nil {
		return fmt.Errorf("take disk %s back: %w", id, err)
	}
	s.opts.Logger.InfoContext(ctx, "disk is back in service", slog.String("disk", id.String()), slog.String("path", path))
	return nil
}

// returned puts a disk that was opened again to use.
func (s *System) returned(ctx context.Context, row metadata.Disk, d *disk.Disk) error {
	s.roster.attach(d)
	if err := s.Store.AddDisk(d); err != nil {
		return err
	}
	if row.Path != d.Dir() {
		row.Path = d.Dir()
		if err := s.putDisks(ctx, row); err != nil {
			return err
		}
	}
	if row.State == metadata.DiskActive {
		return s.mirrorAgain(d)
	}
	return nil
}

// mirrorAgain makes a directory known to the metadata's mirrors again, by the
// path that it has now.
func (s *System) mirrorAgain(d *disk.Disk) error {
	dir := mirrorDir(d.ID(), d.Dir())
	if path, member := s.mirror.Holds(dir.Disk); member {
		if path == dir.Path {
			return nil
		}
		if err := s.mirror.Eject(dir, fmt.Errorf("disk %s is at %s now, not at %s", dir.Disk, dir.Path, path)); err != nil {
			return err
		}
	}
	return s.mirror.Add(dir)
}

// closeDisk closes a disk that failed. One on which something does not end is
// not waited for: a later look finds it closed.
func (s *System) closeDisk(d *disk.Disk) error {
	closing := s.roster.closing(d)
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-closing.done:
		return nil // it failed; what it says now is nothing new
	case <-timer.C:
		return errUnderWay(d)
	}
}

// answers runs a call to a directory and stops waiting for it when it takes too long.
// One that does not answer is not asked again before it has: no change of the
// disks waits for it. After an error the caller reads nothing that the call writes.
func (s *System) answers(ctx context.Context, path string, call func() error) error {
	none := fmt.Errorf("%s does not answer", path)
	if _, busy := s.asking.LoadOrStore(path, true); busy {
		return none
	}
	done := make(chan error, 1)
	go func() {
		err := call()
		s.asking.Delete(path)
		done <- err
	}()
	timer := time.NewTimer(lookTimeout)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return none
	case <-ctx.Done():
		return errors.Join(none, ctx.Err())
	}
}

func errUnderWay(d *disk.Disk) error {
	return fmt.Errorf("%s: what is under way on it does not end", d.Dir())
}

// closeDisks closes all disks. What does not end on one holds neither the others up nor
// the end of the process.
func (s *System) closeDisks(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	var all []*closing
	disks := s.roster.attached()
	for _, d := range disks {
		all = append(all, s.roster.closing(d))
		s.roster.detach(d.ID())
	}
	late := make(chan struct{}) // those that answer get a moment
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(closeGrace, func() { close(late) }) })
	defer stop()
	var errs []error
	for i, c := range all {
		select {
		case <-c.done:
			errs = append(errs, c.err)
		case <-late:
			errs = append(errs, errUnderWay(disks[i]))
		}
	}
	return errors.Join(errs...)
}

// closing is a disk that is being closed.
type closing struct {
	done chan struct{} // closed when it is
	err  error         // then
}

// closing begins to close a disk, once.
func (r *roster) closing(d *disk.Disk) *closing {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closers == nil {
		r.closers = map[*disk.Disk]*closing{}
	}
	if c := r.closers[d]; c != nil {
		return c
	}
	c := &closing{done: make(chan struct{})}
	r.closers[d] = c
	go func() {
		c.err = d.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.closers, d)
		close(c.done)
	}()
	return c
}

// restsUntil is until when a disk that failed is left alone.
func (r *roster) restsUntil(id blobd.DiskID) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.back[id]
	if b == nil {
		return time.Time{}
	}
	return b.last.Add(min(minComeback<<min(b.times, 10), maxComeback))
}

// failedAgain notes that a disk which failed is taken back.
func (r *roster) failedAgain(id blobd.DiskID, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.back == nil {
		r.back = map[blobd.DiskID]*comebacks{}
	}
	if b := r.back[id]; b == nil || now.Sub(b.last) > 2*maxComeback {
		r.back[id] = &comebacks{}
	}
	r.back[id].times++
	r.back[id].last = now
}

// forgive lets a disk be taken back at once.
func (r *roster) forgive(id blobd.DiskID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.back, id)
}

// background runs fn until the store is closed, which waits for it.
func (s *System) background(fn func(ctx context.Context)) {
	s.jobs.Go(func() { fn(s.life) })
}

// keepMirror sees that a directory may be a mirror of the metadata when its disk is in
// service, and is none when that is to be drained.
func (s *System) keepMirror(ctx context.Context, row metadata.Disk) {
	if row.State == metadata.DiskDraining {
		s.retireMirror(row)
		return
	}
	d := s.roster.get(diskID(row))
	if d == nil || d.Failed() != nil {
		return
	}
	if path, _ := s.mirror.Holds(d.ID().String()); path == d.Dir() {
		return
	}
	if err := s.mirrorAgain(d); err != nil && ctx.Err() == nil {
		s.opts.Logger.WarnContext(ctx, "directory cannot be a metadata mirror", slog.String("path", d.Dir()), slog.Any("error", err))
	}
}

// retireMirror gives the metadata on a disk that is to be drained to another directory, in
// the background: it takes as long as the copying does.
func (s *System) retireMirror(row metadata.Disk) {
	dir := mirrorDir(blobd.DiskID(row.ID), row.Path)
	if _, busy := s.retiring.LoadOrStore(dir.Disk, true); busy {
		return
	}
	s.background(func(ctx context.Context) {
		defer s.retiring.Delete(dir.Disk)
		if err := s.mirror.Retire(ctx, dir); err != nil && ctx.Err() == nil {
			s.opts.Logger.WarnContext(ctx, "metadata mirror is not retired yet", slog.String("path", dir.Path), slog.Any("error", err))
		}
	})
}
