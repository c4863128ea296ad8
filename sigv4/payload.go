package sigv4

import (
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"github.com/undercroft/undercroft/s3"
)

// Payload says how the body of a request is carried and what vouches for it.
type Payload uint8

const (
	// PayloadUnsigned is a plain body that no signature covers.
	PayloadUnsigned Payload = iota + 1
	// PayloadSHA256 is a plain body whose SHA-256 is signed.
	PayloadSHA256
	// PayloadChunksSigned is an aws-chunked body, each chunk signed.
	PayloadChunksSigned
	// PayloadChunksSignedTrailer is the same, followed by signed trailers.
	PayloadChunksSignedTrailer
	// PayloadChunksUnsignedTrailer is an aws-chunked body without signatures,
	// followed by trailers.
	PayloadChunksUnsignedTrailer
)

// The values of x-amz-content-sha256 that are no digest.
const (
	unsignedPayload        = "UNSIGNED-PAYLOAD"
	streamingUnsigned      = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	streamingSigned        = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamingSignedTrailer = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	streamingECDSA         = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
	streamingECDSATrailer  = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER"
)

// maxTrailers bounds how many trailers a request may declare. S3 uses one.
const maxTrailers = 8

// Chunked reports whether the body is aws-chunked, so that the bytes on the
// wire are more than the payload.
func (p Payload) Chunked() bool { return p >= PayloadChunksSigned }

// signed reports whether chunks carry signatures.
func (p Payload) signed() bool {
	return p == PayloadChunksSigned || p == PayloadChunksSignedTrailer
}

// trailers reports whether trailers follow the chunks.
func (p Payload) trailers() bool {
	return p == PayloadChunksSignedTrailer || p == PayloadChunksUnsignedTrailer
}

// setPayload fills in what the request says of its body. The value is that of
// x-amz-content-sha256.
func (res *Result) setPayload(value string, r *http.Request) error {
	switch value {
	case unsignedPayload:
		res.Payload = PayloadUnsigned
	case streamingSigned:
		res.Payload = PayloadChunksSigned
	case streamingSignedTrailer:
		res.Payload = PayloadChunksSignedTrailer
	case streamingUnsigned:
		res.Payload = PayloadChunksUnsignedTrailer
	case streamingECDSA, streamingECDSATrailer:
		return refuse(KindAsymmetric)
	default:
		if len(value) != hex.EncodedLen(len(res.sha256)) {
			return invalidContentSHA256(value)
		}
		if _, err := hex.Decode(res.sha256[:], []byte(value)); err != nil {
			return invalidContentSHA256(value)
		}
		res.Payload = PayloadSHA256
	}
	res.Length = r.ContentLength
	if !res.Payload.Chunked() {
		return nil
	}
	if res.Auth == AuthAnonymous && res.Payload.signed() {
		return refuse(KindAnonymousStreaming)
	}
	return res.setChunked(r)
}

func invalidContentSHA256(value string) error {
	return refuse(KindInvalidContentSHA256, "ArgumentName", "x-amz-content-sha256", "ArgumentValue", value)
}

// setChunked reads the headers that only an aws-chunked body has.
func (res *Result) setChunked(r *http.Request) error {
	values := r.Header[s3.HeaderDecodedContentLength]
	if len(values) != 1 {
		return refuse(KindMissingDecodedLength)
	}
	// ParseUint takes no sign, and 63 bits fit an int64.
	length, err := strconv.ParseUint(values[0], 10, 63)
	if err != nil {
		return refuse(KindMissingDecodedLength)
	}
	res.Length = int64(length)
	if !res.Payload.trailers() {
		return nil
	}
	for _, value := range r.Header[s3.HeaderTrailer] {
		for name := range strings.SplitSeq(value, ",") {
			name = strings.ToLower(strings.TrimSpace(name))
			if !isToken(name) || name == trailerSignature || len(res.trailers) == maxTrailers {
				return refuse(KindUnsupportedTrailer)
			}
			res.trailers = append(res.trailers, trailer{name: name})
		}
	}
	return nil
}

// isToken reports whether s is a lower-case header name. Nothing that could
// break a line of the canonical request is one.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			continue
		}
		if !strings.ContainsRune("-_.!#$%&'*+^`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}
