package iam

// anonymousID is the aws:userid of callers who did not sign.
const anonymousID = "anonymous"

// evaluation is a request while it is decided.
type evaluation struct {
	*Request
	one   [1]string // holds a value that the request itself gives
	spent int       // bytes compared and made, see maxSpent
}

// maxSpent bounds what one decision may compare and make of variables, in
// bytes. A policy of the largest size that is held against a key of the greatest
// length stays below it; one that repeats what a client sends in its headers
// could take a second of a core, for each key of a request.
const maxSpent = 2 << 20

// spend counts work. Once it reports false, nothing is found out any more.
func (e *evaluation) spend(bytes int) bool {
	e.spent += bytes
	return e.spent <= maxSpent
}

// costly returns the denial of an evaluation that was given up: what it did not
// come to may deny.
func (e *evaluation) costly(s *statement) *statement {
	if s == nil && e.spent > maxSpent {
		return &statement{reason: "the policies are too costly to hold against this request"}
	}
	return s
}

// values returns the values of a condition key in lower case. What the
// identity and the bucket say is taken from them, so that no caller of Decide
// can say otherwise.
func (e *evaluation) values(key string) []string {
	switch key {
	case "aws:username", "aws:userid", "aws:principalarn", "aws:principalaccount", "aws:principaltype":
		return e.value(e.ofPrincipal(key))
	case "aws:principalisawsservice", "aws:viaawsservice":
		return e.value("false")
	case "aws:resourceaccount", "s3:resourceaccount":
		if e.Bucket == nil {
			return nil
		}
		return e.value(string(e.Bucket.OwnerAccount))
	}
	if e.Context == nil {
		return nil
	}
	return e.Context.Values(key)
}

func (e *evaluation) value(v string) []string {
	if v == "" {
		return nil
	}
	e.one[0] = v
	return e.one[:]
}

// ofPrincipal returns what a key says of the caller, "" for nothing.
func (e *evaluation) ofPrincipal(key string) string {
	if e.Who == nil {
		switch key {
		case "aws:principaltype":
			return "Anonymous"
		case "aws:userid":
			return anonymousID
		}
		return ""
	}
	switch key {
	case "aws:username":
		return e.Who.UserName
	case "aws:userid":
		return e.Who.UserID
	case "aws:principalarn":
		return e.Who.ARN()
	case "aws:principalaccount":
		return string(e.Who.AccountID)
	}
	if e.Who.Root {
		return "Account"
	}
	return "User"
}
