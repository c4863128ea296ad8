package objects

import (
	"context"
	"errors"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/s3"
)

// PutBucketConfig sets a configuration document, which the caller has
// validated. It is in force for every request that begins after it returned.
func (s *Service) PutBucketConfig(ctx context.Context, name s3.BucketName, kind ConfigKind, doc []byte) error {
	if len(doc) > metadata.MaxConfig {
		return s3.NewError(s3.EntityTooLarge).WithInt("MaxSizeAllowed", metadata.MaxConfig)
	}
	return s.changeBucket(ctx, name, func(tx *metadata.Tx, b *metadata.Bucket) error {
		return tx.PutBucketConfig(b, kind, doc)
	})
}

// DeleteBucketConfig removes a configuration document, if there is one.
func (s *Service) DeleteBucketConfig(ctx context.Context, name s3.BucketName, kind ConfigKind) error {
	return s.changeBucket(ctx, name, func(tx *metadata.Tx, b *metadata.Bucket) error {
		return tx.DeleteBucketConfig(b, kind)
	})
}

// changeBucket runs change, which must put the bucket's row, in a transaction
// that read it. The row has a new token then, which tells caches that it is
// another, and settles an ambiguous commit.
func (s *Service) changeBucket(ctx context.Context, name s3.BucketName, change func(*metadata.Tx, *metadata.Bucket) error) error {
	token := s.db.NewToken()
	err := s.db.Update(ctx, "bucket-config", func(tx *metadata.Tx) error {
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
		b.Token = token
		return change(tx, b)
	})
	if errors.Is(err, kv.ErrUnknownCommit) {
		err = s.settle(ctx, err, func(r *metadata.Reader) (bool, error) {
			b, err := r.BucketByName(string(name))
			return b != nil && b.Token == token, err
		})
	}
	return asS3(err)
}
