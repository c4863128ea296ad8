package s3

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// maxXMLDepth bounds the nesting of a request document. No schema of S3 needs
// more than half of it.
const maxXMLDepth = 8

// xmlReader walks a document that fits in memory. Entities other than the five
// of XML are errors, directives such as DOCTYPE too.
type xmlReader struct {
	dec   *xml.Decoder
	depth int
	attrs []xml.Attr // of the element that start returned last
}

// decodeDocument calls read inside the root element, and requires that nothing
// but white space follows it. Every failure is MalformedXML.
func decodeDocument(body []byte, root string, read func(*xmlReader) error) error {
	body = bytes.TrimPrefix(body, []byte("\uFEFF")) // some writers of XML begin with a byte order mark
	x := &xmlReader{dec: xml.NewDecoder(bytes.NewReader(body))}
	name, err := x.start()
	if err == nil && name != root {
		err = malformed("unexpected root " + name)
	}
	if err == nil {
		x.depth++
		err = read(x)
	}
	if err == nil {
		_, err = x.start()
		if errors.Is(err, io.EOF) {
			return nil
		}
		err = malformed("content after the root")
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return NewError(MalformedXML).Because(err)
}

func malformed(cause string) error {
	return NewError(MalformedXML).Because(errors.New(cause))
}

// start returns the name of the next element. At the end of the surrounding
// element it returns the empty string, at the end of the document io.EOF.
func (x *xmlReader) start() (string, error) {
	for {
		tok, err := x.dec.Token()
		if err != nil {
			return "", err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if t.Name.Space != "" && t.Name.Space != Namespace {
				return "", malformed("namespace " + t.Name.Space)
			}
			x.attrs = t.Attr
			return t.Name.Local, nil
		case xml.EndElement:
			return "", nil
		case xml.CharData:
			if len(bytes.TrimSpace(t)) != 0 {
				return "", malformed("text between elements")
			}
		case xml.Directive:
			return "", malformed("directive")
		case xml.Comment, xml.ProcInst:
		}
	}
}

// attribute returns an attribute of the element that was begun last, or the
// empty string.
func (x *xmlReader) attribute(name xml.Name) string {
	for i := range x.attrs {
		if x.attrs[i].Name == name {
			return x.attrs[i].Value
		}
	}
	return ""
}

// children calls read for each element inside the current one, up to its end.
// read consumes the element.
func (x *xmlReader) children(read func(name string) error) error {
	if x.depth >= maxXMLDepth {
		return malformed("nested too deep")
	}
	for {
		name, err := x.start()
		if err != nil {
			return err
		}
		if name == "" {
			x.depth--
			return nil
		}
		x.depth++
		if err := read(name); err != nil {
			return err
		}
	}
}

// text consumes the current element, which holds text only. The depth was
// raised by children.
func (x *xmlReader) text() (string, error) {
	var b strings.Builder
	for {
		tok, err := x.dec.Token()
		if err != nil {
			return "", err
		}
		switch t := tok.(type) {
		case xml.CharData:
			b.Write(t)
		case xml.EndElement:
			x.depth--
			return b.String(), nil
		case xml.StartElement:
			return "", malformed("element inside text")
		case xml.Directive:
			return "", malformed("directive")
		case xml.Comment, xml.ProcInst:
		}
	}
}

// into consumes the current element and stores its text, trimmed.
func (x *xmlReader) into(dst *string) error {
	s, err := x.text()
	*dst = strings.TrimSpace(s)
	return err
}

// once is into for an element that may occur only once; seen starts false.
func (x *xmlReader) once(seen *bool, dst *string) error {
	if *seen {
		return malformed("element occurs twice")
	}
	*seen = true
	s, err := x.text()
	*dst = s
	return err
}

func unknownElement(name string) error { return malformed("unknown element " + name) }
