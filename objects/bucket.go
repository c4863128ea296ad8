package objects

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/s3"
)

// maxCachedBuckets bounds the cache; past it, an arbitrary entry makes room.
const maxCachedBuckets = 10_000

// bucketCache remembers buckets with the generation stamp at which they were
// read. An entry of another generation is read again, so that no change of
// a bucket by any gateway is missed.
type bucketCache struct {
	mu      sync.RWMutex // guards entries
	entries map[s3.BucketName]cachedBucket
}

type cachedBucket struct {
	bucket     *metadata.Bucket
	generation []byte
}

func newBucketCache() *bucketCache {
	return &bucketCache{entries: make(map[s3.BucketName]cachedBucket)}
}

func (c *bucketCache) get(name s3.BucketName, generation []byte) *metadata.Bucket {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if e, ok := c.entries[name]; ok && bytes.Equal(e.generation, generation) {
		return e.bucket
	}
	return nil
}

func (c *bucketCache) put(name s3.BucketName, b *metadata.Bucket, generation []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= maxCachedBuckets {
		for victim := range c.entries {
			delete(c.entries, victim)
			break
		}
	}
	c.entries[name] = cachedBucket{bucket: b, generation: bytes.Clone(generation)}
}

// bucketIn returns the bucket of a name as a snapshot sees it. The error is
// NoSuchBucket when there is none.
func (s *Service) bucketIn(r *metadata.Reader, name s3.BucketName) (*metadata.Bucket, error) {
	generation, err := r.Generation()
	if err != nil {
		return nil, err
	}
	if b := s.buckets.get(name, generation); b != nil {
		return b, nil
	}
	b, err := r.BucketByName(string(name))
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, noSuchBucket(name)
	}
	s.buckets.put(name, b, generation)
	return b, nil
}

// bucket returns the bucket of a name.
func (s *Service) bucket(ctx context.Context, name s3.BucketName) (b *metadata.Bucket, err error) {
	err = s.db.View(ctx, "bucket", func(r *metadata.Reader) error {
		b, err = s.bucketIn(r, name)
		return err
	})
	return b, asS3(err)
}

// requireBucket makes a transaction fail, or conflict, with the deletion of its
// bucket, and of no other. Usually it reads no row: every change of a bucket changes the
// generation, so one cached at the generation of this read version is there at
// this version, and the conflict on its row holds until the commit.
func (s *Service) requireBucket(tx *metadata.Tx, b *metadata.Bucket) error {
	generation, err := tx.Snapshot().Generation()
	if err != nil {
		return err
	}
	if known := s.buckets.get(s3.BucketName(b.Name), generation); known != nil && known.ID == b.ID {
		return tx.HoldBucket(b.ID)
	}
	row, err := tx.Bucket(b.ID)
	if err != nil {
		return err
	}
	if row == nil {
		return noSuchBucket(s3.BucketName(b.Name))
	}
	return nil
}

func noSuchBucket(name s3.BucketName) error {
	return s3.NewError(s3.NoSuchBucket).With("BucketName", string(name))
}

func bucketOf(b *metadata.Bucket) Bucket {
	return Bucket{
		Name: s3.BucketName(b.Name), Owner: s3.OwnerID(b.Owner),
		Region: b.Region, Created: b.Created,
	}
}

// CreateBucket makes a bucket. Making one's own again is
// BucketAlreadyOwnedByYou, anybody else's BucketAlreadyExists.
func (s *Service) CreateBucket(ctx context.Context, in CreateBucketInput) (Bucket, error) {
	if err := s3.ValidateBucketName(in.Name); err != nil {
		return Bucket{}, err
	}
	b := &metadata.Bucket{
		ID: s.db.NewBucketID(), Name: string(in.Name), Owner: string(in.Owner),
		Region: in.Region, Created: s.opts.Now(), Token: s.db.NewToken(),
	}
	err := s.db.Update(ctx, "create-bucket", func(tx *metadata.Tx) error {
		old, err := tx.BucketByName(b.Name)
		switch {
		case err != nil:
			return err
		case old == nil:
			return tx.CreateBucket(b)
		case old.Owner == b.Owner:
			return s3.NewError(s3.BucketAlreadyOwnedByYou).With("BucketName", b.Name)
		default:
			return s3.NewError(s3.BucketAlreadyExists).With("BucketName", b.Name)
		}
	})
	if errors.Is(err, kv.ErrUnknownCommit) {
		err = s.settle(ctx, err, func(r *metadata.Reader) (bool, error) {
			row, err := r.BucketByName(b.Name)
			return row != nil && row.Token == b.Token, err
		})
	}
	return bucketOf(b), asS3(err)
}

