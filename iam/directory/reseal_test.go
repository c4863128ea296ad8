package directory

import (
	"errors"
	"fmt"
	"testing"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/metadata"
)

// A master key is replaced while gateways run: one that knows both, then others
// that know the new one alone. One that knows the old one alone writes nothing more.
func TestMasterKeysAreReplaced(t *testing.T) {
	e := newEngine(t)
	old := open(t, e)
	a := newAccount(t, old, "a", "")
	var all []iam.KeyPair
	for n := range 2*resealPage + 3 {
		user := fmt.Sprint("u", n/50)
		if n%50 == 0 {
			newUser(t, old, a.ID, iam.NewUser{Name: user})
		}
		all = append(all, newKey(t, old, iam.NewKey{Account: string(a.ID), User: user, AccessKey: fmt.Sprintf("KEY%04d", n)}))
	}
	both, only := options(), options()
	both.MasterKey, both.Previous = testKey(2), testKey(1)
	only.MasterKey = testKey(2)
	if _, err := Open(t.Context(), openDB(t, e), only); !errors.Is(err, ErrWrongMasterKey) {
		t.Errorf("opened with the new master key before anything is sealed under it: %v", err)
	}
	d, err := Open(t.Context(), openDB(t, e), both)
	if err != nil {
		t.Fatal(err)
	}
	mustFind(t, d, all[0].AccessKey.AccessKey, all[0].Secret)
	fresh := newKey(t, d, iam.NewKey{Account: string(a.ID)})
	// Both are in use: who has one of them does not start.
	for _, o := range []Options{options(), only} {
		if _, err := Open(t.Context(), openDB(t, e), o); !errors.Is(err, ErrWrongMasterKey) {
			t.Errorf("opened with one of two: %v", err)
		}
	}
	for want := int64(len(all) + 1); ; want = 0 { // the account has a key of its own
		n, err := d.Reseal(t.Context())
		if err != nil || n != want {
			t.Fatalf("sealed %d anew, %v; want %d", n, err, want)
		}
		if n == 0 {
			break
		}
	}
	err = d.db.Update(t.Context(), "test", func(tx *metadata.Tx) error {
		ended, err := d.seal.End(tx)
		if err == nil && (len(ended) != 1 || ended[0] != testKey(1).id()) {
			t.Errorf("ended %x", ended)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.CreateKey(t.Context(), iam.NewKey{Account: string(a.ID)}); !errors.Is(err, ErrWrongMasterKey) {
		t.Errorf("the old master key still seals: %v", err)
	}
	if _, err := old.RotateKey(t.Context(), all[0].AccessKey.AccessKey, ""); !errors.Is(err, ErrWrongMasterKey) {
		t.Errorf("the old master key still seals: %v", err)
	}
	last, err := Open(t.Context(), openDB(t, e), only)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range append(all, fresh) {
		mustFind(t, last, k.AccessKey.AccessKey, k.Secret)
	}
	clean(t.Context(), t, last)
}
