package objects

import (
	"context"
	"errors"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/s3"
)

// maxCachedBuckets and maxCachedBytes bound the cache of buckets.
const (
	maxCachedBuckets = 10_000
	maxCachedBytes   = 64 << 20
)

func noSuchBucket(name s3.BucketName) error {
	return s3.NewError(s3.NoSuchBucket).With("BucketName", string(name))
}

func bucketOf(b *metadata.Bucket) Bucket {
	return Bucket{
		Name: s3.BucketName(b.Name), Owner: s3.OwnerID(b.Owner),
		Region: b.Region, Created: b.Created, Versioning: versioningStatus(b.Versioning),
		ObjectLock: b.ObjectLock,
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
	if in.ObjectLock {
		b.ObjectLock, b.Versioning = &metadata.ObjectLock{}, metadata.VersioningEnabled
	}
	err := s.db.Update(ctx, "create-bucket", func(tx *metadata.Tx) error {
		old, err := tx.BucketByName(b.Name)
		switch {
		case err != nil:
			return err
		case old == nil:
			return createBucket(tx, b, &in)
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

func createBucket(tx *metadata.Tx, b *metadata.Bucket, in *CreateBucketInput) error {
	if in.Most > 0 {
		has, err := tx.Snapshot().CountBuckets(b.Owner, in.Most)
		if err != nil {
			return err
		}
		if has >= in.Most {
			return s3.NewError(s3.TooManyBuckets)
		}
	}
	// The caller was known when the request began; a deletion since then has
	// found no bucket of this account.
	deleted, err := tx.OwnerDeleted(b.Owner)
	if err != nil {
		return err
	}
	if deleted {
		return s3.NewError(s3.AccessDenied)
	}
	if err := tx.CreateBucket(b); err != nil {
		return err
	}
	for kind, doc := range in.Configs {
		if err := tx.PutBucketConfig(b, kind, doc); err != nil {
			return err
		}
	}
	return nil
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
	token := s.db.NewToken()
	err := s.db.Update(ctx, "delete-bucket", func(tx *metadata.Tx) error {
		b, err := tx.BucketByName(string(name))
		if err != nil {
			return err
		}
		if b == nil {
			return noSuchBucket(name)
		}
		if err := checkBound(ctx, b); err != nil {
			return err
		}
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
		if err := tx.DeleteBucket(b); err != nil {
			return err
		}
		return tx.MarkToken(token)
	})
	if errors.Is(err, kv.ErrUnknownCommit) {
		err = s.settle(ctx, err, func(r *metadata.Reader) (bool, error) { return r.TokenSeen(token) })
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
