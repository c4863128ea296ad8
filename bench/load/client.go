package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"
)

var errWrongBody = errors.New("body differs from what was put")

// codeError is an answer that was read well and says no.
type codeError struct {
	code   string
	status int
}

func (e *codeError) Error() string { return e.code + " (" + strconv.Itoa(e.status) + ")" }

// client issues S3 requests on one connection; one per worker.
type client struct {
	cfg      *Config
	conn     conn
	host     string
	signer   *Signer
	now      func() time.Time
	headers  []Header
	head     []byte
	scratch  []byte
	requests uint64
}

func newClient(cfg *Config) *client {
	c := &client{cfg: cfg, host: cfg.host, signer: NewSigner(cfg.Credentials, cfg.Region), now: time.Now}
	c.conn = conn{addr: cfg.addr, tls: cfg.tls, timeout: cfg.RequestTimeout}
	return c
}

// call is one request: what differs between operations.
type call struct {
	method string
	path   string
	query  string
	body   *payload
	raw    []byte // a small XML body, its hash signed
	want   int
	into   sink
}

func (c *client) send(ctx context.Context, q *call) (response, error) {
	c.requests++
	stamp := c.signer.Stamp(c.now())
	sha := EmptySHA256
	c.headers = c.headers[:0]
	switch {
	case q.body != nil:
		sha = q.body.contentSHA256(c.cfg)
		c.headers = q.body.headers(c.headers, c.cfg)
	case q.raw != nil:
		sha = hexDigest(q.raw)
	}
	c.headers = append(c.headers,
		Header{"host", c.host}, Header{"x-amz-content-sha256", sha}, Header{"x-amz-date", stamp})
	SortHeaders(c.headers)
	sr := SignRequest{Method: q.method, Path: q.path, Query: q.query, Headers: c.headers, PayloadHash: sha}
	c.head = c.appendHead(c.head[:0], &sr)
	var seed string
	c.head, seed = c.signer.Sign(c.head, &sr, stamp)
	c.head = append(c.head, "\r\n"...)

	var body [][]byte
	switch {
	case q.body != nil:
		body, c.scratch = q.body.encode(c.scratch, c.cfg, &chunkSigner{c.signer, stamp, seed})
	case q.raw != nil:
		body = [][]byte{q.raw}
	}
	if q.method == http.MethodPut || q.method == http.MethodPost {
		size := 0
		for _, s := range body {
			size += len(s)
		}
		c.head = append(c.head, "Content-Length: "...)
		c.head = strconv.AppendInt(c.head, int64(size), 10)
		c.head = append(c.head, "\r\n"...)
	}
	c.head = append(c.head, "\r\n"...)
	r, err := c.conn.do(ctx, c.head, body, q.into)
	if err != nil {
		return r, err
	}
	if r.status != q.want {
		return r, &codeError{code: errorCode(&r), status: r.status}
	}
	return r, nil
}

func (c *client) appendHead(b []byte, sr *SignRequest) []byte {
	b = append(b, sr.Method...)
	b = append(b, ' ')
	b = append(b, sr.Path...)
	if sr.Query != "" {
		b = append(b, '?')
		b = append(b, sr.Query...)
	}
	b = append(b, " HTTP/1.1\r\n"...)
	for _, h := range sr.Headers {
		b = append(b, h.Name...)
		b = append(b, ": "...)
		b = append(b, h.Value...)
		b = append(b, "\r\n"...)
	}
	return append(b, "Authorization: "...)
}

// errorCode is the Code of an S3 error document, else the bare status.
func errorCode(r *response) string {
	if code, ok := element(r.body, "Code"); ok {
		return code
	}
	return "HTTP" + strconv.Itoa(r.status)
}

// element finds the text of the first element of this name. It is no XML
// parser: enough for the flat documents that S3 answers with, and cheap.
func element(doc []byte, name string) (string, bool) {
	_, rest, ok := bytes.Cut(doc, []byte("<"+name+">"))
	if !ok {
		return "", false
	}
	text, _, ok := bytes.Cut(rest, []byte("</"+name+">"))
	return html.UnescapeString(string(text)), ok
}

func (c *client) objectPath(key string) string {
	return "/" + c.cfg.Bucket + "/" + EscapePath(key)
}

func (c *client) createBucket(ctx context.Context) error {
	_, err := c.send(ctx, &call{method: http.MethodPut, path: "/" + c.cfg.Bucket, want: http.StatusOK})
	if no, ok := errors.AsType[*codeError](err); ok && strings.HasPrefix(no.code, "BucketAlready") {
		return nil
	}
	return err
}

