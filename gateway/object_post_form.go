package gateway

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strings"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// Limits on what precedes the file of an upload form.
const (
	// maxFormBytes bounds fields, their headers and boundaries together, as AWS does.
	maxFormBytes = 20 << 10
	// formReadAhead is how much of the file the parser may have buffered while it
	// still reads the fields.
	formReadAhead = 8 << 10
	maxFormFields = 256
	maxBoundary   = 70 // RFC 2046
	fileField     = "file"
	// settledSize is how much of a file is read before its size is given up.
	settledSize = 16 << 10
)

// form is an upload form up to its file: what follows is read by the one who
// stores it.
type form struct {
	// fields by their names in lower case. Each name is there once.
	fields map[string]string
	// fileName is the last element of the path that the client gave.
	fileName string
	parts    *multipart.Reader
	file     *multipart.Part
	preface  *prefaceReader
}

// prefaceReader bounds what is read before the file is reached.
type prefaceReader struct {
	r     io.Reader
	left  int64 // negative when there is no bound now
	over  error // what it is to exceed the bound
	ended error // of r, sticky
}

func errFormTooLong() error {
	return s3.NewError(s3.MaxPostPreDataLengthExceededError).WithInt("MaxPostPreDataLengthBytes", maxFormBytes)
}

// Read implements io.Reader.
func (p *prefaceReader) Read(b []byte) (int, error) {
	switch {
	case p.left == 0:
		return 0, p.over
	case p.left > 0 && int64(len(b)) > p.left:
		b = b[:p.left]
	}
	n, err := p.r.Read(b)
	if p.left > 0 {
		p.left -= int64(n)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		p.ended = err
	}
	return n, err //nolint:wrapcheck // a Reader's error must stay as it is
}

// failure returns the error of a form that cannot be read: that of the body,
// or that it is no form.
func (p *prefaceReader) failure(err error) error {
	_, told := errors.AsType[*s3.Error](err)
	switch {
	case p.ended != nil:
		return p.ended
	case told:
		return err
	}
	return s3.NewError(s3.MalformedPOSTRequest).Because(err)
}

// readForm reads a form up to its file.
func readForm(contentType string, body io.Reader) (*form, error) {
	media, params, err := mime.ParseMediaType(contentType)
	if media != "multipart/form-data" {
		return nil, s3.NewError(s3.RequestIsNotMultiPartContent)
	}
	boundary := params["boundary"]
	if err != nil || boundary == "" || len(boundary) > maxBoundary {
		return nil, s3.NewError(s3.MalformedPOSTRequest).Because(err)
	}
	f := &form{fields: make(map[string]string), preface: &prefaceReader{
		r: body, left: maxFormBytes + formReadAhead, over: errFormTooLong(),
	}}
	f.parts = multipart.NewReader(f.preface, boundary)
	size := 0
	for f.file == nil {
		part, err := f.parts.NextRawPart()
		if err == io.EOF { // wrapped, it means that the form is cut off
			return nil, fileCount("0")
		}
		if err != nil {
			return nil, f.preface.failure(err)
		}
		if err := f.take(part, &size); err != nil {
			return nil, err
		}
	}
	f.preface.left = -1
	return f, f.expand()
}

// fileCount refuses a form that has not one file.
func fileCount(found string) error {
	return s3.NewError(s3.IncorrectNumberOfFilesInPostRequest).With("ArgumentName", fileField).With("ArgumentValue", found)
}

// take takes a part: the file, or a field.
func (f *form) take(part *multipart.Part, size *int) error {
	name, fileName, err := disposition(part)
	if err != nil {
		return err
	}
	if name == fileField {
		f.file, f.fileName = part, fileName
		return nil
	}
	value, err := io.ReadAll(part) // the preface is bounded
	if err != nil {
		return f.preface.failure(err)
	}
	if _, twice := f.fields[name]; twice {
		return s3.InvalidArg(name, string(value), "The form has a field twice.")
	}
	f.fields[name] = string(value)
	*size += len(name) + len(value)
	if *size > maxFormBytes || len(f.fields) > maxFormFields {
		return errFormTooLong()
	}
	return nil
}

// disposition returns the name of a part in lower case, and the last element of
// its file's path. Browsers of Windows once sent backslashes.
func disposition(part *multipart.Part) (name, fileName string, err error) {
	kind, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil || kind != "form-data" || params["name"] == "" {
		return "", "", s3.NewError(s3.MalformedPOSTRequest).Because(err)
	}
	fileName = params["filename"]
	return strings.ToLower(params["name"]), fileName[strings.LastIndexAny(fileName, `/\`)+1:], nil
}

// expand puts the file's name where fields ask for it. It can make a form
// larger than its limit, which holds of what comes out too.
func (f *form) expand() error {
	const variable = "${filename}"
	size := 0
	for name, value := range f.fields {
		grown := strings.Count(value, variable) * (len(f.fileName) - len(variable))
		if size += len(value) + grown; size > maxFormBytes {
			return errFormTooLong()
		}
		f.fields[name] = strings.ReplaceAll(value, variable, f.fileName)
	}
	return nil
}

// content reads the file. At its end it sees that the form ends as a form does
// and has no second file: fields after the file count for nothing, as at AWS.
type content struct {
	form  *form
	limit sizeRange
	read  int64
	err   error // sticky
}

// Read implements io.Reader. A read that fails gives no bytes.
func (c *content) Read(b []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.form.file.Read(b)
	c.read += int64(n)
	switch {
	case c.read > c.limit.most:
		err = s3.NewError(s3.EntityTooLarge).WithInt("ProposedSize", c.read).WithInt("MaxSizeAllowed", c.limit.most)
	case errors.Is(err, io.EOF):
		if err = c.end(); err == nil {
			c.err = io.EOF
			return n, io.EOF
		}
	case err == nil:
		return n, nil
	default:
		err = c.form.preface.failure(err)
	}
	c.err = err
	return 0, err
}

// end checks what can be known only at the end of the file.
func (c *content) end() error {
	if c.read < c.limit.least {
		return s3.NewError(s3.EntityTooSmall).WithInt("ProposedSize", c.read).WithInt("MinSizeAllowed", c.limit.least)
	}
	p := c.form.preface
	p.left, p.over = maxFormBytes+formReadAhead, s3.NewError(s3.MalformedPOSTRequest)
	for {
		part, err := c.form.parts.NextRawPart()
		if err == io.EOF { // wrapped, it means that the form is cut off
			break
		}
		if err != nil {
			return p.failure(err)
		}
		if name, _, err := disposition(part); err == nil && name == fileField {
			return fileCount("2")
		}
	}
	// To the last byte, so that what was said of the whole body is compared.
	if _, err := io.Copy(io.Discard, p); err != nil {
		return p.failure(err)
	}
	return nil
}

// settle reads the beginning of the file, which is all of a small one: its size
// is known then, and it is stored as what was put with its size. Of a larger one
// the size stays -1.
func (c *content) settle(body *objects.Body) error {
	head := make([]byte, settledSize)
	n, err := io.ReadFull(c, head)
	switch {
	case c.err == io.EOF: //nolint:errorlint // anything wrapped is a failure
		body.Reader, body.Size = bytes.NewReader(head[:n]), int64(n)
	case err != nil:
		return c.err
	default:
		body.Reader, body.Size = io.MultiReader(bytes.NewReader(head), c), -1
	}
	return nil
}
