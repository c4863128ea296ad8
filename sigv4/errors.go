package sigv4

import (
	"github.com/undercroft/undercroft/s3"
)

// Kind says why a request was refused. The set is closed.
type Kind uint8

// The kinds of refusal, each with the S3 code that answers it.
const (
	// KindAuthorizationInvalid is an Authorization header without a scheme and
	// parameters: InvalidArgument.
	KindAuthorizationInvalid Kind = iota + 1
	// KindAuthorizationUnsupported is an unknown scheme: InvalidArgument.
	KindAuthorizationUnsupported
	// KindSignatureV2 is Signature Version 2: InvalidRequest.
	KindSignatureV2
	// KindAsymmetric is AWS4-ECDSA-P256-SHA256: NotImplemented.
	KindAsymmetric
	// KindMultipleAuth is a request signed in header and query: InvalidArgument.
	KindMultipleAuth
	// KindDuplicateHeader is a header that must be single, sent twice: InvalidRequest.
	KindDuplicateHeader
	// KindMalformed is authorization whose parts are missing or not
	// well-formed: AuthorizationHeaderMalformed or, in a query,
	// AuthorizationQueryParametersError. So are the next five.
	KindMalformed
	// KindCredentialMalformed is a credential that does not have five parts.
	KindCredentialMalformed
	// KindWrongRegion is a credential for another region; the expected one is
	// in the answer.
	KindWrongRegion
	// KindWrongService is a credential for another service.
	KindWrongService
	// KindWrongTerminal is a credential that does not end in aws4_request.
	KindWrongTerminal
	// KindWrongDate is a credential whose date is no date, or not that of the request.
	KindWrongDate
	// KindExpiresInvalid is X-Amz-Expires outside 1..604800: AuthorizationQueryParametersError.
	KindExpiresInvalid
	// KindMissingDate is a request without a valid date: AccessDenied.
	KindMissingDate
	// KindTimeTooSkewed is a request more than 15 minutes off: RequestTimeTooSkewed.
	KindTimeTooSkewed
	// KindNotYetValid is a presigned URL from the future: AccessDenied.
	KindNotYetValid
	// KindExpired is a presigned URL after its time: AccessDenied.
	KindExpired
	// KindSecurityToken is a session token, of which there are none: InvalidToken.
	KindSecurityToken
	// KindUnknownAccessKey is an access key that does not exist: InvalidAccessKeyId.
	KindUnknownAccessKey
	// KindHeadersNotSigned is a header that must be signed and is not: AccessDenied.
	KindHeadersNotSigned
	// KindSignatureMismatch is a wrong signature, of a request, a chunk or the
	// trailers: SignatureDoesNotMatch.
	KindSignatureMismatch
	// KindURIInvalid is a path or query with a broken escape: InvalidURI.
	KindURIInvalid
	// KindMissingContentSHA256 is a signed request without x-amz-content-sha256: InvalidRequest.
	KindMissingContentSHA256
	// KindInvalidContentSHA256 is an x-amz-content-sha256 that means nothing: InvalidArgument.
	KindInvalidContentSHA256
	// KindAnonymousStreaming is a signed payload mode on an unsigned request: InvalidRequest.
	KindAnonymousStreaming
	// KindContentSHA256Mismatch is a body with another SHA-256 than declared: XAmzContentSHA256Mismatch.
	KindContentSHA256Mismatch
	// KindMissingDecodedLength is an aws-chunked body without a valid
	// x-amz-decoded-content-length: MissingContentLength.
	KindMissingDecodedLength
	// KindUnsupportedTrailer is an x-amz-trailer that names nothing usable: InvalidRequest.
	KindUnsupportedTrailer
	// KindIncompleteBody is a body that ends early or breaks the chunk framing: IncompleteBody.
	KindIncompleteBody
	// KindLengthMismatch is a body whose decoded length is not the declared one: IncompleteBody.
	KindLengthMismatch
	// KindInvalidChunkSize is a chunk under 8192 bytes that is not the last: InvalidChunkSizeError.
	KindInvalidChunkSize
	// KindMalformedTrailer is a trailer that is broken, not declared, or missing: MalformedTrailerError.
	KindMalformedTrailer
	// KindFieldMissing is an upload form with some fields of a signature and
	// not all: InvalidArgument.
	KindFieldMissing

	lastKind = KindFieldMissing
)

// Error is a refusal. It unwraps to the [s3.Error] that a client is told, so
// s3.AsError finds it however deep it is wrapped.
type Error struct {
	Kind   Kind
	answer *s3.Error
}

// Error implements error.
func (e *Error) Error() string { return "sigv4: " + e.answer.Error() }

// Unwrap returns the answer for the client.
func (e *Error) Unwrap() error { return e.answer }