func (c *client) put(ctx context.Context, key string, p *payload) error {
	_, err := c.send(ctx, &call{method: http.MethodPut, path: c.objectPath(key), body: p, want: http.StatusOK})
	return err
}

func (c *client) head1(ctx context.Context, key string, size int64) error {
	r, err := c.send(ctx, &call{method: http.MethodHead, path: c.objectPath(key), want: http.StatusOK})
	if err == nil && r.declared != size {
		return fmt.Errorf("%w: length %d, want %d", errWrongBody, r.declared, size)
	}
	return err
}

// get reads an object; with verify it compares every byte with what was put.
func (c *client) get(ctx context.Context, key string, p *payload) (int64, error) {
	q := call{method: http.MethodGet, path: c.objectPath(key), want: http.StatusOK}
	if c.cfg.Verify {
		at := 0
		q.into = func(b []byte) error {
			if at+len(b) > len(p.data) || !bytes.Equal(b, p.data[at:at+len(b)]) {
				return errWrongBody
			}
			at += len(b)
			return nil
		}
	}
	r, err := c.send(ctx, &q)
	if err == nil && r.length != int64(len(p.data)) {
		err = fmt.Errorf("%w: length %d, want %d", errWrongBody, r.length, len(p.data))
	}
	return r.length, err
}

func (c *client) del(ctx context.Context, key string) error {
	_, err := c.send(ctx, &call{method: http.MethodDelete, path: c.objectPath(key), want: http.StatusNoContent})
	return err
}

// page is one page of a listing.
type page struct {
	keys int
	next string // empty: the last page
}

func (c *client) list(ctx context.Context, prefix, token string) (page, error) {
	var doc []byte
	query := "list-type=2&max-keys=" + strconv.Itoa(c.cfg.PageSize) + "&prefix=" + EscapeQuery(prefix)
	if token != "" {
		query = "continuation-token=" + EscapeQuery(token) + "&" + query
	}
	_, err := c.send(ctx, &call{
		method: http.MethodGet, path: "/" + c.cfg.Bucket, query: query, want: http.StatusOK,
		into: func(b []byte) error { doc = append(doc, b...); return nil },
	})
	if err != nil {
		return page{}, err
	}
	p := page{keys: bytes.Count(doc, []byte("<Contents>"))}
	truncated, ok := element(doc, "IsTruncated")
	if !ok || p.keys == 0 && truncated == "true" {
		return page{}, fmt.Errorf("%w: listing page", errMalformed)
	}
	if truncated == "true" {
		if p.next, ok = element(doc, "NextContinuationToken"); !ok {
			return page{}, fmt.Errorf("%w: truncated listing without token", errMalformed)
		}
	}
	return p, nil
}

// multipart uploads one object of cfg.Parts parts, each the payload p. A failed
// upload is aborted, as far as the server still listens.
func (c *client) multipart(ctx context.Context, key string, p *payload) error {
	path := c.objectPath(key)
	var doc []byte
	_, err := c.send(ctx, &call{
		method: http.MethodPost, path: path, query: "uploads=", want: http.StatusOK,
		into: func(b []byte) error { doc = append(doc, b...); return nil },
	})
	if err != nil {
		return err
	}
	id, ok := element(doc, "UploadId")
	if !ok {
		return fmt.Errorf("%w: no UploadId", errMalformed)
	}
	upload := "uploadId=" + EscapeQuery(id)
	if err := c.uploadParts(ctx, path, upload, p); err != nil {
		_, abortErr := c.send(ctx, &call{method: http.MethodDelete, path: path, query: upload, want: http.StatusNoContent})
		return errors.Join(err, abortErr)
	}
	return nil
}

func (c *client) uploadParts(ctx context.Context, path, upload string, p *payload) error {
	var complete strings.Builder
	complete.WriteString("<CompleteMultipartUpload>")
	for n := 1; n <= c.cfg.Parts; n++ {
		r, err := c.send(ctx, &call{
			method: http.MethodPut, path: path, body: p, want: http.StatusOK,
			query: "partNumber=" + strconv.Itoa(n) + "&" + upload,
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(&complete, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", n, html.EscapeString(r.etag))
	}
	complete.WriteString("</CompleteMultipartUpload>")
	var doc []byte
	r, err := c.send(ctx, &call{
		method: http.MethodPost, path: path, query: upload, raw: []byte(complete.String()), want: http.StatusOK,
		into: func(b []byte) error { doc = append(doc, b...); return nil },
	})
	if err != nil {
		return err
	}
	if code, ok := element(doc, "Code"); ok { // a late error comes with status 200
		return &codeError{code: code, status: r.status}
	}
	return nil
}
