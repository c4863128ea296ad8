package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// scratch holds the buffers of one verification. A Verifier pools them.
type scratch struct {
	query     []byte // the encoded pairs, in the order of the request
	pairs     []pair
	canonical []byte // the canonical request
	sts       []byte // the string to sign
	name      []byte
	sum       [sha256.Size]byte
}

// pair is one query parameter within scratch.query: name=value.
type pair struct{ start, equals, end int }

// maxScratch is the largest buffer kept for the next request.
const maxScratch = 64 << 10

// oversized reports whether a rare huge request left buffers not worth keeping.
func (s *scratch) oversized() bool {
	return cap(s.query)+cap(s.canonical) > maxScratch || cap(s.pairs) > 1024
}

// rawTarget returns the path and the query as the client sent them.
func rawTarget(r *http.Request) (path, query string) {
	// A request that a server received has RequestURI, untouched by whatever
	// ran before; the absolute form and hand-made requests have only URL.
	if strings.HasPrefix(r.RequestURI, "/") {
		path, query, _ = strings.Cut(r.RequestURI, "?")
		return path, query
	}
	return r.URL.EscapedPath(), r.URL.RawQuery
}

// parseQuery decodes each parameter once, as url.ParseQuery does, and encodes
// it once, as S3 signs it.
func (s *scratch) parseQuery(raw string) error {
	s.query, s.pairs = s.query[:0], s.pairs[:0]
	for raw != "" {
		var piece string
		piece, raw, _ = strings.Cut(raw, "&")
		if piece == "" {
			continue
		}
		name, value, _ := strings.Cut(piece, "=")
		p := pair{start: len(s.query)}
		var ok1, ok2 bool
		s.query, ok1 = appendEncoded(s.query, name, queryEscape)
		p.equals = len(s.query)
		s.query = append(s.query, '=')
		s.query, ok2 = appendEncoded(s.query, value, queryEscape)
		p.end = len(s.query)
		if !ok1 || !ok2 {
			return refuse(KindURIInvalid)
		}
		s.pairs = append(s.pairs, p)
	}
	return nil
}

func (s *scratch) pairName(p pair) []byte  { return s.query[p.start:p.equals] }
func (s *scratch) pairValue(p pair) []byte { return s.query[p.equals+1 : p.end] }

// escape says how a piece of the request target is read.
type escape uint8

const (
	pathEscape  escape = iota // '/' stays
	queryEscape               // '+' means space
)

// appendEncoded decodes the escapes of raw and appends it with exactly those
// bytes escaped that S3 escapes. It reports false for a broken escape.
func appendEncoded(dst []byte, raw string, how escape) ([]byte, bool) {
	const upper = "0123456789ABCDEF"
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case c == '%':
			if i+2 >= len(raw) {
				return dst, false
			}
			hi, lo := anyHex(raw[i+1]), anyHex(raw[i+2])
			if hi|lo > 15 {
				return dst, false
			}
			c = hi<<4 | lo
			i += 2
		case c == '+' && how == queryEscape:
			c = ' '
		}
		if unreserved(c) || c == '/' && how == pathEscape {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upper[c>>4], upper[c&15])
		}
	}
	return dst, true
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '-' || c == '_' || c == '.' || c == '~'
}

func anyHex(c byte) byte {
	if c >= 'A' && c <= 'F' {
		c += 'a' - 'A'
	}
	return lowerHex(c)
}

// decode undoes appendEncoded.
func decode(encoded []byte) string {
	if !bytes.Contains(encoded, []byte("%")) {
		return string(encoded)
	}
	out := make([]byte, 0, len(encoded))
	for i := 0; i < len(encoded); i++ {
		c := encoded[i]
		if c == '%' {
			c = anyHex(encoded[i+1])<<4 | anyHex(encoded[i+2])
			i += 2
		}
		out = append(out, c)
	}
	return string(out)
}

// buildCanonical writes the canonical request. The query must be parsed.
func (s *scratch) buildCanonical(r *http.Request, signedHeaders, payloadHash string) error {
	b := append(s.canonical[:0], r.Method...)
	b = append(b, '\n')
	path, _ := rawTarget(r)
	if path == "" {
		path = "/"
	}
	b, ok := appendEncoded(b, path, pathEscape)
	if !ok {
		return refuse(KindURIInvalid)
	}
	b = append(b, '\n')
	b = s.appendQuery(b)
	b = append(b, '\n')
	for name := range strings.SplitSeq(signedHeaders, ";") {
		b = append(b, name...)
		b = append(b, ':')
		b = s.appendHeader(b, r, name)
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = append(b, signedHeaders...)
	b = append(b, '\n')
	s.canonical = append(b, payloadHash...)
	return nil
}

// appendQuery appends the parameters sorted, without the signature itself.
func (s *scratch) appendQuery(b []byte) []byte {
	slices.SortFunc(s.pairs, func(p, q pair) int {
		if c := bytes.Compare(s.pairName(p), s.pairName(q)); c != 0 {
			return c
		}
		return bytes.Compare(s.pairValue(p), s.pairValue(q))
	})
	first := len(b)
	for _, p := range s.pairs {
		if string(s.pairName(p)) == paramSignature {
			continue
		}
		if len(b) > first {
			b = append(b, '&')
		}
		b = append(b, s.query[p.start:p.end]...)
	}
	return b
}

// appendHeader appends the canonical value of a signed header. net/http keeps
// some of them elsewhere than in the header map.
func (s *scratch) appendHeader(b []byte, r *http.Request, name string) []byte {
	if values, ok := r.Header[string(s.canonicalName(name))]; ok {
		return appendValues(b, values)
	}
	switch name {
	case "host":
		return appendValue(b, r.Host)
	case "content-length":
		if r.ContentLength >= 0 {
			b = strconv.AppendInt(b, r.ContentLength, 10)
		}
	case "transfer-encoding":
		return appendValues(b, r.TransferEncoding)
	case "trailer":
		names := make([]string, 0, len(r.Trailer))
		for name := range r.Trailer {
			names = append(names, strings.ToLower(name))
		}
		slices.Sort(names)
		return appendValues(b, names)
	case "expect":
		// Proxies answer it themselves and take it out.
		return append(b, "100-continue"...)
	}
	return b
}

// canonicalName returns the key of a lower-case header name in a header map.
func (s *scratch) canonicalName(name string) []byte {
	s.name = append(s.name[:0], name...)
	up := true
	for i, c := range s.name {
		if up && c >= 'a' && c <= 'z' {
			s.name[i] = c - ('a' - 'A')
		}
		up = c == '-'
	}
	return s.name
}

func appendValues(b []byte, values []string) []byte {
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendValue(b, v)
	}
	return b
}

// appendValue appends a header value without outer spaces and with each run of
// inner spaces made one.
func appendValue(b []byte, v string) []byte {
	v = textproto.TrimString(v)
	for {
		i := strings.Index(v, "  ")
		if i < 0 {
			return append(b, v...)
		}
		b = append(b, v[:i+1]...)
		v = strings.TrimLeft(v[i:], " ")
	}
}

// buildStringToSign writes what a request's signature signs.
func (s *scratch) buildStringToSign(c *claim, canonicalHash []byte) {
	b := append(s.sts[:0], algorithm...)
	b = append(b, '\n')
	b = append(b, c.timestamp...)
	b = append(b, '\n')
	b = append(b, c.scope...)
	b = append(b, '\n')
	s.sts = hex.AppendEncode(b, canonicalHash)
}
