package objects

import (
	"context"
	"errors"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/s3"
)

// Permission is what a [Grant] gives.
type Permission = metadata.Permission

// The types of grantees, and the permissions.
const (
	GranteeUser           = metadata.GranteeUser
	GranteeGroup          = metadata.GranteeGroup
	PermissionRead        = metadata.PermissionRead
	PermissionWrite       = metadata.PermissionWrite
	PermissionReadACP     = metadata.PermissionReadACP
	PermissionWriteACP    = metadata.PermissionWriteACP
	PermissionFullControl = metadata.PermissionFullControl
)

// PutObjectTaggingInput replaces the tags of a version.
type PutObjectTaggingInput struct {
	Bucket    s3.BucketName
	Key       s3.Key
	VersionID s3.VersionID // "" is the current version
	Access    Access
	Tags      []Pair // none: all are removed
}

// PutObjectACLInput replaces the access control list of a version.
type PutObjectACLInput struct {
	Bucket    s3.BucketName
	Key       s3.Key
	VersionID s3.VersionID // "" is the current version
	Access    Access
	// ACL makes the list that the version gets; nil is the owner alone, with
	// full control. It may be called more than once.
	ACL func(current *Object) []Grant
}

// PutObjectTagging replaces the tags of a version, which otherwise stays as it
// is, its time of modification included.
func (s *Service) PutObjectTagging(ctx context.Context, in PutObjectTaggingInput) (Object, error) {
	n := named{in.Key, in.VersionID, in.Access}
	return s.updateObject(ctx, in.Bucket, n, func(row *metadata.Object) { row.Tags = in.Tags })
}

// PutObjectACL replaces the access control list of a version, which otherwise
// stays as it is.
func (s *Service) PutObjectACL(ctx context.Context, in PutObjectACLInput) (Object, error) {
	n := named{in.Key, in.VersionID, in.Access}
	return s.updateObject(ctx, in.Bucket, n, func(row *metadata.Object) {
		current := objectOf(row)
		row.ACL = in.ACL(&current)
	})
}

// rowChange changes the row of a version that its transaction has read.
type rowChange func(*metadata.Tx, *metadata.Bucket, *metadata.Object) error

// updateObject is changeObject for a change that depends on nothing else.
func (s *Service) updateObject(ctx context.Context, bucket s3.BucketName, n named, change func(*metadata.Object)) (Object, error) {
	return s.changeObject(ctx, bucket, n, func(_ *metadata.Tx, _ *metadata.Bucket, row *metadata.Object) error {
		change(row)
		return nil
	})
}

// changeObject rewrites the row of a version after change. The row keeps the
// token of the request that made it; the change has a token row of its own.
func (s *Service) changeObject(ctx context.Context, bucket s3.BucketName, n named, change rowChange) (out Object, err error) {
	if err := s3.ValidateKey(n.key); err != nil {
		return Object{}, err
	}
	b, err := s.bucket(ctx, bucket)
	if err != nil {
		return Object{}, err
	}
	token := s.db.NewToken()
	err = s.db.Update(ctx, "update-object", func(tx *metadata.Tx) error {
		aheadVersion(&tx.Reader, b, n, 0)
		b, err := s.requireBucket(tx, b)
		if err != nil {
			return err
		}
		row, err := readable(tx, b, n)
		if err != nil {
			return err
		}
		if err := change(tx, b, row); err != nil {
			return err
		}
		out = readOf(row, b)
		if err := tx.UpdateObject(b.ID, row); err != nil {
			return err
		}
		return tx.MarkToken(token)
	})
	if errors.Is(err, kv.ErrUnknownCommit) {
		err = s.settle(ctx, err, func(r *metadata.Reader) (bool, error) { return r.TokenSeen(token) })
	}
	return out, asS3(err)
}
