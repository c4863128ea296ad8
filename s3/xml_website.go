package s3

import (
	"net/url"
	"strconv"
	"strings"
)

// Limits of a website configuration.
const (
	// MaxWebsiteBody bounds the XML of PutBucketWebsite.
	MaxWebsiteBody = 128 << 10
	// MaxRoutingRules is how many routing rules a configuration has at most.
	MaxRoutingRules = 50
	// MaxWebsiteRedirect is the longest x-amz-website-redirect-location, in bytes.
	MaxWebsiteRedirect = 2 << 10
)

// WebsiteConfiguration says how a bucket is shown as a website: all of it
// somewhere else, or from an index document on.
type WebsiteConfiguration struct {
	RedirectAll *RedirectAll // nil, or all that there is
	// IndexSuffix is the name of the document of a directory.
	IndexSuffix string
	// ErrorKey is the key of what is shown for errors; empty for none.
	ErrorKey     string
	RoutingRules []RoutingRule
}

// RedirectAll names another host for every request.
type RedirectAll struct {
	HostName string
	Protocol string // http, https, or empty for that of the request
}

// RoutingRule redirects the requests that its condition meets.
type RoutingRule struct {
	Condition *RoutingCondition // nil: every request
	Redirect  WebsiteRedirect
}

// RoutingCondition is met where both of its parts are.
type RoutingCondition struct {
	KeyPrefix string
	// Status is that of the error the request would be answered with; 0 asks
	// for none, and is met before anything is looked for.
	Status int
}

// WebsiteRedirect says what of a request's URL is replaced.
type WebsiteRedirect struct {
	HostName string
	Protocol string
	// ReplaceKeyPrefixWith stands for the prefix of the condition and
	// ReplaceKeyWith for the whole key; at most one of them is not nil.
	ReplaceKeyPrefixWith, ReplaceKeyWith *string
	Status                               int // 0 for 301
}

// DecodeWebsite decodes the body of PutBucketWebsite.
func DecodeWebsite(body []byte) (*WebsiteConfiguration, error) {
	c := &WebsiteConfiguration{}
	var index, errorDocument, rules bool
	err := decodeDocument(body, "WebsiteConfiguration", func(x *xmlReader) error {
		return x.children(func(name string) (err error) {
			switch name {
			case "RedirectAllRequestsTo":
				if c.RedirectAll != nil {
					return malformed("element occurs twice")
				}
				c.RedirectAll, err = x.redirectAll()
				return err
			case "IndexDocument":
				return x.onlyChild(&index, "Suffix", &c.IndexSuffix)
			case "ErrorDocument":
				return x.onlyChild(&errorDocument, "Key", &c.ErrorKey)
			case "RoutingRules":
				if rules {
					return malformed("element occurs twice")
				}
				rules = true
				return x.routingRules(&c.RoutingRules)
			}
			return unknownElement(name)
		})
	})
	if err != nil {
		return nil, err
	}
	if errorDocument && c.ErrorKey == "" {
		return nil, malformed("empty key of the error document")
	}
	return c, c.check(index, index || errorDocument || rules)
}

// onlyChild consumes an element that holds one other, which is text.
func (x *xmlReader) onlyChild(seen *bool, want string, dst *string) error {
	if *seen {
		return malformed("element occurs twice")
	}
	*seen = true
	var inner bool
	err := x.children(func(name string) error {
		if name != want {
			return unknownElement(name)
		}
		return x.once(&inner, dst)
	})
	if err == nil && !inner {
		err = malformed("no " + want)
	}
	return err
}

func (x *xmlReader) redirectAll() (*RedirectAll, error) {
	to := &RedirectAll{}
	var host, protocol bool
	err := x.children(func(name string) error {
		switch name {
		case "HostName":
			return x.once(&host, &to.HostName)
		case "Protocol":
			return x.once(&protocol, &to.Protocol)
		}
		return unknownElement(name)
	})
	if err == nil && to.HostName == "" {
		err = malformed("no HostName")
	}
	return to, err
}

func (x *xmlReader) routingRules(dst *[]RoutingRule) error {
	err := x.children(func(name string) error {
		if name != "RoutingRule" {
			return unknownElement(name)
		}
		rule, err := x.routingRule()
		*dst = append(*dst, rule)
		return err
	})
	if err == nil && len(*dst) == 0 {
		err = malformed("no rule")
	}
	return err
}

func (x *xmlReader) routingRule() (rule RoutingRule, err error) {
	var redirect bool
	err = x.children(func(name string) (err error) {
		switch {
		case name == "Condition" && rule.Condition == nil:
			rule.Condition, err = x.routingCondition()
			return err
		case name == "Redirect" && !redirect:
			redirect = true
			rule.Redirect, err = x.redirect()
			return err
		}
		return unknownElement(name)
	})
	if err == nil && !redirect {
		err = malformed("rule without a redirect")
	}
	return rule, err
}

