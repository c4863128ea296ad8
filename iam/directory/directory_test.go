package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/metadata"
)

func TestRootIsTheAccountOfTheInstallation(t *testing.T) {
	d := checked(t)
	who := mustFind(t, d, "ROOTKEY", "root-secret")
	if diff := cmp.Diff(iam.RootIdentity(), who, cmp.AllowUnexported(iam.Policy{})); diff != "" {
		t.Errorf("root differs:\n%s", diff)
	}
	name, email := "Operator", "root@example.com"
	if _, err := d.ChangeAccount(t.Context(), string(iam.RootAccount), iam.AccountChange{Name: &name, Email: &email}); err != nil {
		t.Fatal(err)
	}
	if who := mustFind(t, d, "ROOTKEY", "root-secret"); who.DisplayName != name || !who.Root {
		t.Errorf("root is now %+v", who)
	}
	if a, err := d.ByEmail(t.Context(), "ROOT@example.com"); err != nil || a.ID != iam.RootAccount {
		t.Errorf("by e-mail: %+v, %v", a, err)
	}
	off := true
	_, err := d.ChangeAccount(t.Context(), email, iam.AccountChange{Disabled: &off})
	wantErr(t, "disabling the installation's account", err, iam.ErrInvalid)
	wantErr(t, "deleting it", d.DeleteAccount(t.Context(), email), iam.ErrInvalid)
	_, err = d.CreateKey(t.Context(), iam.NewKey{Account: email, AccessKey: "ROOTKEY"})
	wantErr(t, "a second key of the root's name", err, iam.ErrExists)
	more := newKey(t, d, iam.NewKey{Account: email})
	if who := mustFind(t, d, more.AccessKey.AccessKey, more.Secret); who.AccountID != iam.RootAccount || !who.Root {
		t.Errorf("another key of the root signs for %+v", who)
	}
}

func TestAccountIsFoundByAllItsNames(t *testing.T) {
	d := checked(t)
	made := newAccount(t, d, "Main", "Tester@ceph.com")
	for _, ref := range []string{string(made.ID), string(made.CanonicalID), "tester@CEPH.com"} {
		if a, err := d.Account(t.Context(), ref); err != nil || a != made.Account {
			t.Errorf("Account(%q): %+v, %v", ref, a, err)
		}
	}
	for range 2 { // read, then cached
		if a, err := d.ByCanonicalID(t.Context(), made.CanonicalID); err != nil || a != made.Account {
			t.Errorf("ByCanonicalID: %+v, %v", a, err)
		}
	}
	if name, err := d.DisplayName(t.Context(), made.CanonicalID); err != nil || name != "Main" {
		t.Errorf("DisplayName: %q, %v", name, err)
	}
	if name, err := d.DisplayName(t.Context(), "nobody"); err != nil || name != "" {
		t.Errorf("DisplayName of nobody: %q, %v", name, err)
	}
	for _, ref := range []string{"", "x", "000000000009", "a@b.c", strings.Repeat("0", 64)} {
		_, err := d.Account(t.Context(), ref)
		wantErr(t, "Account("+ref+")", err, iam.ErrNoSuchAccount)
	}
	_, err := d.ByEmail(t.Context(), "")
	wantErr(t, "no e-mail address", err, iam.ErrNoSuchAccount)
	who := mustFind(t, d, made.Key.AccessKey.AccessKey, made.Key.Secret)
	want := iam.Identity{AccountID: made.ID, CanonicalID: iam.CanonicalIDOf(made.ID), DisplayName: "Main", UserID: string(made.ID), Root: true}
	if diff := cmp.Diff(want, who, cmp.AllowUnexported(iam.Policy{})); diff != "" {
		t.Errorf("its key signs for:\n%s", diff)
	}
}

