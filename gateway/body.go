package gateway

import (
	"bytes"
	"crypto/md5" //nolint:gosec // Content-MD5 is MD5
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// counted reads the request's body and counts what it reads. Whoever serves the
// gateway ends a body that stands still.
type counted struct{ x *exchange }

// Read implements io.Reader.
func (b counted) Read(p []byte) (int, error) {
	n, err := b.x.r.Body.Read(p)
	b.x.taken += int64(n)
	b.x.gateway.o.Activity.Add(1)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, bodyError(err)
	}
	return n, err // a Reader's io.EOF must stay bare
}

// bodyError returns the error of a body that could not be read. A connection
// that was reset and framing that is broken are the client's doing.
func bodyError(err error) error {
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	if tooLarge || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return s3.NewError(s3.IncompleteBody).Because(err)
}

// openUpload checks everything that the headers say of the body. Nothing is
// read: a client that waits for 100 Continue gets it with the first read.
func (x *exchange) openUpload() (body objects.Body, err error) {
	if !x.sized() {
		return body, s3.NewError(s3.MissingContentLength)
	}
	if x.auth.Length > s3.MaxPutSize {
		return body, s3.NewError(s3.EntityTooLarge).
			WithInt("ProposedSize", x.auth.Length).WithInt("MaxSizeAllowed", s3.MaxPutSize)
	}
	return x.openBody()
}

// sized reports whether the request says how long its body is, or that it will
// show where it ends. Without that, net/http takes a body to be empty.
func (x *exchange) sized() bool {
	return x.r.Header[s3.HeaderContentLength] != nil || len(x.r.TransferEncoding) > 0
}

// openBody is openUpload for a body of any length, or of none.
func (x *exchange) openBody() (body objects.Body, err error) {
	if body, err = x.digests(); err != nil {
		return body, err
	}
	body.Reader, body.Size = x.auth.Body(counted{x}), x.auth.Length
	return body, nil
}

// digests returns a body without its bytes: what the headers say of them.
func (x *exchange) digests() (body objects.Body, err error) {
	if body.MD5, err = contentMD5(x.r.Header); err != nil {
		return body, err
	}
	sum, err := x.declaredChecksum()
	if err != nil {
		return body, err
	}
	body.Checksum, body.Expected = sum.algorithm, sum.expected(x)
	return body, nil
}

// contentMD5 decodes Content-MD5, nil when it is absent.
func contentMD5(h http.Header) ([]byte, error) {
	values, ok := h[s3.HeaderContentMD5]
	if !ok {
		return nil, nil
	}
	digest, err := base64.StdEncoding.DecodeString(values[0])
	if err != nil || len(digest) != md5.Size {
		return nil, s3.NewError(s3.InvalidDigest).With("Content-MD5", values[0])
	}
	return digest, nil
}

// declared is the checksum that a request says its body has.
type declared struct {
	algorithm checksum.Algorithm // zero when there is none
	value     string             // empty when it follows in the trailer
	trailer   string             // the trailer's name, in lower case
}

