package directory

import (
	"testing"

	"github.com/undercroft/undercroft/iam"
)

// The key that is made with an account is its root's, whatever else is asked.
func TestKeyOfANewAccountIsItsRoots(t *testing.T) {
	d := checked(t)
	a, err := d.CreateAccount(t.Context(), iam.NewAccount{Name: "a", Key: &iam.NewKey{User: "bob", Account: "000000000001"}})
	if err != nil {
		t.Fatal(err)
	}
	newUser(t, d, a.ID, iam.NewUser{Name: "bob"})
	if who := mustFind(t, d, a.Key.AccessKey.AccessKey, a.Key.Secret); !who.Root || who.AccountID != a.ID {
		t.Errorf("%+v", who)
	}
}
