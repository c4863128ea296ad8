package objects

import (
	"context"
	"errors"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/s3"
)

// DeleteObject removes the current version of a key, or the version named. A
// key that is not there is deleted already.
func (s *Service) DeleteObject(ctx context.Context, in DeleteObjectInput) (DeleteObjectOutput, error) {
	if err := s3.ValidateKey(in.Key); err != nil {
		return DeleteObjectOutput{}, err
	}
	b, err := s.bucket(ctx, in.Bucket)
	if err != nil {
		return DeleteObjectOutput{}, err
	}
	var victim *metadata.Object
	err = s.db.Update(ctx, "delete", func(tx *metadata.Tx) error {
		if _, err := s.requireBucket(tx, b); err != nil {
			return err
		}
		if victim, err = findVersion(tx, b.ID, in.Key, in.VersionID); err != nil {
			return err
		}
		if err := checkWrite(in.Precondition, victim); err != nil || victim == nil {
			return err
		}
		return tx.DeleteObject(b.ID, victim)
	})
	if errors.Is(err, kv.ErrUnknownCommit) {
		err = s.settle(ctx, err, func(r *metadata.Reader) (bool, error) {
			found, err := r.Object(b.ID, string(in.Key))
			return found == nil, err
		})
	}
	out := DeleteObjectOutput{}
	if in.VersionID != "" {
		out.VersionID = in.VersionID
	}
	return out, asS3(err)
}
