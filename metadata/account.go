package metadata

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// Account owns buckets and objects (row I a).
type Account struct {
	ID        string // 12 decimal digits; in the row's key
	Canonical string // its name as an owner or a grantee
	Name      string // shown with buckets and objects
	Email     string // as it was given; unique, whatever its case
	Created   time.Time
	Disabled  bool
}

// User is somebody in an account, whom policies limit (row I u).
type User struct {
	Account  string
	Name     string // unique in its account; with Account in the row's key
	ID       string // never reused, as the name may be
	Display  string
	Email    string
	Created  time.Time
	Disabled bool
	Policy   []byte // the inline policy, as JSON; empty: none
}

// AccessKey is a key pair (row I k). Its secret is encrypted: this package does
// not see it.
type AccessKey struct {
	Key         string // in the row's key
	Account     string
	User        string // empty: the account's root
	MasterKey   uint64 // which master key sealed the secret
	Sealed      []byte // the secret
	Created     time.Time
	Rotated     time.Time // when the secret was replaced, zero: never
	Disabled    bool
	Description string
}

// MasterKey is what shows whether a master key is the right one (row I m).
type MasterKey struct {
	ID    uint64 // in the row's key
	Check []byte // a known text, sealed
}

// CanonicalName is what a canonical id names (row I c). It outlives its
// account, so that nobody becomes the owner of what a deleted one left.
type CanonicalName struct {
	Account string
	Deleted time.Time // zero: the account is there
}

// Account is the account with a number.
func (r *Reader) Account(id string) (*Account, error) {
	a, err := decode(r, r.keys.account(id), decodeAccount)
	if a != nil {
		a.ID = id
	}
	return a, err
}

// AccountByEmail is the account with an e-mail address, in any case.
func (r *Reader) AccountByEmail(email string) (*Account, error) {
	if email == "" {
		return nil, nil
	}
	id, err := decode(r, r.keys.email(email), decodeAccountID)
	if err != nil || id == nil {
		return nil, err
	}
	return r.Account(*id)
}

// CanonicalName is what a canonical id names, also once it is deleted.
func (r *Reader) CanonicalName(canonical string) (*CanonicalName, error) {
	return decode(r, r.keys.canonical(canonical), decodeCanonicalName)
}

// AccountByCanonicalID is the account with a canonical id.
func (r *Reader) AccountByCanonicalID(canonical string) (*Account, error) {
	name, err := r.CanonicalName(canonical)
	if err != nil || name == nil || !name.Deleted.IsZero() {
		return nil, err
	}
	return r.Account(name.Account)
}

// Accounts lists accounts by number: those above after ("" for all), at most
// limit (0: all). more says that there are others.
func (r *Reader) Accounts(after string, limit int) (accounts []Account, more bool, err error) {
	return named(r, r.keys.account(""), after, limit, accountRow)
}

func accountRow(id string, v []byte) (*Account, error) {
	a, err := decodeAccount(v)
	if err == nil && !isAccountID(id) {
		err = errKey([]byte(id))
	}
	if err == nil {
		a.ID = id
	}
	return a, err
}

// User is a user of an account.
func (r *Reader) User(account, name string) (*User, error) {
	u, err := decode(r, r.keys.user(account, name), decodeUser)
	if u != nil {
		u.Account, u.Name = account, name
	}
	return u, err
}

// Users lists the users of an account by name, as [Reader.Accounts] does.
func (r *Reader) Users(account, after string, limit int) (users []User, more bool, err error) {
	return named(r, r.keys.user(account, ""), after, limit, func(name string, v []byte) (*User, error) {
		u, err := decodeUser(v)
		if err == nil {
			u.Account, u.Name = account, name
		}
		return u, err
	})
}

// AccessKey is the row of an access key.
func (r *Reader) AccessKey(key string) (*AccessKey, error) {
	k, err := decode(r, r.keys.accessKey(key), decodeAccessKey)
	if k != nil {
		k.Key = key
	}
	return k, err
}

// AccessKeys lists the access keys of a user, or of the account's root where
// user is empty, by key, as [Reader.Accounts] does.
func (r *Reader) AccessKeys(account, user, after string, limit int) (keys []AccessKey, more bool, err error) {
	names, more, err := named(r, r.keys.keyOf(account, user, ""), after, limit, func(key string, _ []byte) (*string, error) { return &key, nil })
	if err != nil {
		return nil, false, err
	}
	rows := make([]kv.Future, len(names))
	for i, name := range names {
		rows[i] = r.kv.Get(r.keys.accessKey(name))
	}
	for i, row := range rows {
		v, err := row.Wait()
		if err != nil {
			return nil, false, err
		}
		if v == nil {
			continue // the checker reports it
		}
		k, err := decodeAccessKey(v)
		if err != nil {
			return nil, false, err
		}
		k.Key = names[i]
		keys = append(keys, *k)
	}
	return keys, more, nil
}

// AllAccessKeys lists the access keys of everybody by key, as [Reader.Accounts] does.
func (r *Reader) AllAccessKeys(after string, limit int) (keys []AccessKey, more bool, err error) {
	return named(r, r.keys.accessKey(""), after, limit, func(key string, v []byte) (*AccessKey, error) {
		k, err := decodeAccessKey(v)
		if err == nil {
			k.Key = key
		}
		return k, err
	})
}

// MasterKeys are the master keys under which secrets were sealed.
func (r *Reader) MasterKeys() ([]MasterKey, error) {
	keys, _, err := named(r, r.keys.identity(identityMasterKey, 8), "", 0, func(id string, v []byte) (*MasterKey, error) {
		return masterKeyRow([]byte(id), v)
	})
	return keys, err
}

