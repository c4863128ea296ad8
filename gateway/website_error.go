package gateway

import (
	"errors"
	"html"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/undercroft/undercroft/s3"
)

// failWebsite answers with an error as a page.
func (g *Gateway) failWebsite(x *exchange) {
	answer := answerOf(x.err)
	if answer.Status == http.StatusNotModified {
		x.begin(answer.Status)
		return
	}
	var page *s3.Error
	if e, ok := errors.AsType[*pageError](x.err); ok {
		page = answerOf(e.page)
	}
	if err := x.page(answer, page); err != nil {
		x.cut = true
	}
}

// page answers with what AWS shows of an error, and of that of the error
// document where there was one.
func (x *exchange) page(e, document *s3.Error) error {
	x.showErrorHeaders(e)
	var b strings.Builder
	title := strconv.Itoa(e.Status) + " " + http.StatusText(e.Status)
	b.WriteString("<html>\n<head><title>" + title + "</title></head>\n<body>\n<h1>" + title + "</h1>\n<ul>\n")
	writeError(&b, e)
	writeItem(&b, "RequestId", x.requestID)
	writeItem(&b, "HostId", x.gateway.o.HostID)
	b.WriteString("</ul>\n")
	if document != nil {
		b.WriteString("<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>\n<ul>\n")
		writeError(&b, document)
		b.WriteString("</ul>\n")
	}
	b.WriteString("<hr/>\n</body>\n</html>\n")
	x.set(s3.HeaderContentType, "text/html; charset=utf-8")
	x.setInt(s3.HeaderContentLength, int64(b.Len()))
	x.begin(e.Status)
	if x.r.Method == http.MethodHead {
		return nil
	}
	_, err := x.Write([]byte(b.String()))
	return err
}

func writeError(b *strings.Builder, e *s3.Error) {
	writeItem(b, "Code", string(e.Code))
	writeItem(b, "Message", e.Message)
	for _, f := range e.Fields {
		writeItem(b, f.Name, f.Value)
	}
}

func writeItem(b *strings.Builder, name, value string) {
	b.WriteString("<li>" + name + ": " + html.EscapeString(value) + "</li>\n")
}

// showErrorHeaders tells scripts what the page tells people.
func (x *exchange) showErrorHeaders(e *s3.Error) {
	x.set("X-Amz-Error-Code", string(e.Code))
	x.set("X-Amz-Error-Message", e.Message)
	for _, f := range e.Fields {
		if f.Name == "Key" {
			x.set("X-Amz-Error-Detail-Key", mime.BEncoding.Encode("UTF-8", f.Value)) // also what no header has
		}
	}
}
