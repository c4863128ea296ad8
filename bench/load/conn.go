package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"time"
)

// smallBody is the size up to which a body is copied behind the head, so that
// both leave in one plain write.
const smallBody = 64 << 10

var errMalformed = errors.New("malformed HTTP response")

// conn is one keep-alive HTTP/1.1 connection, dialled when first needed.
type conn struct {
	addr    string
	tls     *tls.Config
	timeout time.Duration

	nc  net.Conn
	br  *bufio.Reader
	out []byte
}

// response is one answer, its body consumed.
type response struct {
	status   int
	length   int64  // bytes of body that arrived
	body     []byte // only when asked for, or when the status is 300 or above
	etag     string
	encoding string
	closing  bool
	declared int64 // -1: none
}

// sink receives the bytes of a successful body.
type sink func(p []byte) error

// do sends one request and reads the whole answer. A connection that failed is
// dropped; the next call dials again.
func (c *conn) do(ctx context.Context, head []byte, body [][]byte, into sink) (response, error) {
	if err := c.dial(ctx); err != nil {
		return response{}, err
	}
	if err := c.nc.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return response{}, c.fail("deadline", err)
	}
	writeErr := c.write(head, body)
	r, err := c.readHead()
	for err == nil && r.status == http.StatusContinue {
		r, err = c.readHead()
	}
	if err == nil && hasBody(head, r.status) {
		err = c.readBody(&r, into)
	}
	switch {
	case writeErr != nil && (err != nil || r.status < 300):
		return r, c.fail("write request", writeErr)
	case err != nil:
		return r, c.fail("read response", err)
	case writeErr != nil || r.closing:
		c.close()
	}
	return r, nil
}

func (c *conn) dial(ctx context.Context) error {
	if c.nc != nil {
		return nil
	}
	d := net.Dialer{Timeout: c.timeout}
	nc, err := d.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	if c.tls != nil {
		nc = tls.Client(nc, c.tls)
	}
	c.nc = nc
	if c.br == nil {
		c.br = bufio.NewReaderSize(nil, 128<<10)
	}
	c.br.Reset(nc)
	return nil
}

func (c *conn) fail(what string, err error) error {
	c.close()
	return fmt.Errorf("%s: %w", what, err)
}

func (c *conn) close() {
	if c.nc != nil {
		_ = c.nc.Close()
		c.nc = nil
	}
}

func (c *conn) write(head []byte, body [][]byte) error {
	size := 0
	for _, s := range body {
		size += len(s)
	}
	if size > smallBody {
		segments := append(net.Buffers{head}, body...)
		_, err := segments.WriteTo(c.nc)
		return err
	}
	c.out = append(c.out[:0], head...)
	for _, s := range body {
		c.out = append(c.out, s...)
	}
	_, err := c.nc.Write(c.out)
	return err
}

// hasBody reports whether the answer to the request that begins with head is
// followed by a body.
func hasBody(head []byte, status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified && !bytes.HasPrefix(head, []byte("HEAD "))
}

func (c *conn) readBody(r *response, into sink) error {
	if r.status >= 300 {
		into = func(p []byte) error {
			r.body = append(r.body, p[:min(len(p), 64<<10-len(r.body))]...)
			return nil
		}
	}
	switch {
	case r.encoding == "chunked":
		return c.readChunked(r, into)
	case r.declared >= 0:
		return c.copyN(r, r.declared, into)
	default:
		return fmt.Errorf("%w: neither length nor chunks", errMalformed)
	}
}

// copyN hands n bytes of body to into, from the reader's own buffer.
func (c *conn) copyN(r *response, n int64, into sink) error {
	for n > 0 {
		if c.br.Buffered() == 0 {
			if _, err := c.br.Peek(1); err != nil {
				return unexpected(err)
			}
		}
		p, err := c.br.Peek(int(min(n, int64(c.br.Buffered()))))
		if err != nil {
			return unexpected(err)
		}
		if into != nil {
			if err := into(p); err != nil {
				return err
			}
		}
		if _, err := c.br.Discard(len(p)); err != nil {
			return unexpected(err)
		}
		n -= int64(len(p))
		r.length += int64(len(p))
	}
	return nil
}

func (c *conn) readChunked(r *response, into sink) error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseInt(string(bytes.TrimSpace(size)), 16, 63)
		if err != nil || n < 0 {
			return fmt.Errorf("%w: chunk size %q", errMalformed, line)
		}
		if err := c.copyN(r, n, into); err != nil {
			return err
		}
		if n == 0 {
			return c.skipTrailers()
		}
		if line, err = c.line(); err != nil {
			return err
		}
		if len(line) != 0 {
			return fmt.Errorf("%w: chunk longer than declared", errMalformed)
		}
	}
}

func (c *conn) skipTrailers() error {
	for {
		line, err := c.line()
		if err != nil || len(line) == 0 {
			return err
		}
	}
}

func (c *conn) readHead() (response, error) {
	r := response{declared: -1}
	line, err := c.line()
	if err != nil {
		return r, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return r, fmt.Errorf("%w: status line %q", errMalformed, line)
	}
	if r.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return r, fmt.Errorf("%w: status line %q", errMalformed, line)
	}
	r.closing = line[7] == '0'
	for {
		line, err := c.line()
		if err != nil || len(line) == 0 {
			return r, err
		}
		if err := r.header(line); err != nil {
			return r, err
		}
	}
}

// header notes the few headers that matter here.
func (r *response) header(line []byte) error {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return fmt.Errorf("%w: header %q", errMalformed, line)
	}
	value = textproto.TrimBytes(value)
	var err error
	switch {
	case len(name) == 14 && bytes.EqualFold(name, []byte("content-length")):
		r.declared, err = strconv.ParseInt(string(value), 10, 64)
	case len(name) == 17 && bytes.EqualFold(name, []byte("transfer-encoding")):
		r.encoding = string(bytes.ToLower(value))
	case len(name) == 10 && bytes.EqualFold(name, []byte("connection")):
		r.closing = r.closing || bytes.EqualFold(value, []byte("close"))
	case len(name) == 4 && bytes.EqualFold(name, []byte("etag")):
		r.etag = string(value)
	}
	if err != nil {
		return fmt.Errorf("%w: header %q", errMalformed, line)
	}
	return nil
}

// line returns one line without its end, valid until the next read.
func (c *conn) line() ([]byte, error) {
	line, err := c.br.ReadSlice('\n')
	if err != nil {
		return nil, unexpected(err)
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