func TestOneOfManyCreatorsOfAnAddressWins(t *testing.T) {
	e := newEngine(t)
	const creators = 16
	gateways := [2]*Directory{open(t, e), open(t, e)}
	var group sync.WaitGroup
	errs := make([]error, creators)
	for i := range creators {
		group.Go(func() {
			_, errs[i] = gateways[i%2].CreateAccount(t.Context(), iam.NewAccount{
				Name: fmt.Sprint(i), Email: "Same@example.com", Key: &iam.NewKey{AccessKey: fmt.Sprintf("KEY%d", i)},
			})
		})
	}
	group.Wait()
	won := 0
	for i, err := range errs {
		if err == nil {
			won++
			continue
		}
		wantErr(t, fmt.Sprint("creator ", i), err, iam.ErrExists)
		mustMiss(t, gateways[0], fmt.Sprintf("KEY%d", i))
	}
	if won != 1 {
		t.Errorf("%d creators won, want one", won)
	}
	clean(t.Context(), t, gateways[0])
}

func TestChangedAddress(t *testing.T) {
	d := checked(t)
	a, b := newAccount(t, d, "a", "a@x.org"), newAccount(t, d, "b", "b@x.org")
	taken, free := "A@X.org", "c@x.org"
	_, err := d.ChangeAccount(t.Context(), string(b.ID), iam.AccountChange{Email: &taken})
	wantErr(t, "an address that is taken", err, iam.ErrExists)
	if _, err := d.ChangeAccount(t.Context(), string(a.ID), iam.AccountChange{Email: &taken}); err != nil {
		t.Errorf("another case of one's own address: %v", err)
	}
	if _, err := d.ChangeAccount(t.Context(), string(a.ID), iam.AccountChange{Email: &free}); err != nil {
		t.Fatal(err)
	}
	_, err = d.ByEmail(t.Context(), "a@x.org")
	wantErr(t, "the old address", err, iam.ErrNoSuchAccount)
	if _, err := d.ChangeAccount(t.Context(), string(b.ID), iam.AccountChange{Email: &taken}); err != nil {
		t.Errorf("an address that was given up: %v", err)
	}
	if got, err := d.ByEmail(t.Context(), taken); err != nil || got.ID != b.ID {
		t.Errorf("%s is %+v, %v", taken, got, err)
	}
}

