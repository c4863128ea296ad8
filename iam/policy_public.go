package iam

import (
	"slices"
	"strings"
)

// isPublic reports whether a statement lets in an open set of callers. One that
// names its principals does not, nor one whose conditions hold only for fixed
// values of keys that tell callers apart. What is not known to be closed is
// open.
func (s *statement) isPublic() bool {
	return !s.deny && s.principals.everyone && !slices.ContainsFunc(s.conditions, func(c condition) bool { return c.closes() })
}

// closes reports whether a condition holds for a fixed set of callers alone.
func (c *condition) closes() bool {
	// A condition that holds without the key lets in whoever has none.
	if c.operator.negated || c.operator.ifExists || c.operator.set == setAll || c.operator.set == setAbsent {
		return false
	}
	for _, v := range c.values {
		if !c.fixes(v) {
			return false
		}
	}
	return true
}

// fixes reports whether a value of the condition is fixed, for a key that
// counts.
func (c *condition) fixes(v comparison) bool {
	var t template
	switch v := v.(type) {
	case ipComparison:
		return c.key == "aws:sourceip" && v.narrow()
	case equalComparison:
		t = v.template
	case foldComparison:
		t = v.template
	case likeComparison:
		t = v.template
	case arnComparison:
		t = v.template
	default:
		return false
	}
	switch c.key {
	case "aws:userid":
		return t.fixed() && !strings.EqualFold(t.text, anonymousID) // who is everybody
	case "s3:dataaccesspointarn":
		// Of access points it is enough that the account is fixed.
		fields := strings.SplitN(t.text, ":", 6)
		return t.fixed() || t.parts == nil && len(fields) == 6 && isAccountNumber(fields[4])
	case "aws:sourceip", "aws:sourcearn", "aws:sourcevpc", "aws:sourcevpce", "aws:sourceowner", "aws:sourceaccount",
		"aws:sourceorgid", "aws:sourceorgpaths", "aws:sourcevpcarn", "aws:vpceaccount", "aws:vpceorgid",
		"aws:vpceorgpaths", "aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths",
		"aws:principalservicename", "aws:principalservicenameslist", "aws:username",
		"s3:dataaccesspointaccount", "s3:x-amz-server-side-encryption-aws-kms-key-id":
		return t.fixed()
	}
	return false
}

// narrow reports whether a range of addresses is not so broad that S3 takes it
// for everybody. Private ranges are nobody outside.
func (c ipComparison) narrow() bool {
	if c.prefix.Addr().Is4() {
		return c.prefix.Bits() >= 8
	}
	return c.prefix.Bits() >= 32 || c.prefix.Addr().IsPrivate() && c.prefix.Bits() >= 7
}
