package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/undercroft/undercroft/admin"
	"github.com/undercroft/undercroft/iam"
)

func userVerbs() []verb {
	both := []string{"ACCOUNT", "USER"}
	return []verb{
		{"user create", both, []string{"display-name", "email", "policy"}, createUser},
		{"user list", []string{"ACCOUNT"}, nil, listUsers},
		{"user show", both, nil, showUser},
		{"user set", both, []string{"display-name", "email"}, setUser},
		{"user disable", both, nil, switchUser(true)},
		{"user enable", both, nil, switchUser(false)},
		{"user delete", both, nil, deleteUser},
		{"user policy set", []string{"ACCOUNT", "USER", "FILE"}, nil, setPolicy},
		{"user policy show", both, nil, showPolicy},
		{"user policy delete", both, nil, deletePolicy},
	}
}

// readPolicy reads a policy document.
func readPolicy(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading the policy: %w", err)
	}
	return string(text), nil
}

func createUser(ctx context.Context, c *admin.Client, in *verbInput) error {
	ask := iam.NewUser{Name: in.argument(1), DisplayName: in.given["display-name"], Email: in.given["email"]}
	if file := in.optional("policy"); file != nil {
		policy, err := readPolicy(*file)
		if err != nil {
			return err
		}
		ask.Policy = policy
	}
	return in.user(c.CreateUser(ctx, in.argument(0), ask))
}

func (in *verbInput) user(u iam.User, err error) error {
	if err != nil {
		return err
	}
	return in.show(u, func(w io.Writer) {
		line(w, "account", string(u.Account))
		line(w, "user", u.Name)
		line(w, "id", u.ID)
		line(w, "display name", u.DisplayName)
		line(w, "e-mail", u.Email)
		line(w, "created", u.Created.Format(time.RFC3339))
		line(w, "state", state(u.Disabled).String())
		if u.Policy == "" {
			line(w, "policy", "none: it may do nothing")
		} else {
			line(w, "policy", fmt.Sprintf("%d bytes", len(u.Policy)))
		}
	})
}

func listUsers(ctx context.Context, c *admin.Client, in *verbInput) error {
	all, err := list(func(p iam.Page) ([]iam.User, bool, error) { return c.Users(ctx, in.argument(0), p) },
		func(u iam.User) string { return u.Name })
	if err != nil {
		return err
	}
	return in.show(all, func(w io.Writer) {
		line(w, "USER", "ID", "DISPLAY NAME", "E-MAIL", "STATE", "CREATED")
		for _, u := range all {
			line(w, u.Name, u.ID, u.DisplayName, u.Email, state(u.Disabled).String(), u.Created.Format(time.RFC3339))
		}
	})
}

func showUser(ctx context.Context, c *admin.Client, in *verbInput) error {
	return in.user(c.User(ctx, in.argument(0), in.argument(1)))
}

func (in *verbInput) changeUser(ctx context.Context, c *admin.Client, change iam.UserChange) error {
	return in.user(c.ChangeUser(ctx, in.argument(0), in.argument(1), change))
}

func setUser(ctx context.Context, c *admin.Client, in *verbInput) error {
	return in.changeUser(ctx, c, iam.UserChange{DisplayName: in.optional("display-name"), Email: in.optional("email")})
}

func switchUser(disabled bool) func(context.Context, *admin.Client, *verbInput) error {
	return func(ctx context.Context, c *admin.Client, in *verbInput) error {
		return in.changeUser(ctx, c, iam.UserChange{Disabled: &disabled})
	}
}

func deleteUser(ctx context.Context, c *admin.Client, in *verbInput) error {
	return in.deleted("user", in.argument(1), c.DeleteUser(ctx, in.argument(0), in.argument(1)))
}

func setPolicy(ctx context.Context, c *admin.Client, in *verbInput) error {
	policy, err := readPolicy(in.argument(2))
	if err != nil {
		return err
	}
	return in.changeUser(ctx, c, iam.UserChange{Policy: &policy})
}

func showPolicy(ctx context.Context, c *admin.Client, in *verbInput) error {
	u, err := c.User(ctx, in.argument(0), in.argument(1))
	if err != nil {
		return err
	}
	return in.show(map[string]string{"policy": u.Policy}, func(w io.Writer) { line(w, u.Policy) })
}

func deletePolicy(ctx context.Context, c *admin.Client, in *verbInput) error {
	none := ""
	return in.changeUser(ctx, c, iam.UserChange{Policy: &none})
}
