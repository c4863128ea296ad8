package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/s3"
)

func TestBucketPolicyIsKeptAsItWasPut(t *testing.T) {
	r := newRealm(t)
	owner := r.newAccount("owner")
	owner.ok("PUT", "/bucket", "")
	owner.fails(s3.NoSuchBucketPolicy, "GET", "/bucket?policy", "")
	doc := allow("s3:GetObject", "bucket/*") + "\n "
	if a := owner.ok("PUT", "/bucket?policy", doc); a.StatusCode != http.StatusNoContent {
		t.Errorf("PUT: %d", a.StatusCode)
	}
	if a := owner.ok("GET", "/bucket?policy", ""); a.body != doc || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%q %v", a.body, a.Header)
	}
	if a := owner.ok("DELETE", "/bucket?policy", ""); a.StatusCode != http.StatusNoContent {
		t.Errorf("DELETE: %d", a.StatusCode)
	}
	owner.fails(s3.NoSuchBucketPolicy, "GET", "/bucket?policy", "")
	owner.ok("DELETE", "/bucket?policy", "") // once more
}

func TestPoliciesThatAreRefused(t *testing.T) {
	r := newRealm(t)
	owner := r.newAccount("owner")
	owner.ok("PUT", "/bucket", "")
	for _, doc := range []string{
		"", "hello", "[]", `{"Version":"2012-10-17"}`,
		allow("s3:GetObject", "other/*"),
		allow("s3:NoSuchAction", "bucket/*"),
		policy(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}`),
	} {
		owner.fails(s3.MalformedPolicy, "PUT", "/bucket?policy", doc)
	}
	owner.fails(s3.PolicyTooLarge, "PUT", "/bucket?policy",
		policy(`{"Sid":"`+strings.Repeat("x", iam.MaxBucketPolicy)+`","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}`))
	owner.fails(s3.MaxMessageLengthExceeded, "PUT", "/bucket?policy", strings.Repeat(" ", maxPolicyBody+1))
	owner.fails(s3.NoSuchBucketPolicy, "GET", "/bucket?policy", "")
}

func TestBucketPolicyOfOthers(t *testing.T) {
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/bucket", "")
	doc := allow("s3:*", "bucket")
	other.denied("PUT", "/bucket?policy", doc)
	owner.ok("PUT", "/bucket?policy", doc)
	for _, c := range []*caller{other, r.anonymous()} {
		c.fails(s3.MethodNotAllowed, "PUT", "/bucket?policy", doc)
		c.fails(s3.MethodNotAllowed, "GET", "/bucket?policy", "")
		c.fails(s3.MethodNotAllowed, "DELETE", "/bucket?policy", "")
		c.ok("GET", "/bucket?policyStatus", "")
	}
}

func TestPolicyThatLocksOut(t *testing.T) {
	r := newRealm(t)
	owner := r.newAccount("owner")
	admin := owner.user("admin", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`)
	owner.ok("PUT", "/bucket", "")
	doc := statement("Deny", `"*"`, "s3:*", "bucket")
	admin.fails(s3.MalformedPolicy, "PUT", "/bucket?policy", doc)
	admin.ok("PUT", "/bucket?policy", doc, "x-amz-confirm-remove-self-bucket-access", "true")
	admin.denied("GET", "/bucket?policy", "")
	admin.denied("DELETE", "/bucket?policy", "")
	owner.denied("GET", "/bucket", "")
	owner.denied("GET", "/bucket?policyStatus", "")
	owner.ok("GET", "/bucket?policy", "") // root can always find out, and get back in
	owner.ok("PUT", "/bucket?policy", doc)
	owner.ok("DELETE", "/bucket?policy", "")
	admin.ok("GET", "/bucket", "")
}

func TestBucketPolicyStatus(t *testing.T) {
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/bucket", "")
	wantPublic := func(want bool) {
		t.Helper()
		body := owner.ok("GET", "/bucket?policyStatus", "").body
		if strings.Contains(body, "<IsPublic>true</IsPublic>") != want {
			t.Errorf("want public %t: %s", want, body)
		}
	}
	wantPublic(false)
	owner.ok("PUT", "/bucket?policy", statement("Allow", `{"AWS":"`+string(other.account.ID)+`"}`, "s3:GetObject", "bucket/*"))
	wantPublic(false)
	owner.ok("PUT", "/bucket?policy", allow("s3:GetObject", "bucket/*"))
	wantPublic(true)
	owner.ok("DELETE", "/bucket?policy", "")
	owner.ok("PUT", "/bucket?acl", "", "x-amz-acl", "authenticated-read")
	wantPublic(true)
	owner.ok("PUT", "/bucket?publicAccessBlock", blocks("IgnorePublicAcls"))
	wantPublic(false)
}

// TestConditionKeys writes one policy for each key and asks with and without
// what it wants.
func TestConditionKeys(t *testing.T) {
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/bucket", "")
	owner.ok("PUT", "/bucket/plain", "body")
	other.ok("PUT", "/others", "")
	other.ok("PUT", "/others/a/key", "body")
	type try struct {
		method, target, body string
		headers              []string
	}
	get := func(target string, headers ...string) try { return try{"GET", target, "", headers} }
	put := func(headers ...string) try { return try{"PUT", "/bucket/new", "body", headers} }
	for _, tt := range []struct {
		action, condition string
		allowed, denied   try
	}{
		{"GetObject", `"StringLike":{"aws:Referer":"http://a.test/*"}`, get("/bucket/plain", "Referer", "http://a.test/x"), get("/bucket/plain")},
		{"GetObject", `"StringLike":{"aws:UserAgent":"good*"}`, get("/bucket/plain", "User-Agent", "goodness"), get("/bucket/plain")},
		{"ListBucket", `"StringLike":{"s3:prefix":"public/*"}`, get("/bucket?prefix=public/a"), get("/bucket?prefix=private/a")},
		{"ListBucket", `"NumericLessThanEquals":{"s3:max-keys":"10"}`, get("/bucket?max-keys=10"), get("/bucket?max-keys=11")},
		{"ListBucket", `"StringEquals":{"s3:delimiter":"/"}`, get("/bucket?delimiter=/"), get("/bucket")},
		{"PutObject", `"StringEquals":{"s3:x-amz-acl":"bucket-owner-full-control"}`, put("x-amz-acl", "bucket-owner-full-control"), put()},
		{"PutObject", `"StringEquals":{"s3:x-amz-grant-full-control":"id=` + owner.id() + `"}`, put("x-amz-grant-full-control", "id="+owner.id()), put()},
		{"PutObject", `"StringLike":{"s3:x-amz-copy-source":"others/a/*"}`, put("x-amz-copy-source", "/others/a/key"), put()},
		{"PutObject", `"StringLike":{"s3:x-amz-copy-source":"/others/a/*"}`, put("x-amz-copy-source", "others/a/key"), put()},
		{"PutObject", `"StringEquals":{"s3:x-amz-metadata-directive":"REPLACE"}`, put("x-amz-copy-source", "/others/a/key", "x-amz-metadata-directive", "REPLACE"), put("x-amz-copy-source", "/others/a/key")},
		{"PutObject", `"Null":{"s3:if-none-match":"false"}`, put("If-None-Match", `"x"`), put()},
		{"PutObject", `"Bool":{"s3:ObjectCreationOperation":"true"}`, put(), try{"POST", "/bucket/new?uploads", "", nil}},
		{"PutObject", `"StringEquals":{"s3:x-amz-storage-class":"STANDARD"}`, put("x-amz-storage-class", "STANDARD"), put()},
		{"GetObject", `"StringEquals":{"s3:authType":"REST-HEADER","s3:signatureversion":"AWS4-HMAC-SHA256"},"NumericLessThan":{"s3:signatureAge":"600000"}`, get("/bucket/plain"), try{}},
		{"GetObject", `"IpAddress":{"aws:SourceIp":"127.0.0.0/8"},"Bool":{"aws:SecureTransport":"false"}`, get("/bucket/plain"), try{}},
		{"GetObject", `"DateGreaterThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"},"NumericGreaterThan":{"aws:EpochTime":"1500000000"}`, get("/bucket/plain"), try{}},
		{"GetObject", `"StringEquals":{"s3:ResourceAccount":"` + string(owner.account.ID) + `","aws:PrincipalAccount":"` + string(other.account.ID) + `"}`, get("/bucket/plain"), try{}},
		{"GetObject", `"StringNotEquals":{"s3:ResourceAccount":"` + string(owner.account.ID) + `"}`, try{}, get("/bucket/plain")},
		{"GetObject", `"Null":{"s3:TlsVersion":"false"}`, try{}, get("/bucket/plain")},
		{"GetObject", `"StringEquals":{"aws:PrincipalType":"Account"},"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:root"}`, get("/bucket/plain"), try{}},
	} {
		doc := policy(`{"Effect":"Allow","Principal":"*","Action":"s3:` + tt.action + `","Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"],"Condition":{` + tt.condition + `}}`)
		owner.ok("PUT", "/bucket?policy", doc)
		if try := tt.allowed; try.method != "" {
			if a := other.do(try.method, try.target, try.body, try.headers...); a.StatusCode/100 != 2 {
				t.Errorf("%s: %+v: %d %s", tt.condition, try, a.StatusCode, a.body)
			}
		}
		if try := tt.denied; try.method != "" {
			if a := other.do(try.method, try.target, try.body, try.headers...); a.StatusCode != http.StatusForbidden {
				t.Errorf("%s: %+v: %d", tt.condition, try, a.StatusCode)
			}
		}
	}
}

// TestMissingKeysAreToldToWhoMayList: as of a listing with the key as prefix.
func TestMissingKeysAreToldToWhoMayList(t *testing.T) {
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/bucket", "")
	owner.ok("PUT", "/bucket?policy", policy(`{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bucket","Condition":{"StringLike":{"s3:prefix":"public/*"}}}`))
	for _, c := range []*caller{other, r.anonymous()} {
		c.fails(s3.NoSuchKey, "GET", "/bucket/public/none", "")
		c.fails(s3.NoSuchKey, "HEAD", "/bucket/public/none", "")
		c.denied("GET", "/bucket/private/none", "")
		c.denied("HEAD", "/bucket/private/none", "")
	}
}
