package gateway

import (
	"net/http"
	"net/textproto"
	"strings"

	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sigv2"
	"github.com/undercroft/undercroft/sigv4"
)

// isAmz reports whether a header or a query parameter is one of S3's own.
func isAmz(name string) bool {
	return len(name) >= len("x-amz-") && strings.EqualFold(name[:len("x-amz-")], "x-amz-")
}

// takePresignedHeaders takes the headers that a presigned URL carries in its
// query: SDKs put them there, so that whoever has the URL needs no headers. The
// signature covers them, which is checked on the request as it came.
func (x *exchange) takePresignedHeaders() {
	legacy := x.query["AWSAccessKeyId"] != nil && x.query["Signature"] != nil
	if x.query["X-Amz-Signature"] == nil && !legacy {
		return
	}
	var header http.Header
	for param, values := range x.query {
		name := textproto.CanonicalMIMEHeaderKey(param)
		if !isHoisted(name, legacy) || x.r.Header[name] != nil {
			continue // a header that is there is signed, and wins
		}
		if header == nil {
			header = x.r.Header.Clone()
		}
		header[name] = append(header[name], values...)
	}
	if header == nil {
		return
	}
	x.received = x.r
	r := *x.r
	r.Header = header
	x.r = &r
}

// isHoisted reports whether a query parameter stands for a header, given the
// header's name.
func isHoisted(name string, legacy bool) bool {
	switch name {
	case "X-Amz-Algorithm", "X-Amz-Credential", s3.HeaderDate, "X-Amz-Expires", "X-Amz-Signedheaders", "X-Amz-Signature",
		"X-Amz-Security-Token", s3.HeaderContentSHA256, s3.HeaderDecodedContentLength, s3.HeaderTrailer:
		return false
	case s3.HeaderContentType, s3.HeaderContentMD5:
		return legacy // Version 4 signs them as headers
	}
	return strings.HasPrefix(name, "X-Amz-")
}

// checkCovered refuses a presigned URL of Version 2 whose signature says nothing
// of the sub-resource that it names: anybody could have added that.
func (x *exchange) checkCovered() error {
	if !x.auth.Legacy || x.auth.Auth != sigv4.AuthQuery {
		return nil
	}
	for _, selector := range x.op.Query {
		name, _, _ := strings.Cut(selector, "=")
		if !sigv2.Signs(name) && !plainSelector(name) && name != "list-type" {
			return s3.NewError(s3.AccessDenied).WithMessage("Signature Version 2 does not sign the parameter " + name)
		}
	}
	return nil
}
