package sigv4

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/s3"
)

// refusal is a request that Verify, or the reader of its body, must refuse.
type refusal struct {
	name    string
	request *http.Request
	body    string
	kind    Kind
	code    s3.Code
	status  int
	// fields must be among the elements of the answer; message within its message.
	fields  map[string]string
	message string
}

func get(headers ...string) *http.Request {
	return newRequest("GET", "/bucket/key", "s3.example.test", append([]string{"X-Amz-Content-Sha256", emptySHA256}, headers...)...)
}

// withAuth returns a well-signed GET with its Authorization header edited.
func withAuth(old, replacement string) *http.Request {
	r := signRequest(get())
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, replacement, 1))
	return r
}

func headerRefusals() []refusal {
	const malformed = s3.AuthorizationHeaderMalformed
	v2 := get()
	v2.Header.Set("Authorization", "AWS AKIAIOSFODNN7EXAMPLE:c2lnbmF0dXJl")
	doubled := signRequest(get())
	doubled.Header.Add("Authorization", doubled.Header.Get("Authorization"))
	twoDates := signRequest(get())
	twoDates.Header.Add("X-Amz-Date", exampleTime)
	both := newRequest("GET", "/k?X-Amz-Algorithm=AWS4-HMAC-SHA256", "h", "Authorization", "AWS4-HMAC-SHA256 x")
	bothV2 := newRequest("GET", "/k?AWSAccessKeyId=a&Signature=b&Expires=1", "h", "Authorization", "AWS4-HMAC-SHA256 x")
	noDate := signRequest(get())
	noDate.Header.Del("X-Amz-Date")
	badDate := signRequest(get())
	badDate.Header.Set("X-Amz-Date", "03032006")
	fraction := signRequest(get("X-Amz-Date", "20130524T000000.5Z"))
	noHash := signRequest(get())
	noHash.Header.Del("X-Amz-Content-Sha256")
	unsignedMeta := signRequest(get())
	unsignedMeta.Header.Set("X-Amz-Meta-B", "1")
	unsignedMeta.Header.Set("X-Amz-Acl", "public-read")
	changed := signRequest(get("X-Amz-Acl", "private"))
	changed.Header.Set("X-Amz-Acl", "public-read")
	otherQuery := signRequest(get())
	otherQuery.RequestURI += "?acl"
	badEscape := signRequest(get())
	badEscape.RequestURI = "/bucket/%zz"
	badQuery := signRequest(get())
	badQuery.RequestURI = "/bucket/key?a=%2"
	return []refusal{
		{name: "no scheme", request: get("Authorization", "invalid_header"), kind: KindAuthorizationInvalid, code: s3.InvalidArgument, status: 400, fields: map[string]string{"ArgumentName": "Authorization", "ArgumentValue": "invalid_header"}},
		{name: "empty authorization", request: get("Authorization", ""), kind: KindAuthorizationInvalid, code: s3.InvalidArgument, status: 400},
		{name: "unknown scheme", request: get("Authorization", "Bearer abc"), kind: KindAuthorizationUnsupported, code: s3.InvalidArgument, status: 400},
		{name: "v2 header", request: v2, kind: KindSignatureV2, code: s3.InvalidRequest, status: 400, message: "Please use AWS4-HMAC-SHA256"},
		{name: "v2 query", request: newRequest("GET", "/k?AWSAccessKeyId=a&Signature=b&Expires=1", "h"), kind: KindSignatureV2, code: s3.InvalidRequest, status: 400},
		{name: "asymmetric", request: get("Authorization", "AWS4-ECDSA-P256-SHA256 Credential=a"), kind: KindAsymmetric, code: s3.NotImplemented, status: 501},
		{name: "header and query", request: both, kind: KindMultipleAuth, code: s3.InvalidArgument, status: 400, message: "Only one auth mechanism allowed"},
		{name: "header and v2 query", request: bothV2, kind: KindMultipleAuth, code: s3.InvalidArgument, status: 400},
		{name: "two authorizations", request: doubled, kind: KindDuplicateHeader, code: s3.InvalidRequest, status: 400, fields: map[string]string{"Header": "authorization"}},
		{name: "two dates", request: twoDates, kind: KindDuplicateHeader, code: s3.InvalidRequest, status: 400, fields: map[string]string{"Header": "x-amz-date"}},
		{name: "two hashes", request: signRequest(get("X-Amz-Content-Sha256", emptySHA256)), kind: KindDuplicateHeader, code: s3.InvalidRequest, status: 400},

		{name: "no credential", request: withAuth("Credential=", "Missing="), kind: KindMalformed, code: malformed, status: 400, message: "is malformed."},
		{name: "only a scheme", request: get("Authorization", algorithm+" "), kind: KindMalformed, code: malformed, status: 400, message: "missing Credential."},
		{name: "no signed headers", request: withAuth("SignedHeaders=", ""), kind: KindMalformed, code: malformed, status: 400},
		{name: "signed headers left out", request: get("Authorization", algorithm+" Credential="+exampleScope+",Signature=00"), kind: KindMalformed, code: malformed, status: 400, message: "missing SignedHeaders."},
		{name: "signature left out", request: get("Authorization", algorithm+" Credential="+exampleScope+",SignedHeaders=host"), kind: KindMalformed, code: malformed, status: 400, message: "missing Signature."},
		{name: "component twice", request: withAuth("SignedHeaders=", "Credential="), kind: KindMalformed, code: malformed, status: 400},
		{name: "header named twice", request: withAuth("SignedHeaders=host", "SignedHeaders=host;host"), kind: KindMalformed, code: malformed, status: 400, message: "named twice"},
		{name: "header name with capitals", request: withAuth("SignedHeaders=host", "SignedHeaders=Host"), kind: KindMalformed, code: malformed, status: 400},
		{name: "empty header name", request: withAuth("SignedHeaders=host", "SignedHeaders=;host"), kind: KindMalformed, code: malformed, status: 400},

		{name: "credential too long", request: withAuth("/s3/", "/s3/extra/"), kind: KindCredentialMalformed, code: malformed, status: 400, message: "expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\""},
		{name: "credential without key", request: withAuth("Credential="+exampleKey, "Credential="), kind: KindCredentialMalformed, code: malformed, status: 400},
		{name: "terminal", request: withAuth("aws4_request", "aws_request"), kind: KindWrongTerminal, code: malformed, status: 400, message: `incorrect terminal "aws_request"`},
		{name: "service", request: withAuth("/s3/", "/ec2/"), kind: KindWrongService, code: malformed, status: 400, message: `incorrect service "ec2". This endpoint belongs to "s3".`},
		{name: "no service", request: withAuth("/s3/", "//"), kind: KindWrongService, code: malformed, status: 400},
		{name: "region", request: withAuth("us-east-1", "eu-west-3"), kind: KindWrongRegion, code: malformed, status: 400, fields: map[string]string{"Region": "us-east-1"}, message: `the region "eu-west-3" is wrong; expecting "us-east-1"`},
		{name: "date format", request: withAuth("20130524/", "3223423234/"), kind: KindWrongDate, code: malformed, status: 400, message: "yyyyMMdd"},
		{name: "date of another day", request: withAuth("20130524/", "20130525/"), kind: KindWrongDate, code: malformed, status: 400, message: "not the same as X-Amz-Date"},

		{name: "no date", request: noDate, kind: KindMissingDate, code: s3.AccessDenied, status: 403},
		{name: "bad date", request: badDate, kind: KindMissingDate, code: s3.AccessDenied, status: 403},
		{name: "date with fraction", request: fraction, kind: KindMissingDate, code: s3.AccessDenied, status: 403},
		{name: "too old", request: signRequest(get("X-Amz-Date", "20130523T234459Z")), kind: KindTimeTooSkewed, code: s3.RequestTimeTooSkewed, status: 403, fields: map[string]string{"RequestTime": "20130523T234459Z", "ServerTime": "2013-05-24T00:00:00Z", "MaxAllowedSkewMilliseconds": "900000"}},
		{name: "too new", request: signRequest(get("X-Amz-Date", "20130524T001501Z")), kind: KindTimeTooSkewed, code: s3.RequestTimeTooSkewed, status: 403},

		{name: "unknown key", request: withAuth(exampleKey, "AKIANOBODY"), kind: KindUnknownAccessKey, code: s3.InvalidAccessKeyID, status: 403, fields: map[string]string{"AWSAccessKeyId": "AKIANOBODY"}},
		{name: "session token", request: signRequest(get("X-Amz-Security-Token", "t")), kind: KindSecurityToken, code: s3.InvalidToken, status: 400},
		{name: "unsigned headers", request: unsignedMeta, kind: KindHeadersNotSigned, code: s3.AccessDenied, status: 403, fields: map[string]string{"HeadersNotSigned": "x-amz-acl, x-amz-meta-b"}},
		{name: "unsigned host", request: signWith(get("X-Amz-Date", exampleTime), "x-amz-content-sha256;x-amz-date"), kind: KindHeadersNotSigned, code: s3.AccessDenied, status: 403, fields: map[string]string{"HeadersNotSigned": "host"}},
		{name: "changed header", request: changed, kind: KindSignatureMismatch, code: s3.SignatureDoesNotMatch, status: 403},
		{name: "other query", request: otherQuery, kind: KindSignatureMismatch, code: s3.SignatureDoesNotMatch, status: 403},
		{name: "short signature", request: withAuth("Signature=", "Signature=00"), kind: KindSignatureMismatch, code: s3.SignatureDoesNotMatch, status: 403},
		{name: "broken escape in path", request: badEscape, kind: KindURIInvalid, code: s3.InvalidURI, status: 400},
		{name: "broken escape in query", request: badQuery, kind: KindURIInvalid, code: s3.InvalidURI, status: 400},

		{name: "no payload hash", request: noHash, kind: KindMissingContentSHA256, code: s3.InvalidRequest, status: 400, message: "Missing required header for this request: x-amz-content-sha256"},
		{name: "asymmetric chunks", request: signRequest(newRequest("PUT", "/k", "h", "X-Amz-Content-Sha256", streamingECDSATrailer)), kind: KindAsymmetric, code: s3.NotImplemented, status: 501},
	}
}