func masterKeyRow(id, v []byte) (*MasterKey, error) {
	n, err := parseUint(id)
	if err != nil {
		return nil, err
	}
	k, err := decodeMasterKey(v)
	if err != nil {
		return nil, err
	}
	k.ID = n
	return k, nil
}

// named lists the records below a prefix by what follows it in the key.
func named[T any](r *Reader, prefix []byte, after string, limit int, record func(name string, v []byte) (*T, error)) (out []T, more bool, err error) {
	rng := kv.PrefixRange(prefix)
	if after != "" {
		rng.Begin = kv.KeyAfter(append(slices.Clip(prefix), after...))
	}
	fetch := 0
	if limit > 0 {
		fetch = limit + 1
	}
	err = r.each(rng, fetch, func(p kv.Pair) (bool, error) {
		if limit > 0 && len(out) == limit {
			more = true
			return false, nil
		}
		v, err := record(string(p.Key[len(prefix):]), p.Value)
		if err != nil {
			return false, fmt.Errorf("key %q: %w", p.Key, err)
		}
		out = append(out, *v)
		return true, nil
	})
	return out, more, err
}

// PutAccount writes an account over before, which is nil for a new one and
// otherwise what the transaction read. The caller has read the rows of its
// number, its canonical id and its e-mail address serializably and found no
// other account there. Like every change below it changes the generation stamp.
func (t *Tx) PutAccount(before, a *Account) error {
	if !isAccountID(a.ID) || a.Canonical == "" || before != nil && (before.ID != a.ID || before.Canonical != a.Canonical) {
		t.invalid("account %q with canonical id %q", a.ID, a.Canonical)
		return t.err
	}
	if before != nil && before.Email != "" {
		t.kv.Delete(t.keys.email(before.Email))
	}
	if a.Email != "" {
		t.set(t.keys.email(a.Email), encodeAccountID(a.ID))
	}
	t.set(t.keys.canonical(a.Canonical), encodeCanonicalName(&CanonicalName{Account: a.ID}))
	t.set(t.keys.account(a.ID), encodeAccount(a))
	t.kv.BumpGeneration()
	return t.err
}

// DeleteAccount removes an account and the access keys of its root. The caller
// has read serializably that it has no users and no buckets.
func (t *Tx) DeleteAccount(a *Account, now time.Time) error {
	if err := t.deleteAccessKeys(a.ID, ""); err != nil {
		return err
	}
	if a.Email != "" {
		t.kv.Delete(t.keys.email(a.Email))
	}
	t.set(t.keys.canonical(a.Canonical), encodeCanonicalName(&CanonicalName{Account: a.ID, Deleted: now}))
	t.kv.Delete(t.keys.account(a.ID))
	t.kv.BumpGeneration()
	return t.err
}

// PutUser writes a user. The caller has read the account serializably.
func (t *Tx) PutUser(u *User) error {
	if !isAccountID(u.Account) || u.Name == "" {
		t.invalid("user %q of account %q", u.Name, u.Account)
		return t.err
	}
	t.set(t.keys.user(u.Account, u.Name), encodeUser(u))
	t.kv.BumpGeneration()
	return t.err
}

// DeleteUser removes a user and its access keys.
func (t *Tx) DeleteUser(u *User) error {
	if err := t.deleteAccessKeys(u.Account, u.Name); err != nil {
		return err
	}
	t.kv.Delete(t.keys.user(u.Account, u.Name))
	t.kv.BumpGeneration()
	return t.err
}

// PutAccessKey writes an access key, whose owner never changes. The caller has
// read its row and that of its owner serializably.
func (t *Tx) PutAccessKey(k *AccessKey) error {
	if !isAccountID(k.Account) || k.Key == "" || len(k.Sealed) == 0 {
		t.invalid("access key %q of account %q", k.Key, k.Account)
		return t.err
	}
	t.set(t.keys.accessKey(k.Key), encodeAccessKey(k))
	t.set(t.keys.keyOf(k.Account, k.User, k.Key), []byte{})
	t.kv.BumpGeneration()
	return t.err
}

// DeleteAccessKey removes an access key.
func (t *Tx) DeleteAccessKey(k *AccessKey) error {
	t.kv.Delete(t.keys.accessKey(k.Key))
	t.kv.Delete(t.keys.keyOf(k.Account, k.User, k.Key))
	t.kv.BumpGeneration()
	return t.err
}

func (t *Tx) deleteAccessKeys(account, user string) error {
	keys, _, err := t.AccessKeys(account, user, "", 0)
	if err != nil {
		return err
	}
	for i := range keys {
		if err := t.DeleteAccessKey(&keys[i]); err != nil {
			return err
		}
	}
	return nil
}

// OwnerDeleted says whether a canonical id is that of an account which was
// deleted. Read through the Tx, it makes the transaction conflict with the
// deletion.
func (r *Reader) OwnerDeleted(canonical string) (bool, error) {
	name, err := r.CanonicalName(canonical)
	return name != nil && !name.Deleted.IsZero(), err
}

// PutMasterKey records what shows that a master key is the right one.
func (t *Tx) PutMasterKey(k *MasterKey) error {
	t.set(t.keys.masterKey(k.ID), encodeMasterKey(k))
	return t.err
}

// DeleteMasterKey forgets a master key. The caller has seen that nothing is
// sealed under it, and that nothing will be.
func (t *Tx) DeleteMasterKey(id uint64) error {
	t.kv.Delete(t.keys.masterKey(id))
	return t.err
}

// isAccountID says whether s is 12 decimal digits.
func isAccountID(s string) bool { return len(s) == accountWidth && strings.Trim(s, "0123456789") == "" }
