package s3

import (
	"math"
	"strconv"
	"strings"
)

// ByteRange is one range of a Range header, not yet held against a size.
type ByteRange struct {
	// First is the first byte, or -1 when the range is a suffix.
	First int64
	// Last is the last byte, -1 when the range runs to the end; of a suffix,
	// the number of bytes.
	Last int64
}

// ParseRange parses a Range header. It reports false for what S3 ignores and
// answers with the whole object: an absent or malformed header, another unit,
// several ranges.
func ParseRange(header string) (ByteRange, bool) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	if !ok {
		return ByteRange{}, false
	}
	first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok {
		return ByteRange{}, false
	}
	if first == "" {
		n, ok := parseOffset(last)
		return ByteRange{First: -1, Last: n}, ok
	}
	from, ok := parseOffset(first)
	if !ok {
		return ByteRange{}, false
	}
	if last == "" {
		return ByteRange{First: from, Last: -1}, true
	}
	to, ok := parseOffset(last)
	return ByteRange{First: from, Last: to}, ok && to >= from
}

// parseOffset parses digits only. What does not fit is the largest offset:
// such a number is past the end of every object.
func parseOffset(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return math.MaxInt64, true
	}
	return n, true
}

// Resolve returns the offset and the length within size bytes. It reports
// false when no byte of the range is there, which is 416 InvalidRange.
func (r ByteRange) Resolve(size int64) (offset, length int64, ok bool) {
	if r.First < 0 {
		length = min(r.Last, size)
		return size - length, length, length > 0
	}
	if r.First >= size {
		return 0, 0, false
	}
	last := size - 1
	if r.Last >= 0 {
		last = min(r.Last, last)
	}
	return r.First, last - r.First + 1, true
}

// RangeError is the error of a Range header that Resolve refused.
func RangeError(header string, size int64) *Error {
	return NewError(InvalidRange).With("RangeRequested", header).
		WithInt("ActualObjectSize", size)
}

// ParseCopySourceRange parses x-amz-copy-source-range, which must be of the
// form bytes=first-last.
func ParseCopySourceRange(header string) (ByteRange, error) {
	r, ok := ParseRange(header)
	if !ok || r.First < 0 || r.Last < 0 {
		return ByteRange{}, InvalidArg("x-amz-copy-source-range", header,
			"The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
	}
	return r, nil
}

// ResolveCopySource returns the offset and the length of a part copy. Unlike
// a read, a range that passes the end of the source is an error.
func (r ByteRange) ResolveCopySource(size int64) (offset, length int64, err error) {
	if r.First < 0 || r.Last < r.First || r.Last >= size {
		value := "bytes=" + strconv.FormatInt(r.First, 10) + "-" + strconv.FormatInt(r.Last, 10)
		return 0, 0, RangeError(value, size)
	}
	return r.First, r.Last - r.First + 1, nil
}
