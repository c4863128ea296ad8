package iam

import (
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// family is what kind of values an operator compares, and how.
type family uint8

const (
	familyEquals family = iota
	familyEqualsFold
	familyLike
	familyNumeric
	familyDate
	familyBool
	familyBinary
	familyIP
	familyARN
	familyNull
)

// order is the comparison of numbers and dates.
type order uint8

const (
	orderEqual order = iota
	orderLess
	orderLessEqual
	orderGreater
	orderGreaterEqual
)

// parseOperator reads the name of an operator. Names count by case, as AWS
// writes them.
func parseOperator(name string) (operator, order, bool) {
	var o operator
	if rest, ok := strings.CutPrefix(name, "ForAllValues:"); ok {
		o.set, name = setAll, rest
	} else if rest, ok := strings.CutPrefix(name, "ForAnyValue:"); ok {
		o.set, name = setAny, rest
	}
	if name == "Null" {
		o.family = familyNull
		ok := o.set == setNone
		o.set = setAbsent
		return o, orderEqual, ok
	}
	name, o.ifExists = strings.CutSuffix(name, "IfExists")
	var by order
	var ok bool
	o.family, by, ok = operatorFamily(strings.Replace(name, "Not", "", 1))
	// The negations are these and no more: there is no BoolNot or NotNumericLessThan.
	switch {
	case !strings.Contains(name, "Not"):
	case name == "NotIpAddress", name == "StringNotEquals", name == "StringNotEqualsIgnoreCase", name == "StringNotLike",
		name == "NumericNotEquals", name == "DateNotEquals", name == "ArnNotEquals", name == "ArnNotLike":
		o.negated = true
	default:
		ok = false
	}
	return o, by, ok
}

// operatorFamily reads the name of an operator without its negation.
func operatorFamily(name string) (family, order, bool) {
	if compared, ok := strings.CutPrefix(name, "Numeric"); ok {
		by, ok := parseOrder(compared)
		return familyNumeric, by, ok
	}
	if compared, ok := strings.CutPrefix(name, "Date"); ok {
		by, ok := parseOrder(compared)
		return familyDate, by, ok
	}
	switch name {
	case "StringEquals":
		return familyEquals, orderEqual, true
	case "StringEqualsIgnoreCase":
		return familyEqualsFold, orderEqual, true
	case "StringLike":
		return familyLike, orderEqual, true
	case "Bool":
		return familyBool, orderEqual, true
	case "BinaryEquals":
		return familyBinary, orderEqual, true
	case "IpAddress":
		return familyIP, orderEqual, true
	case "ArnEquals", "ArnLike":
		return familyARN, orderEqual, true
	}
	return 0, 0, false
}

func parseOrder(name string) (order, bool) {
	switch name {
	case "Equals":
		return orderEqual, true
	case "LessThan":
		return orderLess, true
	case "LessThanEquals":
		return orderLessEqual, true
	case "GreaterThan":
		return orderGreater, true
	case "GreaterThanEquals":
		return orderGreaterEqual, true
	}
	return 0, false
}

// holds reports whether the result of a comparison, negative, zero or
// positive, is what the order asks for.
func (o order) holds(compared int) bool {
	switch o {
	case orderEqual:
		return compared == 0
	case orderLess:
		return compared < 0
	case orderLessEqual:
		return compared <= 0
	case orderGreater:
		return compared > 0
	case orderGreaterEqual:
		return compared >= 0
	}
	return false
}

// newComparison reads a value of a condition in a policy. It reports false for
// one that the operator cannot compare with.
func newComparison(f family, by order, text string, variables dialect) (comparison, bool) {
	variables.wildcards = f == familyLike || f == familyARN
	switch f {
	case familyEquals, familyEqualsFold, familyLike, familyARN:
		t, ok := variables.parse(text)
		return textComparison(f, t), ok
	case familyNumeric:
		n, ok := parseNumber(text)
		return numberComparison{n, by}, ok
	case familyDate:
		at, ok := parseDate(text)
		return dateComparison{at, by}, ok
	case familyBool, familyNull:
		truth, ok := parseTruth(text)
		return boolComparison{truth}, ok
	case familyBinary:
		raw, err := base64.StdEncoding.DecodeString(text)
		return binaryComparison{string(raw)}, err == nil
	case familyIP:
		prefix, ok := parsePrefix(text)
		return ipComparison{prefix}, ok
	}
	return nil, false
}

// textComparison compares with text, in which variables may stand.
func textComparison(f family, t template) comparison {
	if f == familyEqualsFold {
		return foldComparison{t}
	}
	if f == familyLike {
		return likeComparison{t}
	}
	if f == familyARN {
		return arnComparison{t}
	}
	return equalComparison{t}
}

type equalComparison struct{ template }

func (c equalComparison) matches(value string, e *evaluation) bool {
	text, ok := c.expand(e)
	return ok && text == value
}

type foldComparison struct{ template }

func (c foldComparison) matches(value string, e *evaluation) bool {
	text, ok := c.expand(e)
	return ok && strings.EqualFold(text, value)
}

type likeComparison struct{ template }

func (c likeComparison) matches(value string, e *evaluation) bool {
	pattern, ok := c.expand(e)
	return ok && matchWildcards(pattern, value)
}

type arnComparison struct{ template }

func (c arnComparison) matches(value string, e *evaluation) bool {
	pattern, ok := c.expand(e)
	return ok && matchARN(pattern, value)
}

type numberComparison struct {
	number float64
	by     order
}

func (c numberComparison) matches(value string, _ *evaluation) bool {
	n, ok := parseNumber(value)
	switch {
	case !ok:
		return false
	case n < c.number:
		return c.by.holds(-1)
	case n > c.number:
		return c.by.holds(1)
	}
	return c.by.holds(0)
}

type dateComparison struct {
	at time.Time
	by order
}

func (c dateComparison) matches(value string, _ *evaluation) bool {
	at, ok := parseDate(value)
	return ok && c.by.holds(at.Compare(c.at))
}

type boolComparison struct{ truth bool }

func (c boolComparison) matches(value string, _ *evaluation) bool {
	truth, ok := parseTruth(value)
	return ok && truth == c.truth
}

type binaryComparison struct{ raw string }

func (c binaryComparison) matches(value string, _ *evaluation) bool {
	raw, err := base64.StdEncoding.DecodeString(value)
	return err == nil && string(raw) == c.raw
}

type ipComparison struct{ prefix netip.Prefix }

func (c ipComparison) matches(value string, _ *evaluation) bool {
	address, err := netip.ParseAddr(value)
	return err == nil && c.prefix.Contains(address.Unmap().WithZone(""))
}

// parseNumber reads a decimal number.
func parseNumber(text string) (float64, bool) {
	if text == "" || strings.Trim(text, "+-.0123456789eE") != "" {
		return 0, false // no "NaN", "Inf", hexadecimal or underscores
	}
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil
}

// parseDate reads a date of ISO 8601 as W3C restricts it, or the seconds of the
// Unix epoch.
func parseDate(text string) (time.Time, bool) {
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(seconds, 0), true
	}
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", time.DateOnly, "2006-01"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

func parseTruth(text string) (truth, ok bool) {
	switch {
	case strings.EqualFold(text, "true"):
		return true, true
	case strings.EqualFold(text, "false"):
		return false, true
	}
	return false, false
}

// parsePrefix reads an address or a range in CIDR notation.
func parsePrefix(text string) (netip.Prefix, bool) {
	if !strings.Contains(text, "/") {
		address, err := netip.ParseAddr(text)
		if err != nil || address.Zone() != "" {
			return netip.Prefix{}, false
		}
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), true
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	if bits := prefix.Bits() - 96; prefix.Addr().Is4In6() && bits >= 0 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), bits)
	}
	return prefix.Masked(), true
}
