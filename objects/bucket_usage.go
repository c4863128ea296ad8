package objects

import (
	"context"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/s3"
)

// BucketUsage reads what a bucket holds.
func (s *Service) BucketUsage(ctx context.Context, name s3.BucketName) (u BucketUsage, err error) {
	err = s.db.View(ctx, "bucket-usage", func(r *metadata.Reader) error {
		b, err := s.bucketIn(ctx, r, name)
		if err != nil {
			return err
		}
		c, err := r.BucketCount(b.ID)
		u = BucketUsage{Objects: c.Objects, Bytes: c.Bytes}
		return err
	})
	return u, asS3(err)
}