func (x *xmlReader) routingCondition() (*RoutingCondition, error) {
	c := &RoutingCondition{}
	var prefix, status bool
	var code string
	err := x.children(func(name string) error {
		switch name {
		case "KeyPrefixEquals":
			return x.once(&prefix, &c.KeyPrefix)
		case "HttpErrorCodeReturnedEquals":
			return x.once(&status, &code)
		}
		return unknownElement(name)
	})
	switch {
	case err != nil:
		return c, err
	case !prefix && !status:
		return c, invalidWebsite("Condition cannot be empty. To redirect all requests without a condition, the condition element shouldn't be present.")
	case status:
		if c.Status = statusCode(code); c.Status < 400 || c.Status > 599 {
			return c, invalidWebsite("The provided HTTP error code (" + code + ") is not valid. Valid codes are 4XX or 5XX.")
		}
	}
	return c, nil
}

func (x *xmlReader) redirect() (r WebsiteRedirect, err error) {
	var host, protocol, prefix, key, code bool
	var newPrefix, newKey, status string
	err = x.children(func(name string) error {
		switch name {
		case "HostName":
			return x.once(&host, &r.HostName)
		case "Protocol":
			return x.once(&protocol, &r.Protocol)
		case "ReplaceKeyPrefixWith":
			r.ReplaceKeyPrefixWith = &newPrefix
			return x.once(&prefix, &newPrefix)
		case "ReplaceKeyWith":
			r.ReplaceKeyWith = &newKey
			return x.once(&key, &newKey)
		case "HttpRedirectCode":
			return x.once(&code, &status)
		}
		return unknownElement(name)
	})
	switch {
	case err != nil:
		return r, err
	case r.HostName == "" && r.Protocol == "" && !prefix && !key && !code: // it would be kept as an empty one
		return r, malformed("empty redirect")
	case prefix && key:
		return r, invalidWebsite("You can only define ReplaceKeyPrefix or ReplaceKey but not both.")
	case code:
		if r.Status = statusCode(status); r.Status <= 300 || r.Status > 399 {
			return r, invalidWebsite("The provided HTTP redirect code (" + status + ") is not valid. Valid codes are 3XX except 300.")
		}
	}
	return r, nil
}

// statusCode is a status of three digits, 0 for anything else.
func statusCode(s string) int {
	s = strings.TrimSpace(s)
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || len(s) != 3 {
		return 0
	}
	return int(n)
}

func invalidWebsite(message string) error { return NewError(InvalidRequest).WithMessage(message) }

// check applies the rules that AWS has beyond the schema.
func (c *WebsiteConfiguration) check(index, others bool) error {
	switch {
	case c.RedirectAll != nil && others:
		return InvalidArg("RedirectAllRequestsTo", "not null", "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.")
	case c.RedirectAll != nil:
		return checkDestination(c.RedirectAll.HostName, c.RedirectAll.Protocol)
	case !index:
		return InvalidArg("IndexDocument", "null", "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty")
	case c.IndexSuffix == "" || strings.Contains(c.IndexSuffix, "/") || len(c.IndexSuffix) > MaxKeyBytes:
		return InvalidArg("IndexDocument", c.IndexSuffix, "The IndexDocument Suffix is not well formed")
	case len(c.ErrorKey) > MaxKeyBytes:
		return InvalidArg("ErrorDocument", c.ErrorKey, "The ErrorDocument Key is not well formed")
	case len(c.RoutingRules) > MaxRoutingRules:
		return invalidWebsite(strconv.Itoa(len(c.RoutingRules)) + " routing rules provided, the number of routing rules in a website configuration is limited to 50.")
	}
	for i := range c.RoutingRules {
		r := &c.RoutingRules[i].Redirect
		if err := checkDestination(r.HostName, r.Protocol); err != nil {
			return err
		}
	}
	return nil
}

// checkDestination refuses what would not be the start of a URL.
func checkDestination(host, protocol string) error {
	switch {
	case protocol != "" && protocol != "http" && protocol != "https":
		return invalidWebsite("Invalid protocol, protocol can be http or https. If not defined the protocol will be selected automatically.")
	case strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return invalidWebsite("Invalid host name in redirect.")
	}
	return nil
}

// Rule returns the first rule for a key, nil for none: with status 0 of those
// that ask for no error, else of those that ask for this one.
func (c *WebsiteConfiguration) Rule(key Key, status int) *RoutingRule {
	for i := range c.RoutingRules {
		r := &c.RoutingRules[i]
		want := r.Condition
		if want == nil {
			want = &RoutingCondition{}
		}
		if want.Status == status && strings.HasPrefix(string(key), want.KeyPrefix) {
			return r
		}
	}
	return nil
}