func queryRefusals() []refusal {
	const malformed = s3.AuthorizationQueryParametersError
	changedSignature := presign("GET", "/k")
	changedSignature.RequestURI = strings.Replace(changedSignature.RequestURI, "Signature=", "Signature=0", 1)
	twice := presign("GET", "/k")
	twice.RequestURI += "&X-Amz-Expires=9"
	unsignedCopy := presign("PUT", "/k")
	unsignedCopy.Header.Set("X-Amz-Copy-Source", "b/k")
	injected := presign("GET", "/k", paramSignedHeaders, "host\nx-amz-acl")
	return []refusal{
		{name: "q algorithm", request: presign("GET", "/k", paramAlgorithm, "AWS4-HMAC-SHA1"), kind: KindMalformed, code: malformed, status: 400, message: "X-Amz-Algorithm only supports"},
		{name: "q no algorithm", request: presign("GET", "/k", paramAlgorithm, ""), kind: KindMalformed, code: malformed, status: 400},
		{name: "q asymmetric", request: presign("GET", "/k", paramAlgorithm, algorithmECDSA), kind: KindAsymmetric, code: s3.NotImplemented, status: 501},
		{name: "q no credential", request: presign("GET", "/k", paramCredential, ""), kind: KindMalformed, code: malformed, status: 400, message: "Query-string authentication version 4 requires"},
		{name: "q no date", request: presign("GET", "/k", paramDate, ""), kind: KindMalformed, code: malformed, status: 400},
		{name: "q no expires", request: presign("GET", "/k", paramExpires, ""), kind: KindMalformed, code: malformed, status: 400},
		{name: "q no signed headers", request: presign("GET", "/k", paramSignedHeaders, ""), kind: KindMalformed, code: malformed, status: 400},
		{name: "q only a signature", request: newRequest("GET", "/k?X-Amz-Signature=a", "h"), kind: KindMalformed, code: malformed, status: 400},
		{name: "q parameter twice", request: twice, kind: KindMalformed, code: malformed, status: 400},
		{name: "q date format", request: presign("GET", "/k", paramDate, "2013-05-24"), kind: KindMalformed, code: malformed, status: 400, message: "ISO8601 Long Format"},
		{name: "q injected line", request: injected, kind: KindMalformed, code: malformed, status: 400},
		{name: "q credential", request: presign("GET", "/k", paramCredential, "a/b/c"), kind: KindCredentialMalformed, code: malformed, status: 400, message: "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed"},
		{name: "q region", request: presign("GET", "/k", paramCredential, strings.Replace(exampleScope, "us-east-1", "x", 1)), kind: KindWrongRegion, code: malformed, status: 400, fields: map[string]string{"Region": "us-east-1"}},
		{name: "q service", request: presign("GET", "/k", paramCredential, strings.Replace(exampleScope, "/s3/", "/x/", 1)), kind: KindWrongService, code: malformed, status: 400},
		{name: "q terminal", request: presign("GET", "/k", paramCredential, exampleScope+"x"), kind: KindWrongTerminal, code: malformed, status: 400},
		{name: "q other day", request: presign("GET", "/k", paramCredential, strings.Replace(exampleScope, "0524", "0523", 1)), kind: KindWrongDate, code: malformed, status: 400},
		{name: "q expires word", request: presign("GET", "/k", paramExpires, "soon"), kind: KindExpiresInvalid, code: malformed, status: 400, message: "should be a number"},
		{name: "q expires negative", request: presign("GET", "/k", paramExpires, "-1"), kind: KindExpiresInvalid, code: malformed, status: 400, message: "non-negative"},
		{name: "q expires zero", request: presign("GET", "/k", paramExpires, "0"), kind: KindExpired, code: s3.AccessDenied, status: 403},
		{name: "q expires too large", request: presign("GET", "/k", paramExpires, "604801"), kind: KindExpiresInvalid, code: malformed, status: 400, message: "less than a week"},
		{name: "q expired", request: presign("GET", "/k", paramDate, "20130523T225959Z", paramCredential, strings.Replace(exampleScope, "0524", "0523", 1)), kind: KindExpired, code: s3.AccessDenied, status: 403, message: "Request has expired", fields: map[string]string{"X-Amz-Expires": "3600", "Expires": "2013-05-23T23:59:59Z", "ServerTime": "2013-05-24T00:00:00Z"}},
		{name: "q not yet", request: presign("GET", "/k", paramDate, "20130524T001501Z"), kind: KindNotYetValid, code: s3.AccessDenied, status: 403, message: "Request is not valid yet"},
		{name: "q token", request: presign("GET", "/k", paramToken, "t"), kind: KindSecurityToken, code: s3.InvalidToken, status: 400},
		{name: "q unknown key", request: presign("GET", "/k", paramCredential, "x"+exampleScope), kind: KindUnknownAccessKey, code: s3.InvalidAccessKeyID, status: 403},
		{name: "q unsigned header", request: unsignedCopy, kind: KindHeadersNotSigned, code: s3.AccessDenied, status: 403, fields: map[string]string{"HeadersNotSigned": "x-amz-copy-source"}},
		{name: "q signature", request: changedSignature, kind: KindSignatureMismatch, code: s3.SignatureDoesNotMatch, status: 403},
		{name: "q payload hash", request: presign("PUT", "/k", paramContentSHA256, "x"), kind: KindInvalidContentSHA256, code: s3.InvalidArgument, status: 400},
	}
}

