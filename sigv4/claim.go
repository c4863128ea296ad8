package sigv4

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/undercroft/undercroft/s3"
)

const (
	dateLayout = "20060102"
	timeLayout = "20060102T150405Z"
	maxSkew    = 15 * time.Minute
	// maxExpires is the longest life of a presigned URL, in seconds: a week.
	maxExpires = 7 * 24 * 60 * 60
)

// claim is what a request says of its signature, before any of it is proven.
// Its strings are pieces of the request.
type claim struct {
	auth          AuthType
	accessKey     string
	scope         string // date/region/service/aws4_request
	date          string
	region        string
	signedHeaders string // lower-case names, joined with semicolons
	signature     string
	timestamp     string // ISO 8601 basic
	time          time.Time
}

// parseAuthorization parses the value of an Authorization header.
func (c *claim) parseAuthorization(value string) error {
	scheme, params, ok := strings.Cut(value, " ")
	switch {
	case !ok:
		return refuse(KindAuthorizationInvalid, "ArgumentName", "Authorization", "ArgumentValue", value)
	case scheme == algorithm:
	case scheme == algorithmECDSA:
		return refuse(KindAsymmetric)
	default:
		return refuse(KindAuthorizationUnsupported, "ArgumentName", "Authorization", "ArgumentValue", value)
	}
	c.auth = AuthHeader
	var credential string
	for params != "" {
		var param string
		param, params, _ = strings.Cut(params, ",")
		param = strings.TrimSpace(param)
		name, value, ok := strings.Cut(param, "=")
		var field *string
		switch name {
		case "Credential":
			field = &credential
		case "SignedHeaders":
			field = &c.signedHeaders
		case "Signature":
			field = &c.signature
		}
		if !ok || field == nil || *field != "" {
			return malformed(KindMalformed, AuthHeader, fmt.Sprintf("the authorization component %q is malformed.", param))
		}
		*field = value
	}
	switch {
	case credential == "":
		return malformed(KindMalformed, AuthHeader, "missing Credential.")
	case c.signedHeaders == "":
		return malformed(KindMalformed, AuthHeader, "missing SignedHeaders.")
	case c.signature == "":
		return malformed(KindMalformed, AuthHeader, "missing Signature.")
	}
	return c.parseCredential(credential)
}

// parseCredential parses access-key/date/region/service/aws4_request.
func (c *claim) parseCredential(credential string) error {
	if strings.Count(credential, "/") != 4 || credential[0] == '/' {
		return c.badCredential(KindCredentialMalformed, `the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`)
	}
	c.accessKey, c.scope, _ = strings.Cut(credential, "/")
	var rest, service, end string
	c.date, rest, _ = strings.Cut(c.scope, "/")
	c.region, rest, _ = strings.Cut(rest, "/")
	service, end, _ = strings.Cut(rest, "/")
	if end != terminal {
		return c.badCredential(KindWrongTerminal, fmt.Sprintf("incorrect terminal %q. This endpoint uses %q.", end, terminal))
	}
	if _, err := time.Parse(dateLayout, c.date); err != nil {
		return c.badCredential(KindWrongDate, fmt.Sprintf(`incorrect date format %q. This date in the credential must be in the format "yyyyMMdd".`, c.date))
	}
	if service == "" {
		return c.badCredential(KindWrongService, `incorrect service "".`)
	}
	return nil
}

func (c *claim) badCredential(k Kind, detail string) *Error {
	if c.auth == AuthQuery {
		detail = "Error parsing the X-Amz-Credential parameter; " + detail
	}
	return malformed(k, c.auth, detail)
}

// service returns the service of the scope.
func (c *claim) service() string {
	return c.scope[len(c.date)+1+len(c.region)+1 : len(c.scope)-len(terminal)-1]
}

// checkScope compares the credential with the verifier's own scope.
func (c *claim) checkScope(v *Verifier) error {
	if service := c.service(); service != v.service() {
		return c.badCredential(KindWrongService, fmt.Sprintf("incorrect service %q. This endpoint belongs to %q.", service, v.service()))
	}
	if c.region != v.Region {
		e := c.badCredential(KindWrongRegion, fmt.Sprintf("the region %q is wrong; expecting %q", c.region, v.Region))
		e.answer = e.answer.With("Region", v.Region)
		return e
	}
	return nil
}

