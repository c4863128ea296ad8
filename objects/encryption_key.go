package objects

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sse"
)

// arnContext is the entry that S3 adds to every encryption context.
const arnContext = "aws:s3:arn"

// sealing is the object key that a body is encrypted under, with what the row
// keeps of it. A nil one encrypts nothing.
type sealing struct {
	key *sse.ObjectKey
	row *metadata.Encryption
}

func (x *sealing) encryption() *metadata.Encryption {
	if x == nil {
		return nil
	}
	return x.row
}

func (x *sealing) wipe() {
	if x != nil {
		x.key.Wipe()
	}
}

// etag is the entity tag of a body: its MD5 digest, unless that would tell
// something of the plaintext to who has not the key, as AWS has it.
func (x *sealing) etag(digest []byte) string {
	if x == nil || x.row.Mode == EncryptedS3 {
		return hex.EncodeToString(digest)
	}
	tag := x.key.Tag(digest)
	return hex.EncodeToString(tag[:])
}

// newKey makes the key of a new object or upload, nil where none is asked for.
func (s *Service) newKey(ctx context.Context, of blobName, e *Encryption) (*sealing, error) {
	if e.Mode == 0 {
		return nil, nil //nolint:nilnil // a nil sealing encrypts nothing
	}
	key, err := sse.NewObjectKey(s.opts.Random)
	if err != nil {
		return nil, err
	}
	row, err := s.sealKey(ctx, of, e, key)
	if err != nil {
		key.Wipe()
		return nil, err
	}
	return &sealing{key: key, row: row}, nil
}

// blobName is what is encrypted, as the encryption context has it.
type blobName struct {
	bucket s3.BucketName
	key    s3.Key
}

// sealKey seals an object's key as the caller asks.
func (s *Service) sealKey(ctx context.Context, of blobName, e *Encryption, key *sse.ObjectKey) (*metadata.Encryption, error) {
	if e.Mode == EncryptedC {
		if e.Customer == nil {
			return nil, s3.NewError(s3.InvalidRequest).WithMessage(noCustomerKey)
		}
		sealed, err := e.Customer.Seal(s.opts.Random, key)
		return &metadata.Encryption{Mode: EncryptedC, Sealed: sealed}, err
	}
	row := &metadata.Encryption{Mode: e.Mode}
	if e.Mode == EncryptedKMS {
		var err error
		if row.KeyID, err = keys.Name(s.keyID(e)); err == nil && row.KeyID == keys.SSES3 {
			err = fmt.Errorf("%w: %s is the key of SSE-S3", keys.ErrNoKey, row.KeyID)
		}
		if err != nil {
			return nil, keyError(err)
		}
		if row.Context, err = fullContext(of, e); err != nil {
			return nil, err
		}
		row.BucketKey = e.BucketKey
	}
	provider, id, err := s.provider(row)
	if err != nil {
		return nil, err
	}
	with, sealed, err := provider.Generate(ctx, id, row.Context)
	if err != nil {
		return nil, keyError(err)
	}
	defer with.Wipe()
	row.DataKey = sealed
	row.Sealed, err = key.Seal(s.opts.Random, (*[sse.KeySize]byte)(&with))
	return row, err
}

func (s *Service) keyID(e *Encryption) string {
	if e.KeyID == "" {
		return s.opts.Keys.Default
	}
	return e.KeyID
}

// provider is who seals the data key of a row, and the name of the key there.
func (s *Service) provider(row *metadata.Encryption) (p keys.Provider, id string, err error) {
	switch {
	case row.Mode == EncryptedS3:
		p, id = s.opts.Keys.S3, keys.SSES3
	case row.BucketKey && s.opts.Keys.BucketKeys != nil:
		p, id = s.opts.Keys.BucketKeys, row.KeyID
	default:
		p, id = s.opts.Keys.KMS, row.KeyID
	}
	if p == nil {
		return nil, "", s3.NotImplementedHeader("x-amz-server-side-encryption")
	}
	return p, id, nil
}

