package gateway

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// hosts tells the host names of websites from those of the REST endpoint.
type hosts struct {
	websites []string // parent domains, in lower case
	rest     []string // likewise, of virtual-host style requests
}

func newHosts(websites, rest []string) hosts {
	lower := func(names []string) (out []string) {
		for _, name := range names {
			out = append(out, strings.ToLower(name))
		}
		return out
	}
	return hosts{websites: lower(websites), rest: lower(rest)}
}

// hostOf is the name in a Host header, in lower case and without a port.
func hostOf(header string) string {
	if name, _, err := net.SplitHostPort(header); err == nil {
		header = name
	}
	return strings.ToLower(strings.TrimSuffix(header, "."))
}

// parent returns the longest of the domains that a host is, or is below.
func parent(host string, domains []string) string {
	best := ""
	for _, d := range domains {
		below := strings.HasSuffix(host, d) && (len(host) == len(d) || host[len(host)-len(d)-1] == '.')
		if below && len(d) > len(best) {
			best = d
		}
	}
	return best
}

// website returns the bucket whose website a host is; ok is false where the
// host is of none of the domains of websites. The domain itself is nobody's.
func (h *hosts) website(host string) (bucket s3.BucketName, ok bool) {
	domain := parent(host, h.websites)
	if domain == "" || len(parent(host, h.rest)) >= len(domain) {
		return "", false
	}
	return s3.BucketName(strings.TrimSuffix(strings.TrimSuffix(host, domain), ".")), true
}

// custom reports whether a host may be the whole name of a bucket: it is not
// the REST endpoint's by what the operator said.
func (h *hosts) custom(host string) bool {
	return len(h.websites) > 0 && strings.Contains(host, ".") && net.ParseIP(host) == nil &&
		parent(host, h.rest) == "" && s3.ValidateBucketName(s3.BucketName(host)) == nil
}

// visits finds out whether the request is one to a website, and leaves the
// bucket in the exchange where it is. A bucket that is named as the whole host
// takes over only requests for pages that nobody signed, and only when it has a
// website: a request to the REST endpoint, under whatever name, is signed, writes,
// or reads what anybody may read.
func (g *Gateway) visits(x *exchange) bool {
	if len(g.hosts.websites) == 0 {
		return false
	}
	host := hostOf(x.r.Host)
	if bucket, ok := g.hosts.website(host); ok {
		x.bucket = bucket
		return true
	}
	if !g.hosts.custom(host) || !asksForPage(x) || isSigned(x) {
		return false
	}
	state, err := g.o.Objects.BucketState(x.r.Context(), s3.BucketName(host))
	switch {
	case s3.CodeOf(err) == s3.NoSuchBucket:
		return false
	case err != nil: // nobody knows: a visitor waits, in place of being told that nothing is there
	case state.Config(objects.ConfigWebsite) == nil:
		return false
	}
	x.bucket = s3.BucketName(host)
	return true
}

// asksForPage reports whether a request is what a browser sends to a website. Forms
// are signed in their body, and a preflight is not signed where its request is.
func asksForPage(x *exchange) bool {
	method := x.r.Method
	if method == http.MethodOptions {
		method = x.header("Access-Control-Request-Method")
		for _, names := range x.r.Header["Access-Control-Request-Headers"] {
			if strings.Contains(strings.ToLower(names), "authorization") {
				return false
			}
		}
	}
	return method == http.MethodGet || method == http.MethodHead
}

// isSigned reports whether a request claims to be signed. The REST endpoint
// refuses a query that cannot be read, so that what can be is all that counts.
func isSigned(x *exchange) bool {
	if x.header("Authorization") != "" {
		return true
	}
	if x.r.URL.RawQuery == "" {
		return false
	}
	q, _ := url.ParseQuery(strings.ReplaceAll(x.r.URL.RawQuery, ";", "%3B"))
	return q.Has("X-Amz-Signature") || q.Has("Signature")
}
