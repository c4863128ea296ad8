package iam

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Errors of what keeps accounts, users and access keys, compared with
// errors.Is. The text around them is one line for whoever asked.
var (
	// ErrNoSuchAccount says that no account has this number, e-mail address or
	// canonical id.
	ErrNoSuchAccount = errors.New("no such account")
	// ErrNoSuchUser says that the account has no user of this name.
	ErrNoSuchUser = errors.New("no such user")
	// ErrExists says that a name, an address or an access key is taken.
	ErrExists = errors.New("it exists already")
	// ErrInUse says that something has to be removed first.
	ErrInUse = errors.New("it is in use")
	// ErrInvalid says that a value breaks a rule.
	ErrInvalid = errors.New("invalid value")
)

// Account is an account as it is administered and as grants name it.
type Account struct {
	ID          AccountID   `json:"id"`
	CanonicalID CanonicalID `json:"canonicalId"`
	// Name is what S3 shows as the display name of the account.
	Name     string    `json:"name"`
	Email    string    `json:"email,omitempty"`
	Created  time.Time `json:"created"`
	Disabled bool      `json:"disabled"`
}

// User is a user of an account, whom policies limit.
type User struct {
	Account     AccountID `json:"account"`
	Name        string    `json:"name"`
	ID          string    `json:"id"`
	DisplayName string    `json:"displayName,omitempty"`
	Email       string    `json:"email,omitempty"`
	Created     time.Time `json:"created"`
	Disabled    bool      `json:"disabled"`
	// Policy is the inline policy, a JSON document, or empty.
	Policy string `json:"policy,omitempty"`
}

// AccessKey describes a key pair; the secret is not shown again.
type AccessKey struct {
	AccessKey string    `json:"accessKey"`
	Account   AccountID `json:"account"`
	// User is empty for a key of the account's root.
	User        string    `json:"user,omitempty"`
	Created     time.Time `json:"created"`
	Rotated     time.Time `json:"rotated,omitzero"`
	Disabled    bool      `json:"disabled"`
	Description string    `json:"description,omitempty"`
}

// Accounts finds accounts by the names that grants give them. The error is
// ErrNoSuchAccount where there is none; disabled ones are found.
type Accounts interface {
	ByEmail(ctx context.Context, email string) (Account, error)
	ByCanonicalID(ctx context.Context, id CanonicalID) (Account, error)
	// DisplayName is the name of an account, empty where there is none.
	DisplayName(ctx context.Context, id CanonicalID) (string, error)
}

// Limits of names, in bytes.
const (
	maxAccountName = 128
	maxUserName    = 64
	maxEmail       = 254
	maxDescription = 256
	minAccessKey   = 3
	maxAccessKey   = 128
	minSecret      = 8
	maxSecret      = 128
)

const (
	digits      = "0123456789"
	wordLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" + digits + "_"
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// CheckAccountID refuses what is not the number of an account.
func CheckAccountID(id AccountID) error {
	if len(id) != 12 || strings.Trim(string(id), digits) != "" {
		return invalid("an account id has 12 digits, %q has not", id)
	}
	return nil
}

// CheckAccountName refuses names of accounts, and display names of users, that
// cannot be shown.
func CheckAccountName(name string) error {
	if name == "" || len(name) > maxAccountName || !printable(name) {
		return invalid("a name has 1 to %d printable characters", maxAccountName)
	}
	return nil
}

// CheckUserName refuses names that AWS refuses. They are part of ARNs.
func CheckUserName(name string) error {
	if name == "" || len(name) > maxUserName || strings.Trim(name, wordLetters+"+=,.@-") != "" || strings.Trim(name, ".") == "" {
		return invalid("a user name has 1 to %d letters, digits or any of _+=,.@-", maxUserName)
	}
	return nil
}

// CheckEmail refuses what is certainly no e-mail address.
func CheckEmail(email string) error {
	local, domain, found := strings.Cut(email, "@")
	if !found || local == "" || domain == "" || len(email) > maxEmail || strings.ContainsAny(email, " <>,;\"") || strings.Contains(domain, "@") || !printable(email) {
		return invalid("%q is not an e-mail address", email)
	}
	return nil
}

// CheckDescription refuses descriptions that are too long or cannot be shown.
func CheckDescription(text string) error {
	if len(text) > maxDescription || !printable(text) {
		return invalid("a description has at most %d printable characters", maxDescription)
	}
	return nil
}

// CheckAccessKey refuses access keys that clients could not send.
func CheckAccessKey(key string) error {
	if len(key) < minAccessKey || len(key) > maxAccessKey || strings.Trim(key, wordLetters+"-") != "" {
		return invalid("an access key has %d to %d letters, digits, _ or -", minAccessKey, maxAccessKey)
	}
	return nil
}

// CheckSecret refuses secrets that are too short or that nobody can type.
func CheckSecret(secret string) error {
	if len(secret) < minSecret || len(secret) > maxSecret || !printable(secret) || strings.Contains(secret, " ") {
		return invalid("a secret key has %d to %d printable characters without spaces", minSecret, maxSecret)
	}
	return nil
}

// printable says whether s is valid UTF-8 without control characters.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\uFFFD' })
}
