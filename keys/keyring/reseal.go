package keyring

import (
	"context"
	"errors"
	"fmt"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
)

// Reseal seals the versions of keys anew that another master key sealed, and
// returns how many keys had some. The keys stay what they are. It may be repeated.
func (k *Keyring) Reseal(ctx context.Context) (n int64, err error) {
	all, err := k.List(ctx)
	if err != nil {
		return 0, err
	}
	for i := range all {
		changed, err := k.resealKey(ctx, all[i].Name)
		if errors.Is(err, kv.ErrUnknownCommit) {
			// What is there already is not sealed again: to repeat it does no harm.
			changed, err = k.resealKey(ctx, all[i].Name)
		}
		if err != nil {
			return n, fmt.Errorf("sealing encryption key %s anew: %w", all[i].Name, err)
		}
		if changed {
			n++
		}
	}
	return n, nil
}

func (k *Keyring) resealKey(ctx context.Context, name string) (changed bool, err error) {
	err = k.db.Update(ctx, "encryption key", func(tx *metadata.Tx) error {
		changed = false
		row, err := tx.EncryptionKey(name)
		if err != nil || row == nil {
			return err
		}
		for i := range row.Versions {
			v := &row.Versions[i]
			if v.MasterKey == k.seal.ID() {
				continue
			}
			changed = true
			if err := k.resealVersion(row.Name, v); err != nil {
				return err
			}
		}
		if !changed {
			return nil
		}
		return k.put(tx, row)
	})
	return changed, err
}

func (k *Keyring) resealVersion(name string, v *metadata.KeyVersion) error {
	text, err := k.seal.Open(v.MasterKey, v.Sealed, about(name, v.Number))
	if err != nil {
		return err
	}
	defer clear(text)
	sealed, err := k.seal.Seal(text, about(name, v.Number))
	v.MasterKey, v.Sealed = k.seal.ID(), sealed
	return err
}
