// Package iam answers who a caller is and what it may do.
//
// It knows accounts, their users and the credentials that sign for them, the
// policies of buckets and users, access control lists, and the decision about
// (who, action, what, context).
//
// [Decide] is a pure function: it reads no clock, no network and no store, so
// the same question always has the same answer, with the statement or grant
// that decided as its reason. testdata/decisions holds what it must answer. A
// [Policy] is immutable once parsed, and a [Keyring] may be asked by many
// goroutines at a time. The package does not check signatures (sigv4 does),
// knows no HTTP, and stores nothing.
//
// Roles, sessions and services may be named in policies and are nobody yet.
// Policies of organizations and permissions boundaries do not exist.
//
// It is a leaf: it imports the standard library only, and anyone may import it.
package iam

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
)

// ErrNoSuchKey is returned by a [Keyring] that does not know the access key.
// S3 calls it InvalidAccessKeyId.
var ErrNoSuchKey = errors.New("no such access key")

// AccountID is the number of an account: 12 decimal digits.
type AccountID string

// RootAccount is the account that owns an installation. Its number is the same
// everywhere, so that replacing the root key changes no owner.
const RootAccount AccountID = "000000000001"

// CanonicalID is the name of an account as an owner or a grantee in S3: 64
// lowercase hexadecimal digits.
type CanonicalID string

// CanonicalIDOf returns the canonical id of an account. It depends on the
// number alone and never changes.
func CanonicalIDOf(account AccountID) CanonicalID {
	sum := sha256.Sum256([]byte("undercroft account " + string(account)))
	return CanonicalID(hex.EncodeToString(sum[:]))
}

// Identity is an authenticated caller. A nil *Identity is an anonymous one.
type Identity struct {
	AccountID   AccountID
	CanonicalID CanonicalID // of the account; its users share it
	DisplayName string
	UserName    string // "" for the account's root
	UserID      string // the unique id that policies know as aws:userid
	// Root says that the caller is its account's root, to whom the account
	// denies nothing.
	Root bool
	// Policies are those of the user; root has none.
	Policies []*Policy
}

// ARN returns the name by which policies know the caller.
func (i *Identity) ARN() string {
	if i.Root || i.UserName == "" {
		return "arn:aws:iam::" + string(i.AccountID) + ":root"
	}
	return "arn:aws:iam::" + string(i.AccountID) + ":user/" + i.UserName
}

// is reports whether the caller is of the account with a canonical id.
func (i *Identity) is(id CanonicalID) bool {
	return i != nil && id != "" && i.CanonicalID == id
}

// RootIdentity returns the root of the installation's own account.
func RootIdentity() Identity {
	return Identity{
		AccountID:   RootAccount,
		CanonicalID: CanonicalIDOf(RootAccount),
		DisplayName: "root",
		UserID:      string(RootAccount),
		Root:        true,
	}
}

// Credential is a key pair and whom it signs for.
type Credential struct {
	AccessKey string
	Secret    string
	Identity  Identity
}

// LogValue keeps the secret out of the log.
func (c Credential) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("access_key", c.AccessKey),
		slog.String("account", string(c.Identity.AccountID)),
	)
}

// Keyring finds the credential that an access key names.
type Keyring interface {
	// Lookup returns the credential of accessKey or ErrNoSuchKey. Any other
	// error means that the answer is not known now and the caller may ask again.
	Lookup(ctx context.Context, accessKey string) (Credential, error)
}

// rootKeyring knows the root credential and no other.
type rootKeyring struct {
	root Credential
}

var _ Keyring = rootKeyring{}

// NewRootKeyring returns a keyring that holds the root credential alone. An
// empty access key is never found, even when it is the one given here.
func NewRootKeyring(accessKey, secret string) Keyring {
	return rootKeyring{Credential{AccessKey: accessKey, Secret: secret, Identity: RootIdentity()}}
}

// Lookup implements Keyring.
func (k rootKeyring) Lookup(_ context.Context, accessKey string) (Credential, error) {
	if accessKey == "" || accessKey != k.root.AccessKey {
		return Credential{}, ErrNoSuchKey
	}
	return k.root, nil
}
