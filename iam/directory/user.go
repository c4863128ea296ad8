package directory

import (
	"context"
	"fmt"
	"io"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/metadata"
)

func userOf(u *metadata.User) iam.User {
	return iam.User{
		Account: iam.AccountID(u.Account), Name: u.Name, ID: u.ID, DisplayName: u.Display, Email: u.Email,
		Created: u.Created, Disabled: u.Disabled, Policy: string(u.Policy),
	}
}

func resolveUser(r *metadata.Reader, account, name string) (*metadata.User, error) {
	a, err := resolve(r, account)
	if err != nil {
		return nil, err
	}
	u, err := r.User(a.ID, name)
	if err == nil && u == nil {
		err = fmt.Errorf("%w: %q in account %s", iam.ErrNoSuchUser, name, a.ID)
	}
	return u, err
}

// CreateUser makes a user of an account. It may do nothing until a policy says so.
func (d *Directory) CreateUser(ctx context.Context, account string, in iam.NewUser) (out iam.User, err error) {
	if err := iam.CheckUserName(in.Name); err != nil {
		return iam.User{}, err
	}
	if err := checkUser(in.DisplayName, in.Email, in.Policy); err != nil {
		return iam.User{}, err
	}
	id, err := d.randomUserID()
	if err != nil {
		return iam.User{}, err
	}
	u := &metadata.User{
		Name: in.Name, ID: id, Display: in.DisplayName, Email: in.Email, Created: d.now(), Policy: []byte(in.Policy),
	}
	err = d.update(ctx, classGive, func(tx *metadata.Tx) error {
		a, err := resolve(&tx.Reader, account)
		if err != nil {
			return err
		}
		u.Account = a.ID
		there, err := tx.User(a.ID, u.Name)
		if err != nil {
			return err
		}
		if there != nil {
			return fmt.Errorf("%w: user %q of account %s", iam.ErrExists, u.Name, a.ID)
		}
		return tx.PutUser(u)
	}, func(r *metadata.Reader) (bool, error) {
		there, err := r.User(u.Account, u.Name)
		return there != nil && there.ID == u.ID, err
	})
	if err != nil {
		return iam.User{}, err
	}
	return userOf(u), nil
}

func checkUser(display, email, policy string) error {
	if display != "" {
		if err := iam.CheckAccountName(display); err != nil {
			return err
		}
	}
	if email != "" {
		if err := iam.CheckEmail(email); err != nil {
			return err
		}
	}
	return checkPolicy(policy)
}

// randomUserID makes an id such as AIDAJQABLZS4A3QDU576Q.
func (d *Directory) randomUserID() (string, error) {
	const prefix, alphabet = "AIDA", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	var raw [17]byte
	if _, err := io.ReadFull(d.o.Rand, raw[:]); err != nil {
		return "", fmt.Errorf("making a user id: %w", err)
	}
	id := []byte(prefix)
	for _, b := range raw {
		id = append(id, alphabet[b%32])
	}
	return string(id), nil
}

// User describes a user.
func (d *Directory) User(ctx context.Context, account, name string) (out iam.User, err error) {
	err = d.db.View(ctx, classGive, func(r *metadata.Reader) error {
		u, err := resolveUser(r, account, name)
		if err == nil {
			out = userOf(u)
		}
		return err
	})
	return out, err
}

// Users lists the users of an account by name.
func (d *Directory) Users(ctx context.Context, account string, page iam.Page) (out []iam.User, more bool, err error) {
	err = d.db.View(ctx, classGive, func(r *metadata.Reader) error {
		a, err := resolve(r, account)
		if err != nil {
			return err
		}
		rows, left, err := r.Users(a.ID, page.After, pageSize(page.Limit))
		if err != nil {
			return err
		}
		out, more = make([]iam.User, len(rows)), left
		for i := range rows {
			out[i] = userOf(&rows[i])
		}
		return nil
	})
	return out, more, err
}

// ChangeUser changes a user.
func (d *Directory) ChangeUser(ctx context.Context, account, name string, change iam.UserChange) (out iam.User, err error) {
	var given iam.NewUser
	set(&given.DisplayName, change.DisplayName)
	set(&given.Email, change.Email)
	set(&given.Policy, change.Policy)
	if err := checkUser(given.DisplayName, given.Email, given.Policy); err != nil {
		return iam.User{}, err
	}
	err = d.update(ctx, classOf(change.Disabled), func(tx *metadata.Tx) error {
		u, err := resolveUser(&tx.Reader, account, name)
		if err != nil {
			return err
		}
		set(&u.Display, change.DisplayName)
		set(&u.Email, change.Email)
		set(&u.Disabled, change.Disabled)
		if change.Policy != nil {
			u.Policy = []byte(*change.Policy)
		}
		out = userOf(u)
		return tx.PutUser(u)
	}, func(r *metadata.Reader) (bool, error) {
		there, err := r.User(string(out.Account), name)
		return there != nil && userOf(there) == out, err
	})
	return out, err
}

// DeleteUser removes a user with its access keys.
func (d *Directory) DeleteUser(ctx context.Context, account, name string) error {
	var gone *metadata.User
	return d.update(ctx, classTake, func(tx *metadata.Tx) error {
		u, err := resolveUser(&tx.Reader, account, name)
		if err != nil {
			return err
		}
		gone = u
		return tx.DeleteUser(u)
	}, func(r *metadata.Reader) (bool, error) {
		there, err := r.User(gone.Account, gone.Name)
		return there == nil || there.ID != gone.ID, err
	})
}
