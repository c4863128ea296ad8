package objects

import (
	"context"
	"errors"
	"fmt"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
)

// ErrVersionChanged says that a version is not what it was when its move to another
// storage class began: it was replaced, deleted or moved meanwhile.
var ErrVersionChanged = errors.New("objects: the version changed while it was moved")

// TransitionInput names a version and the storage class that it is to be in.
type TransitionInput struct {
	Bucket    s3.BucketName
	Key       s3.Key
	VersionID s3.VersionID // "" is the current version
	Class     s3.StorageClass
	// Precondition decides about the version in the transaction that moves it.
	Precondition WritePrecondition
}

// Transition moves a version to another storage class: its bytes, where they are in
// partitions, are written again in those of the class, and the version has them from
// one transaction on, otherwise as it was: its id, time of modification, entity
// tag, checksums, tags and lock. A version that is in the class already stays as it is.
// Reads under way go on. The error is [ErrVersionChanged] where somebody else
// changed the version's bytes meanwhile; nothing is left behind then.
func (s *Service) Transition(ctx context.Context, in TransitionInput) (Object, error) {
	if err := s3.ValidateKey(in.Key); err != nil {
		return Object{}, err
	}
	var b *metadata.Bucket
	var row *metadata.Object
	err := s.db.View(ctx, "transition", func(r *metadata.Reader) (err error) {
		if b, err = s.bucketIn(ctx, r, in.Bucket); err != nil {
			return err
		}
		row, err = readable(r, b, named{key: in.Key, version: in.VersionID})
		return err
	})
	if err != nil {
		return Object{}, asS3(err)
	}
	t := &transition{svc: s, bucket: b, seen: row, class: rowClass(in.Class)}
	t.may = func(_ *metadata.Tx, row *metadata.Object) error { return checkWrite(in.Precondition, row) }
	now, err := t.run(ctx)
	if err != nil {
		return Object{}, asS3(err)
	}
	return readOf(now, b), nil
}

// rowClass is a storage class as rows have it.
func rowClass(c s3.StorageClass) string {
	if c == s3.StorageStandard {
		return ""
	}
	return string(c)
}

// transition moves one version to another storage class.
type transition struct {
	svc    *Service
	bucket *metadata.Bucket
	seen   *metadata.Object // as it was when that began
	class  string           // "" is STANDARD
	// may is asked in the transaction about the row as it is; its error ends the move.
	may  func(tx *metadata.Tx, row *metadata.Object) error
	pace func(ctx context.Context) error // of a relocation

	bytes *relocation
	now   *metadata.Object
}

// run returns the row of the version as it is then.
func (t *transition) run(ctx context.Context) (*metadata.Object, error) {
	if t.seen.Attributes.StorageClass == t.class {
		return t.seen, nil
	}
	if hasBytes(&t.seen.Data) {
		t.bytes = &relocation{svc: t.svc, bucket: t.bucket, key: t.seen.Key, class: t.class, from: t.seen, pace: t.pace}
		if err := t.bytes.run(ctx); err != nil {
			return nil, t.unread(ctx, err)
		}
	}
	token := t.svc.db.NewToken()
	err := t.svc.updateKey(ctx, "transition", t.bucket.ID, t.seen.Key, func(tx *metadata.Tx) error {
		if err := t.commit(tx); err != nil {
			return err
		}
		return tx.MarkToken(token)
	})
	if errors.Is(err, kv.ErrUnknownCommit) {
		err = t.svc.settle(ctx, err, func(r *metadata.Reader) (bool, error) { return r.TokenSeen(token) })
	}
	switch {
	case t.bytes == nil:
	case err != nil:
		t.bytes.abandon(ctx, err)
	default:
		t.bytes.release()
	}
	return t.now, err
}

// unread is the error of a read that failed: where the version has other bytes by
// now, those that were read have gone, and nothing is wrong.
func (t *transition) unread(ctx context.Context, cause error) error {
	if !errors.Is(cause, partition.ErrGone) && !errors.Is(cause, partition.ErrUnreadable) {
		return cause
	}
	var found *metadata.Object
	err := t.svc.db.View(ctx, "transition", func(r *metadata.Reader) (err error) {
		found, err = sameVersion(r, t.bucket.ID, t.seen)
		return err
	})
	if err == nil && (found == nil || found.Data.ID != t.seen.Data.ID) {
		return fmt.Errorf("%w: %w", ErrVersionChanged, cause)
	}
	return errors.Join(cause, err)
}

// commit gives the version its bytes in the other class.
func (t *transition) commit(tx *metadata.Tx) error {
	b, err := t.svc.requireBucket(tx, t.bucket)
	if err != nil {
		return err
	}
	row, err := sameVersion(tx, b.ID, t.seen)
	if err != nil {
		return err
	}
	if row == nil || row.Data.ID != t.seen.Data.ID || hasBytes(&row.Data) != hasBytes(&t.seen.Data) ||
		row.Attributes.StorageClass != t.seen.Attributes.StorageClass {
		return ErrVersionChanged
	}
	if err := t.may(tx, row); err != nil {
		return err
	}
	next := *row
	next.Attributes.StorageClass = t.class
	t.now = &next
	if t.bytes == nil {
		return tx.UpdateObject(b.ID, &next)
	}
	if next.Data, err = t.bytes.publish(tx); err != nil {
		return err
	}
	return tx.ReplaceData(b.ID, row, &next)
}

// sameVersion finds the row of a version again, wherever it is by now; nil where
// it has gone. The token alone does not tell: completions of one upload share it.
func sameVersion(r rows, b metadata.BucketID, seen *metadata.Object) (*metadata.Object, error) {
	same := func(o *metadata.Object) bool { return o != nil && o.Token == seen.Token && o.Suffix == seen.Suffix }
	found, err := r.Object(b, seen.Key)
	if err == nil && !same(found) {
		found, err = r.Version(b, seen.Key, seen.Ord)
	}
	if err != nil || !same(found) {
		return nil, err
	}
	return found, nil
}
