package directory

import (
	"bytes"
	"context"
	"fmt"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/metadata"
)

// maxKeys bounds the access keys of one user, or of one account's root.
const maxKeys = 100

func keyOf(k *metadata.AccessKey) iam.AccessKey {
	return iam.AccessKey{
		AccessKey: k.Key, Account: iam.AccountID(k.Account), User: k.User, Created: k.Created, Rotated: k.Rotated,
		Disabled: k.Disabled, Description: k.Description,
	}
}

func resolveKey(r *metadata.Reader, key string) (*metadata.AccessKey, error) {
	k, err := r.AccessKey(key)
	if err == nil && k == nil {
		err = fmt.Errorf("%w: %q", iam.ErrNoSuchKey, key)
	}
	return k, err
}

// newKey makes the pair that in asks for, and its row without an owner.
func (d *Directory) newKey(in iam.NewKey) (iam.KeyPair, *metadata.AccessKey, error) {
	var none iam.KeyPair
	accessKey, secret, err := iam.GenerateKey(d.o.Rand)
	if err != nil {
		return none, nil, err
	}
	if in.AccessKey != "" {
		accessKey = in.AccessKey
		if err := iam.CheckAccessKey(accessKey); err != nil {
			return none, nil, err
		}
	}
	if in.Secret != "" {
		secret = in.Secret
		if err := iam.CheckSecret(secret); err != nil {
			return none, nil, err
		}
	}
	if err := iam.CheckDescription(in.Description); err != nil {
		return none, nil, err
	}
	row := &metadata.AccessKey{Key: accessKey, User: in.User, Created: d.now(), Description: in.Description}
	if err := d.seal.close(row, secret); err != nil {
		return none, nil, err
	}
	return iam.KeyPair{AccessKey: keyOf(row), Secret: secret}, row, nil
}

// putNewKey writes an access key that must not exist yet.
func (d *Directory) putNewKey(tx *metadata.Tx, k *metadata.AccessKey) error {
	there, err := tx.AccessKey(k.Key)
	if err != nil {
		return err
	}
	if there != nil || k.Key == d.o.RootAccessKey {
		return fmt.Errorf("%w: access key %s", iam.ErrExists, k.Key)
	}
	_, more, err := tx.AccessKeys(k.Account, k.User, "", maxKeys-1)
	if err != nil {
		return err
	}
	if more {
		return fmt.Errorf("%w: there are %d access keys of one owner already: delete one first", iam.ErrInUse, maxKeys)
	}
	if err := d.seal.Record(tx); err != nil {
		return err
	}
	return tx.PutAccessKey(k)
}

// CreateKey makes an access key of a user or of an account's root.
func (d *Directory) CreateKey(ctx context.Context, in iam.NewKey) (iam.KeyPair, error) {
	pair, row, err := d.newKey(in)
	if err != nil {
		return iam.KeyPair{}, err
	}
	err = d.update(ctx, classGive, func(tx *metadata.Tx) error {
		a, err := resolve(&tx.Reader, in.Account)
		if err != nil {
			return err
		}
		if in.User != "" {
			if _, err := resolveUser(&tx.Reader, a.ID, in.User); err != nil {
				return err
			}
		}
		row.Account, pair.Account = a.ID, iam.AccountID(a.ID)
		return d.putNewKey(tx, row)
	}, func(r *metadata.Reader) (bool, error) { return sealedAs(r, row) })
	if err != nil {
		return iam.KeyPair{}, err
	}
	return pair, nil
}

// sealedAs says whether an access key has the secret of a row: nobody else has
// its nonce.
func sealedAs(r *metadata.Reader, k *metadata.AccessKey) (bool, error) {
	there, err := r.AccessKey(k.Key)
	return there != nil && bytes.Equal(there.Sealed, k.Sealed), err
}

// Keys lists the access keys of a user, or of the account's root where user is
// empty.
func (d *Directory) Keys(ctx context.Context, account, user string) (out []iam.AccessKey, err error) {
	err = d.db.View(ctx, classGive, func(r *metadata.Reader) error {
		a, err := resolve(r, account)
		if err != nil {
			return err
		}
		if user != "" {
			if _, err := resolveUser(r, a.ID, user); err != nil {
				return err
			}
		}
		rows, _, err := r.AccessKeys(a.ID, user, "", 0)
		if err != nil {
			return err
		}
		out = make([]iam.AccessKey, len(rows))
		for i := range rows {
			out[i] = keyOf(&rows[i])
		}
		return nil
	})
	return out, err
}

// ChangeKey changes an access key.
func (d *Directory) ChangeKey(ctx context.Context, key string, change iam.KeyChange) (out iam.AccessKey, err error) {
	if change.Description != nil {
		if err := iam.CheckDescription(*change.Description); err != nil {
			return iam.AccessKey{}, err
		}
	}
	err = d.update(ctx, classOf(change.Disabled), func(tx *metadata.Tx) error {
		k, err := resolveKey(&tx.Reader, key)
		if err != nil {
			return err
		}
		set(&k.Disabled, change.Disabled)
		set(&k.Description, change.Description)
		out = keyOf(k)
		return tx.PutAccessKey(k)
	}, func(r *metadata.Reader) (bool, error) {
		there, err := r.AccessKey(key)
		return there != nil && keyOf(there) == out, err
	})
	return out, err
}

// RotateKey gives an access key another secret, a generated one where secret is
// empty. The old one stops working at once.
func (d *Directory) RotateKey(ctx context.Context, key, secret string) (iam.KeyPair, error) {
	pair, fresh, err := d.newKey(iam.NewKey{AccessKey: key, Secret: secret})
	if err != nil {
		return iam.KeyPair{}, err
	}
	err = d.update(ctx, classGive, func(tx *metadata.Tx) error {
		k, err := resolveKey(&tx.Reader, key)
		if err != nil {
			return err
		}
		k.MasterKey, k.Sealed, k.Rotated = fresh.MasterKey, fresh.Sealed, d.now()
		pair.AccessKey = keyOf(k)
		if err := d.seal.Record(tx); err != nil {
			return err
		}
		return tx.PutAccessKey(k)
	}, func(r *metadata.Reader) (bool, error) { return sealedAs(r, fresh) })
	if err != nil {
		return iam.KeyPair{}, err
	}
	return pair, nil
}

// DeleteKey removes an access key.
func (d *Directory) DeleteKey(ctx context.Context, key string) error {
	var gone *metadata.AccessKey
	return d.update(ctx, classTake, func(tx *metadata.Tx) error {
		k, err := resolveKey(&tx.Reader, key)
		if err != nil {
			return err
		}
		gone = k
		return tx.DeleteAccessKey(k)
	}, func(r *metadata.Reader) (bool, error) {
		still, err := sealedAs(r, gone)
		return !still, err
	})
}
