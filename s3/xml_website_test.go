package s3_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/s3"
)

func website(inside string) string {
	return "<WebsiteConfiguration>" + inside + "</WebsiteConfiguration>"
}

const index = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>"

// rules is a configuration with an index document and these rules.
func rules(inside string) string {
	return website(index + "<RoutingRules>" + inside + "</RoutingRules>")
}

// rule is a configuration with one rule.
func rule(condition, redirect string) string {
	if condition != "" {
		condition = "<Condition>" + condition + "</Condition>"
	}
	return rules("<RoutingRule>" + condition + "<Redirect>" + redirect + "</Redirect></RoutingRule>")
}

func TestDecodeWebsite(t *testing.T) {
	empty, key, prefix := "", "gone.html", "documents/"
	for name, want := range map[string]*s3.WebsiteConfiguration{
		"redirect all":    {RedirectAll: &s3.RedirectAll{HostName: "example.com", Protocol: "https"}},
		"index":           {IndexSuffix: "index.html"},
		"index and error": {IndexSuffix: "index.html", ErrorKey: "errors/4xx.html"},
		"rules": {IndexSuffix: "i", RoutingRules: []s3.RoutingRule{
			{Condition: &s3.RoutingCondition{KeyPrefix: "docs/"}, Redirect: s3.WebsiteRedirect{ReplaceKeyPrefixWith: &prefix}},
			{Condition: &s3.RoutingCondition{KeyPrefix: " a&b", Status: 404}, Redirect: s3.WebsiteRedirect{HostName: "h:80", Protocol: "http", ReplaceKeyWith: &key, Status: 307}},
			{Redirect: s3.WebsiteRedirect{ReplaceKeyPrefixWith: &empty}},
		}},
	} {
		got, err := s3.DecodeWebsite(want.AppendXML(nil))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestDecodeWebsiteRefuses(t *testing.T) {
	const to = "<HostName>h</HostName>"
	for name, tt := range map[string]struct {
		body    string
		code    s3.Code
		message string // a part of it
	}{
		"nothing":                {website(""), s3.InvalidArgument, "A value for IndexDocument Suffix must be provided"},
		"error document alone":   {website("<ErrorDocument><Key>e</Key></ErrorDocument>"), s3.InvalidArgument, "IndexDocument Suffix must be provided"},
		"other root":             {"<Website/>", s3.MalformedXML, ""},
		"unknown element":        {website(index + "<Color/>"), s3.MalformedXML, ""},
		"two indexes":            {website(index + index), s3.MalformedXML, ""},
		"no suffix":              {website("<IndexDocument/>"), s3.MalformedXML, ""},
		"empty suffix":           {website("<IndexDocument><Suffix/></IndexDocument>"), s3.InvalidArgument, "not well formed"},
		"suffix with a slash":    {website("<IndexDocument><Suffix>a/b</Suffix></IndexDocument>"), s3.InvalidArgument, "The IndexDocument Suffix is not well formed"},
		"error without key":      {website(index + "<ErrorDocument/>"), s3.MalformedXML, ""},
		"error with empty key":   {website(index + "<ErrorDocument><Key/></ErrorDocument>"), s3.MalformedXML, ""},
		"redirect without host":  {website("<RedirectAllRequestsTo/>"), s3.MalformedXML, ""},
		"two redirects":          {website(strings.Repeat("<RedirectAllRequestsTo><HostName>h</HostName></RedirectAllRequestsTo>", 2)), s3.MalformedXML, ""},
		"redirect and index":     {website(index + "<RedirectAllRequestsTo><HostName>h</HostName></RedirectAllRequestsTo>"), s3.InvalidArgument, "RedirectAllRequestsTo cannot be provided in conjunction"},
		"redirect by gopher":     {website("<RedirectAllRequestsTo><HostName>h</HostName><Protocol>gopher</Protocol></RedirectAllRequestsTo>"), s3.InvalidRequest, "Invalid protocol"},
		"host that is no host":   {website("<RedirectAllRequestsTo><HostName>h&#10;Set-Cookie: a</HostName></RedirectAllRequestsTo>"), s3.InvalidRequest, "Invalid host name"},
		"no rules":               {rules(""), s3.MalformedXML, ""},
		"rule without redirect":  {rules("<RoutingRule><Condition><KeyPrefixEquals>a</KeyPrefixEquals></Condition></RoutingRule>"), s3.MalformedXML, ""},
		"empty redirect":         {rule("", ""), s3.MalformedXML, ""},
		"empty condition":        {rules("<RoutingRule><Condition/><Redirect>" + to + "</Redirect></RoutingRule>"), s3.InvalidRequest, "Condition cannot be empty"},
		"key and prefix":         {rule("", "<ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith>b</ReplaceKeyPrefixWith>"), s3.InvalidRequest, "but not both"},
		"protocol of a rule":     {rule("", "<Protocol>ftp</Protocol>"), s3.InvalidRequest, "Invalid protocol"},
		"redirect code 300":      {rule("", "<HttpRedirectCode>300</HttpRedirectCode>"), s3.InvalidRequest, "The provided HTTP redirect code (300) is not valid. Valid codes are 3XX except 300."},
		"redirect code 404":      {rule("", "<HttpRedirectCode>404</HttpRedirectCode>"), s3.InvalidRequest, "Valid codes are 3XX"},
		"redirect code in words": {rule("", "<HttpRedirectCode>found</HttpRedirectCode>"), s3.InvalidRequest, "Valid codes are 3XX"},
		"error code 302":         {rule("<HttpErrorCodeReturnedEquals>302</HttpErrorCodeReturnedEquals>", to), s3.InvalidRequest, "The provided HTTP error code (302) is not valid. Valid codes are 4XX or 5XX."},
		"51 rules":               {rules(strings.Repeat("<RoutingRule><Redirect>"+to+"</Redirect></RoutingRule>", 51)), s3.InvalidRequest, "51 routing rules provided, the number of routing rules in a website configuration is limited to 50."},
	} {
		_, err := s3.DecodeWebsite([]byte(tt.body))
		if s3.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.message) {
			t.Errorf("%s: %v, want %s %s", name, err, tt.code, tt.message)
		}
	}
}

func TestRoutingRules(t *testing.T) {
	c, err := s3.DecodeWebsite([]byte(rules(
		"<RoutingRule><Condition><KeyPrefixEquals>docs/</KeyPrefixEquals></Condition><Redirect><ReplaceKeyPrefixWith>documents/</ReplaceKeyPrefixWith></Redirect></RoutingRule>" +
			"<RoutingRule><Condition><KeyPrefixEquals>images/</KeyPrefixEquals></Condition><Redirect><ReplaceKeyWith>folder is gone.html</ReplaceKeyWith></Redirect></RoutingRule>" +
			"<RoutingRule><Condition><KeyPrefixEquals>cut/</KeyPrefixEquals></Condition><Redirect><ReplaceKeyPrefixWith/><Protocol>https</Protocol></Redirect></RoutingRule>" +
			"<RoutingRule><Condition><KeyPrefixEquals>api/</KeyPrefixEquals><HttpErrorCodeReturnedEquals>403</HttpErrorCodeReturnedEquals></Condition><Redirect><HostName>api.test</HostName></Redirect></RoutingRule>" +
			"<RoutingRule><Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition><Redirect><HostName>h.test:8080</HostName><ReplaceKeyPrefixWith>#!/</ReplaceKeyPrefixWith></Redirect></RoutingRule>")))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		key    s3.Key
		status int
		want   string // empty: no rule
	}{
		{"", 0, ""},
		{"docs", 0, ""},
		{"docs/", 0, "http://site/documents/"},
		{"docs/a b/ü?x#y", 0, "http://site/documents/a%20b/%C3%BC%3Fx%23y"},
		{"docs/a", 404, "http://h.test:8080/#!/docs/a"},
		{"images/a.png", 0, "http://site/folder%20is%20gone.html"},
		{"cut/a", 0, "https://site/a"},
		{"api/x", 404, "http://h.test:8080/#!/api/x"},
		{"api/x", 403, "http://api.test/api/x"},
		{"other", 403, ""},
		{"a\r\nX: y", 404, "http://h.test:8080/#!/a%0D%0AX:%20y"},
	} {
		got := ""
		if r := c.Rule(tt.key, tt.status); r != nil {
			got = r.Location("http", "site", tt.key)
		}
		if got != tt.want {
			t.Errorf("%q with %d: %q, want %q", tt.key, tt.status, got, tt.want)
		}
	}
}

