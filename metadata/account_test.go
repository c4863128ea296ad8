package metadata

import (
	"bytes"
	"errors"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// people is a state with an account, its user and a key of each.
type people struct {
	db       *DB
	account  *Account
	user     *User
	key, own *AccessKey
}

const someAccount = "123456789012"

func newPeople(tb testing.TB) *people {
	tb.Helper()
	p := &people{
		db:      newDB(tb),
		account: &Account{ID: someAccount, Canonical: "c0ffee", Name: "Main", Email: "Main@x.org", Created: at(1)},
		user:    &User{Account: someAccount, Name: "bob", ID: "AIDA1", Created: at(2), Policy: []byte("{}")},
		key:     &AccessKey{Key: "AKIA1", Account: someAccount, User: "bob", MasterKey: 7, Sealed: []byte("s"), Created: at(3)},
		own:     &AccessKey{Key: "AKIA2", Account: someAccount, MasterKey: 7, Sealed: []byte("s"), Created: at(4)},
	}
	update(tb, p.db, func(tx *Tx) error {
		return errors.Join(
			tx.PutMasterKey(&MasterKey{ID: 7, Check: []byte("check")}), tx.PutAccount(nil, p.account),
			tx.PutUser(p.user), tx.PutAccessKey(p.key), tx.PutAccessKey(p.own))
	})
	return p
}

func equal(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", what, diff)
	}
}

func TestAccountsUsersAndKeysReadBack(t *testing.T) {
	p := newPeople(t)
	view(t, p.db, func(r *Reader) error {
		byID, err1 := r.Account(someAccount)
		byEmail, err2 := r.AccountByEmail("MAIN@X.ORG")
		byCanonical, err3 := r.AccountByCanonicalID("c0ffee")
		for _, a := range []*Account{byID, byEmail, byCanonical} {
			equal(t, "the account", p.account, a)
		}
		user, err4 := r.User(someAccount, "bob")
		equal(t, "the user", p.user, user)
		key, err5 := r.AccessKey("AKIA1")
		equal(t, "the key", p.key, key)
		keys, more, err6 := r.AccessKeys(someAccount, "bob", "", 0)
		equal(t, "bob's keys", []AccessKey{*p.key}, keys)
		own, _, err7 := r.AccessKeys(someAccount, "", "", 1)
		equal(t, "the root's keys", []AccessKey{*p.own}, own)
		masters, err8 := r.MasterKeys()
		equal(t, "the master keys", []MasterKey{{ID: 7, Check: []byte("check")}}, masters)
		if more {
			t.Error("bob has no more keys")
		}
		return errors.Join(err1, err2, err3, err4, err5, err6, err7, err8)
	})
	s := clean(t, p.db)
	if s.Accounts != 1 || s.Users != 1 || s.AccessKeys != 2 {
		t.Errorf("the checker saw %v", s)
	}
}

func TestNobodyIsFoundWhereNobodyIs(t *testing.T) {
	db := newDB(t)
	view(t, db, func(r *Reader) error {
		account, err1 := r.Account(someAccount)
		byEmail, err2 := r.AccountByEmail("")
		byCanonical, err3 := r.AccountByCanonicalID("c0ffee")
		user, err4 := r.User(someAccount, "bob")
		key, err5 := r.AccessKey("AKIA1")
		if account != nil || byEmail != nil || byCanonical != nil || user != nil || key != nil {
			t.Errorf("found %v %v %v %v %v", account, byEmail, byCanonical, user, key)
		}
		return errors.Join(err1, err2, err3, err4, err5)
	})
}

