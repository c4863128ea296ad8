package directory

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// Every change whose commit is ambiguous is settled: it answers success if it
// took place and an error if not.
func TestAmbiguousCommitsAreSettled(t *testing.T) {
	const account, user, key = "123456789012", "bob", "AKIA1"
	name, policy := "Renamed", `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`
	off := true
	for what, tt := range map[string]struct {
		change func(ctx context.Context, d *Directory) error
		// done says whether the change is there.
		done func(ctx context.Context, d *Directory) bool
	}{
		"account create": {
			func(ctx context.Context, d *Directory) error {
				return second(d.CreateAccount(ctx, iam.NewAccount{ID: "210987654321", Name: "n", Email: "n@x.org", Key: &iam.NewKey{AccessKey: "NEWKEY"}}))
			},
			func(ctx context.Context, d *Directory) bool {
				return second(d.ByEmail(ctx, "n@x.org")) == nil && second(d.Lookup(ctx, "NEWKEY")) == nil
			},
		},
		"account change": {
			func(ctx context.Context, d *Directory) error {
				return second(d.ChangeAccount(ctx, account, iam.AccountChange{Name: &name}))
			},
			func(ctx context.Context, d *Directory) bool {
				a, err := d.Account(ctx, account)
				return err == nil && a.Name == name
			},
		},
		"account delete": {
			func(ctx context.Context, d *Directory) error { return d.DeleteAccount(ctx, "333333333333") },
			func(ctx context.Context, d *Directory) bool { return second(d.Account(ctx, "333333333333")) != nil },
		},
		"user create": {
			func(ctx context.Context, d *Directory) error {
				return second(d.CreateUser(ctx, account, iam.NewUser{Name: "eve"}))
			},
			func(ctx context.Context, d *Directory) bool { return second(d.User(ctx, account, "eve")) == nil },
		},
		"user change": {
			func(ctx context.Context, d *Directory) error {
				return second(d.ChangeUser(ctx, account, user, iam.UserChange{Policy: &policy}))
			},
			func(ctx context.Context, d *Directory) bool {
				u, err := d.User(ctx, account, user)
				return err == nil && u.Policy == policy
			},
		},
		"user delete": {
			func(ctx context.Context, d *Directory) error { return d.DeleteUser(ctx, account, user) },
			func(ctx context.Context, d *Directory) bool {
				return second(d.User(ctx, account, user)) != nil && second(d.Lookup(ctx, key)) != nil
			},
		},
		"key create": {
			func(ctx context.Context, d *Directory) error {
				return second(d.CreateKey(ctx, iam.NewKey{Account: account, AccessKey: "NEWKEY"}))
			},
			func(ctx context.Context, d *Directory) bool { return second(d.Lookup(ctx, "NEWKEY")) == nil },
		},
		"key change": {
			func(ctx context.Context, d *Directory) error {
				return second(d.ChangeKey(ctx, key, iam.KeyChange{Disabled: &off}))
			},
			func(ctx context.Context, d *Directory) bool { return second(d.Lookup(ctx, key)) != nil },
		},
		"key rotate": {
			func(ctx context.Context, d *Directory) error { return second(d.RotateKey(ctx, key, "new-secret")) },
			func(ctx context.Context, d *Directory) bool {
				c, err := d.Lookup(ctx, key)
				return err == nil && c.Secret == "new-secret"
			},
		},
		"key delete": {
			func(ctx context.Context, d *Directory) error { return d.DeleteKey(ctx, key) },
			func(ctx context.Context, d *Directory) bool { return second(d.Lookup(ctx, key)) != nil },
		},
	} {
		for fault, took := range map[mem.Fault]bool{mem.UnknownApplied: true, mem.UnknownLost: false} {
			t.Run(what, func(t *testing.T) {
				var armed atomic.Bool
				e := mem.New(mem.Options{Faults: mem.Faults{Hook: func(p mem.Point) mem.Fault {
					if p.Place == mem.AtCommit && armed.CompareAndSwap(true, false) {
						return fault
					}
					return mem.None
				}}})
				t.Cleanup(func() {
					if err := e.Close(); err != nil {
						t.Error(err)
					}
				})
				d := open(t, e)
				for _, id := range []iam.AccountID{account, "333333333333"} {
					if _, err := d.CreateAccount(t.Context(), iam.NewAccount{ID: id, Name: "n"}); err != nil {
						t.Fatal(err)
					}
				}
				newUser(t, d, account, iam.NewUser{Name: user})
				newKey(t, d, iam.NewKey{Account: account, User: user, AccessKey: key})
				armed.Store(true)
				err := tt.change(t.Context(), d)
				if armed.Load() {
					t.Fatal("nothing was committed")
				}
				if done := tt.done(t.Context(), d); done != took || (err == nil) != took || err != nil && !errors.Is(err, kv.ErrUnknownCommit) {
					t.Errorf("applied %v: the change is there %v, the answer is %v", took, done, err)
				}
				clean(t.Context(), t, d)
			})
		}
	}
}