// Location is where the rule sends a request for key, which came by protocol to
// host. What the rule has in place of the key or its prefix is taken as it is, so
// that it may have a query or a fragment.
func (r *RoutingRule) Location(protocol, host string, key Key) string {
	to := &r.Redirect
	if to.Protocol != "" {
		protocol = to.Protocol
	}
	if to.HostName != "" {
		host = to.HostName
	}
	path := EscapeKey(key)
	switch {
	case to.ReplaceKeyWith != nil:
		path = *to.ReplaceKeyWith
	case to.ReplaceKeyPrefixWith != nil:
		rest := key
		if r.Condition != nil {
			rest = key[len(r.Condition.KeyPrefix):]
		}
		path = *to.ReplaceKeyPrefixWith + EscapeKey(rest)
	}
	return SafeLocation(protocol + "://" + host + "/" + path)
}

// EscapeKey returns a key as it stands in the path of a URL.
func EscapeKey(key Key) string {
	u := url.URL{Path: "/" + string(key)}
	return u.EscapedPath()[1:]
}

// SafeLocation returns a URL with the bytes escaped that a header or a URL
// never has, and nothing else changed.
func SafeLocation(location string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(location) {
		c := location[i]
		if c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// ParseWebsiteRedirect checks x-amz-website-redirect-location, empty for none.
func ParseWebsiteRedirect(value string) (string, error) {
	switch {
	case value == "":
	case len(value) > MaxWebsiteRedirect:
		return "", NewError(InvalidRedirectLocation).WithMessage("The length of website redirect location cannot exceed 2,048 characters.")
	case !strings.HasPrefix(value, "/") && !strings.HasPrefix(value, "http://") && !strings.HasPrefix(value, "https://"):
		return "", NewError(InvalidRedirectLocation)
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }): // of a form: no header has them
		return "", NewError(InvalidRedirectLocation)
	}
	return value, nil
}

// AppendXML appends the document of GetBucketWebsite.
func (c *WebsiteConfiguration) AppendXML(dst []byte) []byte {
	dst = openDocument(dst, "WebsiteConfiguration")
	if c.RedirectAll != nil {
		dst = openElement(dst, "RedirectAllRequestsTo")
		dst = appendElement(dst, "HostName", c.RedirectAll.HostName)
		dst = appendOptional(dst, "Protocol", c.RedirectAll.Protocol)
		dst = closeElement(dst, "RedirectAllRequestsTo")
		return closeElement(dst, "WebsiteConfiguration")
	}
	dst = append(dst, "<IndexDocument>"...)
	dst = appendElement(dst, "Suffix", c.IndexSuffix)
	dst = append(dst, "</IndexDocument>"...)
	if c.ErrorKey != "" {
		dst = append(dst, "<ErrorDocument>"...)
		dst = appendElement(dst, "Key", c.ErrorKey)
		dst = append(dst, "</ErrorDocument>"...)
	}
	if len(c.RoutingRules) > 0 {
		dst = append(dst, "<RoutingRules>"...)
		for i := range c.RoutingRules {
			dst = c.RoutingRules[i].appendXML(dst)
		}
		dst = append(dst, "</RoutingRules>"...)
	}
	return closeElement(dst, "WebsiteConfiguration")
}

func (r *RoutingRule) appendXML(dst []byte) []byte {
	dst = append(dst, "<RoutingRule>"...)
	if c := r.Condition; c != nil {
		dst = append(dst, "<Condition>"...)
		if c.KeyPrefix != "" || c.Status == 0 {
			dst = appendElement(dst, "KeyPrefixEquals", c.KeyPrefix)
		}
		if c.Status != 0 {
			dst = appendInt(dst, "HttpErrorCodeReturnedEquals", int64(c.Status))
		}
		dst = append(dst, "</Condition>"...)
	}
	to := &r.Redirect
	dst = append(dst, "<Redirect>"...)
	dst = appendOptional(dst, "Protocol", to.Protocol)
	dst = appendOptional(dst, "HostName", to.HostName)
	if to.ReplaceKeyPrefixWith != nil {
		dst = appendElement(dst, "ReplaceKeyPrefixWith", *to.ReplaceKeyPrefixWith)
	}
	if to.ReplaceKeyWith != nil {
		dst = appendElement(dst, "ReplaceKeyWith", *to.ReplaceKeyWith)
	}
	if to.Status != 0 {
		dst = appendInt(dst, "HttpRedirectCode", int64(to.Status))
	}
	return append(dst, "</Redirect></RoutingRule>"...)
}
