package steward

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/objects"
)

const (
	lifecycleName = "lifecycle"
	// lifecycleAct is how many versions looked at are as much work as one that is changed.
	lifecycleAct = 20
	// lifecycleBucket is how many versions a bucket counts as at least, where it is decided
	// whether enough was done to write that down.
	lifecycleBucket = 100
	// lifecycleTries is how often a bucket that cannot be read is tried in a round.
	lifecycleTries = 5
	// lifecycleCounted is how many buckets are asked for their size, for the progress.
	lifecycleCounted = 10_000
	// The defaults of [LifecycleOptions].
	lifecycleRate    = 50_000
	lifecycleRows    = 500
	lifecycleBatches = 16
	lifecycleSave    = 200_000
)

// buckets is what the job needs of objects.
type buckets interface {
	LifecycleBuckets(ctx context.Context, from metadata.BucketID, limit int) ([]metadata.BucketID, error)
	LifecycleSize(ctx context.Context, id metadata.BucketID) (int64, error)
	LifecycleScan(ctx context.Context, in objects.LifecycleScanInput) (objects.LifecycleScanOutput, error)
}

// LifecycleOptions configure a [Lifecycle]. Zero values are usable defaults.
type LifecycleOptions struct {
	// Rate bounds the versions looked at in a second; 0 is 50,000, negative is no bound.
	Rate int64
	// Day is how long a day of the rules is, for tests; 0 is a day of S3.
	Day time.Duration
	// Rows is how many versions are read in one go, so that requests wait for little; 0
	// is 500. A step does that Batches times; 0 is 16.
	Rows, Batches int
	// Save is how much is done before it is written down how far the round is, in
	// versions looked at: what a crash has done again, at most. 0 is 200,000.
	Save   int64
	Now    func() time.Time // nil: the clock of the metadata
	Logger *slog.Logger
}

// Lifecycle does what the lifecycle rules of buckets say: job "lifecycle". Once a day, after midnight
// UTC, it goes through all buckets that have rules. The job's row says how far a round is.
type Lifecycle struct {
	db   *metadata.DB
	in   buckets
	opts LifecycleOptions
	pace *pace

	mu    sync.Mutex // guards what follows
	asked bool
	round lifecycleRound
	total LifecycleTotals

	unsaved  int64 // work of the round that was not written down
	failures int   // of tries of a bucket that followed each other
}

// lifecycleRound is a round as it is kept.
type lifecycleRound struct {
	Started time.Time               `json:"started,omitzero"`
	Ended   time.Time               `json:"ended,omitzero"`
	Objects int64                   `json:"objects,omitempty"` // of the buckets, when it began
	At      objects.LifecycleCursor `json:"at,omitzero"`
	Tally   objects.LifecycleTally  `json:"tally,omitzero"`
}

func (r *lifecycleRound) underWay() bool { return !r.Started.IsZero() && r.Ended.IsZero() }

// LifecycleTotals are totals since the job was made.
type LifecycleTotals struct {
	objects.LifecycleTally
	Rounds int64
}

// NewLifecycle returns the job over the objects of a store.
func NewLifecycle(db *metadata.DB, in *objects.Service, o LifecycleOptions) *Lifecycle {
	return newLifecycle(db, in, o)
}

func newLifecycle(db *metadata.DB, in buckets, o LifecycleOptions) *Lifecycle {
	o.Rate, o.Rows, o.Save = cmp.Or(o.Rate, lifecycleRate), cmp.Or(o.Rows, lifecycleRows), cmp.Or(o.Save, lifecycleSave)
	o.Batches = cmp.Or(o.Batches, lifecycleBatches)
	if o.Now == nil {
		o.Now = db.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Lifecycle{db: db, in: in, opts: o, pace: &pace{perSecond: max(o.Rate, 0)}}
}

// Name implements [Job].
func (*Lifecycle) Name() string { return lifecycleName }

// RunNow implements [Runner]: a round begins now, unless one is under way.
func (j *Lifecycle) RunNow() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.asked = true
}

// Rest implements [Punctual]: days of a few seconds want rounds as often.
func (j *Lifecycle) Rest() time.Duration {
	if j.opts.Day <= 0 {
		return math.MaxInt64
	}
	return max(j.opts.Day/10, 100*time.Millisecond)
}

// Totals reports totals.
func (j *Lifecycle) Totals() LifecycleTotals {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.total
}

