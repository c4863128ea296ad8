package s3_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/s3"
)

// taggingDocument writes the body of a request; tags are keys and values.
func taggingDocument(tags ...string) []byte {
	var b strings.Builder
	b.WriteString("<Tagging" + ns + "><TagSet>")
	for i := 0; i < len(tags); i += 2 {
		fmt.Fprintf(&b, "<Tag><Key>%s</Key><Value>%s</Value></Tag>", tags[i], tags[i+1])
	}
	return []byte(b.String() + "</TagSet></Tagging>")
}

func TestDecodeTagging(t *testing.T) {
	tests := map[string]struct {
		body string
		want []s3.Tag
	}{
		"sorted":       {string(taggingDocument("b", "2", "a", "1")), []s3.Tag{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}}},
		"empty value":  {string(taggingDocument("k", "")), []s3.Tag{{Key: "k"}}},
		"no tag":       {string(taggingDocument()), nil},
		"no namespace": {"<Tagging>\n <TagSet>\n  <Tag> <Value>v</Value> <Key>k</Key> </Tag>\n </TagSet></Tagging>", []s3.Tag{{Key: "k", Value: "v"}}},
		"all symbols":  {string(taggingDocument("+-=._:/@ ß9", "ﬁ²Ⅷ\u2003")), []s3.Tag{{Key: "+-=._:/@ ß9", Value: "ﬁ²Ⅷ\u2003"}}},
		"case counts":  {string(taggingDocument("k", "1", "K", "2")), []s3.Tag{{Key: "K", Value: "2"}, {Key: "k", Value: "1"}}},
		"as long as may be": {
			string(taggingDocument(strings.Repeat("ß", 128), strings.Repeat("𝕊", 128))),
			[]s3.Tag{{Key: strings.Repeat("ß", 128), Value: strings.Repeat("𝕊", 128)}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, decode := range []func([]byte) ([]s3.Tag, error){s3.DecodeObjectTagging, s3.DecodeBucketTagging} {
				got, err := decode([]byte(tt.body))
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(tt.want, got); d != "" {
					t.Error(d)
				}
			}
		})
	}
}

func TestDecodeTaggingRefuses(t *testing.T) {
	long := strings.Repeat("k", 129)
	tests := map[string]struct {
		body    string
		code    s3.Code
		message string
		key     string // the element TagKey
	}{
		"same key":        {string(taggingDocument("k", "1", "k", "2")), s3.InvalidTag, "Cannot provide multiple Tags with the same key", "k"},
		"long key":        {string(taggingDocument(long, "")), s3.InvalidTag, "The TagKey you have provided is invalid", long},
		"long value":      {string(taggingDocument("k", long+long)), s3.InvalidTag, "The TagValue you have provided is invalid", "k"},
		"long in UTF-16":  {string(taggingDocument(strings.Repeat("𝕊", 65), "")), s3.InvalidTag, "The TagKey you have provided is invalid", strings.Repeat("𝕊", 65)},
		"empty key":       {string(taggingDocument("", "v")), s3.InvalidTag, "The TagKey you have provided is invalid", ""},
		"bad key":         {string(taggingDocument("a,b", "v")), s3.InvalidTag, "The TagKey you have provided is invalid", "a,b"},
		"bad value":       {string(taggingDocument("k", "a*b")), s3.InvalidTag, "The TagValue you have provided is invalid", "k"},
		"tab":             {string(taggingDocument("k", "a\tb")), s3.InvalidTag, "The TagValue you have provided is invalid", "k"},
		"emoji":           {string(taggingDocument("k", "😀")), s3.InvalidTag, "The TagValue you have provided is invalid", "k"},
		"no value":        {"<Tagging><TagSet><Tag><Key>k</Key></Tag></TagSet></Tagging>", s3.MalformedXML, "", ""},
		"no key":          {"<Tagging><TagSet><Tag><Value>k</Value></Tag></TagSet></Tagging>", s3.MalformedXML, "", ""},
		"two keys":        {"<Tagging><TagSet><Tag><Key>a</Key><Key>b</Key><Value>v</Value></Tag></TagSet></Tagging>", s3.MalformedXML, "", ""},
		"no set":          {"<Tagging></Tagging>", s3.MalformedXML, "", ""},
		"two sets":        {"<Tagging><TagSet/><TagSet/></Tagging>", s3.MalformedXML, "", ""},
		"unknown element": {"<Tagging><TagSet><Tag><Key>a</Key><Value>v</Value><Color/></Tag></TagSet></Tagging>", s3.MalformedXML, "", ""},
		"other root":      {"<Tags><TagSet/></Tags>", s3.MalformedXML, "", ""},
		"not XML":         {"k=v", s3.MalformedXML, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, decode := range []func([]byte) ([]s3.Tag, error){s3.DecodeObjectTagging, s3.DecodeBucketTagging} {
				_, err := decode([]byte(tt.body))
				e := s3.AsError(err)
				if s3.CodeOf(err) != tt.code || e.Field("TagKey") != tt.key || tt.message != "" && e.Message != tt.message {
					t.Errorf("%v, TagKey %q", err, e.Field("TagKey"))
				}
			}
		})
	}
}

