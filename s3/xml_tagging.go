package s3

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of tags. Lengths are in UTF-16 code units, as AWS counts them.
const (
	// MaxObjectTags is how many tags an object has at most.
	MaxObjectTags = 10
	// MaxBucketTags is how many tags a bucket has at most.
	MaxBucketTags = 50
	// MaxTagKey is the longest key of a tag.
	MaxTagKey = 128
	// MaxTagValue is the longest value of a tag.
	MaxTagValue = 256
)

// Tag is one tag of a bucket or of an object.
type Tag struct {
	Key   string
	Value string
}

// tagRules is what is asked of the tags of a bucket or of an object.
type tagRules struct {
	limit   int
	code    Code // of too many
	tooMany string
	system  string // said of a key that is AWS's own
}

func objectTagRules() tagRules {
	return tagRules{MaxObjectTags, InvalidTag, "Object tags cannot be greater than 10", "Your TagKey cannot be prefixed with aws:"}
}

func bucketTagRules() tagRules {
	return tagRules{MaxBucketTags, BadRequest, "Bucket tag count cannot be greater than 50", "System tags cannot be added/updated by requester"}
}

// DecodeObjectTagging decodes the body of PutObjectTagging, which is the field
// tagging of a form too: at most MaxObjectTags tags, sorted by key.
func DecodeObjectTagging(body []byte) ([]Tag, error) {
	return decodeTagging(body, objectTagRules())
}

// DecodeBucketTagging decodes the body of PutBucketTagging: at most
// MaxBucketTags tags, sorted by key.
func DecodeBucketTagging(body []byte) ([]Tag, error) {
	return decodeTagging(body, bucketTagRules())
}

func decodeTagging(body []byte, rules tagRules) ([]Tag, error) {
	var tags []Tag
	sets := 0
	err := decodeDocument(body, "Tagging", func(x *xmlReader) error {
		return x.children(func(name string) error {
			if name != "TagSet" || sets > 0 {
				return unknownElement(name)
			}
			sets++
			return x.tags(&tags)
		})
	})
	switch {
	case err != nil:
		return nil, err
	case sets == 0:
		return nil, malformed("no tag set")
	}
	return tags, rules.check(tags)
}

// tags appends the tags inside the current element.
func (x *xmlReader) tags(dst *[]Tag) error {
	return x.children(func(name string) error {
		if name != "Tag" {
			return unknownElement(name)
		}
		tag, err := x.tag()
		*dst = append(*dst, tag)
		return err
	})
}

func (x *xmlReader) tag() (Tag, error) {
	var tag Tag
	var hasKey, hasValue bool
	err := x.children(func(name string) error {
		switch name {
		case "Key":
			return x.once(&hasKey, &tag.Key)
		case "Value":
			return x.once(&hasValue, &tag.Value)
		}
		return unknownElement(name)
	})
	if err == nil && (!hasKey || !hasValue) {
		err = malformed("tag without key or value")
	}
	return tag, err
}

// ParseTagging parses x-amz-tagging: the tags of an object as parameters of a
// URL. A parameter without a value is a tag with the empty one. The tags come
// sorted by key.
func ParseTagging(header string) ([]Tag, error) {
	refused := func() error {
		return InvalidArg("x-amz-tagging", header, "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
	}
	var tags []Tag
	for pair := range strings.SplitSeq(header, "&") {
		if pair == "" {
			continue
		}
		name, text, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(name)
		value, verr := url.QueryUnescape(text)
		if err != nil || verr != nil || strings.Contains(text, "=") || !utf8.ValidString(key) || !utf8.ValidString(value) {
			return nil, refused()
		}
		if slices.ContainsFunc(tags, func(t Tag) bool { return t.Key == key }) {
			return nil, refused()
		}
		tags = append(tags, Tag{Key: key, Value: value})
		if len(tags) > MaxObjectTags {
			break
		}
	}
	return tags, objectTagRules().check(tags)
}

// check applies the rules, and sorts.
func (r tagRules) check(tags []Tag) error {
	if len(tags) > r.limit {
		return NewError(r.code).WithMessage(r.tooMany)
	}
	seen := make(map[string]bool, len(tags))
	for i := range tags {
		key, value := tags[i].Key, tags[i].Value
		switch {
		case seen[key]:
			return invalidTag("Cannot provide multiple Tags with the same key", key)
		case len(key) >= 4 && strings.EqualFold(key[:4], "aws:"):
			return invalidTag(r.system, key)
		case key == "" || !tagText(key, MaxTagKey):
			return invalidTag("The TagKey you have provided is invalid", key)
		case !tagText(value, MaxTagValue):
			return invalidTag("The TagValue you have provided is invalid", key).With("TagValue", value)
		}
		seen[key] = true
	}
	slices.SortFunc(tags, func(a, b Tag) int { return cmp.Compare(a.Key, b.Key) })
	return nil
}

func invalidTag(message, key string) *Error {
	return NewError(InvalidTag).WithMessage(message).With("TagKey", key)
}

// tagText reports whether s is of the characters that tags may have, and of at
// most limit UTF-16 code units.
func tagText(s string, limit int) bool {
	units := 0
	for _, r := range s {
		units++
		if r > 0xFFFF {
			units++
		}
		if units > limit || !tagRune(r) {
			return false
		}
	}
	return true
}

func tagRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.Z, r) || strings.ContainsRune("+-=._:/@", r)
}

// AppendTagging appends the document of GetObjectTagging and GetBucketTagging.
// It is at most as long as 64 KiB.
func AppendTagging(dst []byte, tags []Tag) []byte {
	dst = openDocument(dst, "Tagging")
	dst = append(dst, "<TagSet>"...)
	for i := range tags {
		dst = append(dst, "<Tag>"...)
		dst = appendElement(dst, "Key", tags[i].Key)
		dst = appendElement(dst, "Value", tags[i].Value)
		dst = append(dst, "</Tag>"...)
	}
	dst = append(dst, "</TagSet>"...)
	return closeElement(dst, "Tagging")
}