// Work implements [Meter].
func (j *Lifecycle) Work() Work {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := &j.round
	switch {
	case r.Started.IsZero():
		return Work{}
	case r.underWay():
		return Work{
			Unit: "objects", Done: r.Tally.Evaluated, Total: max(r.Objects, r.Tally.Evaluated), Since: r.Started, Note: tallyNote("", &r.Tally),
		}
	}
	return Work{Unit: "objects", Note: tallyNote("last round: ", &r.Tally)}
}

func tallyNote(what string, t *objects.LifecycleTally) string {
	note := fmt.Sprintf("%s%d evaluated, %d expired, %d noncurrent and %d markers deleted, %d moved, %d uploads aborted",
		what, t.Evaluated, t.Expired, t.Noncurrent, t.Markers, t.Transitions, t.Aborted)
	if t.Locked+t.Failed > 0 {
		note += fmt.Sprintf(", %d locked, %d left to the next round", t.Locked, t.Failed)
	}
	return note
}

// Step implements [Job]: it begins a round when one is due, and goes on with it.
func (j *Lifecycle) Step(ctx context.Context) (Progress, error) {
	begun, err := j.begin(ctx)
	if err != nil || !begun {
		return Progress{}, err
	}
	p := Progress{More: true}
	for range j.opts.Batches {
		done, more, err := j.batch(ctx)
		if p.Done += done; err != nil || !more {
			p.More = false
			return p, err
		}
	}
	return p, nil
}

// batch looks at some versions, and reports whether the round goes on.
func (j *Lifecycle) batch(ctx context.Context) (done int, more bool, err error) {
	out, err := j.scan(ctx)
	if err != nil {
		return 0, false, err
	}
	more, err = j.advance(ctx, &out)
	if err == nil && more {
		err = j.pace.wait(ctx, out.Tally.Evaluated+lifecycleAct*(out.Tally.Acted()-out.Tally.Transitions))
	}
	return int(out.Tally.Acted()), more, err
}

// begin makes sure that a round is under way; it is false where none is due.
func (j *Lifecycle) begin(ctx context.Context) (bool, error) {
	if round := j.current(); round.underWay() {
		return true, nil
	}
	if err := j.load(ctx); err != nil {
		return false, err
	}
	round := j.current()
	if round.underWay() {
		return true, nil // another process began it, or this one before it ended
	}
	now := j.opts.Now()
	if !j.isDue(&round, now) {
		return false, nil
	}
	next := lifecycleRound{Started: now.Truncate(time.Millisecond)}
	total, err := j.measure(ctx)
	if err != nil {
		return false, err
	}
	next.Objects = total
	first, err := j.in.LifecycleBuckets(ctx, 0, 1)
	if err != nil {
		return false, fmt.Errorf("look for buckets with lifecycle rules: %w", err)
	}
	if len(first) == 0 {
		j.end(&next)
		return false, nil // and nothing is written: an idle store stays idle
	}
	next.At.Bucket = first[0]
	return true, j.save(ctx, &next)
}

// end ends a round.
func (j *Lifecycle) end(round *lifecycleRound) {
	round.Ended = j.opts.Now().Truncate(time.Millisecond)
	round.At = objects.LifecycleCursor{}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.asked = false
	j.round = *round
	j.total.Rounds++
}

func (j *Lifecycle) current() lifecycleRound {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.round
}

// isDue decides when a round begins: when midnight has passed since the last one began, for
// that is when something becomes due. The clock may have been set back since.
func (j *Lifecycle) isDue(last *lifecycleRound, now time.Time) bool {
	j.mu.Lock()
	asked := j.asked
	j.mu.Unlock()
	if asked || last.Started.IsZero() || now.Before(last.Started) {
		return true
	}
	if j.opts.Day > 0 {
		return now.Sub(last.Started) >= j.opts.Day/10
	}
	return last.Started.Before(now.UTC().Truncate(24 * time.Hour))
}

// measure is how many objects there are in buckets with rules.
func (j *Lifecycle) measure(ctx context.Context) (total int64, err error) {
	const page = 1000
	for from, counted := metadata.BucketID(0), 0; counted < lifecycleCounted; {
		ids, err := j.in.LifecycleBuckets(ctx, from, page)
		if err != nil {
			return 0, fmt.Errorf("look for buckets with lifecycle rules: %w", err)
		}
		for _, id := range ids {
			n, err := j.in.LifecycleSize(ctx, id)
			if err != nil {
				return 0, fmt.Errorf("measure a bucket: %w", err)
			}
			total += n
		}
		if len(ids) < page || ids[len(ids)-1] == math.MaxUint64 {
			break
		}
		from, counted = ids[len(ids)-1]+1, counted+len(ids)
	}
	return total, nil
}

