package load

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"slices"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	timeFormat = "20060102T150405Z"
	// EmptySHA256 is the hex SHA-256 of no bytes.
	EmptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// Credentials are what a request is signed with.
type Credentials struct {
	AccessKey string
	SecretKey string
}

// Header is one header to send; Name is in lower case, as it is signed.
type Header struct {
	Name  string
	Value string
}

// SignRequest is what SigV4 covers. Path and Query are already escaped the way
// S3 wants them, Query is sorted; Headers are sorted by name and hold host,
// x-amz-date and x-amz-content-sha256.
type SignRequest struct {
	Method      string
	Path        string
	Query       string
	Headers     []Header
	PayloadHash string
}

// Signer makes SigV4 signatures for the S3 service. It caches the signing key
// of the day and its buffers: one signer per goroutine.
type Signer struct {
	creds  Credentials
	region string

	day    string
	scope  string
	mac    hash.Hash
	digest hash.Hash
	buf    []byte
	second int64
	stamp  string
}

// NewSigner returns a signer for one region.
func NewSigner(creds Credentials, region string) *Signer {
	return &Signer{creds: creds, region: region, digest: sha256.New()}
}

// Stamp formats now as x-amz-date, formatting at most once a second.
func (s *Signer) Stamp(now time.Time) string {
	if sec := now.Unix(); sec != s.second || s.stamp == "" {
		s.second, s.stamp = sec, now.UTC().Format(timeFormat)
	}
	return s.stamp
}

// SortHeaders orders headers as SigV4 requires.
func SortHeaders(headers []Header) {
	slices.SortFunc(headers, func(a, b Header) int { return strings.Compare(a.Name, b.Name) })
}

// Sign appends the value of the Authorization header to dst and returns it with
// the hex signature, the seed of a chunked body.
func (s *Signer) Sign(dst []byte, r *SignRequest, stamp string) ([]byte, string) {
	s.useDay(stamp[:8])
	canonical := s.canonical(s.buf[:0], r)
	s.digest.Reset()
	s.digest.Write(canonical)
	var sum [sha256.Size]byte
	s.digest.Sum(sum[:0])

	b := append(canonical[:0], algorithm+"\n"...)
	b = append(b, stamp...)
	b = append(b, '\n')
	b = append(b, s.scope...)
	b = append(b, '\n')
	b = hex.AppendEncode(b, sum[:])
	s.buf = b
	signature := s.hmacHex(b)

	dst = append(dst, algorithm+" Credential="...)
	dst = append(dst, s.creds.AccessKey...)
	dst = append(dst, '/')
	dst = append(dst, s.scope...)
	dst = append(dst, ", SignedHeaders="...)
	dst = appendNames(dst, r.Headers)
	dst = append(dst, ", Signature="...)
	return append(dst, signature...), signature
}

// ChunkSignature signs one chunk of a STREAMING-AWS4-HMAC-SHA256-PAYLOAD body.
func (s *Signer) ChunkSignature(stamp, previous, chunkSHA256 string) string {
	return s.chain("AWS4-HMAC-SHA256-PAYLOAD", stamp, previous, EmptySHA256+"\n"+chunkSHA256)
}

// TrailerSignature signs the trailing headers of a chunked body, given the hash
// of their lines "name:value\n".
func (s *Signer) TrailerSignature(stamp, previous, trailerSHA256 string) string {
	return s.chain("AWS4-HMAC-SHA256-TRAILER", stamp, previous, trailerSHA256)
}

func (s *Signer) chain(label, stamp, previous, rest string) string {
	s.useDay(stamp[:8])
	b := append(s.buf[:0], label...)
	for _, part := range [...]string{stamp, s.scope, previous, rest} {
		b = append(b, '\n')
		b = append(b, part...)
	}
	s.buf = b
	return s.hmacHex(b)
}

func (s *Signer) canonical(b []byte, r *SignRequest) []byte {
	b = append(b, r.Method...)
	b = append(b, '\n')
	b = append(b, r.Path...)
	b = append(b, '\n')
	b = append(b, r.Query...)
	b = append(b, '\n')
	for _, h := range r.Headers {
		b = append(b, h.Name...)
		b = append(b, ':')
		b = append(b, h.Value...)
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = appendNames(b, r.Headers)
	b = append(b, '\n')
	return append(b, r.PayloadHash...)
}

func appendNames(b []byte, headers []Header) []byte {
	for i, h := range headers {
		if i > 0 {
			b = append(b, ';')
		}
		b = append(b, h.Name...)
	}
	return b
}

func (s *Signer) hmacHex(message []byte) string {
	s.mac.Reset()
	s.mac.Write(message)
	var sum [sha256.Size]byte
	return hex.EncodeToString(s.mac.Sum(sum[:0]))
}

func (s *Signer) useDay(day string) {
	if day == s.day {
		return
	}
	key := []byte("AWS4" + s.creds.SecretKey)
	for _, step := range [...]string{day, s.region, "s3", "aws4_request"} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(step))
		key = mac.Sum(nil)
	}
	s.mac = hmac.New(sha256.New, key)
	s.day = day
	s.scope = day + "/" + s.region + "/s3/aws4_request"
}

// EscapePath escapes a key for the request path: everything but unreserved
// characters and the slash.
func EscapePath(key string) string {
	return escape(key, "-_.~/")
}

// EscapeQuery escapes a query value: everything but unreserved characters.
func EscapeQuery(value string) string {
	return escape(value, "-_.~")
}

func escape(s, keep string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', digits[c>>4], digits[c&15]})
	}
	return b.String()
}