// fullContext is the encryption context of a client with the name that S3
// adds: of the object, or of its bucket where the bucket key is enabled. It has one
// form, whatever that of the client's.
func fullContext(of blobName, e *Encryption) ([]byte, error) {
	entries := make(map[string]string)
	if len(e.Context) > 0 {
		if err := json.Unmarshal(e.Context, &entries); err != nil || entries == nil {
			return nil, s3.InvalidArg("x-amz-server-side-encryption-context", "", "The encryption context is not a JSON object of strings.")
		}
	}
	if _, ok := entries[arnContext]; !ok {
		entries[arnContext] = "arn:aws:s3:::" + string(of.bucket)
		if !e.BucketKey {
			entries[arnContext] += "/" + string(of.key)
		}
	}
	full, err := json.Marshal(entries)
	if err != nil {
		return nil, fmt.Errorf("encryption context: %w", err)
	}
	if len(full) > keys.MaxContext {
		return nil, keyError(keys.ErrContext)
	}
	return full, nil
}

// openKey opens the key of an object or upload, nil for one that is not
// encrypted. The caller wipes it.
func (s *Service) openKey(ctx context.Context, row *metadata.Encryption, customer *sse.CustomerKey) (*sse.ObjectKey, error) {
	if err := needsKey(row, customer); err != nil || row == nil {
		return nil, err
	}
	if row.Mode == EncryptedC {
		return openWith(customer, row)
	}
	provider, id, err := s.provider(row)
	if err != nil {
		return nil, err
	}
	with, err := provider.Unseal(ctx, id, row.DataKey, row.Context)
	if err != nil {
		return nil, keyError(err)
	}
	defer with.Wipe()
	key, err := sse.OpenKey(row.Sealed, (*[sse.KeySize]byte)(&with))
	if err != nil {
		return nil, fmt.Errorf("opening an object's key: %w", err)
	}
	return key, nil
}

// openKeyOf is openKey for a version that was read before.
func (s *Service) openKeyOf(ctx context.Context, of owner, customer *sse.CustomerKey) (*sse.ObjectKey, error) {
	return s.openKeyNow(ctx, of.row.Encryption, customer, func() (*metadata.Encryption, error) {
		var now *metadata.Object
		err := s.db.View(ctx, "key", func(r *metadata.Reader) (err error) {
			now, err = sameVersion(r, of.bucket, of.row)
			return err
		})
		if err != nil || now == nil {
			return nil, err
		}
		return now.Encryption, nil
	})
}

// showsSums holds a request for checksums to the key of SSE-KMS, as AWS does:
// they tell of the plaintext, of which nothing is told once the key is gone.
func (s *Service) showsSums(ctx context.Context, of owner) error {
	if x := of.row.Encryption; x == nil || x.Mode != EncryptedKMS {
		return nil
	}
	key, err := s.openKeyOf(ctx, of, nil)
	key.Wipe()
	return err
}

// openKeyNow is openKey for a row that was read before. Since then its data key
// may have been sealed anew, and what sealed the old one may be gone: one that does
// not open is looked for once more.
func (s *Service) openKeyNow(
	ctx context.Context, row *metadata.Encryption, customer *sse.CustomerKey, now func() (*metadata.Encryption, error),
) (*sse.ObjectKey, error) {
	key, err := s.openKey(ctx, row, customer)
	if err == nil || row == nil || row.Mode == EncryptedC || ctx.Err() != nil {
		return key, err
	}
	fresh, e := now()
	if e != nil || fresh == nil || bytes.Equal(fresh.DataKey, row.DataKey) {
		return nil, err
	}
	return s.openKey(ctx, fresh, customer)
}

func openWith(customer *sse.CustomerKey, row *metadata.Encryption) (*sse.ObjectKey, error) {
	key, err := customer.Open(row.Sealed)
	if errors.Is(err, sse.ErrWrongKey) {
		err = s3.NewError(s3.InvalidRequest).WithMessage(wrongCustomerKey).Because(err)
	}
	return key, err
}