// scan looks at the next versions. A bucket that cannot be gone through is left to the next round.
func (j *Lifecycle) scan(ctx context.Context) (objects.LifecycleScanOutput, error) {
	round := j.current()
	out, err := j.in.LifecycleScan(ctx, objects.LifecycleScanInput{
		From: round.At, Rows: j.opts.Rows, Clock: objects.LifecycleClock{Now: j.opts.Now(), Day: j.opts.Day},
		Pace: func(ctx context.Context) error { return j.pace.wait(ctx, lifecycleAct) },
	})
	if err == nil || ctx.Err() != nil {
		j.failures = 0
		return out, err
	}
	if j.failures++; j.failures < lifecycleTries {
		return out, fmt.Errorf("apply lifecycle rules: %w", err)
	}
	j.failures = 0
	j.opts.Logger.ErrorContext(ctx, "lifecycle rules of a bucket cannot be applied and are left to the next round", slog.Any("error", err))
	out.Done, out.Tally.Failed = true, out.Tally.Failed+1
	return out, nil
}

// advance moves on behind what was scanned, and reports whether the round goes on.
func (j *Lifecycle) advance(ctx context.Context, out *objects.LifecycleScanOutput) (more bool, err error) {
	round := j.current()
	round.At = out.Next
	round.Tally.Add(&out.Tally)
	j.unsaved += max(out.Tally.Evaluated+lifecycleAct*out.Tally.Acted(), lifecycleBucket)
	if out.Stopped != nil {
		j.opts.Logger.DebugContext(ctx, "lifecycle rules are not applied to some versions yet", slog.Any("error", out.Stopped))
	}
	if more = true; out.Done {
		if more, err = j.nextBucket(ctx, &round); err != nil {
			return false, err
		}
	}
	j.mu.Lock()
	j.total.Add(&out.Tally)
	j.round = round
	j.mu.Unlock()
	if !more {
		j.end(&round)
	}
	if !more || j.unsaved >= j.opts.Save {
		err = j.save(ctx, &round)
	}
	return more, err
}

// nextBucket moves the round to the next bucket, and reports whether there is one.
func (j *Lifecycle) nextBucket(ctx context.Context, round *lifecycleRound) (bool, error) {
	if round.At.Bucket == math.MaxUint64 {
		return false, nil
	}
	ids, err := j.in.LifecycleBuckets(ctx, round.At.Bucket+1, 1)
	if err != nil {
		return false, fmt.Errorf("look for buckets with lifecycle rules: %w", err)
	}
	if len(ids) == 0 {
		return false, nil
	}
	round.At = objects.LifecycleCursor{Bucket: ids[0]}
	return true, nil
}

// load reads the round from the job's row. What cannot be read was written by another
// program: a new round begins.
func (j *Lifecycle) load(ctx context.Context) error {
	var row *metadata.Job
	err := j.db.View(ctx, class, func(r *metadata.Reader) (err error) {
		row, err = r.Job(lifecycleName)
		return err
	})
	if err != nil {
		return fmt.Errorf("read how far lifecycle is: %w", err)
	}
	var round lifecycleRound
	if row == nil || len(row.Cursor) == 0 || json.Unmarshal(row.Cursor, &round) != nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if round.Started.After(j.round.Started) || j.round.Started.IsZero() {
		j.round = round
	}
	return nil
}

// save writes the round down, and takes it over.
func (j *Lifecycle) save(ctx context.Context, round *lifecycleRound) error {
	doc, err := json.Marshal(round)
	if err != nil {
		return fmt.Errorf("write how far lifecycle is: %w", err)
	}
	err = j.db.Update(ctx, class, func(tx *metadata.Tx) error {
		row, err := tx.Job(lifecycleName)
		if err != nil {
			return err
		}
		if row == nil {
			row = &metadata.Job{Name: lifecycleName}
		}
		row.Cursor = doc
		return tx.PutJob(row)
	})
	if err != nil {
		return fmt.Errorf("write how far lifecycle is: %w", err)
	}
	j.unsaved = 0
	j.mu.Lock()
	defer j.mu.Unlock()
	j.round = *round
	return nil
}
