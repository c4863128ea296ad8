package iam

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestConditionOperators(t *testing.T) {
	tests := []struct {
		operator string
		values   string // JSON
		context  []string
		want     bool
	}{
		{"StringEquals", `"a"`, []string{"a"}, true},
		{"StringEquals", `"a"`, []string{"A"}, false},
		{"StringEquals", `"a*"`, []string{"ab"}, false},
		{"StringEquals", `["a", "b"]`, []string{"b"}, true},
		{"StringEquals", `"a"`, nil, false},
		{"StringEquals", `""`, []string{""}, true},
		{"StringEquals", `["a", "b"]`, []string{"x", "b"}, true},
		{"StringEquals", `true`, []string{"true"}, true},
		{"StringEquals", `12`, []string{"12"}, true},
		{"StringNotEquals", `"a"`, []string{"b"}, true},
		{"StringNotEquals", `"a"`, []string{"a"}, false},
		{"StringNotEquals", `["a", "b"]`, []string{"a"}, false},
		{"StringNotEquals", `"a"`, nil, true},
		{"StringNotEquals", `"a"`, []string{"b", "a"}, false},
		{"StringEqualsIgnoreCase", `"aÉ"`, []string{"Aé"}, true},
		{"StringEqualsIgnoreCase", `"a"`, []string{"b"}, false},
		{"StringNotEqualsIgnoreCase", `"a"`, []string{"A"}, false},
		{"StringNotEqualsIgnoreCase", `"a"`, nil, true},
		{"StringLike", `"a*c?"`, []string{"abbbcd"}, true},
		{"StringLike", `"a*c?"`, []string{"abbbc"}, false},
		{"StringLike", `"A*"`, []string{"ab"}, false},
		{"StringLike", `"*"`, nil, false},
		{"StringNotLike", `"a*"`, []string{"ab"}, false},
		{"StringNotLike", `"a*"`, []string{"b"}, true},
		{"StringNotLike", `"a*"`, nil, true},
		{"NumericEquals", `"10"`, []string{"10.0"}, true},
		{"NumericEquals", `10`, []string{"1e1"}, true},
		{"NumericEquals", `"10"`, []string{"ten"}, false},
		{"NumericNotEquals", `"10"`, []string{"11"}, true},
		{"NumericNotEquals", `"10"`, []string{"10"}, false},
		{"NumericNotEquals", `"10"`, nil, true},
		{"NumericLessThan", `"10"`, []string{"9"}, true},
		{"NumericLessThan", `"10"`, []string{"10"}, false},
		{"NumericLessThanEquals", `"10"`, []string{"10"}, true},
		{"NumericGreaterThan", `"-1"`, []string{"0"}, true},
		{"NumericGreaterThan", `"10"`, []string{"10"}, false},
		{"NumericGreaterThanEquals", `"10"`, []string{"10"}, true},
		{"NumericGreaterThanEquals", `"10"`, []string{"NaN"}, false},
		{"NumericLessThan", `"10"`, nil, false},
		{"NumericLessThanIfExists", `"10"`, nil, true},
		{"DateEquals", `"2026-11-21T15:00:00Z"`, []string{"2026-11-21T16:00:00+01:00"}, true},
		{"DateEquals", `"1970-01-01T00:01:00Z"`, []string{"60"}, true},
		{"DateEquals", `"2026-11-21"`, []string{"2026-11-21T00:00:00.000Z"}, true},
		{"DateEquals", `60`, []string{"1970-01-01T00:01Z"}, true},
		{"DateNotEquals", `"2026-11-21"`, []string{"2026-11-22"}, true},
		{"DateNotEquals", `"2026-11-21"`, []string{"2026-11-21"}, false},
		{"DateLessThan", `"2026-11-21"`, []string{"2026-11-20T23:59:59Z"}, true},
		{"DateLessThan", `"2026-11-21"`, []string{"2026-11-21"}, false},
		{"DateLessThanEquals", `"2026-11-21"`, []string{"2026-11-21"}, true},
		{"DateGreaterThan", `"2026-11-21"`, []string{"2026-11-22"}, true},
		{"DateGreaterThanEquals", `"2026-11-21"`, []string{"2026-11-21"}, true},
		{"DateGreaterThan", `"2026-11-21"`, []string{"tomorrow"}, false},
		{"DateLessThan", `"2026-11-21"`, nil, false},
		{"Bool", `"true"`, []string{"true"}, true},
		{"Bool", `true`, []string{"TRUE"}, true},
		{"Bool", `"false"`, []string{"true"}, false},
		{"Bool", `false`, nil, false},
		{"BoolIfExists", `false`, nil, true},
		{"BinaryEquals", `"QmluYXJ5"`, []string{"QmluYXJ5"}, true},
		{"BinaryEquals", `"QmluYXJ5"`, []string{"QmluYXJ6"}, false},
		{"BinaryEquals", `"QmluYXJ5"`, []string{"?"}, false},
		{"BinaryEquals", `"QmluYXJ5"`, nil, false},
		{"IpAddress", `"192.0.2.0/24"`, []string{"192.0.2.77"}, true},
		{"IpAddress", `"192.0.2.7/24"`, []string{"192.0.2.77"}, true},
		{"IpAddress", `"192.0.2.0/24"`, []string{"192.0.3.1"}, false},
		{"IpAddress", `"192.0.2.1"`, []string{"192.0.2.1"}, true},
		{"IpAddress", `"192.0.2.1"`, []string{"::ffff:192.0.2.1"}, true},
		{"IpAddress", `"::ffff:192.0.2.0/120"`, []string{"192.0.2.1"}, true},
		{"IpAddress", `"2001:db8::/32"`, []string{"2001:db8:1::1"}, true},
		{"IpAddress", `"fe80::/10"`, []string{"fe80::1%eth0"}, true},
		{"IpAddress", `"2001:db8::/32"`, []string{"2001:db9::1"}, false},
		{"IpAddress", `"0.0.0.0/0"`, []string{"2001:db8::1"}, false},
		{"IpAddress", `"0.0.0.0/0"`, []string{"elsewhere"}, false},
		{"IpAddress", `"0.0.0.0/0"`, nil, false},
		{"NotIpAddress", `"192.0.2.0/24"`, []string{"192.0.2.1"}, false},
		{"NotIpAddress", `"192.0.2.0/24"`, []string{"192.0.3.1"}, true},
		{"NotIpAddress", `"192.0.2.0/24"`, nil, true},
		{"ArnEquals", `"arn:aws:sns:*:1:t"`, []string{"arn:aws:sns:eu:1:t"}, true},
		{"ArnLike", `"arn:aws:s3:::b*"`, []string{"arn:aws:s3:::bucket"}, true},
		{"ArnLike", `"arn:aws:*"`, []string{"arn:aws:s3:::bucket"}, true},
		{"ArnEquals", `"arn:aws:s3:::b"`, []string{"arn:aws:s3:::c"}, false},
		{"ArnNotEquals", `"arn:aws:s3:::b"`, []string{"arn:aws:s3:::b"}, false},
		{"ArnNotEquals", `"arn:aws:s3:::b"`, nil, true},
		{"ArnNotLike", `"arn:aws:s3:::b*"`, []string{"arn:aws:s3:::c"}, true},
		{"ArnNotLikeIfExists", `"arn:aws:s3:::b*"`, nil, true},
		{"Null", `"true"`, nil, true},
		{"Null", `"true"`, []string{"x"}, false},
		{"Null", `"false"`, []string{"x"}, true},
		{"Null", `false`, nil, false},
		{"StringEqualsIfExists", `"a"`, nil, true},
		{"StringEqualsIfExists", `"a"`, []string{"b"}, false},
		{"StringNotEqualsIfExists", `"a"`, []string{"a"}, false},
		{"IpAddressIfExists", `"192.0.2.0/24"`, nil, true},
		{"DateLessThanIfExists", `"2026-11-21"`, nil, true},
		{"BinaryEqualsIfExists", `"QmluYXJ5"`, nil, true},
		{"ForAllValues:StringEquals", `["a", "b"]`, []string{"a", "b"}, true},
		{"ForAllValues:StringEquals", `["a", "b"]`, []string{"a", "c"}, false},
		{"ForAllValues:StringEquals", `"a"`, nil, true},
		{"ForAllValues:StringEquals", `"a"`, []string{"b"}, false},
		{"ForAllValues:StringEquals", `"a"`, []string{"", "b"}, false},
		{"ForAllValues:StringEquals", `"a"`, []string{""}, true},
		{"ForAllValues:StringNotEquals", `"a"`, []string{"b", "c"}, true},
		{"ForAllValues:StringNotEquals", `"a"`, []string{"b", "a"}, false},
		{"ForAllValues:StringNotEquals", `"a"`, nil, true},
		{"ForAllValues:StringLikeIfExists", `"a*"`, []string{"ab", "b"}, false},
		{"ForAllValues:NumericLessThan", `"3"`, []string{"1", "2"}, true},
		{"ForAnyValue:StringEquals", `["a", "b"]`, []string{"c", "b"}, true},
		{"ForAnyValue:StringEquals", `"a"`, []string{"c"}, false},
		{"ForAnyValue:StringEquals", `"a"`, nil, false},
		{"ForAnyValue:StringEquals", `""`, []string{""}, false},
		{"ForAnyValue:StringEquals", `"a"`, []string{"a"}, true},
		{"ForAnyValue:StringNotEquals", `"a"`, []string{"a", "b"}, true},
		{"ForAnyValue:StringNotEquals", `"a"`, []string{"a"}, false},
		{"ForAnyValue:StringNotEquals", `"a"`, nil, false},
		{"ForAnyValue:StringEqualsIfExists", `"a"`, nil, true},
		{"ForAnyValue:IpAddress", `"192.0.2.0/24"`, []string{"10.0.0.1", "192.0.2.1"}, true},
	}
	for _, tt := range tests {
		name := tt.operator + " " + tt.values
		operator, by, ok := parseOperator(tt.operator)
		if !ok {
			t.Errorf("%s: no such operator", name)
			continue
		}
		c := condition{operator: operator, key: "aws:referer"}
		var err error
		if c.values, err = (&policyParser{kind: "bucket"}).parseValues(c, by, json.RawMessage(tt.values)); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		context := contextMap{}
		if tt.context != nil {
			context["aws:referer"] = tt.context
		}
		if got := c.holds(&evaluation{Request: &Request{Context: context}}); got != tt.want {
			t.Errorf("%s of %q = %v, want %v", name, tt.context, got, tt.want)
		}
	}
}

