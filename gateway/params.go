package gateway

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/undercroft/undercroft/s3"
)

// parseInt parses an argument that must not be negative.
func parseInt(name, value string) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 32)
	switch {
	case err != nil:
		return 0, s3.InvalidArg(name, value, fmt.Sprintf("Provided %s not an integer or within integer range", name))
	case n < 0:
		return 0, s3.InvalidArg(name, value, fmt.Sprintf("Argument %s must be an integer between 0 and 2147483647", name))
	}
	return n, nil
}

// count returns a query parameter that bounds a page: at most 1000, and that
// when it is absent.
func (x *exchange) count(name string) (int, error) {
	value := x.param(name)
	if value == "" {
		return s3.MaxListKeys, nil
	}
	n, err := parseInt(name, value)
	return int(min(n, s3.MaxListKeys)), err
}

// marker returns a query parameter that is a number after which a page starts.
func (x *exchange) marker(name string) (int, error) {
	value := x.param(name)
	if value == "" {
		return 0, nil
	}
	n, err := parseInt(name, value)
	return int(n), err
}

// partNumber returns the number of a part, 0 when it is absent.
func (x *exchange) partNumber() (int, error) {
	value := x.param("partNumber")
	if _, ok := x.query["partNumber"]; !ok {
		return 0, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > s3.MaxParts {
		return 0, s3.InvalidArg("partNumber", value,
			"Part number must be an integer between 1 and 10000, inclusive")
	}
	return n, nil
}

// position is where a listing continues. Its text form is opaque to clients.
type position struct {
	after  string
	prefix bool // after is a common prefix already listed
}

// encode returns the token of a position.
func (p position) encode() string {
	kind := "k"
	if p.prefix {
		kind = "p"
	}
	return base64.RawURLEncoding.EncodeToString([]byte(kind + p.after))
}

// parsePosition is the reverse of encode.
func parsePosition(token string) (position, error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < 2 || b[0] != 'k' && b[0] != 'p' {
		return position{}, s3.InvalidArg("continuation-token", token, "The continuation token provided is incorrect")
	}
	return position{after: string(b[1:]), prefix: b[0] == 'p'}, nil
}

// isCommonPrefix reports whether a marker is one of the common prefixes that a
// listing with this prefix and delimiter shows.
func isCommonPrefix(marker, prefix, delimiter string) bool {
	rest, ok := strings.CutPrefix(marker, prefix)
	if !ok || delimiter == "" {
		return false
	}
	_, tail, found := strings.Cut(rest, delimiter)
	return found && tail == ""
}

// parseSize parses an argument that is the size of an object.
func parseSize(name, value string) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return 0, s3.InvalidArg(name, value, "Invalid object size")
	}
	return n, nil
}
