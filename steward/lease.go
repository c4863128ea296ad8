package steward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
)

// LeaseClass labels the transactions of the leases of jobs, and of what the administrator says
// to jobs: small ones and few, that must not wait where the work of jobs does.
const LeaseClass = "lease"

const (
	// observations is in how many observations that follow each other the stamp
	// of a process must stand still for its leases to be taken.
	observations = 4
	// roundTimeout bounds one look at the rows j and l.
	roundTimeout = 10 * time.Second
	// minRetry is how soon the rows are looked at again that could not be read.
	minRetry = time.Second
)

// errLeaseLost ends the steps of a process that may have lost its leases.
var errLeaseLost = errors.New("another process may have taken the lease")

// keeper reads the rows j of all jobs, hands them to the loops, and holds the
// leases of this process.
//
// A process that runs jobs has one row l, whose stamp it raises once in an
// interval, whatever number of jobs it holds: that is all an idle process
// writes. A job belongs to the process named in its row j while that has its
// row l. Whoever sees a stamp stand still in several observations removes the row l, requiring
// the stamp unchanged; the jobs are free then. Whoever finds its own row gone, or could
// not raise its stamp for most of that time, stops its steps. An observation is one
// in a transaction that raised the observer's own stamp: while the metadata take no
// writes nobody grows old (docs/interleavings.md 22).
//
// Two processes may still work on the same for a while. Leases only make that
// rare; epochs and transactions make it safe.
//
// The process that holds the locks of the directories needs no row l: nobody
// else can run ([Options.Sole]).
type keeper struct {
	s    *Steward
	busy chan struct{} // holds one token while nobody reads or changes rows

	// What follows is of who has the token.
	id      metadata.HolderID
	joined  bool // the rows were read, and the row l was there
	renewed time.Time
	expiry  *time.Timer // gives the leases up
	peers   map[metadata.HolderID]peer
	all     metadata.Job
}

// peer is another process as it was observed.
type peer struct {
	stamp uint64
	still int // observations since its stamp was first seen
	at    time.Time
}

func newKeeper(s *Steward) *keeper {
	k := &keeper{s: s, busy: make(chan struct{}, 1), id: s.db.NewHolderID(), peers: map[metadata.HolderID]peer{}}
	k.busy <- struct{}{}
	return k
}

// take waits for the token.
func (k *keeper) take(ctx context.Context) error {
	select {
	case <-k.busy:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *keeper) give() { k.busy <- struct{}{} }

// run keeps the leases until ctx ends.
func (k *keeper) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for rest := minRetry; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		err := k.round(ctx)
		if err == nil && k.s.opts.Sole {
			<-ctx.Done() // from here on every change is one of this process
			return
		}
		if err == nil {
			rest = minRetry
			timer.Reset(jitter(k.s.opts.LeaseInterval))
			continue
		}
		if ctx.Err() == nil {
			k.s.opts.Logger.Log(ctx, levelOf(err), "background jobs wait for the metadata", slog.Any("error", err))
		}
		timer.Reset(jitter(rest))
		rest = min(2*rest, max(k.s.opts.LeaseInterval/2, minRetry))
	}
}

// round reads the rows, renews the leases and takes those that are free.
func (k *keeper) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	if err := k.take(ctx); err != nil {
		return err
	}
	defer k.give()
	if k.s.opts.Sole {
		return k.read(ctx)
	}
	seen, err := k.renew(ctx)
	if errors.Is(err, errLeaseLost) {
		k.s.opts.Logger.WarnContext(ctx, "leases of background jobs were taken by another process")
		k.lose()
		k.joined, k.id = false, k.s.db.NewHolderID()
		seen, err = k.renew(ctx)
	}
	if err != nil {
		return err
	}
	removed, err := k.bury(ctx, k.judge(seen.holders))
	if err == nil && removed {
		seen, err = k.renew(ctx)
	}
	if err == nil {
		k.obey(seen)
	}
	return err
}

// read hands the rows j to the loops of a process that is alone.
func (k *keeper) read(ctx context.Context) error {
	var seen sight
	err := k.s.db.View(ctx, LeaseClass, func(r *metadata.Reader) (err error) {
		seen.jobs, err = r.Jobs()
		return err
	})
	if err != nil {
		return fmt.Errorf("read the rows of jobs: %w", err)
	}
	k.joined = true
	k.obey(seen)
	return nil
}

// sight is what one transaction saw.
type sight struct {
	jobs    []metadata.Job
	holders []metadata.Holder
}

// renew raises the stamp of this process, reads all rows, and takes the jobs
// that nobody has.
func (k *keeper) renew(ctx context.Context) (seen sight, err error) {
	begun := time.Now()
	err = k.s.db.Update(ctx, LeaseClass, func(tx *metadata.Tx) error {
		me, err := tx.Holder(k.id)
		if err != nil {
			return err
		}
		if me == nil && k.joined {
			return errLeaseLost
		}
		if me == nil {
			me = &metadata.Holder{ID: k.id}
		}
		me.Stamp++
		snapshot := tx.Snapshot()
		if seen.holders, err = snapshot.Holders(); err != nil {
			return err
		}
		if seen.jobs, err = snapshot.Jobs(); err != nil {
			return err
		}
		return errors.Join(tx.PutHolder(me), k.obtain(tx, &seen))
	})
	if err != nil {
		return sight{}, fmt.Errorf("renew the leases of jobs: %w", err)
	}
	k.joined, k.renewed = true, begun
	if k.expiry == nil {
		k.expiry = time.AfterFunc(k.term(), k.lose)
	}
	k.expiry.Reset(k.term() - time.Since(begun))
	return seen, nil
}