// Whatever of it changes, caches everywhere are told.
func TestEveryChangeOfPeopleChangesTheGeneration(t *testing.T) {
	p := newPeople(t)
	renamed := *p.account
	renamed.Name, renamed.Email = "Other", ""
	generation := func() []byte { return found(t, p.db, (*Reader).Generation) }
	for name, change := range map[string]func(*Tx) error{
		"an account": func(tx *Tx) error { return tx.PutAccount(p.account, &renamed) },
		"a user":     func(tx *Tx) error { return tx.PutUser(p.user) },
		"a key":      func(tx *Tx) error { return tx.PutAccessKey(p.key) },
	} {
		before := generation()
		update(t, p.db, change)
		if bytes.Equal(before, generation()) {
			t.Errorf("%s was written without a new generation", name)
		}
	}
	for _, change := range []func(*Tx) error{
		func(tx *Tx) error { return tx.DeleteAccessKey(p.key) },
		func(tx *Tx) error { return tx.DeleteUser(p.user) },
		func(tx *Tx) error { return tx.DeleteAccount(&renamed, at(9)) },
	} {
		before := generation()
		update(t, p.db, change)
		if bytes.Equal(before, generation()) {
			t.Error("a deletion without a new generation")
		}
		clean(t, p.db)
	}
}

func TestDeletedAccountLeavesItsName(t *testing.T) {
	p := newPeople(t)
	update(t, p.db, func(tx *Tx) error { return tx.DeleteUser(p.user) })
	update(t, p.db, func(tx *Tx) error { return tx.DeleteAccount(p.account, at(9)) })
	view(t, p.db, func(r *Reader) error {
		name, err1 := r.CanonicalName("c0ffee")
		equal(t, "what is left", &CanonicalName{Account: someAccount, Deleted: at(9)}, name)
		if deleted, err := r.OwnerDeleted("c0ffee"); err != nil || !deleted {
			t.Errorf("deleted: %v, %v", deleted, err)
		}
		if deleted, err := r.OwnerDeleted("beef"); err != nil || deleted {
			t.Errorf("somebody whom nobody knows is deleted: %v, %v", deleted, err)
		}
		account, err2 := r.AccountByCanonicalID("c0ffee")
		key, err3 := r.AccessKey("AKIA2")
		email, err4 := r.AccountByEmail(p.account.Email)
		if account != nil || key != nil || email != nil {
			t.Errorf("found %v %v %v", account, key, email)
		}
		return errors.Join(err1, err2, err3, err4)
	})
	if s := clean(t, p.db); s.Accounts != 0 || s.AccessKeys != 0 {
		t.Errorf("the checker saw %v", s)
	}
}