// declaredChecksum finds the checksum in the headers, or in the trailer that
// they announce.
func (x *exchange) declaredChecksum() (declared, error) {
	d, err := x.headerChecksum()
	if err != nil {
		return d, err
	}
	if announced := x.header(s3.HeaderTrailer); announced != "" {
		if err := d.announce(announced); err != nil {
			return d, err
		}
	}
	wanted := x.header(s3.HeaderSDKChecksumAlgorithm)
	if wanted == "" {
		return d, nil
	}
	a, ok := checksum.Parse(wanted)
	switch {
	case !ok:
		return d, invalidRequest("Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, MD5, SHA1, SHA256, SHA512]")
	case d.algorithm == 0:
		return d, invalidRequest("x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
	case a != d.algorithm:
		return d, s3.NewError(s3.BadDigest).WithMessage("Value for x-amz-sdk-checksum-algorithm header is invalid.")
	}
	return d, nil
}

func (x *exchange) headerChecksum() (declared, error) {
	var d declared
	for name, values := range x.r.Header {
		if !strings.HasPrefix(name, s3.ChecksumPrefix) {
			continue
		}
		a, ok := checksum.ParseHeader(name)
		if !ok {
			continue
		}
		if d.algorithm != 0 || len(values) != 1 {
			return d, invalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		if _, err := a.Decode(values[0]); err != nil {
			return d, noSuchDigest(a.Header() + " header")
		}
		d.algorithm, d.value = a, values[0]
	}
	return d, nil
}

// announce takes the checksum's name from x-amz-trailer.
func (d *declared) announce(trailer string) error {
	a, ok := checksum.ParseHeader(strings.TrimSpace(trailer))
	switch {
	case !ok:
		return invalidRequest("The value specified in the x-amz-trailer header is not supported")
	case d.algorithm != 0:
		return invalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
	}
	d.algorithm, d.trailer = a, a.Header()
	return nil
}

// expected returns what [objects.Body] asks at the end of the body.
func (d *declared) expected(x *exchange) func() (string, error) {
	if d.algorithm == 0 {
		return nil
	}
	return func() (string, error) {
		if d.trailer == "" {
			return d.value, nil
		}
		value, ok := x.auth.Trailer(d.trailer)
		if !ok {
			return "", s3.NewError(s3.MalformedTrailerError)
		}
		if _, err := d.algorithm.Decode(value); err != nil {
			return "", noSuchDigest(d.trailer + " trailing header")
		}
		return value, nil
	}
}

// noSuchDigest is the error of a checksum that no body can have.
func noSuchDigest(where string) *s3.Error {
	return s3.NewError(s3.BadDigest).WithMessage("Value for " + where + " is invalid.")
}

func invalidRequest(message string) *s3.Error {
	return s3.NewError(s3.InvalidRequest).WithMessage(message)
}

// readDocument reads a whole request document of at most limit bytes and
// verifies what the request says of it. It reports whether there was a digest.
func (x *exchange) readDocument(limit int64) (doc []byte, digested bool, err error) {
	if x.auth.Length > limit {
		return nil, false, tooLong(limit)
	}
	body, err := x.openBody()
	if err != nil {
		return nil, false, err
	}
	if limit > s3.MaxConfigBody {
		body.Reader = hoard{x, body.Reader}
	}
	var buf bytes.Buffer
	// A length is a claim: what is large gets its room as it comes.
	buf.Grow(int(min(max(body.Size, 0), s3.MaxConfigBody)) + bytes.MinRead)
	n, err := buf.ReadFrom(io.LimitReader(body.Reader, limit+1))
	switch {
	case err != nil:
		return nil, false, err
	case n > limit:
		return nil, false, tooLong(limit)
	}
	return buf.Bytes(), body.MD5 != nil || body.Expected != nil, verifyDocument(buf.Bytes(), &body)
}

// maxDocuments bounds what the large documents of all requests take together, in
// bytes. Who asks for deletions sends 8 MiB before the keys are known that
// decide whether he may.
const maxDocuments = 256 << 20

// hoard counts what is read into memory until the end of its exchange.
type hoard struct {
	x *exchange
	r io.Reader
}

// Read implements io.Reader.
func (h hoard) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.x.hoarded += int64(n)
	if h.x.gateway.documents.Add(int64(n)) > maxDocuments {
		return 0, s3.NewError(s3.SlowDown)
	}
	return n, err //nolint:wrapcheck // a Reader's error must stay as it is
}

// verifyDocument compares a document with what the request says of it.
func verifyDocument(doc []byte, body *objects.Body) error {
	if body.MD5 != nil {
		if sum := md5.Sum(doc); !bytes.Equal(sum[:], body.MD5) { //nolint:gosec // Content-MD5 is MD5
			return s3.NewError(s3.BadDigest)
		}
	}
	if body.Expected == nil {
		return nil
	}
	want, err := body.Expected()
	if err != nil {
		return err
	}
	h := checksum.NewHasher(checksum.SetOf(body.Checksum))
	_, _ = h.Write(doc) // never fails
	if got := body.Checksum.Encode(h.Sum(body.Checksum)); got != want {
		return s3.NewError(s3.BadDigest).
			WithMessage("The " + body.Checksum.String() + " you specified did not match the calculated checksum.")
	}
	return nil
}

func tooLong(limit int64) error {
	return s3.NewError(s3.MaxMessageLengthExceeded).WithInt("MaxMessageLengthBytes", limit)
}
