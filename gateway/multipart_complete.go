package gateway

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// completeMultipartUpload answers CompleteMultipartUpload.
func (g *Gateway) completeMultipartUpload(x *exchange) error {
	in, err := g.completeInput(x)
	if err != nil {
		return err
	}
	o, err := g.o.Objects.CompleteMultipartUpload(x.r.Context(), in)
	if err != nil {
		return err
	}
	x.showVersion(&o)
	x.showExpiration(&o)
	if in.CustomerKey != nil {
		o.Encryption.CustomerMD5 = in.CustomerKey.MD5()
	}
	x.showEncryption(&o.Encryption)
	res := s3.CompleteResult{Location: x.location(), Bucket: x.bucket, Key: x.key, ETag: o.ETag}
	res.Checksums, res.ChecksumType = checksums(o.Checksums)
	return g.withDocument(x, res.AppendXML)
}

func (g *Gateway) completeInput(x *exchange) (objects.CompleteUploadInput, error) {
	in := objects.CompleteUploadInput{Bucket: x.bucket, Key: x.key, Upload: x.upload(), Size: -1}
	var err error
	if in.CustomerKey, err = g.partKey(x); err != nil {
		return in, err
	}
	if in.Precondition, err = x.writePrecondition(); err != nil {
		return in, err
	}
	if in.Expected, err = x.objectChecksum(); err != nil {
		return in, err
	}
	if v := x.header("X-Amz-Mp-Object-Size"); v != "" {
		if in.Size, err = parseSize("x-amz-mp-object-size", v); err != nil {
			return in, err
		}
	}
	body, err := x.readCompletion()
	if err != nil {
		return in, err
	}
	parts, err := s3.DecodeComplete(body)
	if err != nil {
		return in, err
	}
	if !slices.IsSortedFunc(parts, func(a, b s3.CompletedPart) int { return cmp.Compare(a.Number, b.Number) }) {
		return in, s3.NewError(s3.InvalidPartOrder).With("UploadId", string(in.Upload))
	}
	in.Parts = completedParts(parts)
	return in, nil
}

// readCompletion reads the body. Its checksum headers are the object's, not
// the document's.
func (x *exchange) readCompletion() ([]byte, error) {
	for name := range x.r.Header {
		if strings.HasPrefix(name, s3.ChecksumPrefix) || name == s3.HeaderSDKChecksumAlgorithm {
			delete(x.r.Header, name)
		}
	}
	body, _, err := x.readDocument(s3.MaxCompleteBody)
	return body, err
}

// objectChecksum returns the checksum that the client has of the whole object.
func (x *exchange) objectChecksum() (objects.Checksum, error) {
	var c objects.Checksum
	for name, values := range x.r.Header {
		a, ok := checksum.ParseHeader(name)
		if !ok {
			continue
		}
		if c.Algorithm != "" || len(values) != 1 {
			return c, invalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		c.Algorithm, c.Value = a.String(), values[0]
	}
	if v := x.header(s3.HeaderChecksumType); v != "" {
		t, ok := checksum.ParseType(v)
		if !ok {
			return c, invalidRequest("Value for x-amz-checksum-type header is invalid.")
		}
		c.Type = t.String()
	}
	return c, nil
}

func completedParts(parts []s3.CompletedPart) []objects.CompletedPart {
	out := make([]objects.CompletedPart, 0, len(parts))
	for i := range parts {
		p := &parts[i]
		part := objects.CompletedPart{Number: p.Number, ETag: p.ETag}
		if !p.Checksums.Empty() {
			for a := checksum.CRC32; a.Valid(); a++ {
				if v := p.Checksums.Get(s3.ChecksumAlgorithm(a.String())); v != "" {
					part.Checksums = append(part.Checksums, objects.Checksum{Algorithm: a.String(), Value: v})
				}
			}
		}
		out = append(out, part)
	}
	return out
}

// location returns the URL of the object as the client addressed it.
func (x *exchange) location() string {
	b := make([]byte, 0, 128)
	b = append(b, "http"...)
	if x.r.TLS != nil {
		b = append(b, 's')
	}
	b = append(b, "://"...)
	b = append(b, x.r.Host...)
	return string(append(b, x.r.URL.EscapedPath()...))
}

// abortMultipartUpload answers AbortMultipartUpload.
func (g *Gateway) abortMultipartUpload(x *exchange) error {
	in := objects.AbortUploadInput{Bucket: x.bucket, Key: x.key, Upload: x.upload()}
	if v := x.header("X-Amz-If-Match-Initiated-Time"); v != "" {
		t, ok := s3.ParseHTTP(v)
		if !ok {
			return s3.InvalidArg("x-amz-if-match-initiated-time", v, "Invalid time")
		}
		in.InitiatedAt = t.Truncate(time.Second)
	}
	if err := g.o.Objects.AbortMultipartUpload(x.r.Context(), in); err != nil {
		return err
	}
	return x.finish(http.StatusNoContent)
}
