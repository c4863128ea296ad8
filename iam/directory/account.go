package directory

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/metadata"
)

// The classes of transactions. Those that take something away go on when the
// disk of the metadata is full.
const (
	classGive = "account"
	classTake = "account-revoke"
)

// defaultPage and maxPage bound the pages of lists.
const (
	defaultPage = 1000
	maxPage     = 10_000
)

func pageSize(limit int) int {
	if limit <= 0 {
		return defaultPage
	}
	return min(limit, maxPage)
}

func accountOf(a *metadata.Account) iam.Account {
	return iam.Account{
		ID: iam.AccountID(a.ID), CanonicalID: iam.CanonicalID(a.Canonical), Name: a.Name, Email: a.Email,
		Created: a.Created, Disabled: a.Disabled,
	}
}

// resolve finds an account by its number, its e-mail address or its canonical id.
func resolve(r *metadata.Reader, ref string) (a *metadata.Account, err error) {
	switch {
	case iam.CheckAccountID(iam.AccountID(ref)) == nil:
		a, err = r.Account(ref)
	case strings.Contains(ref, "@"):
		a, err = r.AccountByEmail(ref)
	case ref != "":
		a, err = r.AccountByCanonicalID(ref)
	}
	if err == nil && a == nil {
		err = fmt.Errorf("%w: %q (name it by its number, e-mail address or canonical id)", iam.ErrNoSuchAccount, ref)
	}
	return a, err
}

// errNumberTaken is a random number that is in use.
var errNumberTaken = errors.New("the number is taken")

// CreateAccount makes an account, and an access key of its root when in asks
// for one. The error wraps ErrInvalid or ErrExists.
func (d *Directory) CreateAccount(ctx context.Context, in iam.NewAccount) (iam.CreatedAccount, error) {
	if err := checkNewAccount(in); err != nil {
		return iam.CreatedAccount{}, err
	}
	for {
		id := in.ID
		if id == "" {
			var err error
			if id, err = d.randomAccountID(); err != nil {
				return iam.CreatedAccount{}, err
			}
		}
		out, err := d.createAccount(ctx, id, in)
		switch {
		case !errors.Is(err, errNumberTaken):
			return out, err
		case in.ID != "":
			return out, fmt.Errorf("%w: account %s, or one of this number that was deleted", iam.ErrExists, id)
		}
	}
}

func checkNewAccount(in iam.NewAccount) error {
	if in.ID != "" {
		if err := iam.CheckAccountID(in.ID); err != nil {
			return err
		}
	}
	if err := iam.CheckAccountName(in.Name); err != nil {
		return err
	}
	if in.Email != "" {
		return iam.CheckEmail(in.Email)
	}
	return nil
}

func (d *Directory) createAccount(ctx context.Context, id iam.AccountID, in iam.NewAccount) (out iam.CreatedAccount, err error) {
	a := &metadata.Account{
		ID: string(id), Canonical: string(iam.CanonicalIDOf(id)), Name: in.Name, Email: in.Email, Created: d.now(),
	}
	out.Account = accountOf(a)
	var k *metadata.AccessKey
	if in.Key != nil {
		pair, row, err := d.newKey(*in.Key)
		if err != nil {
			return iam.CreatedAccount{}, err
		}
		row.Account, row.User, pair.Account, pair.User = a.ID, "", id, ""
		out.Key, k = &pair, row
	}
	err = d.update(ctx, classGive, func(tx *metadata.Tx) error {
		used, err := tx.CanonicalName(a.Canonical)
		if err != nil {
			return err
		}
		if used != nil {
			return errNumberTaken
		}
		if err := requireFreeEmail(tx, a.Email); err != nil {
			return err
		}
		if err := tx.PutAccount(nil, a); err != nil || k == nil {
			return err
		}
		return d.putNewKey(tx, k)
	}, func(r *metadata.Reader) (bool, error) {
		// The number alone could be another's, who asked for the same.
		there, err := r.Account(a.ID)
		return there != nil && accountOf(there) == out.Account, err
	})
	if err != nil {
		return iam.CreatedAccount{}, err
	}
	return out, nil
}

func requireFreeEmail(tx *metadata.Tx, email string) error {
	other, err := tx.AccountByEmail(email)
	if err == nil && other != nil {
		err = fmt.Errorf("%w: account %s has the e-mail address %s", iam.ErrExists, other.ID, email)
	}
	return err
}