// put returns a well-signed PUT of a body with a given payload hash.
func put(hash string, length int64, headers ...string) *http.Request {
	r := signRequest(newRequest("PUT", "/bucket/key", "s3.example.test", append([]string{"X-Amz-Content-Sha256", hash}, headers...)...))
	r.ContentLength = length
	return r
}

func chunks(hash, length string, more ...string) *http.Request {
	return put(hash, -1, append([]string{"X-Amz-Decoded-Content-Length", length}, more...)...)
}

func payloadRefusals() []refusal {
	big := strings.Repeat("x", minChunk)
	small := strings.Repeat("x", minChunk-1)
	smallHex, bigHex := "1fff\r\n"+small+"\r\n", "2000\r\n"+big+"\r\n"
	anonymousSigned := newRequest("PUT", "/k", "h", "X-Amz-Content-Sha256", streamingSigned, "X-Amz-Decoded-Content-Length", "0")
	unsigned := func(name, body, length string, kind Kind, code s3.Code, status int) refusal {
		return refusal{name: name, body: body, request: chunks(streamingUnsigned, length), kind: kind, code: code, status: status}
	}
	trailer := func(name, body string, kind Kind, code s3.Code) refusal {
		return refusal{name: name, body: "5\r\nhello\r\n0\r\n" + body, request: chunks(streamingUnsigned, "5", "X-Amz-Trailer", "x-amz-checksum-crc64nvme"), kind: kind, code: code, status: 400}
	}
	const good = "x-amz-checksum-crc64nvme:M3eFcAZSQlc=\r\n"
	return []refusal{
		{name: "hash word", request: put("invalid_sha256", 0), kind: KindInvalidContentSHA256, code: s3.InvalidArgument, status: 400, fields: map[string]string{"ArgumentName": "x-amz-content-sha256", "ArgumentValue": "invalid_sha256"}},
		{name: "hash not hex", request: put(strings.Repeat("g", 64), 0), kind: KindInvalidContentSHA256, code: s3.InvalidArgument, status: 400},
		{name: "anonymous signed chunks", request: anonymousSigned, kind: KindAnonymousStreaming, code: s3.InvalidRequest, status: 400},
		{name: "hash of another body", request: put(digest("a"), 1), body: "b", kind: KindContentSHA256Mismatch, code: s3.XAmzContentSHA256Mismatch, status: 400, fields: map[string]string{"ClientComputedContentSHA256": digest("a"), "S3ComputedContentSHA256": digest("b")}},
		{name: "hash of another body, length unknown", request: put(digest("a"), -1), body: "b", kind: KindContentSHA256Mismatch, code: s3.XAmzContentSHA256Mismatch, status: 400},
		{name: "hash of an empty body", request: put(digest("a"), 0), kind: KindContentSHA256Mismatch, code: s3.XAmzContentSHA256Mismatch, status: 400},
		{name: "body short", request: put(digest("abc"), 3), body: "ab", kind: KindIncompleteBody, code: s3.IncompleteBody, status: 400},
		{name: "unsigned body short", request: put(unsignedPayload, 3), body: "ab", kind: KindIncompleteBody, code: s3.IncompleteBody, status: 400},
		{name: "body long", request: put(digest("abc"), 2), body: "abc", kind: KindLengthMismatch, code: s3.IncompleteBody, status: 400},

		{name: "no decoded length", request: put(streamingUnsigned, -1), kind: KindMissingDecodedLength, code: s3.MissingContentLength, status: 411},
		{name: "bad decoded length", request: chunks(streamingUnsigned, "x"), kind: KindMissingDecodedLength, code: s3.MissingContentLength, status: 411},
		{name: "negative decoded length", request: chunks(streamingUnsigned, "-1"), kind: KindMissingDecodedLength, code: s3.MissingContentLength, status: 411},
		{name: "huge decoded length", request: chunks(streamingUnsigned, "9223372036854775808"), kind: KindMissingDecodedLength, code: s3.MissingContentLength, status: 411},
		{name: "trailer names", request: chunks(streamingUnsigned, "1", "X-Amz-Trailer", "a b"), kind: KindUnsupportedTrailer, code: s3.InvalidRequest, status: 400},
		{name: "too many trailers", request: chunks(streamingUnsigned, "1", "X-Amz-Trailer", "a,b,c,d,e,f,g,h,i"), kind: KindUnsupportedTrailer, code: s3.InvalidRequest, status: 400},

		unsigned("chunks too short", "5\r\nhello\r\n0\r\n\r\n", "6", KindLengthMismatch, s3.IncompleteBody, 400),
		unsigned("chunks too long", "5\r\nhello\r\n0\r\n\r\n", "4", KindLengthMismatch, s3.IncompleteBody, 400),
		unsigned("one chunk too many", "5\r\nhello\r\n5\r\nhello\r\n0\r\n\r\n", "5", KindLengthMismatch, s3.IncompleteBody, 400),
		unsigned("chunk size word", "five\r\nhello\r\n0\r\n\r\n", "5", KindIncompleteBody, s3.IncompleteBody, 400),
		unsigned("chunk size signed", "+5\r\nhello\r\n0\r\n\r\n", "5", KindIncompleteBody, s3.IncompleteBody, 400),
		unsigned("chunk size empty", "\r\nhello\r\n0\r\n\r\n", "5", KindIncompleteBody, s3.IncompleteBody, 400),
		unsigned("chunk size overflow", "ffffffffffffffff\r\n", "5", KindIncompleteBody, s3.IncompleteBody, 400),
		unsigned("chunk size of 17 digits", "00000000000000005\r\nhello\r\n0\r\n\r\n", "5", KindIncompleteBody, s3.IncompleteBody, 400),
		unsigned("endless chunk header", strings.Repeat("0", 5000), "5", KindIncompleteBody, s3.IncompleteBody, 400),
		unsigned("no CR", "5\nhello\r\n0\r\n\r\n", "5", KindIncompleteBody, s3.IncompleteBody, 400),
		unsigned("data longer than chunk", "5\r\nhello!\r\n0\r\n\r\n", "5", KindIncompleteBody, s3.IncompleteBody, 400),
		unsigned("bytes after the end", "5\r\nhello\r\n0\r\n\r\nGET /", "5", KindIncompleteBody, s3.IncompleteBody, 400),
		unsigned("many line ends after the end", "5\r\nhello\r\n0\r\n\r\n\r\n\r\n\r\n", "5", KindIncompleteBody, s3.IncompleteBody, 400),
		unsigned("undeclared trailer", "5\r\nhello\r\n0\r\n"+good+"\r\n", "5", KindMalformedTrailer, s3.MalformedTrailerError, 400),
		{name: "small chunk inside", request: chunks(streamingUnsigned, "16383"), body: smallHex + bigHex + "0\r\n\r\n", kind: KindInvalidChunkSize, code: s3.InvalidChunkSizeError, status: 403, fields: map[string]string{"Chunk": "1", "BadChunkSize": "8191"}},

		trailer("trailer missing", "\r\n", KindMalformedTrailer, s3.MalformedTrailerError),
		trailer("trailer without name", ":M3eFcAZSQlc=\r\n\r\n", KindMalformedTrailer, s3.MalformedTrailerError),
		trailer("trailer without colon", "x-amz-checksum-crc64nvme\r\n\r\n", KindMalformedTrailer, s3.MalformedTrailerError),
		trailer("other trailer", "x-amz-checksum-sha1:x\r\n\r\n", KindMalformedTrailer, s3.MalformedTrailerError),
		trailer("trailer twice", good+good+"\r\n", KindMalformedTrailer, s3.MalformedTrailerError),
		trailer("trailer signature without signatures", good+"x-amz-trailer-signature:"+emptySHA256+"\r\n\r\n", KindMalformedTrailer, s3.MalformedTrailerError),
		trailer("endless trailer", "x-amz-checksum-crc64nvme:"+strings.Repeat("A", 5000)+"\r\n\r\n", KindIncompleteBody, s3.IncompleteBody),
		trailer("bare LF", "x-amz-checksum-crc64nvme:M3eFcAZSQlc=\nx\r\n\r\n", KindMalformedTrailer, s3.MalformedTrailerError),
	}
}