func TestParseWebsiteRedirect(t *testing.T) {
	for _, good := range []string{"", "/", "/a b", "http://a", "https://a/b?c", "/" + strings.Repeat("a", s3.MaxWebsiteRedirect-1)} {
		if got, err := s3.ParseWebsiteRedirect(good); err != nil || got != good {
			t.Errorf("%.20q: %q, %v", good, got, err)
		}
	}
	for _, bad := range []string{"a", "ftp://a", "HTTP://a", " /a", "/a\r\nX: y", "/\x01", "/\x7f", "/" + strings.Repeat("a", s3.MaxWebsiteRedirect)} {
		if _, err := s3.ParseWebsiteRedirect(bad); s3.CodeOf(err) != s3.InvalidRedirectLocation {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}

// FuzzDecodeWebsite: what is accepted reads back as it is written.
func FuzzDecodeWebsite(f *testing.F) {
	f.Add(website(index))
	f.Add(rule("<KeyPrefixEquals>a</KeyPrefixEquals>", "<HostName>h</HostName>"))
	f.Add(rule("<KeyPrefixEquals>a</KeyPrefixEquals>", "<HostName></HostName>"))
	f.Add(rule("<KeyPrefixEquals>a</KeyPrefixEquals>", "<Protocol/><HostName/>"))
	f.Add(website("<RedirectAllRequestsTo><HostName>h</HostName></RedirectAllRequestsTo>"))
	f.Fuzz(func(t *testing.T, body string) {
		c, err := s3.DecodeWebsite([]byte(body))
		if err != nil {
			switch s3.CodeOf(err) {
			case s3.MalformedXML, s3.InvalidRequest, s3.InvalidArgument:
				return
			}
			t.Fatalf("%v", err)
		}
		doc := c.AppendXML(nil)
		again, err := s3.DecodeWebsite(doc)
		if err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		if got := again.AppendXML(nil); string(got) != string(doc) {
			t.Errorf("%s\n%s", doc, got)
		}
		for _, status := range []int{0, 403, 404} {
			if r := c.Rule("a/b", status); r != nil && strings.ContainsAny(r.Location("http", "h", "a/b"), "\r\n") {
				t.Errorf("%q", r.Location("http", "h", "a/b"))
			}
		}
	})
}