// checkDate requires the credential's date to be that of the request.
func (c *claim) checkDate() error {
	if c.timestamp[:len(c.date)] == c.date {
		return nil
	}
	return malformed(KindWrongDate, c.auth, fmt.Sprintf(
		"Invalid credential date %q. This date is not the same as X-Amz-Date: %q.", c.date, c.timestamp[:len(c.date)]))
}

// parseTime parses ISO 8601 basic, in exactly the form that is signed.
func parseTime(s string) (time.Time, error) {
	if len(s) != len(timeLayout) { // time.Parse takes fractions of a second too
		return time.Time{}, fmt.Errorf("sigv4: time of %d bytes", len(s))
	}
	t, err := time.Parse(timeLayout, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("sigv4: %w", err)
	}
	return t, nil
}

// setTime takes the time of a request signed in its header. What is signed is
// the time in ISO 8601 basic, in whatever form a header has it.
func (c *claim) setTime(h http.Header) error {
	value := h.Get("Date")
	if values := h["X-Amz-Date"]; len(values) > 0 {
		value = values[0]
	}
	if t, err := parseTime(value); err == nil {
		c.timestamp, c.time = value, t
		return nil
	}
	t, ok := s3.ParseDate(value)
	if !ok || t.Year() < 1970 || t.Year() > 9999 {
		return refuse(KindMissingDate)
	}
	c.time = t
	c.timestamp = t.Format(timeLayout)
	return nil
}

// checkSkew refuses a request signed in its header that is too old or too new.
func (c *claim) checkSkew(now time.Time) error {
	if d := now.Sub(c.time); d <= maxSkew && d >= -maxSkew {
		return nil
	}
	return refuse(KindTimeTooSkewed,
		"RequestTime", c.timestamp,
		"ServerTime", now.UTC().Format(time.RFC3339),
		"MaxAllowedSkewMilliseconds", strconv.FormatInt(maxSkew.Milliseconds(), 10))
}

// checkSignedHeaders refuses lists that are no list of distinct header names.
func (c *claim) checkSignedHeaders() error {
	previous, sorted, n := "", true, 0
	for name := range strings.SplitSeq(c.signedHeaders, ";") {
		if !isToken(name) {
			return malformed(KindMalformed, c.auth, fmt.Sprintf("the signed header %q is not a lower-case header name.", name))
		}
		sorted = sorted && name > previous
		previous = name
		n++
	}
	if sorted {
		return nil // strictly ascending: no name twice
	}
	names := make([]string, 0, n)
	names = slices.AppendSeq(names, strings.SplitSeq(c.signedHeaders, ";"))
	slices.Sort(names)
	if len(slices.Compact(names)) != n {
		return malformed(KindMalformed, c.auth, "a signed header is named twice.")
	}
	return nil
}

// signs reports whether a header is among the signed ones. Case is ignored.
func (c *claim) signs(name string) bool {
	for signed := range strings.SplitSeq(c.signedHeaders, ";") {
		if len(signed) == len(name) && strings.EqualFold(signed, name) {
			return true
		}
	}
	return false
}

// checkRequired refuses a request that carries headers which must be signed
// and are not. AWS does not insist on x-amz-content-sha256, whose value is a
// line of the canonical request anyhow.
func (c *claim) checkRequired(h http.Header) error {
	var missing []string
	signs := c.signs
	if len(c.signedHeaders) > maxScanned {
		signs = c.index()
	}
	if !signs("host") {
		missing = append(missing, "host")
	}
	for name := range h {
		if strings.HasPrefix(name, "X-Amz-") && name != "X-Amz-Content-Sha256" && !signs(name) {
			missing = append(missing, strings.ToLower(name))
		}
	}
	if missing == nil {
		return nil
	}
	slices.Sort(missing)
	return refuse(KindHeadersNotSigned, "HeadersNotSigned", strings.Join(missing, ", "))
}

// maxScanned is the longest list of signed headers that is scanned for each
// header, in bytes: with longer ones a client could make that costly.
const maxScanned = 1 << 10

// index returns signs for a long list.
func (c *claim) index() func(name string) bool {
	names := make(map[string]bool)
	for name := range strings.SplitSeq(c.signedHeaders, ";") {
		names[name] = true // in lower case, which was checked
	}
	return func(name string) bool { return names[strings.ToLower(name)] }
}
