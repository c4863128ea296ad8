package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/undercroft/undercroft/admin"
	"github.com/undercroft/undercroft/iam/directory"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/keys/keyring"
	"github.com/undercroft/undercroft/metadata"
)

const (
	// rewrapJob is the job that moves data keys to the newest versions.
	rewrapJob = "rewrap"
	// countFor bounds the time to count what is sealed under a key.
	countFor = 10 * time.Second
)

// encryptionKeys shows the keyring of a store to administrators.
type encryptionKeys struct {
	set   *keySet
	store *single.System
	who   *directory.Directory
}

var _ admin.EncryptionKeyDirectory = encryptionKeys{}

// EncryptionKeys implements [admin.EncryptionKeyDirectory], as the methods below do
// theirs.
func (e encryptionKeys) EncryptionKeys(ctx context.Context) (admin.EncryptionKeyList, error) {
	rows, err := e.set.ring.List(ctx)
	out := admin.EncryptionKeyList{Keys: []admin.EncryptionKey{}, Provider: string(e.set.cfg.Provider), Default: e.set.defaultKey()}
	for i := range rows {
		out.Keys = append(out.Keys, showEncryptionKey(&rows[i]))
	}
	return out, err
}

func showEncryptionKey(row *metadata.EncryptionKey) admin.EncryptionKey {
	out := admin.EncryptionKey{
		Name: row.Name, State: row.State.String(), Description: row.Description, Created: row.Created, Changed: row.Changed,
		Versions: []admin.EncryptionKeyVersion{},
	}
	for _, v := range row.Versions {
		out.Versions = append(out.Versions, admin.EncryptionKeyVersion{
			Number: v.Number, Created: v.Created, MasterKey: fmt.Sprintf("%016x", v.MasterKey), Ending: v.Number < row.Oldest,
		})
	}
	return out
}

// answer shows a key that was changed, or says why it was not.
func answer(row metadata.EncryptionKey, err error) (admin.EncryptionKey, error) {
	switch {
	case err == nil:
		return showEncryptionKey(&row), nil
	case errors.Is(err, keyring.ErrExists), errors.Is(err, keyring.ErrReserved), errors.Is(err, keyring.ErrLimit), errors.Is(err, keys.ErrDisabled),
		errors.Is(err, keyring.ErrDescription), errors.Is(err, keyring.ErrName):
		err = fmt.Errorf("%w: %w", admin.ErrEncryptionKey, err)
	case errors.Is(err, keys.ErrNoKey):
		err = fmt.Errorf("%w: %w", admin.ErrNoEncryptionKey, err)
	}
	return admin.EncryptionKey{}, err
}

// EncryptionKey implements [admin.EncryptionKeyDirectory].
func (e encryptionKeys) EncryptionKey(ctx context.Context, name string) (admin.EncryptionKey, error) {
	out, err := answer(e.set.ring.Show(ctx, name))
	if err != nil {
		return out, err
	}
	use, err := e.store.CountKeyUse(ctx, name, countFor)
	out.Use = &admin.EncryptionKeyUse{Objects: use.Objects, Partial: use.Partial}
	return out, err
}

// CreateEncryptionKey implements [admin.EncryptionKeyDirectory].
func (e encryptionKeys) CreateEncryptionKey(ctx context.Context, in admin.NewEncryptionKey) (admin.EncryptionKey, error) {
	return answer(e.set.ring.Create(ctx, in.Name, in.Description))
}

// RotateEncryptionKey implements [admin.EncryptionKeyDirectory].
func (e encryptionKeys) RotateEncryptionKey(ctx context.Context, name string) (admin.EncryptionKeyChange, error) {
	return e.rewrap(ctx)(answer(e.set.ring.Rotate(ctx, name)))
}

// rewrap starts the job that moves data keys, after a key was changed.
func (e encryptionKeys) rewrap(ctx context.Context) func(admin.EncryptionKey, error) (admin.EncryptionKeyChange, error) {
	return func(key admin.EncryptionKey, err error) (admin.EncryptionKeyChange, error) {
		out := admin.EncryptionKeyChange{EncryptionKey: key, Job: rewrapJob}
		if err != nil {
			return out, err
		}
		if out.Wish, err = e.store.Steward.RunNow(ctx, rewrapJob); err != nil {
			return out, fmt.Errorf("the key is changed, but the job %s was not asked to run (admin keys rewrap does that): %w", rewrapJob, err)
		}
		return out, nil
	}
}

// SwitchEncryptionKey implements [admin.EncryptionKeyDirectory].
func (e encryptionKeys) SwitchEncryptionKey(ctx context.Context, name, state string) (admin.EncryptionKey, error) {
	switch state {
	case admin.KeyEnabled:
		return answer(e.set.ring.Enable(ctx, name))
	case admin.KeyDisabled:
		return answer(e.set.ring.Disable(ctx, name))
	default:
		return admin.EncryptionKey{}, fmt.Errorf("%w: %q is neither %s nor %s", admin.ErrEncryptionKey, state, admin.KeyEnabled, admin.KeyDisabled)
	}
}

// DropEncryptionKeyVersions implements [admin.EncryptionKeyDirectory].
func (e encryptionKeys) DropEncryptionKeyVersions(ctx context.Context, name string) (admin.EncryptionKeyChange, error) {
	return e.rewrap(ctx)(answer(e.set.ring.Retire(ctx, name)))
}

// DeleteEncryptionKey implements [admin.EncryptionKeyDirectory].
func (e encryptionKeys) DeleteEncryptionKey(ctx context.Context, name string) (admin.EncryptionKey, error) {
	return answer(e.set.ring.Delete(ctx, name))
}

// RotateMasterKey implements [admin.EncryptionKeyDirectory].
func (e encryptionKeys) RotateMasterKey(ctx context.Context) (out admin.MasterKeyRotation, err error) {
	out.MasterKey, out.Ended = fmt.Sprintf("%016x", e.set.sealer.ID()), []string{}
	if err := e.reseal(ctx, &out); err != nil {
		return out, err
	}
	var ended []uint64
	err = e.store.DB.Update(ctx, "account", func(tx *metadata.Tx) (err error) {
		ended, err = e.set.sealer.End(tx)
		return err
	})
	if err != nil {
		return out, fmt.Errorf("forgetting the previous master key: %w", err)
	}
	if len(ended) == 0 {
		return out, fmt.Errorf("%w: everything is sealed under the configured master key already; to replace it, start the server with the new one as "+
			"master-key-file and the one in use as previous-master-key-file", admin.ErrEncryptionKey)
	}
	for _, id := range ended {
		out.Ended = append(out.Ended, fmt.Sprintf("%016x", id))
	}
	// What another process sealed in between under the previous one, which none can
	// from now on.
	return out, e.reseal(ctx, &out)
}

// reseal seals anew what the previous master key sealed.
func (e encryptionKeys) reseal(ctx context.Context, out *admin.MasterKeyRotation) error {
	accessKeys, err := e.who.Reseal(ctx)
	out.AccessKeys += accessKeys
	if err != nil {
		return err
	}
	encryptionKeys, err := e.set.ring.Reseal(ctx)
	out.EncryptionKeys += encryptionKeys
	return err
}