// What a client is told of its key.
const (
	noCustomerKey = "The object was stored using a form of Server Side Encryption. " +
		"The correct parameters must be provided to retrieve the object."
	noKeyOfUpload = "The multipart upload initiate requested encryption. " +
		"Subsequent part requests must include the appropriate encryption parameters."
	wrongCustomerKey   = "The provided encryption parameters did not match the ones used originally."
	needlessKey        = "The encryption parameters are not applicable to this object."
	needlessKeyOfParts = "The multipart upload initiate did not request encryption with a customer provided key. " +
		"The encryption parameters are not applicable to its parts."
)

// needsKey holds that a request brings the client's key where, and only where,
// there is one.
func needsKey(row *metadata.Encryption, customer *sse.CustomerKey) error {
	switch sealed := row != nil && row.Mode == EncryptedC; {
	case sealed && customer == nil:
		return s3.NewError(s3.InvalidRequest).WithMessage(noCustomerKey)
	case !sealed && customer != nil:
		return s3.NewError(s3.InvalidRequest).WithMessage(needlessKey)
	}
	return nil
}

// checkKey is what openKey says of the client's key, without asking a
// provider: a description needs no more.
func checkKey(row *metadata.Encryption, customer *sse.CustomerKey) error {
	if err := needsKey(row, customer); err != nil || row == nil || row.Mode != EncryptedC {
		return err
	}
	key, err := openWith(customer, row)
	key.Wipe()
	return err
}

// partKey opens the key of an upload for one of its parts.
func (s *Service) partKey(ctx context.Context, t *target, u *metadata.Upload, customer *sse.CustomerKey) (*sealing, error) {
	row := u.Encryption
	switch sealed := row != nil && row.Mode == EncryptedC; {
	case sealed && customer == nil:
		return nil, s3.NewError(s3.InvalidRequest).WithMessage(noKeyOfUpload)
	case !sealed && customer != nil:
		return nil, s3.NewError(s3.InvalidRequest).WithMessage(needlessKeyOfParts)
	case row == nil:
		return nil, nil //nolint:nilnil // a nil sealing encrypts nothing
	}
	key, err := s.openKeyNow(ctx, row, customer, func() (*metadata.Encryption, error) {
		now, err := t.view(ctx, s)
		if err != nil {
			return nil, err
		}
		return now.Encryption, nil
	})
	if err != nil {
		return nil, err
	}
	return &sealing{key: key, row: row}, nil
}

// keyErrors says what a client is told of its key provider's errors.
//
//nolint:gochecknoglobals // a constant table
var keyErrors = []errorCode{
	{keys.ErrNoKey, s3.KMSNotFound, "The specified key does not exist."},
	{keys.ErrDisabled, s3.KMSDisabled, "The specified key is disabled."},
	{keys.ErrDenied, s3.AccessDenied, "The key provider does not allow the use of the key."},
	{keys.ErrUnavailable, s3.ServiceUnavailable, "The key provider cannot be reached. Try again later."},
	{keys.ErrContext, s3.InvalidArgument, "The encryption context is too long."},
}

// keyError is the error of a key provider as S3 has it.
func keyError(err error) error {
	return cmp.Or(codeOf(keyErrors, err), err)
}

// encryptedOf describes the encryption of a row.
func encryptedOf(row *metadata.Encryption) Encrypted {
	if row == nil {
		return Encrypted{}
	}
	return Encrypted{Mode: row.Mode, KeyID: row.KeyID, BucketKey: row.BucketKey}
}

// shownTo describes the encryption of a row to who came with the client's key.
func shownTo(row *metadata.Encryption, customer *sse.CustomerKey) Encrypted {
	out := encryptedOf(row)
	if out.Mode == EncryptedC && customer != nil {
		out.CustomerMD5 = customer.MD5()
	}
	return out
}

// shown describes what was asked for and done.
func (e *Encryption) shown(row *metadata.Encryption) Encrypted {
	out := shownTo(row, e.Customer)
	if out.Mode == EncryptedKMS {
		out.Context = e.Context
	}
	return out
}
