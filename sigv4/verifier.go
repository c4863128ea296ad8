package sigv4

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// ErrUnknownAccessKey is what [Verifier].Secret returns, wrapped or not, for an
// access key that does not exist or is disabled.
var ErrUnknownAccessKey = errors.New("sigv4: unknown access key")

// Verifier verifies requests. Fill in the exported fields before the first use
// and change nothing afterwards. It is safe for concurrent use and must not be
// copied.
type Verifier struct {
	// Region is the region that credentials must name.
	Region string
	// Service is the service that credentials must name; "s3" when empty.
	Service string
	// Now is the clock. It decides about skew and expiry only.
	Now func() time.Time
	// Secret returns the secret of an access key, or ErrUnknownAccessKey. An
	// empty secret counts as unknown. It is
	// asked for each signed request, so a revoked key ends at once; any other
	// error is passed on to the caller of Verify.
	Secret func(ctx context.Context, accessKey string) (string, error)
	// Legacy verifies Signature Version 2; nil refuses it.
	Legacy Legacy

	keys    keyCache
	scratch sync.Pool // of *scratch
}

// AuthType says where the authorization of a request was found.
type AuthType uint8

const (
	// AuthAnonymous is a request without any authorization.
	AuthAnonymous AuthType = iota
	// AuthHeader is a request signed in its Authorization header.
	AuthHeader
	// AuthQuery is a presigned URL.
	AuthQuery
	// AuthForm is an upload form with a signed policy.
	AuthForm
)

// Result is an accepted request. Its strings may share memory with the request.
type Result struct {
	// Auth is how the request was authorized.
	Auth AuthType
	// AccessKey is who signed; empty when anonymous.
	AccessKey string
	// SignedHeaders are the lower-case names of the signed headers, joined with
	// semicolons; empty when anonymous.
	SignedHeaders string
	// Time is when the request says it was signed; zero when anonymous, and for
	// a presigned URL of Version 2.
	Time time.Time
	// Legacy says that the signature is one of Version 2.
	Legacy bool
	// Payload is how the body is carried.
	Payload Payload
	// Length is how many bytes Body will give: x-amz-decoded-content-length of
	// an aws-chunked body, else Content-Length; -1 when unknown.
	Length int64

	sha256   [sha256.Size]byte // PayloadSHA256
	signer   *chunkSigner      // chunks with signatures
	trailers []trailer         // as declared, filled in at the end of the body
}

// Verify checks the signature of r and what r declares of its body. It reads
// nothing of the body: wrap that with [Result.Body]. Call it before anything
// changes the method, the headers or the host of r; the path and the query are
// taken as they were received.
//
// A request without authorization is accepted as AuthAnonymous. Errors are an
// [Error], what Secret returned, wrapped, or what Legacy returned.
func (v *Verifier) Verify(r *http.Request) (*Result, error) {
	s, ok := v.scratch.Get().(*scratch)
	if !ok {
		s = new(scratch)
	}
	defer func() {
		if !s.oversized() {
			v.scratch.Put(s)
		}
	}()
	_, query := rawTarget(r)
	if err := s.parseQuery(query); err != nil {
		return nil, err
	}
	for _, name := range [...]string{"Authorization", "X-Amz-Date", "X-Amz-Content-Sha256"} {
		if len(r.Header[name]) > 1 {
			return nil, refuse(KindDuplicateHeader, "Header", strings.ToLower(name))
		}
	}
	q := s.queryAuth()
	authorization, signed := r.Header["Authorization"]
	switch {
	case signed && (q.algorithm != "" || q.v2):
		return nil, refuse(KindMultipleAuth, "ArgumentName", "Authorization", "ArgumentValue", authorization[0])
	case signed && strings.HasPrefix(authorization[0], "AWS "):
		return v.verifyLegacy(r, AuthHeader)
	case signed:
		return v.verifyHeader(r, s, authorization[0])
	case q.v2:
		return v.verifyLegacy(r, AuthQuery)
	case q.present():
		return v.verifyQuery(r, s, &q)
	default:
		return anonymous(r)
	}
}

// service returns the service that credentials must name.
func (v *Verifier) service() string {
	if v.Service == "" {
		return "s3"
	}
	return v.Service
}

func anonymous(r *http.Request) (*Result, error) {
	res := &Result{Auth: AuthAnonymous}
	value := unsignedPayload
	if values := r.Header[paramContentSHA256]; len(values) > 0 {
		value = values[0]
	}
	if err := res.setPayload(value, r); err != nil {
		return nil, err
	}
	return res, nil
}

