package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/undercroft/undercroft/admin"
	"github.com/undercroft/undercroft/iam"
)

func accountVerbs() []verb {
	one := []string{"ACCOUNT"}
	return []verb{
		{"account create", nil, []string{"name", "email", "id", "access-key", "secret-key", "secret-key-file", "no-key"}, createAccount},
		{"account list", nil, nil, listAccounts},
		{"account show", one, nil, showAccount},
		{"account set", one, []string{"name", "email"}, setAccount},
		{"account disable", one, nil, switchAccount(true)},
		{"account enable", one, nil, switchAccount(false)},
		{"account delete", one, nil, deleteAccount},
	}
}

func createAccount(ctx context.Context, c *admin.Client, in *verbInput) error {
	ask := iam.NewAccount{ID: iam.AccountID(in.given["id"]), Name: in.given["name"], Email: in.given["email"]}
	secret, err := in.givenSecret()
	if err != nil {
		return err
	}
	switch {
	case in.optional("no-key") == nil:
		ask.Key = &iam.NewKey{AccessKey: in.given["access-key"], Secret: secret}
	case in.given["access-key"] != "" || secret != "":
		return fmt.Errorf("%w: --no-key contradicts the key that is given", errUsage)
	}
	out, err := c.CreateAccount(ctx, ask)
	if err != nil {
		return err
	}
	return in.show(out, func(w io.Writer) {
		writeAccount(w, out.Account)
		if out.Key != nil {
			writeSecret(w, *out.Key)
		}
	})
}

func writeAccount(w io.Writer, a iam.Account) {
	line(w, "account", string(a.ID))
	line(w, "canonical id", string(a.CanonicalID))
	line(w, "name", a.Name)
	line(w, "e-mail", a.Email)
	line(w, "created", a.Created.Format(time.RFC3339))
	line(w, "state", state(a.Disabled).String())
}

// list collects all pages of a list.
func list[T any](next func(iam.Page) ([]T, bool, error), after func(T) string) ([]T, error) {
	all := []T{}
	var page iam.Page
	for {
		items, more, err := next(page)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if !more || len(items) == 0 {
			return all, nil
		}
		page.After = after(items[len(items)-1])
	}
}

func listAccounts(ctx context.Context, c *admin.Client, in *verbInput) error {
	all, err := list(func(p iam.Page) ([]iam.Account, bool, error) { return c.Accounts(ctx, p) },
		func(a iam.Account) string { return string(a.ID) })
	if err != nil {
		return err
	}
	return in.show(all, func(w io.Writer) {
		line(w, "ACCOUNT", "NAME", "E-MAIL", "STATE", "CREATED")
		for _, a := range all {
			line(w, string(a.ID), a.Name, a.Email, state(a.Disabled).String(), a.Created.Format(time.RFC3339))
		}
	})
}

func showAccount(ctx context.Context, c *admin.Client, in *verbInput) error {
	return in.account(c.Account(ctx, in.argument(0)))
}

func (in *verbInput) account(a iam.Account, err error) error {
	if err != nil {
		return err
	}
	return in.show(a, func(w io.Writer) { writeAccount(w, a) })
}

func setAccount(ctx context.Context, c *admin.Client, in *verbInput) error {
	return in.account(c.ChangeAccount(ctx, in.argument(0), iam.AccountChange{Name: in.optional("name"), Email: in.optional("email")}))
}

func switchAccount(disabled bool) func(context.Context, *admin.Client, *verbInput) error {
	return func(ctx context.Context, c *admin.Client, in *verbInput) error {
		return in.account(c.ChangeAccount(ctx, in.argument(0), iam.AccountChange{Disabled: &disabled}))
	}
}

func deleteAccount(ctx context.Context, c *admin.Client, in *verbInput) error {
	return in.deleted("account", in.argument(0), c.DeleteAccount(ctx, in.argument(0)))
}

// deleted says what was deleted.
func (in *verbInput) deleted(what, name string, err error) error {
	if err != nil {
		return err
	}
	return in.show(map[string]string{"deleted": name}, func(w io.Writer) { line(w, "deleted "+what+" "+name) })
}