func TestTagLimits(t *testing.T) {
	numbered := func(n int) (tags []string) {
		for i := range n {
			tags = append(tags, fmt.Sprint("key", i), "v")
		}
		return tags
	}
	tests := map[string]struct {
		decode  func([]byte) ([]s3.Tag, error)
		limit   int
		code    s3.Code
		tooMany string
		system  string
	}{
		"object": {s3.DecodeObjectTagging, s3.MaxObjectTags, s3.InvalidTag, "Object tags cannot be greater than 10", "Your TagKey cannot be prefixed with aws:"},
		"bucket": {s3.DecodeBucketTagging, s3.MaxBucketTags, s3.BadRequest, "Bucket tag count cannot be greater than 50", "System tags cannot be added/updated by requester"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tags, err := tt.decode(taggingDocument(numbered(tt.limit)...)); err != nil || len(tags) != tt.limit {
				t.Errorf("%d tags: %d, %v", tt.limit, len(tags), err)
			}
			_, err := tt.decode(taggingDocument(numbered(tt.limit + 1)...))
			if s3.CodeOf(err) != tt.code || s3.AsError(err).Message != tt.tooMany {
				t.Errorf("%d tags: %v", tt.limit+1, err)
			}
			for _, key := range []string{"aws:cost", "AWS:cost"} {
				_, err = tt.decode(taggingDocument(key, "v"))
				if s3.CodeOf(err) != s3.InvalidTag || s3.AsError(err).Message != tt.system {
					t.Errorf("%s: %v", key, err)
				}
			}
			if _, err := tt.decode(taggingDocument("aws", "v")); err != nil {
				t.Errorf("aws without a colon: %v", err)
			}
		})
	}
}

func TestParseTagging(t *testing.T) {
	tests := map[string]struct {
		header string
		want   []s3.Tag
		code   s3.Code
	}{
		"empty":              {"", nil, ""},
		"sorted, no value":   {"foo=bar&bar", []s3.Tag{{Key: "bar"}, {Key: "foo", Value: "bar"}}, ""},
		"escapes":            {"a+b%2B=x%2Fy%3D&%C3%9F=1", []s3.Tag{{Key: "a b+", Value: "x/y="}, {Key: "ß", Value: "1"}}, ""},
		"stray separators":   {"&a=1&&", []s3.Tag{{Key: "a", Value: "1"}}, ""},
		"same key":           {"k=1&k=2", nil, s3.InvalidArgument},
		"same key, escaped":  {"k=1&%6B=2", nil, s3.InvalidArgument},
		"two equal signs":    {"key1=val1,key2=val2", nil, s3.InvalidArgument},
		"bad escape":         {"k=%zz", nil, s3.InvalidArgument},
		"not UTF-8":          {"k=%ff", nil, s3.InvalidArgument},
		"no key":             {"=v", nil, s3.InvalidTag},
		"character":          {"TagSet%3D%5B%7BKey%3Ds%7D%5D", nil, s3.InvalidTag},
		"semicolon":          {"a=1;b", nil, s3.InvalidTag},
		"system":             {"aws:a=1", nil, s3.InvalidTag},
		"long value":         {"k=" + strings.Repeat("v", 257), nil, s3.InvalidTag},
		"eleven":             {"1&2&3&4&5&6&7&8&9&10&11", nil, s3.InvalidTag},
		"a thousand":         {strings.Repeat("a=1&b", 3) + strings.Repeat("&x", 1000), nil, s3.InvalidArgument},
		"ten with the limit": {"1&2&3&4&5&6&7&8&9&0=0", []s3.Tag{{Key: "0", Value: "0"}, {Key: "1"}, {Key: "2"}, {Key: "3"}, {Key: "4"}, {Key: "5"}, {Key: "6"}, {Key: "7"}, {Key: "8"}, {Key: "9"}}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := s3.ParseTagging(tt.header)
			if s3.CodeOf(err) != tt.code {
				t.Fatal(err)
			}
			if tt.code == s3.InvalidArgument && s3.AsError(err).Field("ArgumentValue") != tt.header {
				t.Errorf("fields %v", s3.AsError(err).Fields)
			}
			if d := cmp.Diff(tt.want, got); err == nil && d != "" {
				t.Error(d)
			}
		})
	}
}

func FuzzTagging(f *testing.F) {
	f.Add(taggingDocument("k", "v", "b", ""), "k=v&b")
	f.Add([]byte("<Tagging><TagSet><Tag><Value/><Key>ß</Key></Tag></TagSet></Tagging>"), "%C3%9F=a+b%2B")
	f.Add([]byte("<Tagging><TagSet/></Tagging>"), "a=1&a=2")
	f.Fuzz(func(t *testing.T, body []byte, header string) {
		if tags, err := s3.DecodeBucketTagging(body); err == nil {
			again, err := s3.DecodeBucketTagging(s3.AppendTagging(nil, tags))
			if d := cmp.Diff(tags, again); err != nil || d != "" {
				t.Fatalf("written and read again: %v\n%s", err, d)
			}
			if n := len(s3.AppendTagging(nil, tags)); n > s3.MaxConfigBody+8<<10 {
				t.Fatalf("%d bytes", n)
			}
		} else if code := s3.CodeOf(err); code != s3.MalformedXML && code != s3.InvalidTag && code != s3.BadRequest {
			t.Fatal(err)
		}
		tags, err := s3.ParseTagging(header)
		if err != nil {
			if code := s3.CodeOf(err); code != s3.InvalidArgument && code != s3.InvalidTag {
				t.Fatal(err)
			}
			return
		}
		query := make([]string, 0, len(tags))
		for _, tag := range tags {
			query = append(query, url.QueryEscape(tag.Key)+"="+url.QueryEscape(tag.Value))
		}
		again, err := s3.ParseTagging(strings.Join(query, "&"))
		if d := cmp.Diff(tags, again); err != nil || d != "" {
			t.Fatalf("written and read again: %v\n%s", err, d)
		}
		if d, err := s3.DecodeObjectTagging(s3.AppendTagging(nil, tags)); err != nil || !cmp.Equal(d, tags) {
			t.Fatalf("the document says %v, %v", d, err)
		}
	})
}
