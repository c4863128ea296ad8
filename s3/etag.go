package s3

import "strings"

// ETag is an entity tag without its quotes.
type ETag string

// ParseETag strips the quotes, which clients may leave out.
func ParseETag(s string) ETag {
	s = strings.TrimSpace(s)
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	return ETag(s)
}

// Quoted returns the entity tag as the header shows it.
func (t ETag) Quoted() string { return `"` + string(t) + `"` }

// matchList reports whether a comma-separated list of entity tags, or *, names t.
func (t ETag) matchList(list string) bool {
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimPrefix(strings.TrimSpace(item), "W/")
		if item == "*" || ParseETag(item) == t {
			return true
		}
	}
	return false
}
