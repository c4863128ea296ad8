package sigv4

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"
)

// trailerSignature is the trailer that signs the others.
const trailerSignature = "x-amz-trailer-signature"

// trailer is a header after the body.
type trailer struct {
	name     string // lower-case, declared by x-amz-trailer
	value    string
	seen     bool
	verified bool // the body has ended well
}

// readTrailers reads the trailers, if the payload has any, up to and with the
// empty line that ends the body.
func (c *chunkReader) readTrailers() error {
	var signature []byte
	for {
		line, err := c.readTrailerLine()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return c.verifyTrailers(signature)
		}
		if !c.res.Payload.trailers() {
			return refuse(KindIncompleteBody)
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		lower := strings.ToLower(string(name))
		value = bytes.Trim(value, " \t")
		switch {
		case !ok || signature != nil:
			return refuse(KindMalformedTrailer)
		case lower == trailerSignature:
			signature = bytes.Clone(value)
		default:
			if err := c.setTrailer(lower, string(value)); err != nil {
				return err
			}
		}
	}
}

// readTrailerLine reads a line. Some clients end one with LF CRLF, the form in
// which trailers are signed followed by a proper line end.
func (c *chunkReader) readTrailerLine() ([]byte, error) {
	line, err := c.readLine()
	if err != nil {
		return nil, err
	}
	if bare, ok := bytes.CutSuffix(line, []byte("\r")); ok {
		return bare, nil
	}
	line = bytes.Clone(line) // the next read moves the buffer
	rest, err := c.readLine()
	if err != nil {
		return nil, err
	}
	if len(line) == 0 || string(rest) != "\r" {
		return nil, refuse(KindMalformedTrailer)
	}
	return line, nil
}

// setTrailer takes a trailer that was declared and not yet seen.
func (c *chunkReader) setTrailer(name, value string) error {
	for i := range c.res.trailers {
		if t := &c.res.trailers[i]; t.name == name && !t.seen {
			t.value, t.seen = value, true
			return nil
		}
	}
	return refuse(KindMalformedTrailer)
}

// verifyTrailers requires all declared trailers and, of signed ones, the
// signature.
func (c *chunkReader) verifyTrailers(signature []byte) error {
	for _, t := range c.res.trailers {
		if !t.seen {
			return refuse(KindMalformedTrailer)
		}
	}
	if signature != nil || c.res.Payload == PayloadChunksSignedTrailer {
		provided, ok := parseSignature(signature)
		if !ok || c.sign == nil {
			return refuse(KindMalformedTrailer)
		}
		return c.signTrailers(provided)
	}
	return nil
}

// signTrailers verifies the signature over the trailers, sorted by name.
func (c *chunkReader) signTrailers(provided [sha256.Size]byte) error {
	sorted := slices.SortedFunc(slices.Values(c.res.trailers), func(a, b trailer) int { return strings.Compare(a.name, b.name) })
	for _, t := range sorted {
		c.sign.write([]byte(t.name + ":" + t.value + "\n"))
	}
	return c.sign.endTrailers(provided)
}
