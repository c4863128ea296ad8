package directory

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/internal/fdbcluster/fdbengine"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// instant is what every clock of these tests shows.
func instant() time.Time { return time.UnixMilli(1_795_000_000_123).UTC() }

func testKey(b byte) (k MasterKey) {
	for i := range k {
		k[i] = b + byte(i)
	}
	return k
}

func options() Options {
	return Options{RootAccessKey: "ROOTKEY", RootSecret: "root-secret", MasterKey: testKey(1), Now: instant}
}

func newEngine(tb testing.TB) kv.Engine {
	tb.Helper()
	e := mem.New(mem.Options{Remote: fdbengine.Remote()})
	tb.Cleanup(func() {
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
	})
	return e
}

func openDB(tb testing.TB, e kv.Engine) *metadata.DB {
	tb.Helper()
	db, err := metadata.Open(e, metadata.Options{Now: instant})
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

// open opens a directory on an engine, as another gateway would.
func open(tb testing.TB, e kv.Engine) *Directory {
	tb.Helper()
	d, err := Open(tb.Context(), openDB(tb, e), options())
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// checked opens a directory whose state must be clean at the end of the test.
func checked(t *testing.T) *Directory {
	t.Helper()
	d := open(t, newEngine(t))
	t.Cleanup(func() { clean(context.Background(), t, d) })
	return d
}

func clean(ctx context.Context, t *testing.T, d *Directory) {
	t.Helper()
	summary, err := metadata.Check(ctx, d.db, func(p metadata.Problem) { t.Error(p) })
	if err != nil || summary.Accounts == 0 {
		t.Errorf("check: %v, %v", summary, err)
	}
}

func newAccount(t *testing.T, d *Directory, name, email string) iam.CreatedAccount {
	t.Helper()
	a, err := d.CreateAccount(t.Context(), iam.NewAccount{Name: name, Email: email, Key: &iam.NewKey{}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newUser(t *testing.T, d *Directory, account iam.AccountID, in iam.NewUser) iam.User {
	t.Helper()
	u, err := d.CreateUser(t.Context(), string(account), in)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func newKey(t *testing.T, d *Directory, in iam.NewKey) iam.KeyPair {
	t.Helper()
	k, err := d.CreateKey(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// mustFind fails the test unless the access key signs with the secret.
func mustFind(t *testing.T, d *Directory, accessKey, secret string) iam.Identity {
	t.Helper()
	c, err := d.Lookup(t.Context(), accessKey)
	if err != nil || c.Secret != secret || c.AccessKey != accessKey {
		t.Fatalf("Lookup(%q): secret as given: %v, error %v", accessKey, c.Secret == secret, err)
	}
	return c.Identity
}

// mustMiss fails the test if the access key works, and returns why it does not.
func mustMiss(t *testing.T, d *Directory, accessKey string) (reason string) {
	t.Helper()
	c, err := d.Lookup(t.Context(), accessKey)
	if !errors.Is(err, iam.ErrNoSuchKey) {
		t.Fatalf("Lookup(%q): %v, %v; want ErrNoSuchKey", accessKey, c.Identity, err)
	}
	return err.Error()
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}
