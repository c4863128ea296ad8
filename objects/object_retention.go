package objects

import (
	"context"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/s3"
)

// PutObjectRetentionInput sets the retention of a version.
type PutObjectRetentionInput struct {
	Bucket    s3.BucketName
	Key       s3.Key
	VersionID s3.VersionID // "" is the current version
	Access    Access
	Retention Retention // of no mode: none
	Bypass    Bypass
}

// PutObjectRetention sets the retention of a version. One that is in force is
// only extended, in its mode; in governance mode, who may bypass that changes
// it at will.
func (s *Service) PutObjectRetention(ctx context.Context, in PutObjectRetentionInput) (Object, error) {
	n := named{in.Key, in.VersionID, in.Access}
	return s.updateLock(ctx, in.Bucket, n, func(tx *metadata.Tx, b *metadata.Bucket, row *metadata.Object) error {
		now, bypass := s.LockTime(), in.Bypass.allows(row)
		if in.Retention.Mode != RetentionNone && !in.Retention.Until.After(now) {
			return s3.InvalidArg("RetainUntilDate", string(s3.AppendISO8601(nil, in.Retention.Until)), "The retain until date must be in the future!")
		}
		if row.Weakens(in.Retention, now, bypass) {
			return errLocked()
		}
		if bypass {
			tx.BypassGovernance(b.ID, row.Key)
		}
		row.Retention = in.Retention
		return nil
	})
}

// updateLock is updateObject where the bucket has Object Lock.
func (s *Service) updateLock(ctx context.Context, bucket s3.BucketName, n named, change rowChange) (Object, error) {
	return s.changeObject(ctx, bucket, n, func(tx *metadata.Tx, b *metadata.Bucket, row *metadata.Object) error {
		if b.ObjectLock == nil {
			return s3.NewError(s3.InvalidRequest).WithMessage("Bucket is missing Object Lock Configuration")
		}
		return change(tx, b, row)
	})
}
