package gateway

import (
	"strings"
	"testing"
)

func TestRequesterPays(t *testing.T) {
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/bucket", "")
	owner.ok("PUT", "/bucket/key", "body", "x-amz-acl", "public-read")
	other.ok("GET", "/bucket/key", "")
	owner.ok("PUT", "/bucket?requestPayment", "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>")
	other.denied("GET", "/bucket/key", "")
	r.anonymous().denied("GET", "/bucket/key", "")
	r.anonymous().denied("GET", "/bucket/key", "", "x-amz-request-payer", "requester")
	if a := other.ok("GET", "/bucket/key", "", "x-amz-request-payer", "requester"); a.Header.Get("x-amz-request-charged") != "requester" {
		t.Errorf("%v", a.Header)
	}
	if a := owner.ok("GET", "/bucket/key", ""); a.Header.Get("x-amz-request-charged") != "" {
		t.Errorf("%v", a.Header)
	}
}

// TestTagsDecide: what a request sets needs a permission of its own, and what a
// version has decides about it.
func TestTagsDecide(t *testing.T) {
	const tagging = "<Tagging><TagSet><Tag><Key>Security</Key><Value>public</Value></Tag></TagSet></Tagging>"
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/bucket", "")
	owner.ok("PUT", "/bucket/tagged", "body", "x-amz-tagging", "Security=public")
	owner.ok("PUT", "/bucket/plain", "body")
	policied := func(action, condition string) {
		t.Helper()
		if condition != "" {
			condition = `,"Condition":{` + condition + `}`
		}
		owner.ok("PUT", "/bucket?policy", policy(`{"Effect":"Allow","Principal":"*","Action":["`+strings.ReplaceAll(action, ",", `","`)+`"],"Resource":"arn:aws:s3:::bucket/*"`+condition+`}`))
	}
	policied("s3:GetObject", `"StringEquals":{"s3:ExistingObjectTag/Security":"public"}`)
	other.ok("GET", "/bucket/tagged", "")
	other.denied("GET", "/bucket/plain", "")
	other.denied("GET", "/bucket/tagged?tagging", "")
	policied("s3:PutObjectTagging", `"StringEquals":{"s3:ExistingObjectTag/Security":"public","s3:RequestObjectTag/Security":"public"}`)
	other.ok("PUT", "/bucket/tagged?tagging", tagging)
	other.denied("PUT", "/bucket/tagged?tagging", strings.Replace(tagging, "public", "secret", 1))
	other.denied("PUT", "/bucket/plain?tagging", tagging)
	policied("s3:PutObject", "")
	other.denied("PUT", "/bucket/new", "body", "x-amz-tagging", "a=b")
	policied("s3:PutObject,s3:PutObjectTagging", `"StringEquals":{"s3:RequestObjectTag/a":"b"}`)
	other.ok("PUT", "/bucket/new", "body", "x-amz-tagging", "a=b")
	other.denied("PUT", "/bucket/new", "body", "x-amz-tagging", "a=c")
	other.ok("POST", "/bucket/new?uploads", "", "x-amz-tagging", "a=b")
	policied("s3:PutObject,s3:PutObjectTagging", `"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a","b"]}`)
	other.ok("PUT", "/bucket/new", "body", "x-amz-tagging", "a=b&b=c")
	other.denied("PUT", "/bucket/new", "body", "x-amz-tagging", "a=b&c=d")
	// A copy that keeps tags reads and writes them.
	other.ok("PUT", "/copies", "")
	policied("s3:GetObject", "")
	other.ok("PUT", "/copies/plain", "", "x-amz-copy-source", "/bucket/plain")
	other.denied("PUT", "/copies/tagged", "", "x-amz-copy-source", "/bucket/tagged")
	other.ok("PUT", "/copies/tagged", "", "x-amz-copy-source", "/bucket/tagged", "x-amz-tagging-directive", "REPLACE")
	policied("s3:GetObject,s3:GetObjectTagging", "")
	other.ok("PUT", "/copies/tagged", "", "x-amz-copy-source", "/bucket/tagged")
}
