package gateway

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sigv4"
)

// reader is GetObject or HeadObject of objects.
type reader func(in objects.GetObjectInput) (*objects.GetObjectOutput, error)

// getObject answers GetObject.
func (g *Gateway) getObject(x *exchange) error {
	out, err := x.read(func(in objects.GetObjectInput) (*objects.GetObjectOutput, error) {
		return g.o.Objects.GetObject(x.r.Context(), in)
	})
	if err != nil {
		return err
	}
	defer func() { _ = out.Body.Close() }() // nothing is lost by a reader that does not close well
	x.begin(x.showRead(out))
	if out.Length == 0 {
		return nil
	}
	_, err = out.Body.WriteTo(x)
	return err
}

// headObject answers HeadObject.
func (g *Gateway) headObject(x *exchange) error {
	out, err := x.read(func(in objects.GetObjectInput) (*objects.GetObjectOutput, error) {
		return g.o.Objects.HeadObject(x.r.Context(), in)
	})
	if err != nil {
		return err
	}
	x.begin(x.showRead(out))
	return nil
}

// errIfRange says that the object is not the one of which the client has a
// part, so that it gets all of it.
var errIfRange = errors.New("if-range does not match")

// read opens what the request selects.
func (x *exchange) read(open reader) (*objects.GetObjectOutput, error) {
	in, err := x.readInput()
	if err != nil {
		return nil, err
	}
	condition := x.header("If-Range")
	if in.Range == nil || condition == "" {
		return open(in)
	}
	precondition := in.Precondition
	in.Precondition = func(tag s3.ETag, modified time.Time) error {
		if !matchesIfRange(condition, tag, modified) {
			return errIfRange
		}
		if precondition == nil {
			return nil
		}
		return precondition(tag, modified)
	}
	out, err := open(in)
	if !errors.Is(err, errIfRange) {
		return out, err
	}
	in.Range, in.RangeHeader, in.Precondition = nil, "", precondition
	return open(in)
}

func matchesIfRange(condition string, tag s3.ETag, modified time.Time) bool {
	if t, ok := s3.ParseHTTP(condition); ok {
		return modified.Truncate(time.Second).Equal(t)
	}
	return s3.ParseETag(condition) == tag
}

func (x *exchange) readInput() (objects.GetObjectInput, error) {
	in := objects.GetObjectInput{
		Bucket: x.bucket, Key: x.key, VersionID: x.version(), Precondition: x.readPrecondition(), Access: x.access,
	}
	part, err := x.partNumber()
	if err != nil {
		return in, err
	}
	in.PartNumber, in.WantSums = part, x.header(s3.HeaderChecksumMode) == "ENABLED"
	if in.CustomerKey, err = x.customerKey(s3.CustomerKeyPrefix); err != nil {
		return in, err
	}
	if header := x.header(s3.HeaderRange); header != "" {
		if part > 0 {
			return in, invalidRequest("Cannot specify both Range header and partNumber query parameter")
		}
		if r, ok := s3.ParseRange(header); ok {
			in.Range, in.RangeHeader = &r, header
		}
	}
	return in, x.checkOverrides()
}

// override is a query parameter that replaces a response header.
type override struct{ param, header string }

func overrides() [6]override {
	return [...]override{
		{"response-content-type", s3.HeaderContentType},
		{"response-content-language", s3.HeaderContentLanguage},
		{"response-expires", s3.HeaderExpires},
		{"response-cache-control", s3.HeaderCacheControl},
		{"response-content-disposition", s3.HeaderContentDispo},
		{"response-content-encoding", s3.HeaderContentEncoding},
	}
}

// checkOverrides refuses overrides of anonymous requests, as AWS does.
func (x *exchange) checkOverrides() error {
	if len(x.query) == 0 || x.auth.Auth != sigv4.AuthAnonymous {
		return nil
	}
	for name := range x.query {
		if strings.HasPrefix(name, "response-") {
			return invalidRequest("Request specific response headers cannot be used for anonymous GET requests.")
		}
	}
	return nil
}

// showRead sets the headers of a GET or HEAD and returns the status.
func (x *exchange) showRead(out *objects.GetObjectOutput) int {
	o := &out.Object
	x.showObject(o)
	x.showTagCount(o)
	if x.param("versionId") == "" { // of what is current
		x.showExpiration(o)
	}
	x.showLock(o)
	if (!out.Partial || x.param("partNumber") != "") && x.header(s3.HeaderChecksumMode) == "ENABLED" {
		x.showChecksums(o.Checksums)
	}
	if x.query != nil {
		x.showOverrides()
		if o.PartCount > 0 && x.param("partNumber") != "" {
			x.setInt(s3.HeaderPartsCount, int64(o.PartCount))
		}
	}
	x.setInt(s3.HeaderContentLength, out.Length)
	if !out.Partial || out.Length == 0 {
		return http.StatusOK
	}
	x.set(s3.HeaderContentRange, contentRange(out))
	return http.StatusPartialContent
}

func (x *exchange) showOverrides() {
	for _, o := range overrides() {
		if v := x.param(o.param); v != "" {
			x.set(o.header, v)
		}
	}
}

func contentRange(out *objects.GetObjectOutput) string {
	b := make([]byte, 0, 64)
	b = append(b, "bytes "...)
	b = strconv.AppendInt(b, out.Offset, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, out.Offset+out.Length-1, 10)
	b = append(b, '/')
	b = strconv.AppendInt(b, out.Object.Size, 10)
	return string(b)
}
