package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// panicError is a panic of a handler.
type panicError struct {
	value any
	stack []byte
}

// Error implements error.
func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

// statusClientGone is what logs and metrics show for a client that left. It is
// never sent.
const statusClientGone = 499

// maxUnreadBody is how much of a refused request's body is worth reading to
// keep the connection.
const maxUnreadBody = 64 << 10

// maxRetryAfter is how many seconds a client is asked to stay away, at most.
const maxRetryAfter = 5

// fail answers with the exchange's error. When the response has begun, all
// that is left is to cut it off.
func (g *Gateway) fail(x *exchange) {
	if x.status != 0 {
		x.cut = true
		return
	}
	if errors.Is(x.err, context.Canceled) && x.r.Context().Err() != nil {
		x.status = statusClientGone
		x.cut = true
		return
	}
	if method, ok := errors.AsType[*methodError](x.err); ok {
		x.set("Allow", method.allow)
	}
	if marker, ok := errors.AsType[*objects.MarkerError](x.err); ok {
		x.showMarker(marker)
	}
	x.closeUnread()
	if objects.Passes(x.err) {
		x.set("Retry-After", strconv.Itoa(1+rand.IntN(maxRetryAfter))) //nolint:gosec // so that not all come back at once
	}
	if x.onWebsite {
		g.failWebsite(x)
		return
	}
	e := answerOf(x.err)
	if e.Status == http.StatusNotModified {
		x.begin(e.Status)
		return
	}
	x.set(s3.HeaderContentType, "application/xml")
	if x.r.Method == http.MethodHead {
		x.begin(e.Status)
		return
	}
	doc := e.AppendXML(nil, x.r.URL.Path, x.requestID, g.o.HostID)
	x.setInt(s3.HeaderContentLength, int64(len(doc)))
	x.begin(e.Status)
	if _, err := x.Write(doc); err != nil {
		x.cut = true
	}
}

// showMarker tells of the delete marker that a read found: by its name, also
// since when it is there and what can be done with it.
func (x *exchange) showMarker(m *objects.MarkerError) {
	x.set(s3.HeaderDeleteMarker, "true")
	x.set(s3.HeaderVersionID, string(m.VersionID))
	if m.Named {
		x.set(s3.HeaderLastModified, s3.FormatHTTP(m.Modified))
		x.set("Allow", http.MethodDelete)
	}
}

// closeUnread ends the connection after the answer when much of the request's
// body is still to come, which nobody will read, or when the client waits for
// 100 Continue: it may never send the body, and net/http would wait for it.
func (x *exchange) closeUnread() {
	left := x.r.ContentLength
	waits := x.taken == 0 && left != 0 && x.header("Expect") != ""
	if waits || left < 0 || left-x.taken > maxUnreadBody {
		x.set("Connection", "close")
	}
}

// answerOf returns what the client is told of an error.
func answerOf(err error) *s3.Error {
	if e, ok := errors.AsType[*s3.Error](err); ok {
		return e
	}
	tooLarge, ok := errors.AsType[*http.MaxBytesError](err)
	switch {
	case ok:
		return s3.NewError(s3.MaxMessageLengthExceeded).WithInt("MaxMessageLengthBytes", tooLarge.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return s3.NewError(s3.RequestTimeout).Because(err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return s3.NewError(s3.ServiceUnavailable).Because(err)
	}
	if e := objects.Refusal(err); e != nil {
		return e
	}
	return s3.NewError(s3.InternalError).Because(err)
}