func TestRefusals(t *testing.T) {
	all := append(append(headerRefusals(), queryRefusals()...), payloadRefusals()...)
	seen := map[Kind]bool{}
	for _, tt := range all {
		t.Run(tt.name, func(t *testing.T) {
			var body string
			res, err := newVerifier(t).Verify(tt.request)
			if err != nil && res != nil {
				t.Errorf("result %+v beside an error", res)
			}
			if err == nil {
				var got []byte
				got, err = io.ReadAll(res.Body(strings.NewReader(tt.body)))
				body = string(got)
			}
			if kindOf(err) != tt.kind {
				t.Fatalf("kind %d (%v), want %d; body %q", kindOf(err), err, tt.kind, body)
			}
			seen[tt.kind] = true
			got := answer(t, err)
			if got.Code != tt.code || got.Status != tt.status || !strings.Contains(got.Message, tt.message) || got.Message == "" {
				t.Errorf("answer = %d %s", got.Status, got)
			}
			for name, want := range tt.fields {
				if got.Field(name) != want {
					t.Errorf("%s = %q, want %q", name, got.Field(name), want)
				}
			}
		})
	}
	for k := KindAuthorizationInvalid; k <= lastKind; k++ {
		if !seen[k] && k != KindFieldMissing { // that is for forms
			t.Errorf("no request is refused with kind %d", k)
		}
	}
}

