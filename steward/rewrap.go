package steward

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/objects"
)

const (
	rewrapName = "rewrap"
	// rewrapRows is how many rows a step looks at, so that requests wait for little.
	rewrapRows = 1024
	// rewrapRate is how many rows are looked at in a second, at most.
	rewrapRate = 50_000
)

// KeyVersions are the keys of the local keyring, whose old versions end when
// nothing is sealed under them.
type KeyVersions interface {
	List(ctx context.Context) ([]metadata.EncryptionKey, error)
	// SealedUnder is the key and the version that the data key of a row is sealed
	// under, false where that is none of the keyring's.
	SealedUnder(x *metadata.Encryption) (name string, version uint32, ok bool)
	// Drop destroys the versions below a number, of those that are retired.
	Drop(ctx context.Context, name string, below uint32) (metadata.EncryptionKey, error)
}

// sealed is what the job needs of objects.
type sealed interface {
	RewrapKeys(ctx context.Context, in objects.RewrapInput) (objects.RewrapOutput, error)
}

// Rewrap moves data keys to the newest version of their key: job "rewrap". It
// works only when it is asked to, which is when a key is rotated: then it goes through
// all objects and uploads, reads and writes no data of them, and at last drops the
// versions of keys that are retired and under which nothing is sealed any more.
// A process that begins again begins a new pass.
type Rewrap struct {
	db   *metadata.DB
	in   sealed
	keys KeyVersions // nil: there are none to drop
	now  func() time.Time
	log  *slog.Logger
	pace *pace

	mu     sync.Mutex // guards what follows
	asked  bool       // since the pass began
	active bool
	cursor []byte
	since  time.Time
	pass   objects.RewrapOutput // what the pass did
	note   string               // how the last pass ended
}

// NewRewrap is the job over the objects of a store.
func NewRewrap(db *metadata.DB, in *objects.Service, versions KeyVersions, logger *slog.Logger) *Rewrap {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Rewrap{db: db, in: in, keys: versions, now: db.Now, log: logger, pace: &pace{perSecond: rewrapRate}}
}

// Name implements [Job].
func (*Rewrap) Name() string { return rewrapName }

// RunNow implements [Runner]: a pass begins, at the end of the one under way where
// there is one.
func (j *Rewrap) RunNow() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.asked = true
}

// Step implements [Job].
func (j *Rewrap) Step(ctx context.Context) (Progress, error) {
	cursor, ok := j.begin()
	if !ok {
		return Progress{}, nil
	}
	out, err := j.in.RewrapKeys(ctx, objects.RewrapInput{Cursor: cursor, Rows: rewrapRows})
	if err != nil && out.Cursor == nil {
		out.Cursor = cursor // it failed where it began
	}
	j.add(&out)
	if err != nil {
		return Progress{}, fmt.Errorf("seal data keys anew: %w", err)
	}
	if err := j.pace.wait(ctx, rewrapRows); err != nil {
		return Progress{}, err
	}
	if out.Cursor != nil {
		return Progress{Done: int(out.Rewrapped), More: true}, nil
	}
	dropped, err := j.drop(ctx)
	if err != nil {
		return Progress{}, err
	}
	return Progress{Done: int(out.Rewrapped), More: j.end(dropped)}, nil
}

// begin is where the pass goes on; it is false where none is wanted.
func (j *Rewrap) begin() ([]byte, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.active {
		if !j.asked {
			return nil, false
		}
		j.active, j.asked, j.cursor, j.pass, j.since = true, false, nil, objects.RewrapOutput{}, j.now()
	}
	return j.cursor, true
}

// add notes what a step did. One that failed is repeated where it stopped.
func (j *Rewrap) add(out *objects.RewrapOutput) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pass.Looked += out.Looked
	j.pass.Rewrapped += out.Rewrapped
	j.pass.Failed += out.Failed
	j.cursor = out.Cursor
}

// end ends a pass, and says whether another one is wanted.
func (j *Rewrap) end(dropped int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.active, j.cursor = false, nil
	j.note = "last pass: " + j.tally()
	if dropped > 0 {
		j.note += fmt.Sprintf(", %d keys without their old versions", dropped)
	}
	return j.asked
}

// tally is the pass in words. The caller holds mu.
func (j *Rewrap) tally() string {
	text := fmt.Sprintf("%d data keys looked at, %d sealed anew", j.pass.Looked, j.pass.Rewrapped)
	if j.pass.Failed > 0 {
		text += fmt.Sprintf(", %d left: their keys are disabled, deleted or denied", j.pass.Failed)
	}
	return text
}

// Work implements [Meter].
func (j *Rewrap) Work() Work {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.active {
		return Work{Unit: "data keys", Note: j.note}
	}
	return Work{Unit: "data keys", Done: j.pass.Looked, Since: j.since, Note: j.tally()}
}

// drop ends the retired versions under which nothing is sealed. They were retired
// before it looks at the metadata, and since then nothing is published under them: what
// it does not find there is nowhere.
func (j *Rewrap) drop(ctx context.Context) (dropped int, err error) {
	if j.keys == nil {
		return 0, nil
	}
	all, err := j.keys.List(ctx)
	if err != nil {
		return 0, fmt.Errorf("list keys: %w", err)
	}
	oldest := make(map[string]uint32)
	for i := range all {
		if k := &all[i]; len(k.Versions) > 0 && k.Versions[0].Number < k.Oldest {
			oldest[k.Name] = k.Oldest
		}
	}
	if len(oldest) == 0 {
		return 0, nil
	}
	err = j.db.WalkEncrypted(ctx, func(x *metadata.Encryption) (bool, error) {
		if name, version, ok := j.keys.SealedUnder(x); ok && version < oldest[name] {
			delete(oldest, name)
			j.log.InfoContext(ctx, "old versions of a key are kept, for something is still sealed under them", slog.String("key", name))
		}
		return len(oldest) > 0, nil
	})
	if err != nil {
		return 0, fmt.Errorf("look for what is sealed under old versions: %w", err)
	}
	for name, below := range oldest {
		if _, err := j.keys.Drop(ctx, name, below); err != nil {
			return dropped, fmt.Errorf("drop old versions: %w", err)
		}
		dropped++
	}
	return dropped, nil
}
