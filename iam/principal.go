package iam

import (
	"slices"
	"strings"
)

// principals is whom a statement is about. Services and federated identities
// may be named and are nobody of ours.
type principals struct {
	everyone  bool
	accounts  []AccountID
	canonical []CanonicalID
	users     []userPrincipal
}

// userPrincipal is one user: the rest of the ARN after "user/" is its name.
type userPrincipal struct {
	account AccountID
	name    string
}

// reach is how a caller is among principals.
type reach uint8

const (
	reachNone    reach = iota
	reachAccount       // its account is named, which leaves to the account whom it lets
	reachDirect        // the caller itself is named, or everyone is
)

// reach finds out whether and how the caller is named.
func (p *principals) reach(who *Identity) reach {
	switch {
	case p.everyone:
		return reachDirect
	case who == nil:
		return reachNone
	case slices.Contains(p.users, userPrincipal{who.AccountID, who.UserName}) && who.UserName != "":
		return reachDirect
	case slices.Contains(p.accounts, who.AccountID), slices.Contains(p.canonical, who.CanonicalID):
		if who.Root {
			return reachDirect
		}
		return reachAccount
	}
	return reachNone
}

// addAWS adds a principal of the kind AWS: everyone, an account by its number
// or the ARN of its root, a user, or a role or session, which are nobody yet.
func (p *principals) addAWS(name string) bool {
	if name == "*" {
		p.everyone = true
		return true
	}
	if isAccountNumber(name) {
		p.accounts = append(p.accounts, AccountID(name))
		return true
	}
	fields := strings.SplitN(name, ":", 6)
	if len(fields) != 6 || fields[0] != "arn" || fields[1] != "aws" || fields[3] != "" || !isAccountName(fields[4]) {
		return false
	}
	account, resource := AccountID(fields[4]), fields[5]
	kind, id, _ := strings.Cut(resource, "/")
	if strings.ContainsAny(resource, "*?") || resource != "root" && id == "" {
		return false // a wildcard is everyone or nothing
	}
	switch fields[2] + ":" + kind {
	case "iam:root":
		p.accounts = append(p.accounts, account)
		return resource == "root"
	case "iam:user":
		p.users = append(p.users, userPrincipal{account, id})
		return true
	case "iam:role", "sts:assumed-role", "sts:federated-user":
		return true
	}
	return false
}

// addCanonical adds an account by its canonical id.
func (p *principals) addCanonical(id string) bool {
	if len(id) != 64 || strings.Trim(id, "0123456789abcdef") != "" {
		return false
	}
	p.canonical = append(p.canonical, CanonicalID(id))
	return true
}

func isAccountNumber(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// isAccountName accepts the accounts of other installations too, some of which
// are named and not numbered. They are nobody here, as a number may be.
func isAccountName(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	return s != "" && len(s) <= 64 && strings.Trim(s, letters) == ""
}
