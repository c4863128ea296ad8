package objects

import (
	"context"
	"errors"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/s3"
)

// UploadPart makes a part of a body. A part of the same number is replaced.
func (s *Service) UploadPart(ctx context.Context, in UploadPartInput) (Part, error) {
	if err := checkPartNumber(in.Number); err != nil {
		return Part{}, err
	}
	t, err := s.target(ctx, in.Bucket, in.Key, in.Upload)
	if err != nil {
		return Part{}, err
	}
	u, err := t.view(ctx, s)
	if err != nil {
		return Part{}, asS3(err)
	}
	if willBeLocked(t.bucket, u) && in.Body.MD5 == nil && !in.Body.Checksum.Valid() {
		return Part{}, UndigestedError("Put Part")
	}
	if in.Body.Checksum, err = partChecksum(u, in.Body.Checksum); err != nil {
		return Part{}, err
	}
	return s.storePart(ctx, &t, u, UploadPartInput{Number: in.Number, Body: in.Body, CustomerKey: in.CustomerKey})
}

// willBeLocked reports whether the object of an upload will have a lock, as far as
// is known: by what the upload asks for, or by the default of its bucket.
func willBeLocked(b *metadata.Bucket, u *metadata.Upload) bool {
	return (Lock{u.Retention, u.LegalHold}) != (Lock{}) || b.ObjectLock != nil && b.ObjectLock.Mode != RetentionNone
}

func checkPartNumber(n int) error {
	if n < 1 || n > s3.MaxParts {
		return s3.InvalidArg("partNumber", itoa(n), "Part number must be an integer between 1 and 10000, inclusive")
	}
	return nil
}

// partChecksum is the algorithm a part is summed with: the upload's, which is
// the only one that the client may send.
func partChecksum(u *metadata.Upload, sent checksum.Algorithm) (checksum.Algorithm, error) {
	if u.Checksum.Algorithm == "" {
		return sent, nil
	}
	want, _ := checksum.Parse(u.Checksum.Algorithm)
	if sent.Valid() && sent != want {
		return 0, s3.NewError(s3.InvalidRequest).WithMessage(
			"Checksum Type mismatch occurred, expected checksum Type: " + u.Checksum.Algorithm +
				", actual checksum Type: " + sent.String())
	}
	return want, nil
}

// storePart receives a body and makes it the part of a number.
func (s *Service) storePart(ctx context.Context, t *target, u *metadata.Upload, part UploadPartInput) (Part, error) {
	seal, err := s.partKey(ctx, t, u, part.CustomerKey)
	if err != nil {
		return Part{}, asS3(err)
	}
	defer seal.wipe()
	in := &intake{
		stored: stored{seal: seal},
		bucket: t.bucket, key: t.key, body: part.Body, limit: -1, class: u.Attributes.StorageClass,
		version: "upload " + string(t.name) + " part " + itoa(part.Number),
	}
	if u.Checksum.Algorithm == "" {
		in.also = checksum.CRC64NVME // the object's, whatever the client sends with its parts
	}
	st, err := s.receive(ctx, in)
	if err != nil {
		return Part{}, asS3(err)
	}
	row := &metadata.Part{
		Number: part.Number, Size: st.size, ETag: st.etag(),
		Checksums: st.sums, Token: s.db.NewToken(),
	}
	err = s.publishPart(ctx, t, row, st.placed, func(tx *metadata.Tx) error {
		row.Slices = nil
		if st.size > 0 {
			row.Slices = []metadata.Slice{{ID: st.id, Length: in.storedSize(st.size)}}
		}
		_, err := st.publish(tx, 0)
		return err
	})
	if err != nil {
		s.abandonUnlessUnknown(ctx, st, err)
		return Part{}, asS3(err)
	}
	st.release()
	out := partOf(row)
	out.Encryption = shownTo(u.Encryption, part.CustomerKey)
	return out, nil
}

// publishPart makes row the part of its number, in one transaction with what
// data writes, of what was placed; the part it replaces gives up its data.
func (s *Service) publishPart(
	ctx context.Context, t *target, row *metadata.Part, placed []metadata.Placed, data func(*metadata.Tx) error,
) error {
	row.Modified = s.opts.Now()
	err := s.db.Update(ctx, "put-part", func(tx *metadata.Tx) error {
		tx.AheadUpload(t.bucket.ID, string(t.key), t.id, row.Number)
		tx.AheadPublish(placed)
		if _, err := t.upload(tx); err != nil {
			return err
		}
		old, err := tx.Part(t.bucket.ID, t.id, row.Number)
		if err != nil {
			return err
		}
		if err := data(tx); err != nil {
			return err
		}
		return tx.PutPart(t.bucket.ID, t.id, old, row)
	})
	if errors.Is(err, kv.ErrUnknownCommit) {
		err = s.settle(ctx, err, func(r *metadata.Reader) (bool, error) {
			found, err := r.Part(t.bucket.ID, t.id, row.Number)
			return found != nil && found.Token == row.Token, err
		})
	}
	return err
}

func partOf(p *metadata.Part) Part {
	return Part{
		Number: p.Number, Size: p.Size, ETag: s3.ETag(p.ETag),
		Modified: p.Modified, Checksums: p.Checksums,
	}
}

func supports(a checksum.Algorithm, kind string) bool {
	t, ok := checksum.ParseType(kind)
	return ok && a.Supports(t)
}
