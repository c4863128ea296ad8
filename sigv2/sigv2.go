package sigv2

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the scheme is HMAC-SHA1
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/undercroft/undercroft/s3"
)

// maxSkew is how far the clock of a client may be off.
const maxSkew = 15 * time.Minute

// Verifier verifies requests. Fill in its fields before the first use. It is
// safe for concurrent use.
type Verifier struct {
	// Domains are the parent domains of virtual-host style requests: the bucket
	// in a host is part of what is signed.
	Domains []string
	// Now is the clock. It decides about skew and expiry only.
	Now func() time.Time
}

// Lookup returns the secret of an access key; its error is passed on.
type Lookup = func(accessKey string) (secret string, err error)

// claim is what a request says of its signature.
type claim struct {
	accessKey, signature string
	signed               signable
	time                 time.Time // when it was signed; zero for a presigned URL
}

// Verify checks the signature of a request that has one of Version 2, in its
// header or in its query. It returns who signed, and when; the time of a
// presigned URL is not known and zero.
func (v *Verifier) Verify(r *http.Request, secret Lookup) (accessKey string, at time.Time, err error) {
	c, err := v.claim(r)
	if err != nil {
		return "", time.Time{}, err
	}
	key, err := secret(c.accessKey)
	if err != nil {
		return "", time.Time{}, err
	}
	text := c.signed.stringToSign()
	ok := matches(key, text, c.signature)
	if !ok && c.signed.addressesBucket() {
		// boto3 signs /bucket/ and sends /bucket, which is the same resource.
		c.signed.slash = "/"
		ok = matches(key, c.signed.stringToSign(), c.signature)
	}
	if !ok {
		return "", time.Time{}, mismatch(c.accessKey, c.signature, text)
	}
	return c.accessKey, c.time, nil
}

// VerifyPolicy checks the signature of an upload form: that of its policy, as
// it was sent.
func (v *Verifier) VerifyPolicy(policy, accessKey, signature string, secret Lookup) error {
	key, err := secret(accessKey)
	if err != nil {
		return err
	}
	if !matches(key, policy, signature) {
		return mismatch(accessKey, signature, policy)
	}
	return nil
}

// matches compares a signature with the one that is right.
func matches(secret, text, signature string) bool {
	h := hmac.New(sha1.New, []byte(secret))
	_, _ = h.Write([]byte(text)) // a hash.Hash never fails
	got, err := base64.StdEncoding.Strict().DecodeString(signature)
	return hmac.Equal(got, h.Sum(nil)) && err == nil
}

// claim finds what the request says of its signature and refuses what is out
// of its time.
func (v *Verifier) claim(r *http.Request) (*claim, error) {
	raw := r.URL.RawQuery
	if strings.HasPrefix(r.RequestURI, "/") {
		_, raw, _ = strings.Cut(r.RequestURI, "?")
	}
	// net/url refuses a bare semicolon, which is a character like others here.
	query, err := url.ParseQuery(strings.ReplaceAll(raw, ";", "%3B"))
	if err != nil {
		return nil, s3.NewError(s3.InvalidURI).Because(err)
	}
	c := &claim{signed: signable{r: r, query: query, bucket: virtualBucket(r.Host, v.Domains)}}
	if authorization, ok := r.Header["Authorization"]; ok {
		err = c.fromHeader(authorization[0], v.Now())
	} else {
		err = c.fromQuery(v.Now())
	}
	if err != nil {
		return nil, err
	}
	if c.signed.header("X-Amz-Security-Token") != "" {
		return nil, s3.NewError(s3.InvalidToken)
	}
	return c, nil
}

// fromHeader reads "AWS AccessKey:Signature" and the date of the request.
func (c *claim) fromHeader(authorization string, now time.Time) error {
	credential, ok := strings.CutPrefix(authorization, "AWS ")
	colon := strings.LastIndexByte(credential, ':') // an access key may have one, a signature has none
	if !ok || colon <= 0 || colon == len(credential)-1 {
		return s3.InvalidArg("Authorization", authorization, "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature")
	}
	c.accessKey, c.signature = credential[:colon], credential[colon+1:]
	date := c.signed.r.Header.Get("Date")
	if values, ok := c.signed.r.Header["X-Amz-Date"]; ok {
		date = values[0] // it is signed among the headers, and the line of the date is empty
	} else {
		c.signed.date = joined(c.signed.r.Header["Date"])
	}
	t, ok := s3.ParseDate(date)
	if !ok || t.Unix() < 0 {
		return s3.NewError(s3.AccessDenied).WithMessage("AWS authentication requires a valid Date or x-amz-date header")
	}
	if d := now.Sub(t); d > maxSkew || d < -maxSkew {
		return s3.NewError(s3.RequestTimeTooSkewed).
			With("RequestTime", date).With("ServerTime", now.UTC().Format(time.RFC3339)).
			WithInt("MaxAllowedSkewMilliseconds", maxSkew.Milliseconds())
	}
	c.time = t
	return nil
}

// fromQuery reads the parameters of a presigned URL.
func (c *claim) fromQuery(now time.Time) error {
	c.signed.presigned = true
	one := func(name string) string {
		if values := c.signed.query[name]; len(values) == 1 {
			return values[0]
		}
		return ""
	}
	c.accessKey, c.signature, c.signed.date = one("AWSAccessKeyId"), one("Signature"), one("Expires")
	if c.accessKey == "" || c.signature == "" || c.signed.date == "" {
		return s3.NewError(s3.AccessDenied).
			WithMessage("Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
	}
	if name := c.signed.twoCases(); name != "" {
		return s3.NewError(s3.AccessDenied).WithMessage("A parameter is there in two cases: " + name)
	}
	seconds, err := strconv.ParseInt(c.signed.date, 10, 64)
	if err != nil {
		return s3.NewError(s3.AccessDenied).
			WithMessage("Invalid date (should be seconds since epoch): " + c.signed.date)
	}
	if now.Unix() > seconds {
		return s3.NewError(s3.AccessDenied).WithMessage("Request has expired").
			With("Expires", time.Unix(seconds, 0).UTC().Format(time.RFC3339)).
			With("ServerTime", now.UTC().Format(time.RFC3339))
	}
	return nil
}

// mismatch returns the error of a wrong signature. As AWS does, it tells the
// client what was signed here, so that the client can find the difference.
func mismatch(accessKey, provided, stringToSign string) error {
	bytes := make([]byte, 0, 3*len(stringToSign))
	for i := range len(stringToSign) {
		if i > 0 {
			bytes = append(bytes, ' ')
		}
		bytes = hex.AppendEncode(bytes, []byte{stringToSign[i]})
	}
	return s3.NewError(s3.SignatureDoesNotMatch).
		With("AWSAccessKeyId", accessKey).With("StringToSign", stringToSign).
		With("SignatureProvided", provided).With("StringToSignBytes", string(bytes))
}