// settle decides an ambiguous commit by one read: applied says whether the
// request's rows are there. Nothing is ever applied again.
func (s *Service) settle(ctx context.Context, cause error, applied func(*metadata.Reader) (bool, error)) error {
	var found bool
	err := s.db.View(ctx, "settle", func(r *metadata.Reader) (err error) {
		found, err = applied(r)
		return err
	})
	if err != nil || !found {
		return errors.Join(cause, err)
	}
	return nil
}

// HeadBucket describes a bucket.
func (s *Service) HeadBucket(ctx context.Context, name s3.BucketName) (Bucket, error) {
	b, err := s.bucket(ctx, name)
	if err != nil {
		return Bucket{}, err
	}
	return bucketOf(b), nil
}

// maxAbortedUploads is how many uploads in progress end with their bucket, in
// one transaction.
const maxAbortedUploads = 10_000

// abortUploads ends all uploads of a bucket that goes; the collector takes
// their parts.
func abortUploads(tx *metadata.Tx, b *metadata.Bucket) error {
	it := tx.Uploads(b.ID, metadata.UploadRange{})
	defer it.Close()
	for n := 0; it.Next(); n++ {
		u, err := it.Upload()
		switch {
		case err != nil:
			return err
		case n == maxAbortedUploads || tx.Size() > kv.MaxTx/2:
			return s3.NewError(s3.BucketNotEmpty).With("BucketName", b.Name).
				WithMessage("The bucket has too many multipart uploads in progress. Abort them first.")
		}
		if err := tx.DeleteUpload(b.ID, u); err != nil {
			return err
		}
		if err := tx.ReleaseUpload(b.ID, u.ID); err != nil {
			return err
		}
	}
	return it.Err()
}

// DeleteBucket removes a bucket without objects and versions; uploads in
// progress end with it, as at AWS for general purpose buckets.
func (s *Service) DeleteBucket(ctx context.Context, name s3.BucketName) error {
	var id metadata.BucketID
	err := s.db.Update(ctx, "delete-bucket", func(tx *metadata.Tx) error {
		b, err := tx.BucketByName(string(name))
		if err != nil {
			return err
		}
		if b == nil {
			return noSuchBucket(name)
		}
		id = b.ID
		empty, err := tx.IsEmpty(b.ID)
		if err != nil {
			return err
		}
		if !empty {
			return s3.NewError(s3.BucketNotEmpty).With("BucketName", string(name))
		}
		if err := abortUploads(tx, b); err != nil {
			return err
		}
		return tx.DeleteBucket(b)
	})
	if errors.Is(err, kv.ErrUnknownCommit) {
		err = s.settle(ctx, err, func(r *metadata.Reader) (bool, error) {
			row, err := r.Bucket(id)
			return row == nil, err
		})
	}
	return asS3(err)
}

// ListBuckets returns a page of an owner's buckets in order of their names.
func (s *Service) ListBuckets(ctx context.Context, in ListBucketsInput) (out ListBucketsOutput, err error) {
	err = s.db.View(ctx, "list-buckets", func(r *metadata.Reader) error {
		found, more, err := r.Buckets(string(in.Owner), in.After, in.Prefix, in.Max)
		if err != nil {
			return err
		}
		out = ListBucketsOutput{Truncated: more, Buckets: make([]Bucket, 0, len(found))}
		for i := range found {
			out.Buckets = append(out.Buckets, bucketOf(&found[i]))
		}
		return nil
	})
	return out, asS3(err)
}
