package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// maxWrite is how much is handed to the connection under one deadline, so
	// that a large buffer to a slow but moving client does not count as a stall.
	maxWrite = 256 << 10
	// maxQuickWrite is as much after a write that took less than quick: larger
	// writes cost less.
	maxQuickWrite = 512 << 10
	quick         = time.Second
)

// stallGuard gives each request deadlines that move while its bodies move: a
// transfer may take any time, standing still may not. Without it a client
// that sends one byte and waits holds a connection and its buffers for ever.
type stallGuard struct {
	next  http.Handler
	limit time.Duration
	now   func() time.Time
}

// ServeHTTP implements http.Handler.
func (g stallGuard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d := &deadlines{control: http.NewResponseController(w), limit: g.limit, now: g.now}
	// The write deadline of the connection's last request is still set.
	d.extendWrite()
	if r.Body != http.NoBody {
		// Without a handler that reads, net/http reads the rest on its own.
		d.extendRead()
		// On a copy: net/http looks at its own request's body to answer
		// Expect: 100-continue and to drain what the handler left.
		guarded := *r
		guarded.Body = &guardedBody{ReadCloser: r.Body, deadlines: d}
		r = &guarded
	}
	g.next.ServeHTTP(&guardedWriter{ResponseWriter: w, deadlines: d}, r)
	// What net/http still buffers is flushed after this, and after it has read
	// what is left of a short body: the answer must outlive that read.
	d.limit *= 2
	d.wrote = time.Time{}
	d.extendWrite()
}

// deadlines are those of one request's connection. The body and the response
// are used by one goroutine each; each touches its own field.
type deadlines struct {
	control *http.ResponseController
	limit   time.Duration
	now     func() time.Time
	read    time.Time // when the read deadline was last set
	wrote   time.Time // when the write deadline was last set
}

// due reports whether a deadline last set at the given time should move: not
// for every small read or write, yet well before it passes.
func (d *deadlines) due(last, now time.Time) bool {
	return last.IsZero() || now.Sub(last) > d.limit/8
}

// Deadlines that a connection does not have are not an error: a handler under
// test is given a recorder.
func (d *deadlines) extendRead() {
	if now := d.now(); d.due(d.read, now) && d.control.SetReadDeadline(now.Add(d.limit)) == nil {
		d.read = now
	}
}

func (d *deadlines) extendWrite() {
	if now := d.now(); d.due(d.wrote, now) && d.control.SetWriteDeadline(now.Add(d.limit)) == nil {
		d.wrote = now
	}
}

// clearRead lifts the read deadline when the body is complete: net/http keeps
// reading to notice that the client went away, and a deadline that passes then
// would end the request's context.
func (d *deadlines) clearRead() error {
	err := d.control.SetReadDeadline(time.Time{})
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("lifting the read deadline: %w", err)
	}
	return nil
}

// guardedBody extends the read deadline with each read.
type guardedBody struct {
	io.ReadCloser
	deadlines *deadlines
}

// Read implements io.Reader. The error io.EOF is passed on as it is.
func (b *guardedBody) Read(p []byte) (int, error) {
	b.deadlines.extendRead()
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		if err := b.deadlines.clearRead(); err != nil {
			return n, err
		}
	}
	return n, err // a Reader's io.EOF must stay bare
}

// guardedWriter extends the write deadline with each write.
type guardedWriter struct {
	http.ResponseWriter
	deadlines *deadlines
	quick     bool // the last large write was
}

// Unwrap lets http.ResponseController reach the connection.
func (w *guardedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write implements io.Writer.
func (w *guardedWriter) Write(p []byte) (written int, err error) {
	for {
		w.deadlines.extendWrite()
		n, err := w.write(p)
		written += n
		if p = p[n:]; err != nil || len(p) == 0 {
			return written, err // the caller knows what it wrote
		}
	}
}

// write hands over as much of p as goes under one deadline.
func (w *guardedWriter) write(p []byte) (int, error) {
	if len(p) < maxWrite {
		return w.ResponseWriter.Write(p)
	}
	size := maxWrite
	if w.quick {
		size = maxQuickWrite
	}
	start := w.deadlines.now()
	n, err := w.ResponseWriter.Write(p[:min(len(p), size)])
	w.quick = w.deadlines.now().Sub(start) < quick
	return n, err
}
