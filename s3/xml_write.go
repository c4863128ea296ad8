package s3

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Namespace is the XML namespace of S3's documents.
const Namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

const xmlHeader = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

// openDocument starts a document whose root has S3's namespace.
func openDocument(dst []byte, root string) []byte {
	dst = append(dst, xmlHeader+"<"...)
	dst = append(dst, root...)
	return append(dst, ` xmlns="`+Namespace+`">`...)
}

func openElement(dst []byte, name string) []byte {
	dst = append(dst, '<')
	dst = append(dst, name...)
	return append(dst, '>')
}

func closeElement(dst []byte, name string) []byte {
	dst = append(dst, '<', '/')
	dst = append(dst, name...)
	return append(dst, '>')
}

// appendElement appends <name>value</name>, also when the value is empty.
func appendElement(dst []byte, name, value string) []byte {
	dst = openElement(dst, name)
	dst = appendText(dst, value)
	return closeElement(dst, name)
}

// appendOptional appends the element unless the value is empty.
func appendOptional(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return appendElement(dst, name, value)
}

func appendInt(dst []byte, name string, value int64) []byte {
	dst = openElement(dst, name)
	dst = strconv.AppendInt(dst, value, 10)
	return closeElement(dst, name)
}

func appendBool(dst []byte, name string, value bool) []byte {
	dst = openElement(dst, name)
	dst = strconv.AppendBool(dst, value)
	return closeElement(dst, name)
}

func appendTime(dst []byte, name string, t time.Time) []byte {
	dst = openElement(dst, name)
	dst = AppendISO8601(dst, t)
	return closeElement(dst, name)
}

// appendETag appends an entity tag in the quotes that responses show.
func appendETag(dst []byte, tag ETag) []byte {
	dst = append(dst, "<ETag>&quot;"...)
	dst = appendText(dst, string(tag))
	return append(dst, "&quot;</ETag>"...)
}

func appendOwner(dst []byte, name string, o Owner) []byte {
	dst = openElement(dst, name)
	dst = appendElement(dst, "ID", string(o.ID))
	dst = appendOptional(dst, "DisplayName", o.DisplayName)
	return closeElement(dst, name)
}

// plainByte reports whether c is itself in XML text.
func plainByte(c byte) bool {
	return c >= 0x20 && c < 0x7f && c != '<' && c != '>' && c != '&' && c != '"' && c != '\''
}

// appendText appends s escaped as XML text. Characters that XML 1.0 cannot
// hold are written as numeric references, as AWS does: clients that may meet
// them ask for encoding-type=url.
func appendText(dst []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plainByte(c) {
			i++
			continue
		}
		dst = append(dst, s[start:i]...)
		n := 1
		if c < utf8.RuneSelf {
			dst = appendEscapedASCII(dst, c)
		} else {
			dst, n = appendRune(dst, s[i:])
		}
		i += n
		start = i
	}
	return append(dst, s[start:]...)
}

func appendEscapedASCII(dst []byte, c byte) []byte {
	switch c {
	case '<':
		return append(dst, "&lt;"...)
	case '>':
		return append(dst, "&gt;"...)
	case '&':
		return append(dst, "&amp;"...)
	case '"':
		return append(dst, "&quot;"...)
	case '\'':
		return append(dst, "&#39;"...)
	default:
		return appendReference(dst, rune(c))
	}
}

// appendRune appends the first rune of s, which is not ASCII, and returns its
// length in s. Invalid UTF-8 becomes the replacement character.
func appendRune(dst []byte, s string) ([]byte, int) {
	r, n := utf8.DecodeRuneInString(s)
	if r == 0xFFFE || r == 0xFFFF {
		return appendReference(dst, r), n
	}
	return utf8.AppendRune(dst, r), n
}

func appendReference(dst []byte, r rune) []byte {
	dst = append(dst, "&#x"...)
	dst = strconv.AppendInt(dst, int64(r), 16)
	return append(dst, ';')
}

// printable replaces what XML 1.0 cannot hold, so that a document parses
// whatever a client has sent. Documents that name keys do not use it.
func printable(s string) string {
	if strings.IndexFunc(s, unprintable) < 0 && utf8.ValidString(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

func unprintable(r rune) bool {
	return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
}

// EncodingType is how listings write keys.
type EncodingType string

// EncodingURL asks for URL-encoded keys; the zero value for escaped XML text.
const EncodingURL EncodingType = "url"

// ParseEncodingType accepts the empty string and "url".
func ParseEncodingType(s string) (EncodingType, error) {
	switch EncodingType(s) {
	case "", EncodingURL:
		return EncodingType(s), nil
	}
	return "", InvalidArg("encoding-type", s, "Invalid Encoding Method specified in Request")
}

// appendName appends <name>value</name> with the value in this encoding.
func (e EncodingType) appendName(dst []byte, name, value string) []byte {
	if e != EncodingURL {
		return appendElement(dst, name, value)
	}
	dst = openElement(dst, name)
	dst = AppendURLEncoded(dst, value)
	return closeElement(dst, name)
}

func (e EncodingType) appendOptionalName(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return e.appendName(dst, name, value)
}

// AppendURLEncoded percent-encodes s as listings do with encoding-type=url:
// letters, digits and -_.~*/ stay. A space is %20, which every decoder reads.
func AppendURLEncoded(dst []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if isUnreserved(c) {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '%', digits[c>>4], digits[c&15])
	}
	return dst
}

func isUnreserved(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	case c == '-', c == '_', c == '.', c == '~', c == '*', c == '/':
		return true
	}
	return false
}
