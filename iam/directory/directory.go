// Package directory keeps accounts, users and access keys in the metadata.
//
// It is the [iam.Keyring] of a server and finds accounts for grants
// ([iam.Accounts]). Answers come from a bounded cache that is checked against the
// generation stamp of the metadata: what one gateway changes, every other
// one sees with its next request, and an access key that is disabled or
// deleted stops working at once.
//
// Secrets are encrypted under the master key with AES-256-GCM, bound to their
// access key: who reads the metadata without the master key has no secret, and a
// row that is copied under another access key does not open. A store whose
// secrets were sealed under another master key does not open either.
//
// The package decides nothing about requests and speaks no HTTP. Only cmd
// imports it; the layers above know the interfaces of iam.
package directory

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
)

// Options configure a Directory. Now, RootAccessKey and RootSecret are required.
type Options struct {
	// RootAccessKey and RootSecret are the credential of the installation's root,
	// which is not kept in the metadata.
	RootAccessKey, RootSecret string
	MasterKey                 MasterKey
	// Previous is the master key that MasterKey replaces: what it sealed opens
	// still. Zero: there is none.
	Previous MasterKey
	Now      func() time.Time
	// Rand makes keys and numbers; nil is crypto/rand. It must be safe for
	// concurrent use.
	Rand io.Reader
}

// Directory is the accounts of an installation. It is safe for concurrent use.
type Directory struct {
	db   *metadata.DB
	o    Options
	seal *Sealer
	// creds are by access key, known by canonical id.
	creds *cache[iam.Credential]
	known *cache[iam.Account]
}

var (
	_ iam.Keyring  = (*Directory)(nil)
	_ iam.Accounts = (*Directory)(nil)
)