// The answer to a wrong signature tells what was signed, in text and in bytes.
func TestMismatchExplains(t *testing.T) {
	r := signRequest(get())
	r.Header.Set("Authorization", authorization("host;x-amz-content-sha256;x-amz-date", strings.Repeat("0", 64)))
	_, err := newVerifier(t).Verify(r)
	e := answer(t, err)
	canonical := canonicalOf(r, "host;x-amz-content-sha256;x-amz-date", emptySHA256)
	sts := "AWS4-HMAC-SHA256\n" + exampleTime + "\n" + testScope + "\n" + digest(canonical)
	want := []s3.Field{
		{Name: "AWSAccessKeyId", Value: exampleKey},
		{Name: "StringToSign", Value: sts},
		{Name: "SignatureProvided", Value: strings.Repeat("0", 64)},
		{Name: "StringToSignBytes", Value: hexBytes(sts)},
		{Name: "CanonicalRequest", Value: canonical},
		{Name: "CanonicalRequestBytes", Value: hexBytes(canonical)},
	}
	if diff := cmp.Diff(want, e.Fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if got := hexBytes("GE\n"); got != "47 45 0a" {
		t.Errorf("bytes = %q", got)
	}
}

// A huge canonical request is not repeated to the client.
func TestMismatchIsBounded(t *testing.T) {
	r := signRequest(get("X-Amz-Meta-A", strings.Repeat("x", maxExplained)))
	r.Header.Set("X-Amz-Meta-A", strings.Repeat("y", maxExplained))
	_, err := newVerifier(t).Verify(r)
	if e := answer(t, err); kindOf(err) != KindSignatureMismatch || e.Field("CanonicalRequest") != "" || e.Field("StringToSign") == "" {
		t.Errorf("fields = %v", e.Fields)
	}
}

func TestSecretFails(t *testing.T) {
	v := newVerifier(t)
	down := errors.New("metadata unavailable")
	v.Secret = func(context.Context, string) (string, error) { return "", down }
	if _, err := v.Verify(signRequest(get())); !errors.Is(err, down) || kindOf(err) != 0 {
		t.Errorf("error = %v", err)
	}
}

// An account without a secret must not be open to all who sign with none.
func TestEmptySecretIsUnknown(t *testing.T) {
	v := newVerifier(t)
	v.Secret = func(context.Context, string) (string, error) { return "", nil }
	r := signRequest(get())
	canonical := canonicalOf(r, "host;x-amz-content-sha256;x-amz-date", emptySHA256)
	r.Header.Set("Authorization", authorization("host;x-amz-content-sha256;x-amz-date", sign("", testScope, exampleTime, canonical)))
	if _, err := v.Verify(r); kindOf(err) != KindUnknownAccessKey {
		t.Errorf("error = %v", err)
	}
}

// One verifier serves all requests at once: no buffer is shared between them.
func TestConcurrentVerify(t *testing.T) {
	v := newVerifier(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				r := signRequest(get("X-Amz-Meta-N", strconv.Itoa(i*1000+j)))
				if _, err := v.Verify(r); err != nil {
					t.Errorf("request %d of %d: %v", j, i, err)
				}
				r.Header.Set("X-Amz-Meta-N", "other")
				if _, err := v.Verify(r); kindOf(err) != KindSignatureMismatch {
					t.Errorf("changed request %d of %d: %v", j, i, err)
				}
			}
		})
	}
	wg.Wait()
}

