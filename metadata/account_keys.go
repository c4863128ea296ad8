package metadata

import "strings"

// The tables of the rows I, by the byte after the tag.
const (
	identityAccount   = 'a'
	identityCanonical = 'c'
	identityEmail     = 'e'
	identityKey       = 'k'
	identityMasterKey = 'm'
	identityKeyOf     = 'o'
	identityUser      = 'u'
)

// accountWidth is the length of an account's number.
const accountWidth = 12

func (s keyspace) identity(table byte, room int) []byte {
	return append(s.tag(tagIdentity, 1+room), table)
}

func (s keyspace) account(id string) []byte {
	return append(s.identity(identityAccount, len(id)), id...)
}

func (s keyspace) canonical(id string) []byte {
	return append(s.identity(identityCanonical, len(id)), id...)
}

// email folds the case, so that addresses that a person takes for one are one.
func (s keyspace) email(address string) []byte {
	return append(s.identity(identityEmail, len(address)), strings.ToLower(address)...)
}

func (s keyspace) accessKey(key string) []byte {
	return append(s.identity(identityKey, len(key)), key...)
}

func (s keyspace) masterKey(id uint64) []byte { return u64(s.identity(identityMasterKey, 8), id) }

func (s keyspace) keyOf(account, user, key string) []byte {
	k := append(s.identity(identityKeyOf, len(account)+len(user)+len(key)+4), account...)
	return append(esc(k, user), key...)
}

func (s keyspace) user(account, name string) []byte {
	return append(append(s.identity(identityUser, len(account)+len(name)), account...), name...)
}

// parseAccountName splits what follows the table's byte in the keys of rows
// I u and I o.
func parseAccountName(b []byte) (account string, rest []byte, ok bool) {
	if len(b) < accountWidth || !isAccountID(string(b[:accountWidth])) {
		return "", nil, false
	}
	return string(b[:accountWidth]), b[accountWidth:], true
}

// readableIdentity renders the key of a row I after its tag.
func readableIdentity(b []byte) (string, bool) {
	if len(b) < 2 {
		return "", false
	}
	table, rest := b[0], b[1:]
	switch table {
	case identityAccount:
		return "account=" + string(rest), isAccountID(string(rest))
	case identityCanonical:
		return "canonical=" + string(rest), true
	case identityEmail:
		return "email=" + string(rest), true
	case identityKey:
		return "access key=" + string(rest), true
	case identityUser:
		account, name, ok := parseAccountName(rest)
		return "account=" + account + " user=" + string(name), ok
	case identityKeyOf:
		account, rest, ok := parseAccountName(rest)
		if !ok {
			return "", false
		}
		user, key, err := unesc(rest)
		return "account=" + account + " user=" + user + " access key=" + string(key), err == nil
	default:
		return "", false
	}
}
