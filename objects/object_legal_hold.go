package objects

import (
	"context"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/s3"
)

// PutObjectLegalHoldInput puts a legal hold on a version, or takes it off.
type PutObjectLegalHoldInput struct {
	Bucket    s3.BucketName
	Key       s3.Key
	VersionID s3.VersionID // "" is the current version
	Access    Access
	LegalHold LegalHold
}

// PutObjectLegalHold puts a legal hold on a version, or takes it off. It is
// independent of retention.
func (s *Service) PutObjectLegalHold(ctx context.Context, in PutObjectLegalHoldInput) (Object, error) {
	n := named{in.Key, in.VersionID, in.Access}
	return s.updateLock(ctx, in.Bucket, n, func(_ *metadata.Tx, _ *metadata.Bucket, row *metadata.Object) error {
		row.LegalHold = in.LegalHold
		return nil
	})
}
