package s3_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/s3"
)

const corsRule = "<CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule>"

func TestDecodeCORS(t *testing.T) {
	age := 3000
	want := &s3.CORSConfiguration{Rules: []s3.CORSRule{
		{
			ID: "all of it", AllowedHeaders: []string{"x-AMZ-*", "Authorization"}, AllowedMethods: []string{"GET", "PUT", "POST", "DELETE", "HEAD"},
			AllowedOrigins: []string{"https://*.example.com", "http://a.test:80"}, ExposeHeaders: []string{"ETag", "x-amz-version-id"}, MaxAgeSeconds: &age,
		},
		{AllowedMethods: []string{"GET"}, AllowedOrigins: []string{"*"}},
		{AllowedMethods: []string{"PUT"}, AllowedOrigins: []string{""}},
	}}
	doc := want.AppendXML(nil)
	if !strings.Contains(string(doc), "<ID>all of it</ID><AllowedHeader>x-AMZ-*</AllowedHeader><AllowedHeader>Authorization</AllowedHeader><AllowedMethod>GET</AllowedMethod>") {
		t.Errorf("%s", doc)
	}
	got, err := s3.DecodeCORS(doc)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestDecodeCORSRefuses(t *testing.T) {
	rule := func(inside string) string {
		return "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin>" + inside + "</CORSRule></CORSConfiguration>"
	}
	tests := map[string]struct {
		body    string
		code    s3.Code
		message string // a part of it
	}{
		"no rule":            {"<CORSConfiguration/>", s3.MalformedXML, ""},
		"empty rule":         {"<CORSConfiguration><CORSRule/></CORSConfiguration>", s3.MalformedXML, ""},
		"no origin":          {"<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>", s3.MalformedXML, ""},
		"no method":          {"<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>", s3.MalformedXML, ""},
		"unknown element":    {rule("<AllowedCookie>a</AllowedCookie>"), s3.MalformedXML, ""},
		"two ids":            {rule("<ID>a</ID><ID>b</ID>"), s3.MalformedXML, ""},
		"two ages":           {rule("<MaxAgeSeconds>1</MaxAgeSeconds><MaxAgeSeconds>2</MaxAgeSeconds>"), s3.MalformedXML, ""},
		"age":                {rule("<MaxAgeSeconds>soon</MaxAgeSeconds>"), s3.MalformedXML, ""},
		"negative age":       {rule("<MaxAgeSeconds>-1</MaxAgeSeconds>"), s3.MalformedXML, ""},
		"huge age":           {rule("<MaxAgeSeconds>9999999999</MaxAgeSeconds>"), s3.MalformedXML, ""},
		"method":             {rule("<AllowedMethod>OPTIONS</AllowedMethod>"), s3.InvalidRequest, "Unsupported method is OPTIONS"},
		"lower-case method":  {rule("<AllowedMethod>get</AllowedMethod>"), s3.InvalidRequest, "Unsupported method is get"},
		"empty method":       {rule("<AllowedMethod/>"), s3.InvalidRequest, "Unsupported method is "},
		"wildcards":          {rule("<AllowedOrigin>http://*.*.com</AllowedOrigin>"), s3.InvalidRequest, `AllowedOrigin "http://*.*.com" can not have more than one wildcard.`},
		"header wildcards":   {rule("<AllowedHeader>*-*</AllowedHeader>"), s3.InvalidRequest, `AllowedHeader "*-*" can not have more than one wildcard.`},
		"exposed wildcard":   {rule("<ExposeHeader>x-*</ExposeHeader>"), s3.InvalidRequest, `ExposeHeader "x-*" contains wildcard.`},
		"header injection":   {rule("<ExposeHeader>a&#13;&#10;Set-Cookie: b</ExposeHeader>"), s3.InvalidRequest, "contains invalid character"},
		"long id":            {rule("<ID>" + strings.Repeat("ß", 256) + "</ID>"), s3.InvalidArgument, "255"},
		"too many rules":     {"<CORSConfiguration>" + strings.Repeat(corsRule, 101) + "</CORSConfiguration>", s3.InvalidRequest, "100 rules"},
		"too long, escaped":  {rule("<AllowedHeader>" + strings.Repeat("'", 20_000) + "</AllowedHeader>"), s3.MaxMessageLengthExceeded, ""},
		"other root":         {"<CORS>" + corsRule + "</CORS>", s3.MalformedXML, ""},
		"entity":             {"<!DOCTYPE a [<!ENTITY b 'c'>]><CORSConfiguration>" + corsRule + "</CORSConfiguration>", s3.MalformedXML, ""},
		"text between rules": {"<CORSConfiguration>x" + corsRule + "</CORSConfiguration>", s3.MalformedXML, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := s3.DecodeCORS([]byte(tt.body))
			if s3.CodeOf(err) != tt.code || !strings.Contains(s3.AsError(err).Message, tt.message) {
				t.Errorf("%+v, %v", c, err)
			}
		})
	}
	for name, body := range map[string]string{
		"100 rules":  "<CORSConfiguration>" + strings.Repeat(corsRule, 100) + "</CORSConfiguration>",
		"id of 255":  rule("<ID>" + strings.Repeat("ß", 255) + "</ID>"),
		"age of 0":   rule("<MaxAgeSeconds> 0 </MaxAgeSeconds>"),
		"any header": rule("<AllowedHeader>*</AllowedHeader>"),
	} {
		if _, err := s3.DecodeCORS([]byte(body)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMatchCORS(t *testing.T) {
	c := &s3.CORSConfiguration{Rules: []s3.CORSRule{
		{ID: "suffix", AllowedMethods: []string{"GET"}, AllowedOrigins: []string{"*suffix"}},
		{ID: "middle", AllowedMethods: []string{"GET"}, AllowedOrigins: []string{"start*end"}},
		{ID: "prefix", AllowedMethods: []string{"GET"}, AllowedOrigins: []string{"prefix*"}},
		{ID: "put", AllowedMethods: []string{"PUT"}, AllowedOrigins: []string{"*.put"}},
		{ID: "headers", AllowedMethods: []string{"POST"}, AllowedOrigins: []string{"https://a.test"}, AllowedHeaders: []string{"X-Amz-*", "authorization"}},
		{ID: "any", AllowedMethods: []string{"DELETE"}, AllowedOrigins: []string{"https://b.test", "*"}, AllowedHeaders: []string{"*"}},
	}}
	tests := []struct{ origin, method, headers, want string }{
		{"foo.suffix", "GET", "", "suffix"},
		{"suffix", "GET", "", "suffix"},
		{"foo.suffix.get", "GET", "", ""},
		{"startend", "GET", "", "middle"},
		{"start12end", "GET", "", "middle"},
		{"0start12end", "GET", "", ""},
		{"starend", "GET", "", ""}, // the ends may not overlap
		{"prefix", "GET", "", "prefix"},
		{"prefix.suffix", "GET", "", "suffix"}, // the first rule that matches
		{"bla.prefix", "GET", "", ""},
		{"foo.put", "GET", "", ""},
		{"foo.put", "PUT", "", "put"},
		{"foo.put", "PUT", "x-amz-date", ""}, // a rule without headers allows none
		{"https://a.test", "POST", "", "headers"},
		{"HTTPS://a.test", "POST", "", ""},
		{"https://a.test", "POST", "X-AMZ-Date, Authorization,", "headers"},
		{"https://a.test", "POST", "x-amz-date, cookie", ""},
		{"https://a.test", "PATCH", "", ""},
		{"null", "DELETE", "anything", "any"},
	}
	for _, tt := range tests {
		got := c.Match(&s3.CORSRequest{Origin: tt.origin, Method: tt.method, Headers: s3.ParseCORSHeaders(tt.headers)})
		switch {
		case got == nil && tt.want != "", got != nil && got.ID != tt.want:
			t.Errorf("%+v: %+v", tt, got)
		case got != nil && got.AnyOrigin() != (tt.want == "any"):
			t.Errorf("%s: any origin %v", got.ID, got.AnyOrigin())
		}
	}
	if got := s3.ParseCORSHeaders(" X-A,,x-b ,"); !slices.Equal(got, []string{"x-a", "x-b"}) {
		t.Errorf("%q", got)
	}
}

func FuzzCORS(f *testing.F) {
	f.Add([]byte("<CORSConfiguration>"+corsRule+"</CORSConfiguration>"), "https://a.test", "x-amz-date")
	f.Add([]byte("<CORSConfiguration><CORSRule><ID>i</ID><AllowedHeader>x-*</AllowedHeader><AllowedMethod>PUT</AllowedMethod><AllowedOrigin>a*b</AllowedOrigin>"+
		"<ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>3</MaxAgeSeconds></CORSRule></CORSConfiguration>"), "ab", "X-Y, x-")
	f.Fuzz(func(t *testing.T, body []byte, origin, headers string) {
		c, err := s3.DecodeCORS(body)
		if err != nil {
			switch s3.CodeOf(err) {
			case s3.MalformedXML, s3.InvalidRequest, s3.InvalidArgument, s3.MaxMessageLengthExceeded:
			default:
				t.Fatal(err)
			}
			return
		}
		doc := c.AppendXML(nil)
		again, err := s3.DecodeCORS(doc)
		if d := cmp.Diff(c, again); err != nil || d != "" || len(doc) > s3.MaxCORSConfig {
			t.Fatalf("written and read again: %v, %d bytes\n%s", err, len(doc), d)
		}
		req := &s3.CORSRequest{Origin: origin, Method: c.Rules[0].AllowedMethods[0], Headers: s3.ParseCORSHeaders(headers)}
		if rule := c.Match(req); rule != nil && !slices.Contains(rule.AllowedMethods, req.Method) {
			t.Fatalf("%+v allows %+v", rule, req)
		}
	})
}

func TestRequestPayment(t *testing.T) {
	for _, payer := range []s3.Payer{s3.PayerBucketOwner, s3.PayerRequester} {
		got, err := s3.DecodeRequestPayment(s3.AppendRequestPayment(nil, payer))
		if err != nil || got != payer {
			t.Errorf("%s: %s, %v", payer, got, err)
		}
	}
	for name, body := range map[string]string{
		"another payer": "<RequestPaymentConfiguration><Payer>Random</Payer></RequestPaymentConfiguration>",
		"no payer":      "<RequestPaymentConfiguration/>",
		"two payers":    "<RequestPaymentConfiguration><Payer>Requester</Payer><Payer>Requester</Payer></RequestPaymentConfiguration>",
		"more":          "<RequestPaymentConfiguration><Payer>Requester</Payer><Price>1</Price></RequestPaymentConfiguration>",
		"no document":   "",
	} {
		if got, err := s3.DecodeRequestPayment([]byte(body)); s3.CodeOf(err) != s3.MalformedXML {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

func FuzzRequestPayment(f *testing.F) {
	f.Add(s3.AppendRequestPayment(nil, s3.PayerRequester))
	f.Fuzz(func(t *testing.T, body []byte) {
		payer, err := s3.DecodeRequestPayment(body)
		if err != nil && s3.CodeOf(err) != s3.MalformedXML {
			t.Fatal(err)
		}
		if err == nil && payer != s3.PayerRequester && payer != s3.PayerBucketOwner {
			t.Fatalf("payer %q", payer)
		}
	})
}