// randomAccountID draws a number of 12 digits without a leading zero.
func (d *Directory) randomAccountID() (iam.AccountID, error) {
	var raw [8]byte
	if _, err := io.ReadFull(d.o.Rand, raw[:]); err != nil {
		return "", fmt.Errorf("making an account id: %w", err)
	}
	const first, count = 100_000_000_000, 900_000_000_000
	return iam.AccountID(fmt.Sprintf("%012d", first+binary.BigEndian.Uint64(raw[:])%count)), nil
}

// Account finds an account by its number, e-mail address or canonical id.
func (d *Directory) Account(ctx context.Context, ref string) (iam.Account, error) {
	return d.find(ctx, func(r *metadata.Reader) (iam.Account, error) { return found(ref)(resolve(r, ref)) })
}

// Accounts lists accounts by number.
func (d *Directory) Accounts(ctx context.Context, page iam.Page) (out []iam.Account, more bool, err error) {
	err = d.db.View(ctx, classGive, func(r *metadata.Reader) error {
		rows, left, err := r.Accounts(page.After, pageSize(page.Limit))
		if err != nil {
			return err
		}
		out, more = make([]iam.Account, len(rows)), left
		for i := range rows {
			out[i] = accountOf(&rows[i])
		}
		return nil
	})
	return out, more, err
}

// ChangeAccount changes an account. The installation's own cannot be disabled.
func (d *Directory) ChangeAccount(ctx context.Context, ref string, change iam.AccountChange) (out iam.Account, err error) {
	if change.Name != nil {
		if err := iam.CheckAccountName(*change.Name); err != nil {
			return iam.Account{}, err
		}
	}
	if change.Email != nil && *change.Email != "" {
		if err := iam.CheckEmail(*change.Email); err != nil {
			return iam.Account{}, err
		}
	}
	err = d.update(ctx, classOf(change.Disabled), func(tx *metadata.Tx) error {
		before, err := resolve(&tx.Reader, ref)
		if err != nil {
			return err
		}
		if change.Disabled != nil && *change.Disabled && before.ID == string(iam.RootAccount) {
			return fmt.Errorf("%w: the account of the installation cannot be disabled", iam.ErrInvalid)
		}
		after := *before
		set(&after.Name, change.Name)
		set(&after.Email, change.Email)
		set(&after.Disabled, change.Disabled)
		if !strings.EqualFold(after.Email, before.Email) {
			if err := requireFreeEmail(tx, after.Email); err != nil {
				return err
			}
		}
		out = accountOf(&after)
		return tx.PutAccount(before, &after)
	}, func(r *metadata.Reader) (bool, error) {
		there, err := r.Account(string(out.ID))
		return there != nil && accountOf(there) == out, err
	})
	return out, err
}

// set replaces a value where there is a new one.
func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// classOf is the class of a change: disabling goes on when the disk is full.
func classOf(disable *bool) string {
	if disable != nil && *disable {
		return classTake
	}
	return classGive
}

// DeleteAccount removes an account with the access keys of its root. It must have
// no buckets and no users. Its number is not given out again.
func (d *Directory) DeleteAccount(ctx context.Context, ref string) error {
	var id string
	return d.update(ctx, classTake, func(tx *metadata.Tx) error {
		a, err := resolve(&tx.Reader, ref)
		if err != nil {
			return err
		}
		id = a.ID
		if id == string(iam.RootAccount) {
			return fmt.Errorf("%w: the account of the installation cannot be deleted", iam.ErrInvalid)
		}
		buckets, _, err := tx.Buckets(a.Canonical, "", "", 1)
		if err != nil {
			return err
		}
		if len(buckets) > 0 {
			return fmt.Errorf("%w: account %s owns the bucket %q: delete its buckets first", iam.ErrInUse, id, buckets[0].Name)
		}
		users, _, err := tx.Users(a.ID, "", 1)
		if err != nil {
			return err
		}
		if len(users) > 0 {
			return fmt.Errorf("%w: account %s has the user %q: delete its users first", iam.ErrInUse, id, users[0].Name)
		}
		return tx.DeleteAccount(a, d.now())
	}, func(r *metadata.Reader) (bool, error) {
		there, err := r.Account(id)
		return there == nil, err
	})
}
