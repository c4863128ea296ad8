package gateway

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sigv4"
)

// A website is a bucket on a host name of its own, for browsers: its requests are
// those of nobody, whatever they carry, and are decided about as anonymous
// requests of GetObject and HeadObject are. Nothing is ever listed.

// enterWebsite finds the bucket and makes the exchange one of GetObject, HeadObject
// or a preflight.
func (g *Gateway) enterWebsite(x *exchange) error {
	x.scope = ScopeObject
	x.auth = &sigv4.Result{Auth: sigv4.AuthAnonymous}
	op, err := g.router.table.find(x.r.Method, ScopeObject, nil, nil)
	switch {
	case err == nil && (op.Name == "GetObject" || op.Name == "HeadObject" || op.Name == "PreflightObject"):
		x.op = op
	default:
		return &methodError{
			answer: s3.NewError(s3.MethodNotAllowed).With("Method", x.r.Method).With("ResourceType", "OBJECT"),
			allow:  "GET, HEAD, OPTIONS",
		}
	}
	if s3.ValidateBucketName(x.bucket) != nil {
		return s3.NewError(s3.NoSuchBucket).With("BucketName", string(x.bucket))
	}
	g.crossOrigin(x)
	if x.op.decided == onNothing {
		return nil
	}
	return g.enter(x)
}

// serveWebsite answers a request to a website.
func (g *Gateway) serveWebsite(x *exchange) error {
	if x.op.decided == onNothing {
		x.decided = true
		return x.op.handle(g, x)
	}
	config, err := objects.Parsed(x.place.BucketState, objects.ConfigWebsite, s3.DecodeWebsite)
	switch {
	case err != nil:
		return s3.NewError(s3.InternalError).Because(err)
	case config == nil:
		return s3.NewError(s3.NoSuchWebsiteConfiguration).With("BucketName", string(x.bucket))
	case config.RedirectAll != nil:
		return x.redirectAll(config.RedirectAll)
	}
	path, err := url.PathUnescape(strings.TrimPrefix(x.r.URL.EscapedPath(), "/"))
	if err != nil {
		return s3.NewError(s3.InvalidURI)
	}
	v := visit{gateway: g, exchange: x, config: config, asked: s3.Key(path)}
	if rule := config.Rule(v.asked, 0); rule != nil {
		return v.follow(rule)
	}
	return v.recover(v.read())
}

// visit is one request for a page.
type visit struct {
	gateway  *Gateway
	exchange *exchange
	config   *s3.WebsiteConfiguration
	asked    s3.Key // as the URL has it: empty for the root
	// missing says that nothing is there under the key that was looked for.
	missing bool
}

// moved says that the object is only the name of another place.
type moved struct{ location string }

// Error implements error.
func (m *moved) Error() string { return "the object redirects" }

// indexed reports whether the request is for an index document.
func (v *visit) indexed() bool { return v.asked == "" || strings.HasSuffix(string(v.asked), "/") }

// read answers with the object that is asked for, or returns why not.
func (v *visit) read() error {
	x := v.exchange
	x.key = v.asked
	if v.indexed() {
		x.key += s3.Key(v.config.IndexSuffix)
	}
	if err := s3.ValidateKey(x.key); err != nil {
		return err
	}
	access := v.accessTo(x.key)
	x.access = func(current *objects.Object) error {
		v.missing = current == nil
		return access(current)
	}
	return x.op.handle(v.gateway, x)
}

// accessTo asks about an object as about that of an anonymous GetObject. It
// refuses objects that redirect, so that no other condition of the request
// counts for them.
func (v *visit) accessTo(key s3.Key) objects.Access {
	x := v.exchange
	ask := x.accessTo(&question{action: "s3:GetObject", place: &x.place, bucket: x.bucket, key: key})
	return func(current *objects.Object) error {
		if err := ask(current); err != nil || current == nil {
			return err
		}
		if to := current.Attributes.WebsiteRedirect; to != "" {
			return s3.NewError(s3.InternalError).Because(&moved{to})
		}
		return nil
	}
}

