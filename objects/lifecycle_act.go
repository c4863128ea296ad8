package objects

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/s3"
)

const (
	// lifecycleBatch is how many versions one transaction ends at most, and lifecycleTx
	// how large it becomes, in bytes, before it takes no more.
	lifecycleBatch = 100
	lifecycleTx    = kv.MaxTx / 8
	// lifecycleMovers is how many versions are moved at a time.
	lifecycleMovers = 2
)

// lifecycleAct does what a scan found. What others write at the same time, and what cannot be
// done, is counted and left to the next round; the error is one that ends the scan.
func (s *Service) lifecycleAct(ctx context.Context, sc *scan) error {
	var moves, frees, marks []victim
	for i := range sc.victims {
		switch v := sc.victims[i]; {
		case v.verdict.kind == lifecycleMove:
			moves = append(moves, v)
		case v.verdict.kind == lifecycleExpire && sc.judge.versioned:
			marks = append(marks, v)
		default:
			frees = append(frees, v)
		}
	}
	// What frees goes on when the disk of the metadata is full, what adds a marker does not.
	if err := s.lifecycleEnd(ctx, sc, "delete", frees); err != nil {
		return err
	}
	if err := s.lifecycleEnd(ctx, sc, "mark", marks); err != nil {
		return err
	}
	if err := s.lifecycleMoves(ctx, sc, moves); err != nil {
		return err
	}
	for _, u := range sc.uploads {
		if err := s.lifecycleAbort(ctx, sc, u); err != nil {
			return err
		}
	}
	return nil
}

// lifecycleEnd ends versions, many in one transaction. Where that meets other writers, or what
// nobody can end, it ends them one by one.
func (s *Service) lifecycleEnd(ctx context.Context, sc *scan, class string, victims []victim) error {
	for len(victims) > 0 {
		n := min(len(victims), lifecycleBatch)
		e := &ending{svc: s, scan: sc, victims: victims[:n]}
		err := s.db.Update(ctx, class, e.run)
		if err == nil {
			sc.out.Tally.Add(&e.tally)
			victims = victims[e.done:]
			continue
		}
		if !ownFault(err) {
			return err
		}
		for i := range victims[:n] {
			e := &ending{svc: s, scan: sc, victims: victims[i : i+1]}
			err := s.updateKey(ctx, class, sc.bucket.ID, victims[i].key, e.run)
			if err == nil {
				sc.out.Tally.Add(&e.tally)
			} else if err := sc.failed(ctx, err); err != nil {
				return err
			}
		}
		victims = victims[n:]
	}
	return nil
}

