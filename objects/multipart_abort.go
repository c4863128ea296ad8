package objects

import (
	"context"
	"errors"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/s3"
)

// abortInPlace is how many parts, and releaseInPlace how many slices, an abort
// or a completion releases itself; more are left to the collector, so that the
// transaction stays small.
const (
	abortInPlace   = 500
	releaseInPlace = 4000
)

// AbortMultipartUpload ends an upload and gives up its parts. An upload that is
// not there is NoSuchUpload, unless it was to be aborted on a condition: as with
// DeleteObject there is nothing to do then.
func (s *Service) AbortMultipartUpload(ctx context.Context, in AbortUploadInput) error {
	err := s.abortUpload(ctx, in)
	if !in.InitiatedAt.IsZero() && s3.CodeOf(err) == s3.NoSuchUpload {
		return nil
	}
	return err
}

func (s *Service) abortUpload(ctx context.Context, in AbortUploadInput) error {
	t, err := s.target(ctx, in.Bucket, in.Key, in.Upload)
	if err != nil {
		return err
	}
	token := s.db.NewToken()
	err = s.db.UpdateShared(ctx, "abort", func(tx *metadata.Tx) error {
		tx.AheadUpload(t.bucket.ID, string(t.key), t.id, 0)
		tx.AheadParts(t.bucket.ID, t.id, 0, abortInPlace)
		u, err := t.upload(tx)
		if err != nil {
			return err
		}
		if !in.InitiatedAt.IsZero() && !in.InitiatedAt.Equal(u.Initiated.Truncate(time.Second)) {
			return s3.NewError(s3.PreconditionFailed).With("Condition", "x-amz-if-match-initiated-time")
		}
		if err := tx.DeleteUpload(t.bucket.ID, u); err != nil {
			return err
		}
		if err := s.releaseParts(tx, &t); err != nil {
			return err
		}
		return tx.MarkToken(token)
	})
	if errors.Is(err, kv.ErrUnknownCommit) {
		// That the upload is gone says nothing: a completion ends it too.
		err = s.settle(ctx, err, func(r *metadata.Reader) (bool, error) { return r.TokenSeen(token) })
	}
	return asS3(err)
}

// releaseParts gives up all parts of an upload that ends.
func (s *Service) releaseParts(tx *metadata.Tx, t *target) error {
	parts, more, err := tx.Parts(t.bucket.ID, t.id, 0, abortInPlace)
	if err != nil {
		return err
	}
	if more || slicesOf(parts) > releaseInPlace {
		return tx.ReleaseUpload(t.bucket.ID, t.id)
	}
	for i := range parts {
		if err := tx.DeletePart(t.bucket.ID, t.id, &parts[i]); err != nil {
			return err
		}
	}
	return nil
}

func slicesOf(parts []metadata.Part) (n int) {
	for i := range parts {
		n += len(parts[i].Slices)
	}
	return n
}
