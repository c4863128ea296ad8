package sigv2

import (
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
)

// Signs reports whether a query parameter is part of what is signed. The list
// is that of AWS's documentation and SDKs; it does not grow any more.
func Signs(param string) bool {
	switch param {
	case "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle",
		"location", "logging", "metrics", "notification", "object-lock", "partNumber", "policy", "replication",
		"requestPayment", "restore", "select", "select-type", "storageClass", "tagging", "torrent", "uploadId",
		"uploads", "versionId", "versioning", "versions", "website",
		"response-cache-control", "response-content-disposition", "response-content-encoding",
		"response-content-language", "response-content-type", "response-expires":
		return true
	}
	return false
}

// signable is what a signature covers of a request.
type signable struct {
	r     *http.Request
	query url.Values
	date  string // the line of the date: a date, nothing, or when the URL expires
	// presigned takes headers from the query where the request has none.
	presigned bool
	bucket    string // of a virtual host, else empty
	slash     string // what is signed after the path
}

// stringToSign writes what is signed.
func (s *signable) stringToSign() string {
	b := make([]byte, 0, 512)
	for _, line := range [...]string{s.r.Method, s.header("Content-Md5"), s.header("Content-Type"), s.date} {
		b = append(append(b, line...), '\n')
	}
	b = s.appendAmzHeaders(b)
	return string(s.appendResource(b))
}

// header returns a header's value, or that of the query of a presigned URL.
func (s *signable) header(name string) string {
	if values, ok := s.r.Header[name]; ok {
		return joined(values)
	}
	if s.presigned {
		for param, values := range s.query {
			if strings.EqualFold(param, name) {
				return joined(values)
			}
		}
	}
	return ""
}

// twoCases returns a header that the query gives in more than one case, empty
// for none: which of them was signed, nobody could say.
func (s *signable) twoCases() string {
	seen := make(map[string]bool, len(s.query))
	for param := range s.query {
		name := strings.ToLower(param)
		if seen[name] && (strings.HasPrefix(name, "x-amz-") || name == "content-md5" || name == "content-type") {
			return name
		}
		seen[name] = true
	}
	return ""
}

// appendAmzHeaders appends the x-amz-* headers by name, one line for each.
func (s *signable) appendAmzHeaders(b []byte) []byte {
	amz := make(map[string]string)
	if s.presigned {
		for param, values := range s.query {
			if name := strings.ToLower(param); strings.HasPrefix(name, "x-amz-") {
				amz[name] = joined(values)
			}
		}
	}
	for name, values := range s.r.Header {
		if strings.HasPrefix(name, "X-Amz-") {
			amz[strings.ToLower(name)] = joined(values)
		}
	}
	names := make([]string, 0, len(amz))
	for name := range amz {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b = append(append(append(append(b, name...), ':'), amz[name]...), '\n')
	}
	return b
}

// joined returns the values of a header as one, without the spaces around them.
func joined(values []string) string {
	if len(values) == 1 {
		return textproto.TrimString(values[0])
	}
	trimmed := make([]string, len(values))
	for i, v := range values {
		trimmed[i] = textproto.TrimString(v)
	}
	return strings.Join(trimmed, ",")
}

// appendResource appends the bucket of a virtual host, the path as it was sent,
// and the signed parameters with their values decoded.
func (s *signable) appendResource(b []byte) []byte {
	if s.bucket != "" {
		b = append(append(b, '/'), s.bucket...)
	}
	b = append(append(b, rawPath(s.r)...), s.slash...)
	var params []string
	for name := range s.query {
		if Signs(name) {
			params = append(params, name)
		}
	}
	slices.Sort(params)
	separator := byte('?')
	for _, name := range params {
		for _, value := range s.query[name] {
			b = append(append(b, separator), name...)
			if value != "" {
				b = append(append(b, '='), value...)
			}
			separator = '&'
		}
	}
	return b
}

// addressesBucket reports whether the path is a bucket's without a slash at its end.
func (s *signable) addressesBucket() bool {
	path := rawPath(s.r)
	return s.bucket == "" && path != "/" && strings.LastIndexByte(path, '/') == 0
}

// rawPath returns the path as the client sent it.
func rawPath(r *http.Request) string {
	path := r.URL.EscapedPath()
	if strings.HasPrefix(r.RequestURI, "/") {
		path, _, _ = strings.Cut(r.RequestURI, "?")
	}
	if path == "" {
		return "/"
	}
	return path
}

// virtualBucket returns the bucket that the host names, empty for path style.
func virtualBucket(host string, domains []string) string {
	host = strings.ToLower(host)
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	for _, domain := range domains {
		if bucket, ok := strings.CutSuffix(host, "."+strings.ToLower(domain)); ok {
			return bucket
		}
	}
	return ""
}