// ownFault reports whether an error may be about one of several versions, so that the others go
// better without it.
func ownFault(err error) bool {
	for _, e := range []error{
		kv.ErrConflict, kv.ErrTimeout, kv.ErrUnknownCommit, metadata.ErrLocked, // others may have been in the way
		metadata.ErrCorrupt, metadata.ErrInvalid, kv.ErrTxTooLarge,
		kv.ErrNoSpace, // for markers: what frees goes on
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// failed counts what could not be done. The error is that of a scan which ends.
func (sc *scan) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	sc.left(err)
	return nil
}

// ending is one transaction that ends versions.
type ending struct {
	svc     *Service
	scan    *scan
	victims []victim
	done    int // of victims, by the last attempt
	tally   LifecycleTally
}

// run is one attempt.
func (e *ending) run(tx *metadata.Tx) error {
	e.done, e.tally = 0, LifecycleTally{}
	court, err := e.svc.court(tx, e.scan)
	if err != nil || court == nil {
		e.done = len(e.victims) // there are no rules any more
		return err
	}
	for i := range e.victims {
		if err := court.end(&e.victims[i], &e.tally); err != nil {
			return err
		}
		if e.done++; tx.Size() > lifecycleTx {
			break
		}
	}
	return nil
}

// court decides again, by the rules and the rows that a transaction sees.
type court struct {
	svc    *Service
	tx     *metadata.Tx
	bucket *metadata.Bucket
	rules  *Lifecycle
	judge  *judge
}

// court reads the rules as they are now; nil where there are none. The transaction conflicts with every
// change of them.
func (s *Service) court(tx *metadata.Tx, sc *scan) (*court, error) {
	b, err := tx.Bucket(sc.bucket.ID)
	if err != nil || b == nil {
		return nil, err
	}
	rules := sc.rules
	if b.Token != sc.bucket.Token {
		doc, err := tx.Snapshot().BucketConfig(b.ID, metadata.ConfigLifecycle)
		if err != nil || doc == nil {
			return nil, err
		}
		if rules, err = ParseLifecycle(doc); err != nil {
			return nil, err
		}
	}
	return &court{svc: s, tx: tx, bucket: b, rules: rules, judge: sc.judgeOf(rules, b)}, nil
}

// end ends a version if the rules still say so.
func (c *court) end(v *victim, tally *LifecycleTally) error {
	row, current, err := c.find(v)
	if err != nil || row == nil {
		return err
	}
	ruling, err := c.rule(v, row, current)
	if err != nil || ruling.kind != v.verdict.kind {
		return err
	}
	// A delete marker leaves what it hides as it is, but for a null version in whose place it comes.
	gone := ruling.kind != lifecycleExpire || c.bucket.Versioning != metadata.VersioningEnabled
	if err := c.svc.followLockTime(&c.tx.Reader, c.bucket); err != nil {
		return err
	}
	slot := &slot{tx: c.tx, bucket: c.bucket, key: v.key, lockTime: c.svc.LockTime()}
	if gone && row.Locked(slot.lockTime, false) {
		tally.Locked++
		return nil
	}
	switch ruling.kind {
	case lifecycleExpire:
		slot.newest = row
		tally.Expired++
		return c.expire(slot)
	case lifecycleMarker:
		tally.Markers++
	case lifecycleNoncurrent:
		tally.Noncurrent++
	case lifecycleKeep, lifecycleMove:
		return nil
	}
	return slot.drop(row)
}

// expire ends a current version.
func (c *court) expire(slot *slot) error {
	if c.bucket.Versioning == metadata.Unversioned {
		return slot.remove(slot.newest)
	}
	marker := &metadata.Object{
		Key: slot.key, Suffix: c.svc.db.NewSuffix(), DeleteMarker: true, Owner: c.bucket.Owner, Token: c.svc.db.NewToken(),
	}
	slot.order(marker, c.svc.opts.Now())
	return slot.mark(marker)
}

// find reads the row of a victim, nil where it is not what it was: a current version that
// is no more the newest, or a noncurrent one of a key whose newest version has gone, since it
// may have been current in between.
func (c *court) find(v *victim) (row *metadata.Object, current bool, err error) {
	newest, err := newestVersion(c.tx, c.bucket, v.key)
	if err != nil || newest == nil {
		return nil, false, err
	}
	if v.ord == v.top {
		if newest.Ord != v.ord {
			return nil, false, nil
		}
		return newest, true, nil
	}
	if newest.Ord != v.top {
		top, err := c.tx.Version(c.bucket.ID, v.key, v.top)
		if err != nil || top == nil {
			return nil, false, err
		}
	}
	row, err = c.tx.Version(c.bucket.ID, v.key, v.ord)
	return row, false, err
}

// rule asks the judge about a row as it is.
func (c *court) rule(v *victim, row *metadata.Object, current bool) (verdict, error) {
	one := candidate{
		key: []byte(v.key), size: row.Size, created: row.Modified.UnixMilli(), tags: row.Tags,
		class: s3.StorageClass(row.Attributes.StorageClass), marker: row.DeleteMarker, latest: current, since: v.since,
	}
	if one.class == "" {
		one.class = s3.StorageStandard
	}
	var err error
	switch {
	case current && row.DeleteMarker:
		var all []metadata.Object
		all, err = c.tx.Versions(c.bucket.ID, v.key, 2)
		one.alone = len(all) == 1
	case !current && c.rules.newer > 0:
		one.newer, err = c.countNewer(v)
	}
	if err != nil {
		return verdict{}, err
	}
	return c.judge.decide(&one), nil
}

// countNewer counts the noncurrent versions above a victim, as far as the rules count.
func (c *court) countNewer(v *victim) (int, error) {
	rows, err := c.tx.Versions(c.bucket.ID, v.key, c.rules.newer+1)
	if err != nil {
		return 0, err
	}
	current, err := c.tx.Object(c.bucket.ID, v.key)
	if err != nil {
		return 0, err
	}
	if current == nil && len(rows) > 0 {
		rows = rows[1:] // the newest is a delete marker
	}
	below := slices.IndexFunc(rows, func(o metadata.Object) bool { return o.Ord <= v.ord })
	if below < 0 {
		return len(rows), nil
	}
	return below, nil
}

// lifecycleAbort aborts an upload if the rules still say so.
func (s *Service) lifecycleAbort(ctx context.Context, sc *scan, u *metadata.Upload) error {
	aborted := false
	err := s.db.Update(ctx, "abort", func(tx *metadata.Tx) error {
		aborted = false
		court, err := s.court(tx, sc)
		if err != nil || court == nil {
			return err
		}
		now, err := tx.Upload(sc.bucket.ID, u.Key, u.ID)
		if err != nil || now == nil || !court.rules.abortDue(sc.in.Clock, now.Key, now.Initiated.UnixMilli()) {
			return err
		}
		if err := tx.DeleteUpload(sc.bucket.ID, now); err != nil {
			return err
		}
		aborted = true
		return s.releaseParts(tx, &target{bucket: sc.bucket, key: s3.Key(u.Key), id: u.ID})
	})
	if err != nil {
		return sc.failed(ctx, err)
	}
	if aborted {
		sc.out.Tally.Aborted++
	}
	return nil
}

// errLifecycleChanged ends a move that is not wanted any more.
var errLifecycleChanged = errors.New("objects: the rules or the version changed")

// lifecycleMoves moves versions to other classes, some at a time.
func (s *Service) lifecycleMoves(ctx context.Context, sc *scan, moves []victim) error {
	errs := make([]error, len(moves))
	var work sync.WaitGroup
	slots := make(chan struct{}, lifecycleMovers)
	var stop error
	begun := 0
	for i := range moves {
		slots <- struct{}{}
		if sc.in.Pace != nil {
			if stop = sc.in.Pace(ctx); stop != nil {
				break
			}
		}
		begun++
		work.Go(func() {
			defer func() { <-slots }()
			errs[i] = s.lifecycleMove(ctx, sc, &moves[i])
		})
	}
	work.Wait()
	for _, err := range errs[:begun] {
		switch {
		case err == nil:
			sc.out.Tally.Transitions++
		case errors.Is(err, errLifecycleChanged):
		default:
			if err := sc.failed(ctx, err); err != nil {
				return err
			}
		}
	}
	return stop
}

// lifecycleMove moves a version to another class if the rules still say so.
func (s *Service) lifecycleMove(ctx context.Context, sc *scan, v *victim) error {
	var seen *metadata.Object
	err := s.db.View(ctx, "lifecycle", func(r *metadata.Reader) (err error) {
		if seen, err = r.Object(sc.bucket.ID, v.key); err == nil && (seen == nil || seen.Ord != v.ord) {
			seen, err = r.Version(sc.bucket.ID, v.key, v.ord)
		}
		return err
	})
	if err != nil {
		return err
	}
	if seen == nil || ctx.Err() != nil {
		return errLifecycleChanged
	}
	t := &transition{svc: s, bucket: sc.bucket, seen: seen, class: rowClass(v.verdict.class), pace: sc.in.Pace}
	t.may = func(tx *metadata.Tx, _ *metadata.Object) error {
		court, err := s.court(tx, sc)
		if err != nil || court == nil {
			return errors.Join(err, errLifecycleChanged)
		}
		row, current, err := court.find(v)
		if err != nil || row == nil {
			return errors.Join(err, errLifecycleChanged)
		}
		ruling, err := court.rule(v, row, current)
		if err != nil || ruling != v.verdict {
			return errors.Join(err, errLifecycleChanged)
		}
		return nil
	}
	_, err = t.run(ctx)
	return err
}
