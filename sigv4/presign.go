package sigv4

import (
	"fmt"
	"strconv"
	"time"
)

// The query parameters of a presigned URL.
const (
	paramAlgorithm     = "X-Amz-Algorithm"
	paramCredential    = "X-Amz-Credential"
	paramDate          = "X-Amz-Date"
	paramExpires       = "X-Amz-Expires"
	paramSignedHeaders = "X-Amz-SignedHeaders"
	paramSignature     = "X-Amz-Signature"
	paramContentSHA256 = "X-Amz-Content-Sha256"
	paramToken         = "X-Amz-Security-Token"
)

// queryAuth is the authorization found in a query.
type queryAuth struct {
	algorithm     string
	credential    string
	date          string
	expires       string
	signedHeaders string
	signature     string
	contentSHA256 string
	token         string
	v2            bool // parameters of Signature Version 2
	duplicate     bool // a parameter was given twice
}

// present reports whether the query is meant to authorize the request.
func (q *queryAuth) present() bool {
	return q.algorithm != "" || q.credential != "" || q.signature != "" || q.signedHeaders != "" || q.expires != ""
}

// queryAuth collects the authorization parameters of the parsed query.
func (s *scratch) queryAuth() (q queryAuth) {
	for _, p := range s.pairs {
		var field *string
		switch string(s.pairName(p)) {
		case paramAlgorithm:
			field = &q.algorithm
		case paramCredential:
			field = &q.credential
		case paramDate:
			field = &q.date
		case paramExpires:
			field = &q.expires
		case paramSignedHeaders:
			field = &q.signedHeaders
		case paramSignature:
			field = &q.signature
		case paramContentSHA256:
			field = &q.contentSHA256
		case paramToken:
			field = &q.token
		case "AWSAccessKeyId", "Signature":
			q.v2 = true
			continue
		default:
			continue
		}
		q.duplicate = q.duplicate || *field != ""
		*field = decode(s.pairValue(p))
	}
	return q
}

// parsePresigned parses the authorization of a presigned URL.
func (c *claim) parsePresigned(q *queryAuth) error {
	c.auth = AuthQuery
	switch {
	case q.duplicate:
		return malformed(KindMalformed, AuthQuery, "An authorization query parameter was specified several times.")
	case q.algorithm == algorithmECDSA:
		return refuse(KindAsymmetric)
	case q.algorithm != "" && q.algorithm != algorithm:
		return malformed(KindMalformed, AuthQuery, `X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"`)
	case q.algorithm == "", q.credential == "", q.date == "", q.expires == "", q.signedHeaders == "", q.signature == "":
		return malformed(KindMalformed, AuthQuery, "Query-string authentication version 4 requires the X-Amz-Algorithm, "+
			"X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
	}
	if err := c.parseCredential(q.credential); err != nil {
		return err
	}
	t, err := parseTime(q.date)
	if err != nil {
		return malformed(KindMalformed, AuthQuery, `X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`)
	}
	c.timestamp, c.time = q.date, t
	c.signedHeaders, c.signature = q.signedHeaders, q.signature
	return nil
}

// checkLife refuses a presigned URL outside its time.
func (c *claim) checkLife(q *queryAuth, now time.Time) error {
	seconds, err := strconv.Atoi(q.expires)
	switch {
	case err != nil:
		return malformed(KindExpiresInvalid, AuthQuery, "X-Amz-Expires should be a number")
	case seconds < 0:
		return malformed(KindExpiresInvalid, AuthQuery, "X-Amz-Expires must be non-negative")
	case seconds > maxExpires:
		return malformed(KindExpiresInvalid, AuthQuery, fmt.Sprintf(
			"X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than %d seconds", maxExpires))
	}
	if c.time.Sub(now) > maxSkew {
		return refuse(KindNotYetValid, "RequestTime", c.timestamp, "ServerTime", now.UTC().Format(time.RFC3339))
	}
	end := c.time.Add(time.Duration(seconds) * time.Second)
	if now.After(end) || seconds == 0 { // none is over at once: 1 is the least that AWS documents
		return refuse(KindExpired,
			"X-Amz-Expires", q.expires,
			"Expires", end.UTC().Format(time.RFC3339),
			"ServerTime", now.UTC().Format(time.RFC3339))
	}
	return nil
}
