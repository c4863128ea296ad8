package objects

import (
	"context"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/s3"
)

// versioningStatus is the state of versioning as clients know it.
func versioningStatus(v metadata.Versioning) s3.VersioningStatus {
	switch v {
	case metadata.VersioningEnabled:
		return s3.VersioningEnabled
	case metadata.VersioningSuspended:
		return s3.VersioningSuspended
	case metadata.Unversioned:
	}
	return ""
}

// PutBucketVersioning enables versioning or suspends it. Every write that
// begins after it returned, and none that ended before it began, follows it.
func (s *Service) PutBucketVersioning(ctx context.Context, name s3.BucketName, status s3.VersioningStatus) error {
	v := metadata.VersioningEnabled
	switch status {
	case s3.VersioningEnabled:
	case s3.VersioningSuspended:
		v = metadata.VersioningSuspended
	default:
		return s3.NewError(s3.MalformedXML)
	}
	return s.changeBucket(ctx, name, func(tx *metadata.Tx, b *metadata.Bucket) error {
		if b.ObjectLock != nil && v != metadata.VersioningEnabled {
			return s3.NewError(s3.InvalidBucketState).
				WithMessage("An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.")
		}
		b.Versioning = v
		return tx.PutBucket(b)
	})
}