// recover answers in place of an error, as the website is configured, or
// returns it.
func (v *visit) recover(err error) error {
	x := v.exchange
	if err == nil || x.status != 0 {
		return err
	}
	if to, ok := errors.AsType[*moved](err); ok {
		return x.redirect(http.StatusMovedPermanently, s3.SafeLocation(to.location))
	}
	answer := answerOf(err)
	if answer.Status < http.StatusBadRequest {
		return err
	}
	if v.missing && !v.indexed() && v.isDirectory() {
		return x.found("/" + escapeSegments(v.asked) + "/")
	}
	x.key = v.asked
	if rule := v.config.Rule(v.asked, answer.Status); rule != nil {
		return v.follow(rule)
	}
	if v.config.ErrorKey == "" || answer.Status >= http.StatusInternalServerError {
		return err
	}
	return v.showErrorDocument(err, answer)
}

// isDirectory reports whether there is an index document below the key, which
// the visitor may see.
func (v *visit) isDirectory() bool {
	x := v.exchange
	key := v.asked + "/" + s3.Key(v.config.IndexSuffix)
	if s3.ValidateKey(key) != nil {
		return false
	}
	_, err := v.gateway.o.Objects.HeadObject(x.r.Context(), objects.GetObjectInput{
		Bucket: x.bucket, Key: key, Access: v.accessTo(key),
	})
	_, redirects := errors.AsType[*moved](err)
	return err == nil || redirects
}

// showErrorDocument answers with the error document and the status of the error.
func (v *visit) showErrorDocument(err error, answer *s3.Error) error {
	x := v.exchange
	x.key = s3.Key(v.config.ErrorKey)
	in := objects.GetObjectInput{Bucket: x.bucket, Key: x.key, Access: v.accessTo(x.key)}
	open := v.gateway.o.Objects.GetObject
	if x.r.Method == http.MethodHead {
		open = v.gateway.o.Objects.HeadObject
	}
	out, failed := open(x.r.Context(), in)
	if to, ok := errors.AsType[*moved](failed); ok {
		return x.redirect(http.StatusMovedPermanently, s3.SafeLocation(to.location))
	}
	if failed != nil {
		return &pageError{answer: err, page: failed}
	}
	if out.Body != nil {
		defer func() { _ = out.Body.Close() }() // nothing is lost by a reader that does not close well
	}
	x.showErrorHeaders(answer)
	x.showObject(&out.Object)
	x.setInt(s3.HeaderContentLength, out.Length)
	x.begin(answer.Status)
	if out.Body == nil || out.Length == 0 {
		return nil
	}
	_, failed = out.Body.WriteTo(x)
	return failed
}

// pageError is an error whose error document could not be shown.
type pageError struct{ answer, page error }

// Error implements error.
func (e *pageError) Error() string {
	return e.answer.Error() + "; and the error document: " + e.page.Error()
}

// Unwrap returns what the visitor is told first.
func (e *pageError) Unwrap() error { return e.answer }

// follow redirects as a rule says.
func (v *visit) follow(rule *s3.RoutingRule) error {
	status := rule.Redirect.Status
	if status == 0 {
		status = http.StatusMovedPermanently
	}
	return v.exchange.redirect(status, rule.Location(v.exchange.protocol(), v.exchange.r.Host, v.asked))
}

// redirectAll redirects to another host, for the same path and query.
func (x *exchange) redirectAll(to *s3.RedirectAll) error {
	protocol := to.Protocol
	if protocol == "" {
		protocol = x.protocol()
	}
	location := protocol + "://" + to.HostName + "/" + strings.TrimPrefix(x.r.URL.EscapedPath(), "/")
	if x.r.URL.RawQuery != "" {
		location += "?" + x.r.URL.RawQuery
	}
	return x.redirect(http.StatusMovedPermanently, s3.SafeLocation(location))
}

// redirect answers with another place. Where that is, the configuration says,
// which is for everybody who visits, or an object that was decided about.
func (x *exchange) redirect(status int, location string) error {
	x.decided = true
	x.set(s3.HeaderLocation, location)
	return x.finish(status)
}

// found redirects to the form of a directory's name that ends with a slash.
func (x *exchange) found(location string) error {
	x.decided = true
	x.set(s3.HeaderLocation, location)
	return x.page(&s3.Error{Code: "Found", Message: "Resource Found", Status: http.StatusFound}, nil)
}

// protocol is that of the request.
func (x *exchange) protocol() string {
	if x.r.TLS != nil {
		return "https"
	}
	return "http"
}

// escapeSegments is [s3.EscapeKey] for a path that begins a Location by itself: one
// that begins with two slashes would name a host.
func escapeSegments(key s3.Key) string {
	escaped := s3.EscapeKey(key)
	if strings.HasPrefix(escaped, "/") {
		return "%2F" + escaped[1:]
	}
	return escaped
}