func TestUserSignsForItself(t *testing.T) {
	d := checked(t)
	a := newAccount(t, d, "Main", "")
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`
	u := newUser(t, d, a.ID, iam.NewUser{Name: "bob", DisplayName: "Bob", Policy: policy})
	if !strings.HasPrefix(u.ID, "AIDA") || len(u.ID) != 21 {
		t.Errorf("user id %q", u.ID)
	}
	k := newKey(t, d, iam.NewKey{Account: string(a.ID), User: "bob", Description: "laptop"})
	who := mustFind(t, d, k.AccessKey.AccessKey, k.Secret)
	if who.Root || who.UserName != "bob" || who.UserID != u.ID || who.AccountID != a.ID || len(who.Policies) != 1 {
		t.Errorf("bob is %+v", who)
	}
	none := ""
	if _, err := d.ChangeUser(t.Context(), string(a.ID), "bob", iam.UserChange{Policy: &none}); err != nil {
		t.Fatal(err)
	}
	if who := mustFind(t, d, k.AccessKey.AccessKey, k.Secret); who.Policies != nil {
		t.Error("a policy that was removed is still there")
	}
	_, err := d.CreateUser(t.Context(), string(a.ID), iam.NewUser{Name: "bob"})
	wantErr(t, "a second bob", err, iam.ErrExists)
	_, err = d.CreateUser(t.Context(), string(a.ID), iam.NewUser{Name: "eve", Policy: `{"Version":"2012-10-17","Statement":[{"Effect":"Maybe"}]}`})
	wantErr(t, "a policy of nonsense", err, iam.ErrInvalid)
	_, err = d.CreateKey(t.Context(), iam.NewKey{Account: string(a.ID), User: "eve"})
	wantErr(t, "a key of nobody", err, iam.ErrNoSuchUser)
	keys, err := d.Keys(t.Context(), string(a.ID), "bob")
	if err != nil || len(keys) != 1 || keys[0] != k.AccessKey {
		t.Errorf("bob's keys: %+v, %v", keys, err)
	}
	if keys, err := d.Keys(t.Context(), string(a.ID), ""); err != nil || len(keys) != 1 || keys[0] != a.Key.AccessKey {
		t.Errorf("the root's keys: %+v, %v", keys, err)
	}
	if err := d.DeleteUser(t.Context(), string(a.ID), "bob"); err != nil {
		t.Fatal(err)
	}
	mustMiss(t, d, k.AccessKey.AccessKey)
}

// What takes the right of a key away works at once, also at other gateways,
// which have the key in their caches.
func TestRevocationIsSeenAtOnceByAllGateways(t *testing.T) {
	type change func(ctx context.Context, d *Directory, k iam.AccessKey) error
	off, on := true, false
	account := func(disabled *bool) change {
		return func(ctx context.Context, d *Directory, k iam.AccessKey) error {
			_, err := d.ChangeAccount(ctx, string(k.Account), iam.AccountChange{Disabled: disabled})
			return err
		}
	}
	user := func(disabled *bool) change {
		return func(ctx context.Context, d *Directory, k iam.AccessKey) error {
			_, err := d.ChangeUser(ctx, string(k.Account), k.User, iam.UserChange{Disabled: disabled})
			return err
		}
	}
	key := func(disabled *bool) change {
		return func(ctx context.Context, d *Directory, k iam.AccessKey) error {
			_, err := d.ChangeKey(ctx, k.AccessKey, iam.KeyChange{Disabled: disabled})
			return err
		}
	}
	deleteKey := func(ctx context.Context, d *Directory, k iam.AccessKey) error { return d.DeleteKey(ctx, k.AccessKey) }
	deleteUser := func(ctx context.Context, d *Directory, k iam.AccessKey) error {
		return d.DeleteUser(ctx, string(k.Account), k.User)
	}
	for name, tt := range map[string]struct {
		revoke, restore change
		reason          string
	}{
		"account disabled": {account(&off), account(&on), "is disabled"},
		"user disabled":    {user(&off), user(&on), "the user bob of access key"},
		"key disabled":     {key(&off), key(&on), "is disabled"},
		"key deleted":      {deleteKey, nil, ""},
		"user deleted":     {deleteUser, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t)
			here, there := open(t, e), open(t, e)
			a := newAccount(t, here, "a", "")
			newUser(t, here, a.ID, iam.NewUser{Name: "bob"})
			pair := newKey(t, here, iam.NewKey{Account: string(a.ID), User: "bob"})
			k := pair.AccessKey
			for _, d := range []*Directory{here, there, here, there} {
				mustFind(t, d, k.AccessKey, pair.Secret)
			}
			if err := tt.revoke(t.Context(), here, k); err != nil {
				t.Fatal(err)
			}
			for _, d := range []*Directory{there, here} {
				if reason := mustMiss(t, d, k.AccessKey); !strings.Contains(reason, tt.reason) {
					t.Errorf("the reason is %q, want %q in it", reason, tt.reason)
				}
			}
			if tt.restore != nil {
				if err := tt.restore(t.Context(), there, k); err != nil {
					t.Fatal(err)
				}
				mustFind(t, here, k.AccessKey, pair.Secret)
			}
			clean(t.Context(), t, there)
		})
	}
}

func TestRotatedSecretReplacesTheOldOne(t *testing.T) {
	e := newEngine(t)
	here, there := open(t, e), open(t, e)
	a := newAccount(t, here, "a", "")
	key := a.Key.AccessKey.AccessKey
	mustFind(t, there, key, a.Key.Secret)
	given, err := here.RotateKey(t.Context(), key, "chosen-secret")
	if err != nil || given.Secret != "chosen-secret" || given.Rotated != instant().Truncate(1e6) {
		t.Errorf("rotated: %+v, %v", given.AccessKey, err)
	}
	mustFind(t, there, key, "chosen-secret")
	made, err := there.RotateKey(t.Context(), key, "")
	if err != nil || len(made.Secret) != 40 || made.Account != a.ID {
		t.Errorf("rotated: %+v, %v", made.AccessKey, err)
	}
	mustFind(t, here, key, made.Secret)
	_, err = here.RotateKey(t.Context(), "NOBODY", "")
	wantErr(t, "rotating a key of nobody", err, iam.ErrNoSuchKey)
}

func TestDeletionOfAnAccount(t *testing.T) {
	d := checked(t)
	a := newAccount(t, d, "a", "a@x.org")
	b := &metadata.Bucket{ID: d.db.NewBucketID(), Name: "owned", Owner: string(a.CanonicalID), Created: instant(), Token: d.db.NewToken()}
	update := func(fn func(*metadata.Tx) error) {
		t.Helper()
		if err := d.db.Update(t.Context(), "test", fn); err != nil {
			t.Fatal(err)
		}
	}
	update(func(tx *metadata.Tx) error { return tx.CreateBucket(b) })
	err := d.DeleteAccount(t.Context(), "a@x.org")
	wantErr(t, "an account with a bucket", err, iam.ErrInUse)
	if err == nil || !strings.Contains(err.Error(), `"owned"`) {
		t.Errorf("the error does not name the bucket: %v", err)
	}
	update(func(tx *metadata.Tx) error { return tx.DeleteBucket(b) })
	newUser(t, d, a.ID, iam.NewUser{Name: "bob"})
	wantErr(t, "an account with a user", d.DeleteAccount(t.Context(), string(a.ID)), iam.ErrInUse)
	if err := d.DeleteUser(t.Context(), string(a.ID), "bob"); err != nil {
		t.Fatal(err)
	}
	if err := d.DeleteAccount(t.Context(), string(a.ID)); err != nil {
		t.Fatal(err)
	}
	mustMiss(t, d, a.Key.AccessKey.AccessKey)
	_, err = d.ByCanonicalID(t.Context(), a.CanonicalID)
	wantErr(t, "its canonical id", err, iam.ErrNoSuchAccount)
	_, err = d.CreateAccount(t.Context(), iam.NewAccount{ID: a.ID, Name: "heir"})
	wantErr(t, "its number", err, iam.ErrExists)
	if again := newAccount(t, d, "again", "a@x.org"); again.ID == a.ID {
		t.Error("a number was given out twice")
	}
	wantErr(t, "deleting it again", d.DeleteAccount(t.Context(), string(a.ID)), iam.ErrNoSuchAccount)
}

func TestListsHavePages(t *testing.T) {
	d := checked(t)
	want := []string{string(iam.RootAccount)}
	for i := range 7 {
		id := iam.AccountID(fmt.Sprintf("10000000000%d", i))
		if _, err := d.CreateAccount(t.Context(), iam.NewAccount{ID: id, Name: "n"}); err != nil {
			t.Fatal(err)
		}
		want = append(want, string(id))
		newUser(t, d, "000000000001", iam.NewUser{Name: fmt.Sprint("u", i)})
	}
	var got []string
	page, more := iam.Page{Limit: 3}, true
	for more {
		var accounts []iam.Account
		var err error
		if accounts, more, err = d.Accounts(t.Context(), page); err != nil || len(accounts) > 3 {
			t.Fatalf("%d accounts, %v", len(accounts), err)
		}
		for _, a := range accounts {
			got = append(got, string(a.ID))
		}
		page.After = got[len(got)-1]
	}
	if !slices.Equal(got, want) {
		t.Errorf("accounts %v, want %v", got, want)
	}
	users, more, err := d.Users(t.Context(), "000000000001", iam.Page{After: "u1", Limit: 2})
	if err != nil || !more || len(users) != 2 || users[0].Name != "u2" || users[1].Name != "u3" {
		t.Errorf("users %+v, more %v, %v", users, more, err)
	}
	if users, more, err := d.Users(t.Context(), "100000000000", iam.Page{}); err != nil || more || len(users) != 0 {
		t.Errorf("users of another account: %+v, more %v, %v", users, more, err)
	}
}

func TestValuesThatAreRefused(t *testing.T) {
	d := checked(t)
	ctx := t.Context()
	long := strings.Repeat("x", 300)
	for name, err := range map[string]error{
		"no name":                second(d.CreateAccount(ctx, iam.NewAccount{})),
		"a long name":            second(d.CreateAccount(ctx, iam.NewAccount{Name: long})),
		"a line break":           second(d.CreateAccount(ctx, iam.NewAccount{Name: "a\nb"})),
		"bytes that are no text": second(d.CreateAccount(ctx, iam.NewAccount{Name: "a\xff"})),
		"a short number":         second(d.CreateAccount(ctx, iam.NewAccount{ID: "1", Name: "a"})),
		"no address":             second(d.CreateAccount(ctx, iam.NewAccount{Name: "a", Email: "nobody"})),
		"two addresses":          second(d.CreateAccount(ctx, iam.NewAccount{Name: "a", Email: "a@b,c@d"})),
		"a short access key":     second(d.CreateKey(ctx, iam.NewKey{Account: "000000000001", AccessKey: "ab"})),
		"a strange access key":   second(d.CreateKey(ctx, iam.NewKey{Account: "000000000001", AccessKey: "a/bcd"})),
		"a long access key":      second(d.CreateKey(ctx, iam.NewKey{Account: "000000000001", AccessKey: long})),
		"a short secret":         second(d.CreateKey(ctx, iam.NewKey{Account: "000000000001", Secret: "1234567"})),
		"a long secret":          second(d.CreateKey(ctx, iam.NewKey{Account: "000000000001", Secret: long})),
		"a long description":     second(d.CreateKey(ctx, iam.NewKey{Account: "000000000001", Description: long})),
		"a slash in a user":      second(d.CreateUser(ctx, "000000000001", iam.NewUser{Name: "a/b"})),
		"a user of dots":         second(d.CreateUser(ctx, "000000000001", iam.NewUser{Name: ".."})),
		"a user's address":       second(d.CreateUser(ctx, "000000000001", iam.NewUser{Name: "a", Email: "x"})),
	} {
		if !errors.Is(err, iam.ErrInvalid) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want ErrInvalid in one line", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestKeysOfOneOwnerAreBounded(t *testing.T) {
	d := checked(t)
	for range maxKeys {
		newKey(t, d, iam.NewKey{Account: string(iam.RootAccount)})
	}
	_, err := d.CreateKey(t.Context(), iam.NewKey{Account: string(iam.RootAccount)})
	wantErr(t, "one more", err, iam.ErrInUse)
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache[int]()
	for i := range maxCached + 100 {
		c.put(fmt.Sprint(i), i, []byte("g"))
	}
	if n := len(c.entries); n != maxCached {
		t.Errorf("%d entries, want %d", n, maxCached)
	}
}

// An access key that nobody has leaves nothing in the cache.
func TestGuessesAreNotCached(t *testing.T) {
	d := checked(t)
	for i := range 10 {
		mustMiss(t, d, fmt.Sprint("GUESS", i))
	}
	mustMiss(t, d, "")
	if n := len(d.creds.entries); n != 0 {
		t.Errorf("%d entries", n)
	}
}

func TestLookupFailsWhenTheEngineDoes(t *testing.T) {
	d := checked(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Lookup(ctx, "ROOTKEY"); err == nil || errors.Is(err, iam.ErrNoSuchKey) {
		t.Errorf("a lookup that was not made: %v", err)
	}
}
