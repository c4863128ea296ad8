package s3

import "time"

// ISO8601 is the layout of timestamps in S3's XML; times are in UTC.
const ISO8601 = "2006-01-02T15:04:05.000Z"

// AppendISO8601 appends t in the layout of S3's XML, without allocating.
func AppendISO8601(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(dst, ISO8601)
	}
	hour, minute, sec := t.Clock()
	dst = appendDigits(dst, year, 4)
	dst = append(dst, '-')
	dst = appendDigits(dst, int(month), 2)
	dst = append(dst, '-')
	dst = appendDigits(dst, day, 2)
	dst = append(dst, 'T')
	dst = appendDigits(dst, hour, 2)
	dst = append(dst, ':')
	dst = appendDigits(dst, minute, 2)
	dst = append(dst, ':')
	dst = appendDigits(dst, sec, 2)
	dst = append(dst, '.')
	dst = appendDigits(dst, t.Nanosecond()/int(time.Millisecond), 3)
	return append(dst, 'Z')
}

// appendDigits appends v with leading zeros to the width.
func appendDigits(dst []byte, v, width int) []byte {
	start := len(dst)
	for range width {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; i >= start; i-- {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
	return dst
}

// HTTPTime is the layout of date headers; times are in UTC.
const HTTPTime = "Mon, 02 Jan 2006 15:04:05 GMT"

// FormatHTTP formats t as headers carry it, such as Last-Modified.
func FormatHTTP(t time.Time) string {
	return t.UTC().Format(HTTPTime)
}

// ParseHTTP parses a date header in any of the three forms of HTTP, and in
// ISO 8601, which SDKs send too.
func ParseHTTP(s string) (time.Time, bool) {
	for _, layout := range [...]string{HTTPTime, time.RFC850, time.ANSIC, time.RFC3339Nano} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// compactISO8601 is the layout of x-amz-date.
const compactISO8601 = "20060102T150405Z"

// ParseDate parses the Date or x-amz-date header of a signed request: as
// [ParseHTTP], and in the basic form of ISO 8601 and with a numeric zone, which
// mail libraries write.
func ParseDate(s string) (time.Time, bool) {
	if t, ok := ParseHTTP(s); ok {
		return t, true
	}
	layout := time.RFC1123Z
	if len(s) == len(compactISO8601) { // time.Parse takes fractions of a second too
		layout = compactISO8601
	}
	t, err := time.Parse(layout, s)
	return t.UTC(), err == nil
}