// A changed secret counts at once, although keys are cached.
func TestSecretRotates(t *testing.T) {
	v := newVerifier(t)
	secret := exampleSecret
	v.Secret = func(context.Context, string) (string, error) { return secret, nil }
	for range 2 {
		if _, err := v.Verify(signRequest(get())); err != nil {
			t.Fatal(err)
		}
	}
	secret = "another"
	if _, err := v.Verify(signRequest(get())); kindOf(err) != KindSignatureMismatch {
		t.Errorf("old secret: %v", err)
	}
}

func TestKeyCacheIsBounded(t *testing.T) {
	var c keyCache
	v := newVerifier(t)
	for i := range maxKeys + 100 {
		c.get(v, &claim{accessKey: strings.Repeat("k", 1+i%7) + time.Duration(i).String(), date: "20130524"}, "s")
	}
	if len(c.keys) > maxKeys {
		t.Errorf("%d keys cached", len(c.keys))
	}
}

// The limits themselves are accepted.
func TestTimesAtTheLimit(t *testing.T) {
	v := newVerifier(t)
	day := strings.Replace(exampleScope, "0524", "0523", 1)
	early := signRequest(get("X-Amz-Date", "20130524T001500Z"))
	if _, err := v.Verify(early); err != nil {
		t.Errorf("15 minutes early: %v", err)
	}
	// 23:00 of the day before, for exactly one hour.
	q := presign("GET", "/k", paramDate, "20130523T230000Z", paramCredential, day)
	if _, err := v.Verify(q); err != nil {
		t.Errorf("in its last second: %v", err)
	}
	week := presign("GET", "/k", paramExpires, "604800")
	if _, err := v.Verify(week); err != nil {
		t.Errorf("a week: %v", err)
	}
}
