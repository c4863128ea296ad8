package metadata

import (
	"fmt"
	"strings"

	"github.com/undercroft/undercroft/metadata/kv"
)

// checkIdentity holds the rows I against each other.
func checkIdentity(c *pageCheck, p kv.Pair) error {
	body := c.keys.body(p.Key)
	if len(body) == 0 {
		return errKey(p.Key)
	}
	rest := string(body[1:])
	switch body[0] {
	case identityAccount:
		return checkAccount(c, p, rest)
	case identityCanonical:
		return checkCanonical(c, p, rest)
	case identityEmail:
		return checkEmail(c, p, rest)
	case identityUser:
		return checkUser(c, p, rest)
	case identityKey:
		return checkAccessKey(c, p, rest)
	case identityKeyOf:
		return checkKeyOf(c, p, rest)
	case identityMasterKey:
		_, err := masterKeyRow(body[1:], p.Value)
		return err
	default:
		c.problem(StrayRow, p.Key, "a row of no known table")
		return nil
	}
}

func checkAccount(c *pageCheck, p kv.Pair, id string) error {
	c.tally.Accounts++
	a, err := accountRow(id, p.Value)
	if err != nil {
		return err
	}
	name, err := c.CanonicalName(a.Canonical)
	if err != nil {
		return err
	}
	if name == nil || name.Account != id || !name.Deleted.IsZero() {
		c.problem(AccountMismatch, p.Key, "its canonical id does not name it")
	}
	if a.Email == "" {
		return nil
	}
	named, err := decode(c.Reader, c.keys.email(a.Email), decodeAccountID)
	if err == nil && (named == nil || *named != id) {
		c.problem(AccountMismatch, p.Key, "its e-mail address does not name it")
	}
	return err
}

func checkCanonical(c *pageCheck, p kv.Pair, canonical string) error {
	name, err := decodeCanonicalName(p.Value)
	if err != nil {
		return err
	}
	a, err := c.Account(name.Account)
	if err != nil {
		return err
	}
	named := a != nil && a.Canonical == canonical
	if named != name.Deleted.IsZero() {
		c.problem(AccountMismatch, p.Key, fmt.Sprintf("names account %s, which is not this one, or is there though deleted", name.Account))
	}
	return nil
}

func checkEmail(c *pageCheck, p kv.Pair, email string) error {
	id, err := decodeAccountID(p.Value)
	if err != nil {
		return err
	}
	a, err := c.Account(*id)
	if err == nil && (a == nil || strings.ToLower(a.Email) != email) {
		c.problem(AccountMismatch, p.Key, fmt.Sprintf("names account %s, which has another address", *id))
	}
	return err
}

func checkUser(c *pageCheck, p kv.Pair, rest string) error {
	c.tally.Users++
	account, name, ok := parseAccountName([]byte(rest))
	if !ok || len(name) == 0 {
		return errKey(p.Key)
	}
	if _, err := decodeUser(p.Value); err != nil {
		return err
	}
	return c.ownedBy(account, "", p.Key)
}

// ownedBy reports a row of an account, or of its user, that is not there.
func (c *pageCheck) ownedBy(account, user string, key []byte) error {
	a, err := c.Account(account)
	if err != nil {
		return err
	}
	if a == nil {
		c.problem(AccountMismatch, key, fmt.Sprintf("account %q is not there", account))
		return nil
	}
	if user == "" {
		return nil
	}
	u, err := c.User(account, user)
	if err == nil && u == nil {
		c.problem(AccountMismatch, key, fmt.Sprintf("user %q of account %s is not there", user, account))
	}
	return err
}

func checkAccessKey(c *pageCheck, p kv.Pair, key string) error {
	c.tally.AccessKeys++
	k, err := decodeAccessKey(p.Value)
	if err != nil {
		return err
	}
	listed, err := c.get(c.keys.keyOf(k.Account, k.User, key))
	if err != nil {
		return err
	}
	if listed == nil {
		c.problem(AccountMismatch, p.Key, "it is not in the list of its owner's access keys")
	}
	sealer, err := c.get(c.keys.masterKey(k.MasterKey))
	if err != nil {
		return err
	}
	if sealer == nil {
		c.problem(AccountMismatch, p.Key, fmt.Sprintf("master key %016x, which sealed it, is not recorded", k.MasterKey))
	}
	return c.ownedBy(k.Account, k.User, p.Key)
}

func checkKeyOf(c *pageCheck, p kv.Pair, rest string) error {
	account, tail, ok := parseAccountName([]byte(rest))
	if !ok {
		return errKey(p.Key)
	}
	user, key, err := unesc(tail)
	if err != nil {
		return err
	}
	k, err := c.AccessKey(string(key))
	if err == nil && (k == nil || k.Account != account || k.User != user) {
		c.problem(AccountMismatch, p.Key, "lists an access key that is not there or is another's")
	}
	return err
}