func TestRecordsOfNobodyAreRefused(t *testing.T) {
	p := newPeople(t)
	for name, write := range map[string]func(*Tx) error{
		"a short number": func(tx *Tx) error { return tx.PutAccount(nil, &Account{ID: "1", Canonical: "c"}) },
		"another number": func(tx *Tx) error {
			return tx.PutAccount(p.account, &Account{ID: "123456789013", Canonical: p.account.Canonical})
		},
		"no canonical id":        func(tx *Tx) error { return tx.PutAccount(nil, &Account{ID: someAccount}) },
		"a user of nobody":       func(tx *Tx) error { return tx.PutUser(&User{Name: "eve"}) },
		"a user without a name":  func(tx *Tx) error { return tx.PutUser(&User{Account: someAccount}) },
		"a key without a secret": func(tx *Tx) error { return tx.PutAccessKey(&AccessKey{Key: "K", Account: someAccount}) },
	} {
		if err := p.db.Update(t.Context(), "test", write); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	clean(t, p.db)
}

func TestCheckFindsEveryMismatchOfPeople(t *testing.T) {
	k := newPeople(t).db.keys
	type damage struct {
		name       string
		key, value []byte // no value: the row is removed
		want       ProblemKind
	}
	other := encodeAccountID("123456789013")
	for _, d := range []damage{
		{"no account", k.account(someAccount), nil, AccountMismatch},
		{"no canonical id", k.canonical("c0ffee"), nil, AccountMismatch},
		{"a canonical id of another", k.canonical("c0ffee"), encodeCanonicalName(&CanonicalName{Account: "123456789013"}), AccountMismatch},
		{"deleted and there", k.canonical("c0ffee"), encodeCanonicalName(&CanonicalName{Account: someAccount, Deleted: at(1)}), AccountMismatch},
		{"a canonical id of nobody", k.canonical("beef"), encodeCanonicalName(&CanonicalName{Account: "123456789013"}), AccountMismatch},
		{"no address", k.email("main@x.org"), nil, AccountMismatch},
		{"an address of another", k.email("main@x.org"), other, AccountMismatch},
		{"an address of nobody", k.email("y@x.org"), encodeAccountID(someAccount), AccountMismatch},
		{"no user", k.user(someAccount, "bob"), nil, AccountMismatch},
		{"a user of nobody", k.user("123456789013", "eve"), encodeUser(&User{ID: "AIDA2"}), AccountMismatch},
		{"no key", k.accessKey("AKIA1"), nil, AccountMismatch},
		{"a key that is not listed", k.keyOf(someAccount, "bob", "AKIA1"), nil, AccountMismatch},
		{"a key listed twice", k.keyOf(someAccount, "", "AKIA1"), []byte{}, AccountMismatch},
		{"no master key", k.masterKey(7), nil, AccountMismatch},
		{"a short number", k.account("1"), encodeAccount(&Account{Canonical: "c"}), CorruptRow},
		{"a user without a name", k.user(someAccount, ""), encodeUser(&User{ID: "AIDA2"}), CorruptRow},
		{"a list of nobody", k.keyOf("1", "", "AKIA1"), []byte{}, CorruptRow},
		{"an account cut short", k.account(someAccount), encodeAccount(&Account{Canonical: "c0ffee"})[:5], CorruptRow},
		{"an endless master key", append(k.masterKey(7), 0), encodeMasterKey(&MasterKey{}), CorruptRow},
		{"no table", k.tag(tagIdentity, 0), []byte{1}, CorruptRow},
		{"an unknown table", k.identity('?', 0), []byte{1}, StrayRow},
	} {
		t.Run(d.name, func(t *testing.T) {
			p := newPeople(t)
			update(t, p.db, func(tx *Tx) error {
				if d.value == nil {
					tx.kv.Delete(d.key)
				} else {
					tx.kv.Set(d.key, d.value)
				}
				return nil
			})
			problems, s := findings(t.Context(), t, p.db)
			if s.Clean() {
				t.Fatal("nothing was found")
			}
			for _, found := range problems {
				if found.Kind == d.want {
					return
				}
			}
			t.Errorf("found %v, want %s", problems, d.want)
		})
	}
}

func TestKeysOfPeopleAreReadable(t *testing.T) {
	k := keyspace{root: []byte("r")}
	for want, key := range map[string][]byte{
		"I account=123456789012":                           k.account(someAccount),
		"I canonical=c0ffee":                               k.canonical("c0ffee"),
		"I email=a@x.org":                                  k.email("A@x.org"),
		"I access key=AKIA1":                               k.accessKey("AKIA1"),
		"I account=123456789012 user=bob":                  k.user(someAccount, "bob"),
		"I account=123456789012 user=bob access key=AKIA1": k.keyOf(someAccount, "bob", "AKIA1"),
		"I account=123456789012 user= access key=AKIA1":    k.keyOf(someAccount, "", "AKIA1"),
		"I 6d0000000000000007":                             k.masterKey(7),
	} {
		if got := readableKey(k, key); got != want {
			t.Errorf("%q is shown as %q, want %q", key, got, want)
		}
	}
}

// An empty field decodes as one that is absent, so that records compare.
func TestEmptyFieldsOfPeopleAreAbsent(t *testing.T) {
	e := newRecord(8)
	e.key(userPolicy, wireBytes)
	e.b = append(e.b, 0)
	u, err := decodeUser(e.b)
	if err != nil || u.Policy != nil {
		t.Errorf("a policy of no bytes: %v, %v", u.Policy, err)
	}
}
