package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/undercroft/undercroft/admin"
	"github.com/undercroft/undercroft/iam"
)

func keyVerbs() []verb {
	one, owner := []string{"ACCESS-KEY"}, []string{"ACCOUNT"}
	return []verb{
		{"key create", owner, []string{"user", "access-key", "secret-key", "secret-key-file", "description"}, createKey},
		{"key list", owner, []string{"user"}, listKeys},
		{"key rotate", one, []string{"secret-key", "secret-key-file"}, rotateKey},
		{"key disable", one, nil, switchKey(true)},
		{"key enable", one, nil, switchKey(false)},
		{"key delete", one, nil, deleteKey},
	}
}

func createKey(ctx context.Context, c *admin.Client, in *verbInput) error {
	secret, err := in.givenSecret()
	if err != nil {
		return err
	}
	return in.secret(c.CreateKey(ctx, iam.NewKey{
		Account: in.argument(0), User: in.given["user"],
		AccessKey: in.given["access-key"], Secret: secret, Description: in.given["description"],
	}))
}

// givenSecret is the secret key that the command line names, empty for a
// generated one. That of a file does not show in the list of processes.
func (in *verbInput) givenSecret() (string, error) {
	file := in.optional("secret-key-file")
	switch {
	case file == nil:
		return in.given["secret-key"], nil
	case in.optional("secret-key") != nil:
		return "", fmt.Errorf("%w: give one of --secret-key and --secret-key-file", errUsage)
	}
	text, err := os.ReadFile(*file)
	if err != nil {
		return "", fmt.Errorf("reading the secret key: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// secret shows a key pair: the one time that its secret is shown.
func (in *verbInput) secret(pair iam.KeyPair, err error) error {
	if err != nil {
		return err
	}
	return in.show(pair, func(w io.Writer) {
		line(w, "account", string(pair.Account))
		if pair.User != "" {
			line(w, "user", pair.User)
		}
		writeSecret(w, pair)
	})
}

func writeSecret(w io.Writer, pair iam.KeyPair) {
	line(w, "access key", pair.AccessKey.AccessKey)
	line(w, "secret key", pair.Secret)
	line(w, "", "The secret key is not shown again.")
}

func listKeys(ctx context.Context, c *admin.Client, in *verbInput) error {
	all, err := c.Keys(ctx, in.argument(0), in.given["user"])
	if err != nil {
		return err
	}
	return in.show(all, func(w io.Writer) {
		line(w, "ACCESS KEY", "STATE", "CREATED", "ROTATED", "DESCRIPTION")
		for _, k := range all {
			rotated := "never"
			if !k.Rotated.IsZero() {
				rotated = k.Rotated.Format(time.RFC3339)
			}
			line(w, k.AccessKey, state(k.Disabled).String(), k.Created.Format(time.RFC3339), rotated, k.Description)
		}
	})
}

func rotateKey(ctx context.Context, c *admin.Client, in *verbInput) error {
	secret, err := in.givenSecret()
	if err != nil {
		return err
	}
	return in.secret(c.RotateKey(ctx, in.argument(0), secret))
}

func switchKey(disabled bool) func(context.Context, *admin.Client, *verbInput) error {
	return func(ctx context.Context, c *admin.Client, in *verbInput) error {
		k, err := c.ChangeKey(ctx, in.argument(0), iam.KeyChange{Disabled: &disabled})
		if err != nil {
			return err
		}
		return in.show(k, func(w io.Writer) { line(w, "access key", k.AccessKey, state(k.Disabled).String()) })
	}
}

func deleteKey(ctx context.Context, c *admin.Client, in *verbInput) error {
	return in.deleted("access key", in.argument(0), c.DeleteKey(ctx, in.argument(0)))
}