// S3 returns the answer for the client.
func (e *Error) S3() *s3.Error { return e.answer }

// answerOf is the table of kinds. An empty message means that of the code.
func answerOf(k Kind) (code s3.Code, message string) {
	type row struct {
		code    s3.Code
		message string
	}
	table := [lastKind + 1]row{
		KindAuthorizationInvalid:     {s3.InvalidArgument, "Authorization header is invalid -- one and only one ' ' (space) required."},
		KindAuthorizationUnsupported: {s3.InvalidArgument, "Unsupported Authorization Type"},
		KindSignatureV2:              {s3.InvalidRequest, "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."},
		KindAsymmetric:               {s3.NotImplemented, "The signing algorithm AWS4-ECDSA-P256-SHA256 is not supported. Please use AWS4-HMAC-SHA256."},
		KindMultipleAuth:             {s3.InvalidArgument, "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified"},
		KindDuplicateHeader:          {s3.InvalidRequest, "A header that must be specified only once was specified several times."},
		KindMalformed:                {s3.AuthorizationHeaderMalformed, ""},
		KindCredentialMalformed:      {s3.AuthorizationHeaderMalformed, ""},
		KindWrongRegion:              {s3.AuthorizationHeaderMalformed, ""},
		KindWrongService:             {s3.AuthorizationHeaderMalformed, ""},
		KindWrongTerminal:            {s3.AuthorizationHeaderMalformed, ""},
		KindWrongDate:                {s3.AuthorizationHeaderMalformed, ""},
		KindExpiresInvalid:           {s3.AuthorizationQueryParametersError, ""},
		KindMissingDate:              {s3.AccessDenied, "AWS authentication requires a valid Date or x-amz-date header"},
		KindTimeTooSkewed:            {s3.RequestTimeTooSkewed, ""},
		KindNotYetValid:              {s3.AccessDenied, "Request is not valid yet"},
		KindExpired:                  {s3.AccessDenied, "Request has expired"},
		KindSecurityToken:            {s3.InvalidToken, ""},
		KindUnknownAccessKey:         {s3.InvalidAccessKeyID, ""},
		KindHeadersNotSigned:         {s3.AccessDenied, "There were headers present in the request which were not signed"},
		KindSignatureMismatch:        {s3.SignatureDoesNotMatch, ""},
		KindURIInvalid:               {s3.InvalidURI, ""},
		KindMissingContentSHA256:     {s3.InvalidRequest, "Missing required header for this request: x-amz-content-sha256"},
		KindInvalidContentSHA256: {s3.InvalidArgument, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, " +
			"STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, " +
			"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid sha256 value."},
		KindAnonymousStreaming:    {s3.InvalidRequest, "Anonymous requests don't support this x-amz-content-sha256 value. Please use UNSIGNED-PAYLOAD or STREAMING-UNSIGNED-PAYLOAD-TRAILER."},
		KindContentSHA256Mismatch: {s3.XAmzContentSHA256Mismatch, ""},
		KindMissingDecodedLength:  {s3.MissingContentLength, ""},
		KindUnsupportedTrailer:    {s3.InvalidRequest, "The value specified in the x-amz-trailer header is not supported"},
		KindIncompleteBody:        {s3.IncompleteBody, ""},
		KindLengthMismatch:        {s3.IncompleteBody, "You did not provide the number of bytes specified by the Content-Length HTTP header"},
		KindInvalidChunkSize:      {s3.InvalidChunkSizeError, ""},
		KindMalformedTrailer:      {s3.MalformedTrailerError, ""},
		KindFieldMissing:          {s3.InvalidArgument, ""},
	}
	return table[k].code, table[k].message
}

// refuse returns the error of a kind. The further elements are given as pairs
// of name and value.
func refuse(k Kind, fields ...string) *Error {
	code, message := answerOf(k)
	answer := s3.NewError(code)
	if message != "" {
		answer = answer.WithMessage(message)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		answer = answer.With(fields[i], fields[i+1])
	}
	return &Error{Kind: k, answer: answer}
}

// refuseMessage is refuse with a message of its own.
func refuseMessage(k Kind, message string, fields ...string) *Error {
	e := refuse(k, fields...)
	e.answer = e.answer.WithMessage(message)
	return e
}

// malformed returns the error of a kind that is told in another way for
// presigned requests than for signed ones.
func malformed(k Kind, auth AuthType, detail string) *Error {
	e := refuse(k)
	if auth == AuthQuery {
		e.answer = s3.NewError(s3.AuthorizationQueryParametersError).WithMessage(detail)
	} else {
		e.answer = e.answer.WithMessage("The authorization header is malformed; " + detail)
	}
	return e
}
