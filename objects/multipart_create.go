package objects

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/s3"
)

// CreateMultipartUpload starts an upload.
func (s *Service) CreateMultipartUpload(ctx context.Context, in CreateUploadInput) (Upload, error) {
	if err := s3.ValidateKey(in.Key); err != nil {
		return Upload{}, err
	}
	kind, err := uploadChecksum(in)
	if err != nil {
		return Upload{}, err
	}
	b, err := s.bucket(ctx, in.Bucket)
	if err != nil {
		return Upload{}, err
	}
	now := s.opts.Now()
	row := &metadata.Upload{
		ID: s.db.NewUploadID(now), Key: string(in.Key), Initiated: now, Owner: string(in.Owner),
		Attributes: in.Attributes, Tags: in.Tags, ACL: in.ACL, Checksum: kind, Token: s.db.NewToken(),
	}
	seal, err := s.newKey(ctx, blobName{in.Bucket, in.Key}, &in.Encryption)
	if err != nil {
		return Upload{}, asS3(err)
	}
	seal.wipe() // its parts open what is sealed
	row.Encryption = seal.encryption()
	if in.Initiator != in.Owner {
		row.Initiator = string(in.Initiator)
	}
	row.Retention, row.LegalHold = in.Lock.Retention, in.Lock.LegalHold
	err = s.publishSealed(ctx, seal.encryption, func() error {
		return s.putUpload(ctx, b, row, in.Lock)
	})
	if errors.Is(err, kv.ErrUnknownCommit) {
		err = s.settle(ctx, err, func(r *metadata.Reader) (bool, error) {
			found, err := r.Upload(b.ID, row.Key, row.ID)
			return found != nil, err
		})
	}
	out := uploadOf(row)
	out.Encryption = in.Encryption.shown(row.Encryption)
	return out, asS3(err)
}

func (s *Service) putUpload(ctx context.Context, in *metadata.Bucket, row *metadata.Upload, lock Lock) error {
	return s.db.Update(ctx, "create-upload", func(tx *metadata.Tx) error {
		b, err := s.requireBucket(tx, in)
		if err != nil {
			return err
		}
		if err := lockable(b, lock); err != nil {
			return err
		}
		if err := s.mayPublish(tx, row.Encryption); err != nil {
			return err
		}
		return tx.PutUpload(b.ID, row)
	})
}

// uploadChecksum is what an upload will compute: the algorithm asked for, with its
// type or that algorithm's default.
func uploadChecksum(in CreateUploadInput) (Checksum, error) {
	if !in.Checksum.Valid() {
		if in.ChecksumType != "" {
			return Checksum{}, s3.NewError(s3.InvalidRequest).
				WithMessage("The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
		}
		return Checksum{}, nil
	}
	kind := in.ChecksumType
	if kind == "" {
		kind = in.Checksum.DefaultType().String()
	}
	if !supports(in.Checksum, kind) {
		return Checksum{}, s3.NewError(s3.InvalidRequest).WithMessage(
			"The " + kind + " checksum type cannot be used with the " + in.Checksum.String() + " checksum algorithm.")
	}
	return Checksum{Algorithm: in.Checksum.String(), Type: kind}, nil
}

func uploadOf(u *metadata.Upload) Upload {
	class := u.Attributes.StorageClass
	if class == "" {
		class = "STANDARD"
	}
	return Upload{
		Key: s3.Key(u.Key), ID: s3.UploadID(hex.EncodeToString(u.ID[:])), Initiated: u.Initiated,
		Owner: s3.OwnerID(u.Owner), Initiator: s3.OwnerID(cmp.Or(u.Initiator, u.Owner)), StorageClass: class,
		ChecksumAlgorithm: u.Checksum.Algorithm, ChecksumType: u.Checksum.Type,
		Encryption: encryptedOf(u.Encryption),
	}
}

// parseUploadID is the reverse of the id that uploadOf shows.
func parseUploadID(id s3.UploadID) (out metadata.UploadID, err error) {
	raw, err := hex.DecodeString(string(id))
	if err != nil || len(raw) != len(out) {
		return out, noSuchUpload(id)
	}
	return metadata.UploadID(raw), nil
}

func noSuchUpload(id s3.UploadID) error {
	return s3.NewError(s3.NoSuchUpload).With("UploadId", string(id))
}

// target is the upload that a request names.
type target struct {
	bucket *metadata.Bucket
	key    s3.Key
	name   s3.UploadID
	id     metadata.UploadID
}

func (s *Service) target(ctx context.Context, bucket s3.BucketName, key s3.Key, id s3.UploadID) (target, error) {
	b, err := s.bucket(ctx, bucket)
	if err != nil {
		return target{}, err
	}
	raw, err := parseUploadID(id)
	return target{bucket: b, key: key, name: id, id: raw}, err
}

// uploads are the reads of an upload that a snapshot and a transaction share.
type uploads interface {
	Upload(b metadata.BucketID, key string, id metadata.UploadID) (*metadata.Upload, error)
}

func (t *target) upload(r uploads) (*metadata.Upload, error) {
	u, err := r.Upload(t.bucket.ID, string(t.key), t.id)
	if err == nil && u == nil {
		err = noSuchUpload(t.name)
	}
	return u, err
}

// view reads the upload in a snapshot of its own.
func (t *target) view(ctx context.Context, s *Service) (u *metadata.Upload, err error) {
	err = s.db.ViewShared(ctx, "upload", func(r *metadata.Reader) error {
		u, err = t.upload(r)
		return err
	})
	return u, err
}
