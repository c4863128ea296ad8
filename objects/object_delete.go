package objects

import (
	"context"
	"errors"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/s3"
)

// DeleteObject removes the version named, for good. Where none is named, it
// removes the object, or hides it behind a delete marker where versions are
// kept. What is not there is deleted already.
func (s *Service) DeleteObject(ctx context.Context, in DeleteObjectInput) (DeleteObjectOutput, error) {
	if err := s3.ValidateKey(in.Key); err != nil {
		return DeleteObjectOutput{}, err
	}
	b, err := s.bucket(ctx, in.Bucket)
	if err != nil {
		return DeleteObjectOutput{}, err
	}
	d := &deletion{svc: s, in: &in, token: s.db.NewToken(), suffix: s.db.NewSuffix()}
	class := "delete"
	if in.VersionID == "" && b.Versioning != metadata.Unversioned {
		class = "mark" // frees nothing: a full disk must not be filled with markers
	}
	err = s.updateKeyShared(ctx, class, b.ID, string(in.Key), func(tx *metadata.Tx) error { return d.run(tx, b) })
	if errors.Is(err, kv.ErrUnknownCommit) {
		err = s.settle(ctx, err, func(r *metadata.Reader) (bool, error) {
			if d.marker != nil {
				return wrote(r, b.ID, d.marker)
			}
			return r.TokenSeen(d.token)
		})
	}
	return d.out, asS3(conditional(err, in.Precondition))
}

// deletion is one DeleteObject.
type deletion struct {
	svc    *Service
	in     *DeleteObjectInput
	token  metadata.Token
	suffix uint64
	marker *metadata.Object // written by the last attempt, or nil
	out    DeleteObjectOutput
}

// run is one attempt.
func (d *deletion) run(tx *metadata.Tx, b *metadata.Bucket) error {
	d.marker, d.out = nil, DeleteObjectOutput{VersionID: d.in.VersionID}
	if d.in.VersionID != "" {
		aheadVersion(&tx.Reader, b, named{key: d.in.Key, version: d.in.VersionID}, metadata.RowsNewest)
	}
	slot, err := d.svc.openSlot(tx, b, string(d.in.Key))
	if err != nil {
		return err
	}
	victim, err := slot.find(d.in.VersionID)
	if err != nil {
		return err
	}
	if err := checkWrite(d.in.Precondition, victim); err != nil {
		return err
	}
	if victim == nil && d.in.Precondition != nil {
		return nil // the condition was of something: there is nothing to hide
	}
	if d.in.VersionID == "" && slot.bucket.Versioning != metadata.Unversioned {
		return d.mark(slot)
	}
	if victim == nil {
		return nil
	}
	d.out.DeleteMarker = victim.DeleteMarker
	slot.askBypass(victim, d.in.Bypass)
	if err := slot.remove(victim); err != nil {
		return err
	}
	return tx.MarkToken(d.token) // no row is left to tell
}

// mark leaves a delete marker.
func (d *deletion) mark(slot *slot) error {
	owner := string(d.in.Owner)
	if owner == "" {
		owner = slot.bucket.Owner
	}
	d.marker = &metadata.Object{
		Key: slot.key, Suffix: d.suffix, DeleteMarker: true, Owner: owner, Token: d.token,
	}
	slot.order(d.marker, d.svc.opts.Now())
	d.out = DeleteObjectOutput{VersionID: versionID(d.marker), DeleteMarker: true}
	return slot.mark(d.marker)
}
