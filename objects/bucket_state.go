package objects

import (
	"bytes"
	"context"
	"sync"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/s3"
)

// ConfigKind names a configuration document of a bucket.
type ConfigKind = metadata.ConfigKind

// The kinds of configuration documents. Each is kept as the text that was put.
const (
	ConfigACL               = metadata.ConfigACL
	ConfigOwnership         = metadata.ConfigOwnership
	ConfigPublicAccessBlock = metadata.ConfigPublicAccessBlock
	ConfigPolicy            = metadata.ConfigPolicy
	ConfigCORS              = metadata.ConfigCORS
	ConfigTagging           = metadata.ConfigTagging
	ConfigRequestPayment    = metadata.ConfigRequestPayment
	ConfigEncryption        = metadata.ConfigEncryption
	ConfigLifecycle         = metadata.ConfigLifecycle
	ConfigWebsite           = metadata.ConfigWebsite
)

// BucketState is a bucket with its configuration, as one version of the
// metadata has it. It never changes and may be shared.
type BucketState struct {
	Bucket
	row     *metadata.Bucket
	configs map[ConfigKind][]byte

	mu     sync.Mutex // guards parsed
	parsed map[ConfigKind]any
}

// NewBucketState returns the state of a bucket with these documents, for
// implementations of API that are not a Service.
func NewBucketState(b Bucket, configs map[ConfigKind][]byte) *BucketState {
	return &BucketState{Bucket: b, configs: configs}
}

// Config is the document of a kind, nil where none is set. It must not be
// changed.
func (b *BucketState) Config(kind ConfigKind) []byte { return b.configs[kind] }

// Parsed is the document of a kind as parse reads it, or the zero value where
// none is set. What parse returned is kept with the state, so that a document
// is parsed once after each change; all callers of a kind use one parse, whose
// result they must not change.
func Parsed[T any](b *BucketState, kind ConfigKind, parse func([]byte) (T, error)) (T, error) {
	var zero T
	doc, ok := b.configs[kind]
	if !ok {
		return zero, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if known, ok := b.parsed[kind].(T); ok {
		return known, nil
	}
	out, err := parse(doc)
	if err != nil {
		return zero, err
	}
	if b.parsed == nil {
		b.parsed = make(map[ConfigKind]any)
	}
	b.parsed[kind] = out
	return out, nil
}

// bucketCache remembers buckets with the generation stamp at which they were
// read. An entry of another generation is looked at again, so that no change
// of a bucket by any gateway is missed.
type bucketCache struct {
	mu      sync.RWMutex // guards what follows
	entries map[s3.BucketName]cachedBucket
	cost    int // of all entries
}

type cachedBucket struct {
	state      *BucketState
	generation []byte
}

// cost estimates the memory of an entry in bytes: a document that is parsed
// takes a few times as much as its text.
func (e cachedBucket) cost() int {
	if e.state == nil {
		return 0
	}
	n := 1 << 10
	for _, doc := range e.state.configs {
		n += 4 * len(doc)
	}
	return n
}

func newBucketCache() *bucketCache {
	return &bucketCache{entries: make(map[s3.BucketName]cachedBucket)}
}

// get returns the state that is valid at a generation, or nil.
func (c *bucketCache) get(name s3.BucketName, generation []byte) *BucketState {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if e, ok := c.entries[name]; ok && bytes.Equal(e.generation, generation) {
		return e.state
	}
	return nil
}

// last returns the state of any generation, or nil.
func (c *bucketCache) last(name s3.BucketName) *BucketState {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.entries[name].state
}

// put remembers a bucket. Past the bounds, arbitrary entries make room.
func (c *bucketCache) put(name s3.BucketName, b *BucketState, generation []byte) {
	entry := cachedBucket{state: b, generation: bytes.Clone(generation)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLocked(name)
	for victim := range c.entries {
		if len(c.entries) < maxCachedBuckets && c.cost+entry.cost() <= maxCachedBytes {
			break
		}
		c.dropLocked(victim)
	}
	c.entries[name] = entry
	c.cost += entry.cost()
}

func (c *bucketCache) dropLocked(name s3.BucketName) {
	c.cost -= c.entries[name].cost()
	delete(c.entries, name)
}

// stateIn returns the bucket of a name as a snapshot sees it. The error is
// NoSuchBucket when there is none, or another than ctx is bound to. Every change of a bucket gives its row
// another token: where the token is the same, so is the configuration.
func (s *Service) stateIn(ctx context.Context, r *metadata.Reader, name s3.BucketName) (*BucketState, error) {
	state, err := s.lookUp(r, name)
	if err != nil {
		return nil, err
	}
	return state, checkBound(ctx, state.row)
}

// lookUp finds the bucket of a name.
func (s *Service) lookUp(r *metadata.Reader, name s3.BucketName) (*BucketState, error) {
	generation, err := r.Generation()
	if err != nil {
		return nil, err
	}
	if b := s.buckets.get(name, generation); b != nil {
		return b, nil
	}
	state := s.buckets.last(name)
	if state != nil {
		r.AheadBucket(string(name), state.row.ID)
	}
	row, err := r.BucketByName(string(name))
	if err != nil {
		return nil, err
	}
	if row == nil {
		return nil, noSuchBucket(name)
	}
	if state == nil || state.row.ID != row.ID || state.row.Token != row.Token {
		configs, err := r.BucketConfigs(row.ID)
		if err != nil {
			return nil, err
		}
		state = &BucketState{Bucket: bucketOf(row), row: row, configs: configs}
	}
	if err := s.followLockTime(r, row); err != nil {
		return nil, err
	}
	s.buckets.put(name, state, generation)
	return state, nil
}

// bucketIn is the row of stateIn.
func (s *Service) bucketIn(ctx context.Context, r *metadata.Reader, name s3.BucketName) (*metadata.Bucket, error) {
	state, err := s.stateIn(ctx, r, name)
	if err != nil {
		return nil, err
	}
	return state.row, nil
}

// BucketState returns a bucket with its configuration. It is cheap: usually
// nothing is read but the generation stamp.
func (s *Service) BucketState(ctx context.Context, name s3.BucketName) (b *BucketState, err error) {
	err = s.db.ViewShared(ctx, "bucket", func(r *metadata.Reader) error {
		b, err = s.stateIn(ctx, r, name)
		return err
	})
	return b, asS3(err)
}

// bucket returns the row of a bucket.
func (s *Service) bucket(ctx context.Context, name s3.BucketName) (*metadata.Bucket, error) {
	state, err := s.BucketState(ctx, name)
	if err != nil {
		return nil, err
	}
	return state.row, nil
}

// requireBucket makes a transaction fail, or conflict, with the deletion or a
// change of its bucket, and of no other, and returns the bucket's row at the
// transaction's version. Usually it reads nothing: every change of a bucket
// changes the generation, so one cached at the generation of this read version
// is current, and the conflict on its row holds until the commit.
func (s *Service) requireBucket(tx *metadata.Tx, b *metadata.Bucket) (*metadata.Bucket, error) {
	generation, err := tx.Snapshot().Generation()
	if err != nil {
		return nil, err
	}
	if known := s.buckets.get(s3.BucketName(b.Name), generation); known != nil && known.row.ID == b.ID {
		return known.row, tx.HoldBucket(b.ID)
	}
	row, err := tx.Bucket(b.ID)
	if err != nil {
		return nil, err
	}
	if row == nil {
		return nil, noSuchBucket(s3.BucketName(b.Name))
	}
	return row, s.followLockTime(&tx.Reader, row)
}