func TestUnknownConditionOperators(t *testing.T) {
	for _, name := range []string{
		"", "String", "Equals", "stringEquals", "StringEqual", "NotStringEquals", "StringNot", "BoolNot", "NotBool",
		"BinaryNotEquals", "NumericNotLessThan", "DateNotLessThan", "IpNotAddress", "NullIfExists", "ForAnyValue:Null",
		"ForAllValues:", "ForSomeValues:StringEquals", "StringEqualsifExists", "StringEqualsIfExistsIfExists",
		"ForAnyValue:ForAllValues:StringEquals", "NumericLike", "NotNull", "ArnNot", "StringNotNotEquals",
	} {
		if o, _, ok := parseOperator(name); ok {
			t.Errorf("%q is an operator: %+v", name, o)
		}
	}
}

func TestPolicyVariables(t *testing.T) {
	e := &evaluation{Request: &Request{
		Who:     &Identity{UserName: "alice", UserID: "AIDA", AccountID: "1"},
		Context: contextMap{"s3:prefix": {"a*b"}, "aws:tagkeys": {"x", "y"}, "aws:referer": {"\xff"}},
	}}
	tests := []struct {
		text, subject string
		parses, match bool
	}{
		{"plain", "plain", true, true},
		{"${aws:username}", "alice", true, true},
		{"x/${aws:username}/${aws:userid}", "x/alice/AIDA", true, true},
		{"${aws:username}*", "alice-and-more", true, true},
		{"${s3:prefix}", "a*b", true, true},
		{"${s3:prefix}", "axb", true, false},
		{"${*}${?}${$}", "*?$", true, true},
		{"${*}", "x", true, false},
		{"$*", "$x", true, true},
		{"$", "$", true, true},
		{"${aws:PrincipalTag/x}", "", true, false},
		{"${aws:PrincipalTag/x, 'y'}", "y", true, true},
		{"${aws:PrincipalTag/x,'}'}!", "}!", true, true},
		{"${aws:PrincipalTag/x, '*'}", "*", true, true},
		{"${aws:PrincipalTag/x, '*'}", "z", true, false},
		{"${aws:TagKeys}", "x", true, false},
		{"${aws:TagKeys, 'd'}", "d", true, false},
		{"${aws:Referer}", "anything", true, false},
		{"${aws:Referer}", "\uFFFD", true, true},
		{"${", "", false, false},
		{"${aws:username", "", false, false},
		{"${}", "", false, false},
		{"${aws:username, nobody}", "", false, false},
		{"${aws:username, 'no'body'}", "", false, false},
		{"${aws:username,}", "", false, false},
		{"${${aws:username}}", "", false, false},
	}
	for _, tt := range tests {
		template, ok := dialect{wildcards: true, variables: true}.parse(tt.text)
		if ok != tt.parses {
			t.Errorf("%q parses: %v", tt.text, ok)
			continue
		}
		if !ok {
			continue
		}
		pattern, ok := template.expand(e)
		if got := ok && matchWildcards(pattern, tt.subject); got != tt.match {
			t.Errorf("%q matches %q: %v", tt.text, tt.subject, got)
		}
	}
}

// A policy that repeats a variable must not make a request of any size.
func TestExpansionIsBounded(t *testing.T) {
	e := &evaluation{Request: &Request{Context: contextMap{"aws:referer": {strings.Repeat("a", 60<<10)}}}}
	template, ok := dialect{variables: true}.parse(strings.Repeat("${aws:Referer}", 1000))
	if !ok {
		t.Fatal("not parsed")
	}
	if text, ok := template.expand(e); ok {
		t.Errorf("%d bytes", len(text))
	}
}