// Open makes sure that the master key is the right one and that the account
// of the installation is there. The error is one line.
func Open(ctx context.Context, db *metadata.DB, o Options) (*Directory, error) {
	if o.Now == nil || o.RootAccessKey == "" || o.RootSecret == "" {
		return nil, errors.New("directory: Now, RootAccessKey and RootSecret are required")
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	d := &Directory{db: db, o: o, creds: newCache[iam.Credential](), known: newCache[iam.Account]()}
	var err error
	if d.seal, err = NewSealer(o.MasterKey, o.Previous, o.Rand); err != nil {
		return nil, err
	}
	var known bool
	err = db.View(ctx, "open", func(r *metadata.Reader) error {
		if err := d.seal.verify(r); err != nil {
			return err
		}
		root, err := r.Account(string(iam.RootAccount))
		known = root != nil
		return err
	})
	if err != nil || known {
		return d, err
	}
	return d, d.createRoot(ctx)
}

// Sealer seals under the master key of the directory.
func (d *Directory) Sealer() *Sealer { return d.seal }

// createRoot writes the account of the installation, which is there from the
// first start on.
func (d *Directory) createRoot(ctx context.Context) error {
	who := iam.RootIdentity()
	a := &metadata.Account{
		ID: string(who.AccountID), Canonical: string(who.CanonicalID), Name: who.DisplayName, Created: d.now(),
	}
	return d.update(ctx, "open", func(tx *metadata.Tx) error {
		there, err := tx.Account(a.ID)
		if err != nil || there != nil {
			return err
		}
		return tx.PutAccount(nil, a)
	}, func(r *metadata.Reader) (bool, error) {
		there, err := r.Account(a.ID)
		return there != nil, err
	})
}

// now is a time as records keep it.
func (d *Directory) now() time.Time { return d.o.Now().UTC().Truncate(time.Millisecond) }

// update runs a transaction and settles an ambiguous commit by one read:
// applied says whether it is there.
func (d *Directory) update(ctx context.Context, class string, fn func(*metadata.Tx) error, applied func(*metadata.Reader) (bool, error)) error {
	err := d.db.Update(ctx, class, fn)
	if !errors.Is(err, kv.ErrUnknownCommit) {
		return err
	}
	var there bool
	cause := err
	err = d.db.View(ctx, "settle", func(r *metadata.Reader) (err error) {
		there, err = applied(r)
		return err
	})
	if err != nil || !there {
		return errors.Join(cause, err)
	}
	return nil
}

// Lookup implements [iam.Keyring].
func (d *Directory) Lookup(ctx context.Context, accessKey string) (c iam.Credential, err error) {
	if accessKey == "" {
		return iam.Credential{}, iam.ErrNoSuchKey
	}
	err = d.db.ViewShared(ctx, "key", func(r *metadata.Reader) (err error) {
		c, err = d.creds.read(r, accessKey, d.credential)
		return err
	})
	if err != nil {
		return iam.Credential{}, err
	}
	return c, nil
}

// credential reads a credential as a snapshot has it.
func (d *Directory) credential(r *metadata.Reader, accessKey string) (iam.Credential, error) {
	if accessKey == d.o.RootAccessKey {
		a, err := r.Account(string(iam.RootAccount))
		if err != nil {
			return iam.Credential{}, err
		}
		who := iam.RootIdentity()
		if a != nil {
			who.DisplayName = a.Name
		}
		return iam.Credential{AccessKey: accessKey, Secret: d.o.RootSecret, Identity: who}, nil
	}
	d.ahead(r, accessKey)
	k, err := r.AccessKey(accessKey)
	if err != nil {
		return iam.Credential{}, err
	}
	if k == nil {
		return iam.Credential{}, iam.ErrNoSuchKey
	}
	if k.Disabled {
		return iam.Credential{}, fmt.Errorf("%w: access key %s is disabled", iam.ErrNoSuchKey, accessKey)
	}
	who, err := d.identity(r, k)
	if err != nil {
		return iam.Credential{}, err
	}
	secret, err := d.seal.open(k)
	if err != nil {
		return iam.Credential{}, err
	}
	return iam.Credential{AccessKey: accessKey, Secret: secret, Identity: who}, nil
}

// ahead sends the reads of whom a key signed for when it was looked at last.
func (d *Directory) ahead(r *metadata.Reader, accessKey string) {
	if !r.SendsAhead() {
		return
	}
	if known, ok := d.creds.last(accessKey); ok {
		r.AheadAccessKey(accessKey, string(known.Identity.AccountID), known.Identity.UserName)
	}
}

// identity is whom a key signs for.
func (d *Directory) identity(r *metadata.Reader, k *metadata.AccessKey) (iam.Identity, error) {
	a, err := r.Account(k.Account)
	switch {
	case err != nil:
		return iam.Identity{}, err
	case a == nil:
		return iam.Identity{}, fmt.Errorf("%w: the account %s of access key %s is gone", iam.ErrNoSuchKey, k.Account, k.Key)
	case a.Disabled:
		return iam.Identity{}, fmt.Errorf("%w: the account %s of access key %s is disabled", iam.ErrNoSuchKey, k.Account, k.Key)
	}
	who := iam.Identity{
		AccountID: iam.AccountID(a.ID), CanonicalID: iam.CanonicalID(a.Canonical), DisplayName: a.Name,
	}
	if k.User == "" {
		who.UserID, who.Root = a.ID, true
		return who, nil
	}
	u, err := r.User(k.Account, k.User)
	switch {
	case err != nil:
		return iam.Identity{}, err
	case u == nil:
		return iam.Identity{}, fmt.Errorf("%w: the user %s of access key %s is gone", iam.ErrNoSuchKey, k.User, k.Key)
	case u.Disabled:
		return iam.Identity{}, fmt.Errorf("%w: the user %s of access key %s is disabled", iam.ErrNoSuchKey, k.User, k.Key)
	}
	who.UserName, who.UserID = u.Name, u.ID
	who.Policies, err = policiesOf(u)
	return who, err
}

// ByEmail implements [iam.Accounts].
func (d *Directory) ByEmail(ctx context.Context, email string) (iam.Account, error) {
	return d.find(ctx, func(r *metadata.Reader) (iam.Account, error) {
		return found(email)(r.AccountByEmail(email))
	})
}

// ByCanonicalID implements [iam.Accounts].
func (d *Directory) ByCanonicalID(ctx context.Context, id iam.CanonicalID) (iam.Account, error) {
	return d.find(ctx, func(r *metadata.Reader) (iam.Account, error) {
		return d.known.read(r, string(id), func(r *metadata.Reader, id string) (iam.Account, error) {
			return found(id)(r.AccountByCanonicalID(id))
		})
	})
}

// DisplayName implements [iam.Accounts].
func (d *Directory) DisplayName(ctx context.Context, id iam.CanonicalID) (string, error) {
	a, err := d.ByCanonicalID(ctx, id)
	if errors.Is(err, iam.ErrNoSuchAccount) {
		return "", nil
	}
	return a.Name, err
}

// find reads one account.
func (d *Directory) find(ctx context.Context, read func(*metadata.Reader) (iam.Account, error)) (a iam.Account, err error) {
	err = d.db.ViewShared(ctx, "account", func(r *metadata.Reader) (err error) {
		a, err = read(r)
		return err
	})
	return a, err
}

// found turns a row that is not there into an error that names it.
func found(name string) func(*metadata.Account, error) (iam.Account, error) {
	return func(a *metadata.Account, err error) (iam.Account, error) {
		if err == nil && a == nil {
			err = fmt.Errorf("%w: %q", iam.ErrNoSuchAccount, name)
		}
		if err != nil {
			return iam.Account{}, err
		}
		return accountOf(a), nil
	}
}
