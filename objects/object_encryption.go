package objects

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/s3"
)

// UpdateEncryptionInput seals a version under another key of SSE-KMS.
type UpdateEncryptionInput struct {
	Bucket    s3.BucketName
	Key       s3.Key
	VersionID s3.VersionID // "" is the current version
	Access    Access
	KeyID     string // as a client names it
	BucketKey bool
}

// errSealedAnew asks for another attempt: the version is not the one whose key
// was sealed.
var errSealedAnew = errors.New("objects: the version is sealed otherwise by now")

// maxResealings bounds the attempts to seal a version that others write.
const maxResealings = 4

// UpdateObjectEncryption seals the key of a version that has SSE-S3 or SSE-KMS
// under a key of SSE-KMS. Its bytes, its entity tag and all else stay as they are. A
// version that is locked is not changed, as at AWS.
func (s *Service) UpdateObjectEncryption(ctx context.Context, in UpdateEncryptionInput) (out Object, err error) {
	for range maxResealings {
		if out, err = s.updateEncryption(ctx, &in); !errors.Is(err, errSealedAnew) {
			return out, asS3(err)
		}
	}
	return out, s3.NewError(s3.OperationAborted).Because(err)
}

func (s *Service) updateEncryption(ctx context.Context, in *UpdateEncryptionInput) (out Object, err error) {
	seen, row, err := s.look(ctx, &GetObjectInput{
		Bucket: in.Bucket, Key: in.Key, VersionID: in.VersionID, Access: in.Access, Keyless: true,
	}, nil)
	if err != nil {
		return out, err
	}
	was := row.Encryption
	if was == nil || was.Mode == EncryptedC {
		return out, s3.NewError(s3.InvalidRequest).WithMessage("The UpdateObjectEncryption operation doesn't support unencrypted source objects, nor those with keys of clients (SSE-C). " +
			"Only source objects encrypted with SSE-S3 or SSE-KMS are supported.")
	}
	key, err := s.openKeyOf(ctx, owner{seen.bucket, row}, nil)
	if err != nil {
		return out, err
	}
	defer key.Wipe()
	to := Encryption{Mode: EncryptedKMS, KeyID: in.KeyID, BucketKey: in.BucketKey}
	if to.Context, err = clientContext(was); err != nil {
		return out, err
	}
	sealed, err := s.sealKey(ctx, blobName{in.Bucket, in.Key}, &to, key)
	if err != nil {
		return out, err
	}
	err = s.publishSealed(ctx, func() *metadata.Encryption { return sealed }, func() error {
		n := named{in.Key, in.VersionID, in.Access}
		out, err = s.changeObject(ctx, in.Bucket, n, func(tx *metadata.Tx, _ *metadata.Bucket, current *metadata.Object) error {
			switch {
			case current.Token != row.Token || current.Encryption == nil || string(current.Encryption.Sealed) != string(was.Sealed):
				return errSealedAnew
			case current.Locked(s.db.LockTime(), false):
				return errLocked()
			}
			current.Encryption = sealed
			return s.mayPublish(tx, sealed)
		})
		return err
	})
	return out, err
}

// clientContext is the encryption context of a row without what S3 added.
func clientContext(row *metadata.Encryption) ([]byte, error) {
	if len(row.Context) == 0 {
		return nil, nil
	}
	entries := make(map[string]string)
	if err := json.Unmarshal(row.Context, &entries); err != nil {
		return nil, fmt.Errorf("encryption context: %w", err)
	}
	delete(entries, arnContext)
	if len(entries) == 0 {
		return nil, nil
	}
	return json.Marshal(entries)
}
