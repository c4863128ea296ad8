package keyring

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/undercroft/undercroft/iam/directory"
	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/metadata"
)

// Generate implements [keys.Provider].
func (k *Keyring) Generate(ctx context.Context, keyID string, encCtx []byte) (plain keys.DataKey, sealed []byte, err error) {
	v, err := k.newest(ctx, keyID)
	if err != nil {
		return keys.DataKey{}, nil, err
	}
	defer v.key.Wipe()
	if _, err := io.ReadFull(k.o.Rand, plain[:]); err != nil {
		return keys.DataKey{}, nil, fmt.Errorf("making a data key: %w", err)
	}
	if sealed, err = k.wrap(&v, &plain, keyID, encCtx); err != nil {
		plain.Wipe()
		return keys.DataKey{}, nil, err
	}
	return plain, sealed, nil
}

// newest is the newest version of a key, which is made if it is one of those that
// come to be when they are used.
func (k *Keyring) newest(ctx context.Context, keyID string) (version, error) {
	v, err := k.use(ctx, keyID, 0)
	if errors.Is(err, keys.ErrNoKey) && slices.Contains(k.o.Made, keyID) {
		if _, err := k.Create(ctx, keyID, "made when it was first used"); err != nil && !errors.Is(err, ErrExists) {
			return version{}, unavailable(err)
		}
		v, err = k.use(ctx, keyID, 0)
	}
	return v, unavailable(err)
}

func (k *Keyring) wrap(v *version, plain *keys.DataKey, keyID string, encCtx []byte) ([]byte, error) {
	if len(encCtx) > keys.MaxContext {
		return nil, keys.ErrContext
	}
	return keys.Wrap(k.o.Rand, &v.key, plain, keys.Bound{Key: keyID, Version: v.number, Context: encCtx})
}

// Unseal implements [keys.Provider].
func (k *Keyring) Unseal(ctx context.Context, keyID string, sealed, encCtx []byte) (keys.DataKey, error) {
	v, plain, err := k.open(ctx, keyID, sealed, encCtx)
	v.key.Wipe()
	return plain, err
}

// open opens a data key and returns the version that sealed it.
func (k *Keyring) open(ctx context.Context, keyID string, sealed, encCtx []byte) (version, keys.DataKey, error) {
	number, err := keys.WrappedVersion(sealed)
	if err == nil && number == 0 {
		err = fmt.Errorf("%w: sealed under no version", keys.ErrInvalid)
	}
	if err != nil {
		// That the key cannot be used says more.
		if v, unusable := k.use(ctx, keyID, 0); unusable != nil {
			return v, keys.DataKey{}, unavailable(unusable)
		}
		return version{}, keys.DataKey{}, err
	}
	v, err := k.use(ctx, keyID, number)
	if err != nil {
		return version{}, keys.DataKey{}, unavailable(err)
	}
	plain, err := keys.Unwrap(&v.key, sealed, keys.Bound{Key: keyID, Version: number, Context: encCtx})
	return v, plain, err
}

// Rewrap implements [keys.Provider].
func (k *Keyring) Rewrap(ctx context.Context, keyID string, sealed, encCtx []byte) ([]byte, error) {
	old, plain, err := k.open(ctx, keyID, sealed, encCtx)
	defer old.key.Wipe()
	defer plain.Wipe()
	if err != nil || old.number == old.newest {
		return nil, err
	}
	v, err := k.use(ctx, keyID, 0)
	if err != nil {
		return nil, unavailable(err)
	}
	defer v.key.Wipe()
	return k.wrap(&v, &plain, keyID, encCtx)
}

// Check implements [keys.Provider]. A key that is still to be made can be used.
func (k *Keyring) Check(ctx context.Context, keyID string) error {
	v, err := k.use(ctx, keyID, 0)
	v.key.Wipe()
	if errors.Is(err, keys.ErrNoKey) && slices.Contains(k.o.Made, keyID) {
		if _, missing := k.Show(ctx, keyID); errors.Is(missing, keys.ErrNoKey) {
			return nil
		}
	}
	return unavailable(err)
}

// unavailable makes an error of the metadata one of the provider.
func unavailable(err error) error {
	known := []error{
		keys.ErrNoKey, keys.ErrDisabled, keys.ErrUnavailable, keys.ErrDenied, keys.ErrInvalid, keys.ErrContext,
		context.Canceled, context.DeadlineExceeded, directory.ErrWrongMasterKey,
	}
	if err == nil || slices.ContainsFunc(known, func(k error) bool { return errors.Is(err, k) }) {
		return err
	}
	return fmt.Errorf("%w: %w", keys.ErrUnavailable, err)
}

// MayPublish says, in the transaction that publishes a sealed data key, whether
// that will open for as long as its key is there: see [metadata.Reader.MayPublish].
func (k *Keyring) MayPublish(r *metadata.Reader, keyID string, sealed []byte) (bool, error) {
	number, err := keys.WrappedVersion(sealed)
	if err != nil {
		return false, err
	}
	return r.MayPublish(keyID, number)
}
