package s3

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Limits of a CORS configuration.
const (
	// MaxCORSRules is how many rules a configuration has at most.
	MaxCORSRules = 100
	// MaxCORSRuleID is the longest id of a rule, in characters.
	MaxCORSRuleID = 255
	// MaxCORSConfig is the largest configuration, in bytes as it is written.
	MaxCORSConfig = 64 << 10
)

// CORSConfiguration says which origins' scripts may use a bucket.
type CORSConfiguration struct {
	Rules []CORSRule
}

// CORSRule allows some methods and request headers to some origins.
type CORSRule struct {
	ID string
	// AllowedHeaders and AllowedOrigins have at most one * each, which stands
	// for any text, the empty one too.
	AllowedHeaders []string
	AllowedMethods []string
	AllowedOrigins []string
	ExposeHeaders  []string
	// MaxAgeSeconds is how long a browser may remember the answer of a
	// preflight; nil when the rule does not say.
	MaxAgeSeconds *int
}

// DecodeCORS decodes the body of PutBucketCors, of 1 to MaxCORSRules rules.
func DecodeCORS(body []byte) (*CORSConfiguration, error) {
	c := &CORSConfiguration{}
	err := decodeDocument(body, "CORSConfiguration", func(x *xmlReader) error {
		return x.children(func(name string) error {
			if name != "CORSRule" {
				return unknownElement(name)
			}
			rule, err := x.corsRule()
			c.Rules = append(c.Rules, rule)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return c, c.check()
}

func (x *xmlReader) corsRule() (CORSRule, error) {
	var rule CORSRule
	var age string
	var hasID, hasAge bool
	err := x.children(func(name string) error {
		switch name {
		case "ID":
			return x.once(&hasID, &rule.ID)
		case "AllowedHeader":
			return x.add(&rule.AllowedHeaders)
		case "AllowedMethod":
			return x.add(&rule.AllowedMethods)
		case "AllowedOrigin":
			return x.add(&rule.AllowedOrigins)
		case "ExposeHeader":
			return x.add(&rule.ExposeHeaders)
		case "MaxAgeSeconds":
			return x.once(&hasAge, &age)
		}
		return unknownElement(name)
	})
	switch {
	case err != nil:
		return rule, err
	case len(rule.AllowedMethods) == 0 || len(rule.AllowedOrigins) == 0:
		return rule, malformed("rule without a method or an origin")
	case hasAge:
		seconds, err := strconv.ParseInt(strings.TrimSpace(age), 10, 32)
		if err != nil || seconds < 0 {
			return rule, malformed("MaxAgeSeconds " + age)
		}
		n := int(seconds)
		rule.MaxAgeSeconds = &n
	}
	return rule, nil
}

// add consumes the current element and appends its text, trimmed.
func (x *xmlReader) add(dst *[]string) error {
	var s string
	err := x.into(&s)
	*dst = append(*dst, s)
	return err
}

// check applies the rules that AWS has beyond the schema.
func (c *CORSConfiguration) check() error {
	switch {
	case len(c.Rules) == 0:
		return malformed("no rule")
	case len(c.Rules) > MaxCORSRules:
		return NewError(InvalidRequest).WithMessage("The number of CORS rules should not exceed allowed limit of 100 rules.")
	}
	for i := range c.Rules {
		if err := c.Rules[i].check(); err != nil {
			return err
		}
	}
	if len(c.AppendXML(nil)) > MaxCORSConfig {
		return NewError(MaxMessageLengthExceeded).WithInt("MaxMessageLengthBytes", MaxCORSConfig).
			Because(errors.New("too long as it is written"))
	}
	return nil
}

func (r *CORSRule) check() error {
	invalid := func(message string) error { return NewError(InvalidRequest).WithMessage(message) }
	if len([]rune(r.ID)) > MaxCORSRuleID {
		return InvalidArg("ID", r.ID, "ID length should not exceed allowed limit of 255")
	}
	for _, method := range r.AllowedMethods {
		if !corsMethod(method) {
			return invalid("Found unsupported HTTP method in CORS config. Unsupported method is " + method)
		}
	}
	for _, origin := range r.AllowedOrigins {
		if strings.Count(origin, "*") > 1 {
			return invalid(`AllowedOrigin "` + origin + `" can not have more than one wildcard.`)
		}
	}
	for _, header := range r.AllowedHeaders {
		if strings.Count(header, "*") > 1 {
			return invalid(`AllowedHeader "` + header + `" can not have more than one wildcard.`)
		}
	}
	for _, header := range r.ExposeHeaders {
		switch {
		case strings.Contains(header, "*"):
			return invalid(`ExposeHeader "` + header + `" contains wildcard. We currently do not support wildcard for ExposeHeader.`)
		case strings.ContainsFunc(header, unicode.IsControl):
			return invalid(`ExposeHeader "` + header + `" contains invalid character.`) // it would end up in a header
		}
	}
	return nil
}

func corsMethod(method string) bool {
	switch method {
	case "GET", "PUT", "POST", "DELETE", "HEAD":
		return true
	}
	return false
}

// CORSRequest is what a browser says of a request to another origin.
type CORSRequest struct {
	Origin string
	Method string
	// Headers are those that a preflight asks for, in lower case.
	Headers []string
}

// ParseCORSHeaders parses Access-Control-Request-Headers.
func ParseCORSHeaders(value string) []string {
	var names []string
	for name := range strings.SplitSeq(value, ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// SupportsMethod reports whether a rule could allow the method of the request.
func (r *CORSRequest) SupportsMethod() bool { return corsMethod(r.Method) }

// Match returns the first rule that allows a request, nil when none does.
func (c *CORSConfiguration) Match(req *CORSRequest) *CORSRule {
	for i := range c.Rules {
		if c.Rules[i].matches(req) {
			return &c.Rules[i]
		}
	}
	return nil
}

func (r *CORSRule) matches(req *CORSRequest) bool {
	if !slices.Contains(r.AllowedMethods, req.Method) {
		return false
	}
	if !slices.ContainsFunc(r.AllowedOrigins, func(p string) bool { return matchOneStar(p, req.Origin) }) {
		return false
	}
	for _, name := range req.Headers {
		if !slices.ContainsFunc(r.AllowedHeaders, func(p string) bool { return matchOneStar(strings.ToLower(p), name) }) {
			return false
		}
	}
	return true
}

// AnyOrigin reports whether the rule is for everybody, so that answers name no origin.
func (r *CORSRule) AnyOrigin() bool { return slices.Contains(r.AllowedOrigins, "*") }

// matchOneStar matches a pattern in which at most one * stands for any text.
func matchOneStar(pattern, s string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	return len(s) >= len(before)+len(after) && strings.HasPrefix(s, before) && strings.HasSuffix(s, after)
}

// AppendXML appends the document of GetBucketCors.
func (c *CORSConfiguration) AppendXML(dst []byte) []byte {
	dst = openDocument(dst, "CORSConfiguration")
	for i := range c.Rules {
		dst = c.Rules[i].appendXML(dst)
	}
	return closeElement(dst, "CORSConfiguration")
}

func (r *CORSRule) appendXML(dst []byte) []byte {
	dst = append(dst, "<CORSRule>"...)
	dst = appendOptional(dst, "ID", r.ID)
	dst = appendEach(dst, "AllowedHeader", r.AllowedHeaders)
	dst = appendEach(dst, "AllowedMethod", r.AllowedMethods)
	dst = appendEach(dst, "AllowedOrigin", r.AllowedOrigins)
	dst = appendEach(dst, "ExposeHeader", r.ExposeHeaders)
	if r.MaxAgeSeconds != nil {
		dst = appendInt(dst, "MaxAgeSeconds", int64(*r.MaxAgeSeconds))
	}
	return append(dst, "</CORSRule>"...)
}

func appendEach(dst []byte, name string, values []string) []byte {
	for _, v := range values {
		dst = appendElement(dst, name, v)
	}
	return dst
}