// obtain takes the jobs whose holder has no row l.
func (k *keeper) obtain(tx *metadata.Tx, seen *sight) error {
	rows := map[string]metadata.Job{}
	for i := range seen.jobs {
		rows[seen.jobs[i].Name] = seen.jobs[i]
	}
	for _, l := range k.s.loops {
		row, ok := rows[l.Name()]
		if row.Holder == k.id || ok && seen.alive(row.Holder) {
			continue
		}
		again, err := tx.Job(l.Name()) // the rows above add no conflicts
		if err != nil {
			return err
		}
		if again == nil {
			again = &metadata.Job{Name: l.Name()}
		}
		again.Holder = k.id
		if err := tx.PutJob(again); err != nil {
			return err
		}
		seen.put(again)
	}
	return nil
}

func (s *sight) alive(id metadata.HolderID) bool {
	for i := range s.holders {
		if s.holders[i].ID == id {
			return true
		}
	}
	return false
}

func (s *sight) put(j *metadata.Job) {
	for i := range s.jobs {
		if s.jobs[i].Name == j.Name {
			s.jobs[i] = *j
			return
		}
	}
	s.jobs = append(s.jobs, *j)
}

// judge notes how the stamps of the others are, and returns the processes that
// are gone.
func (k *keeper) judge(holders []metadata.Holder) (gone []metadata.Holder) {
	now := time.Now()
	peers := make(map[metadata.HolderID]peer, len(holders))
	for _, h := range holders {
		if h.ID == k.id {
			continue
		}
		p, ok := k.peers[h.ID]
		switch {
		case !ok || p.stamp != h.Stamp:
			p = peer{stamp: h.Stamp, at: now}
		case now.Sub(p.at) >= k.s.opts.LeaseInterval*3/4:
			p.still, p.at = p.still+1, now
		}
		peers[h.ID] = p
		if p.still >= observations {
			gone = append(gone, h)
		}
	}
	k.peers = peers
	return gone
}

// bury removes the rows l of processes whose stamps have not changed since.
func (k *keeper) bury(ctx context.Context, gone []metadata.Holder) (removed bool, err error) {
	if len(gone) == 0 {
		return false, nil
	}
	err = k.s.db.Update(ctx, LeaseClass, func(tx *metadata.Tx) error {
		removed = false
		for _, h := range gone {
			now, err := tx.Holder(h.ID)
			if err != nil {
				return err
			}
			if now == nil || now.Stamp != h.Stamp {
				continue
			}
			if err := tx.DeleteHolder(h.ID); err != nil {
				return err
			}
			removed = true
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("end the leases of a process that is gone: %w", err)
	}
	if removed {
		k.s.opts.Logger.WarnContext(ctx, "background jobs of a process that is gone are taken over")
	}
	return removed, nil
}

// obey hands the rows to the loops.
func (k *keeper) obey(seen sight) {
	rows := map[string]metadata.Job{}
	for i := range seen.jobs {
		rows[seen.jobs[i].Name] = seen.jobs[i]
	}
	k.all = rows[AllJobs]
	for _, l := range k.s.loops {
		row := rows[l.Name()]
		l.obey(orders{row, k.all.Paused, k.s.opts.Sole || row.Holder == k.id})
	}
}

// term is how long after its stamp was raised a process believes in its leases:
// shorter than what others take to see the stamp stand still.
func (k *keeper) term() time.Duration { return k.s.opts.LeaseInterval * 5 / 2 }

// lose stops the steps.
func (k *keeper) lose() {
	for _, l := range k.s.loops {
		l.lose()
	}
}

// leave gives the leases back once no step is under way, so that others need
// not wait.
func (k *keeper) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, minRetry)
	defer cancel()
	if k.take(ctx) != nil {
		return
	}
	defer k.give()
	if k.expiry != nil {
		k.expiry.Stop()
	}
	if k.s.opts.Sole || !k.joined {
		return
	}
	k.joined = false
	err := k.s.db.Update(ctx, LeaseClass, func(tx *metadata.Tx) error { return tx.DeleteHolder(k.id) })
	if err != nil {
		k.s.opts.Logger.InfoContext(ctx, "leases of background jobs are left to run out", slog.Any("error", err))
	}
}

// change changes a row j and hands it to the loops.
func (k *keeper) change(ctx context.Context, name string, change func(*metadata.Job)) error {
	if err := k.take(ctx); err != nil {
		return err
	}
	defer k.give()
	if k.s.opts.Sole && !k.joined {
		if err := k.read(ctx); err != nil { // what is not changed counts as well
			return err
		}
	}
	var row metadata.Job
	err := k.s.db.Update(ctx, LeaseClass, func(tx *metadata.Tx) error {
		old, err := tx.Job(name)
		if err != nil {
			return err
		}
		if row = (metadata.Job{Name: name}); old != nil {
			row = *old
		}
		change(&row)
		return tx.PutJob(&row)
	})
	if errors.Is(err, kv.ErrUnknownCommit) && k.s.opts.Sole {
		err = errors.Join(err, k.read(ctx)) // it may be so now: nobody else will tell
	}
	if err != nil {
		return err
	}
	if name == AllJobs {
		k.all = row
		for _, l := range k.s.loops {
			l.setAllPaused(row.Paused)
		}
	} else {
		held := k.s.opts.Sole || k.joined && row.Holder == k.id && time.Since(k.renewed) <= k.term()
		k.s.loopOf(name).obey(orders{row, k.all.Paused, held})
	}
	return nil
}