func (v *Verifier) verifyHeader(r *http.Request, s *scratch, authorization string) (*Result, error) {
	var c claim
	if err := c.parseAuthorization(authorization); err != nil {
		return nil, err
	}
	if err := c.setTime(r.Header); err != nil {
		return nil, err
	}
	if err := c.checkScope(v); err != nil {
		return nil, err
	}
	if err := c.checkSkew(v.Now()); err != nil {
		return nil, err
	}
	values := r.Header[paramContentSHA256]
	if len(values) == 0 {
		return nil, refuse(KindMissingContentSHA256)
	}
	res := c.result()
	if err := res.setPayload(values[0], r); err != nil {
		return nil, err
	}
	if r.Header[paramToken] != nil {
		return nil, refuse(KindSecurityToken)
	}
	if err := v.prove(r, s, &c, proof{res, values[0]}); err != nil {
		return nil, err
	}
	return res, nil
}

func (v *Verifier) verifyQuery(r *http.Request, s *scratch, q *queryAuth) (*Result, error) {
	var c claim
	if err := c.parsePresigned(q); err != nil {
		return nil, err
	}
	if err := c.checkScope(v); err != nil {
		return nil, err
	}
	if err := c.checkLife(q, v.Now()); err != nil {
		return nil, err
	}
	if q.token != "" || r.Header[paramToken] != nil {
		return nil, refuse(KindSecurityToken)
	}
	// What is signed: the value in the query, else the header if that is a
	// signed one, else the fixed word. The body obeys the header too: an
	// aws-chunked body is decoded whether or not the mode was signed.
	signed, declared := unsignedPayload, ""
	if values := r.Header[paramContentSHA256]; len(values) > 0 {
		declared = values[0]
		if c.signs(paramContentSHA256) {
			signed = declared
		}
	}
	if q.contentSHA256 != "" {
		signed = q.contentSHA256
	}
	if signed != unsignedPayload || declared == "" {
		declared = signed
	}
	res := c.result()
	if err := res.setPayload(declared, r); err != nil {
		return nil, err
	}
	if err := v.prove(r, s, &c, proof{res, signed}); err != nil {
		return nil, err
	}
	return res, nil
}

// result returns the result that a claim will have once it is proven.
func (c *claim) result() *Result {
	return &Result{Auth: c.auth, AccessKey: c.accessKey, SignedHeaders: c.signedHeaders, Time: c.time}
}

// proof is what a signature has to prove.
type proof struct {
	result      *Result
	payloadHash string // the last line of the canonical request
}

// prove checks the signature of a claim and gives the result what it needs for
// the chunks of the body.
func (v *Verifier) prove(r *http.Request, s *scratch, c *claim, p proof) error {
	if err := c.checkSignedHeaders(); err != nil {
		return err
	}
	secret, err := v.secret(r.Context(), c.accessKey)
	if err != nil {
		return err
	}
	if err := c.checkDate(); err != nil {
		return err
	}
	if err := c.checkRequired(r.Header); err != nil {
		return err
	}
	if err := s.buildCanonical(r, c.signedHeaders, p.payloadHash); err != nil {
		return err
	}
	hashed := sha256.Sum256(s.canonical)
	s.buildStringToSign(c, hashed[:])
	key := v.keys.get(v, c, secret)
	want := key.sign(s.sum[:0], s.sts)
	got, ok := parseSignature(c.signature)
	if !ok || !hmac.Equal(got[:], want) {
		return mismatch(c.accessKey, c.signature, string(s.sts), string(s.canonical))
	}
	if p.result.Payload.signed() {
		p.result.signer = newChunkSigner(key, c, string(s.canonical))
	}
	return nil
}

// secret looks up the secret of an access key.
func (v *Verifier) secret(ctx context.Context, accessKey string) (string, error) {
	secret, err := v.Secret(ctx, accessKey)
	if errors.Is(err, ErrUnknownAccessKey) || err == nil && secret == "" { // an empty secret is no secret
		refused := refuse(KindUnknownAccessKey, "AWSAccessKeyId", accessKey)
		if err != nil {
			refused.answer = refused.answer.Because(err) // for the log, which says whether it is disabled
		}
		return "", refused
	}
	if err != nil {
		return "", fmt.Errorf("sigv4: look up secret: %w", err)
	}
	return secret, nil
}

// maxExplained bounds the canonical request that an answer repeats.
const maxExplained = 16 << 10

// mismatch returns the error of a wrong signature. As AWS does, it tells the
// client what was signed here, so that the client can find the difference.
func mismatch(accessKey, provided, stringToSign, canonical string) *Error {
	fields := []string{
		"AWSAccessKeyId", accessKey,
		"StringToSign", stringToSign,
		"SignatureProvided", provided,
		"StringToSignBytes", hexBytes(stringToSign),
	}
	if len(canonical) <= maxExplained {
		fields = append(fields, "CanonicalRequest", canonical, "CanonicalRequestBytes", hexBytes(canonical))
	}
	return refuse(KindSignatureMismatch, fields...)
}

// hexBytes writes bytes as AWS does: two digits each, parted by spaces.
func hexBytes(s string) string {
	const digits = "0123456789abcdef"
	b := make([]byte, 0, 3*len(s))
	for i := range len(s) {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, digits[s[i]>>4], digits[s[i]&15])
	}
	return string(b)
}
