package gateway

import (
	"net/http"
	"slices"
	"testing"

	"github.com/undercroft/undercroft/s3"
)

// blocks is the document of a public access block with these settings on.
func blocks(on ...string) string {
	b := s3.PublicAccessBlock{
		BlockPublicACLs: slices.Contains(on, "BlockPublicAcls"), IgnorePublicACLs: slices.Contains(on, "IgnorePublicAcls"),
		BlockPublicPolicy: slices.Contains(on, "BlockPublicPolicy"), RestrictPublicBuckets: slices.Contains(on, "RestrictPublicBuckets"),
	}
	return string(b.AppendXML(nil))
}

func TestPublicAccessBlock(t *testing.T) {
	r := newRealm(t)
	owner := r.newAccount("owner")
	owner.ok("PUT", "/bucket", "")
	owner.fails(s3.NoSuchPublicAccessBlock, "GET", "/bucket?publicAccessBlock", "")
	for _, setting := range []string{"BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"} {
		owner.ok("PUT", "/bucket?publicAccessBlock", blocks(setting))
		if a := owner.ok("GET", "/bucket?publicAccessBlock", ""); a.body != blocks(setting) {
			t.Error(a.body)
		}
	}
	owner.fails(s3.MalformedXML, "PUT", "/bucket?publicAccessBlock", "<Other/>")
	owner.fails(s3.MissingRequestBodyError, "PUT", "/bucket?publicAccessBlock", "")
	for range 2 {
		if a := owner.ok("DELETE", "/bucket?publicAccessBlock", ""); a.StatusCode != http.StatusNoContent {
			t.Errorf("DELETE: %d", a.StatusCode)
		}
	}
}

func TestBlockPublicACLs(t *testing.T) {
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/bucket", "")
	owner.ok("PUT", "/bucket/key", "body")
	owner.ok("PUT", "/bucket?publicAccessBlock", blocks("BlockPublicAcls"))
	for _, headers := range [][]string{
		{"x-amz-acl", "public-read"}, {"x-amz-acl", "public-read-write"}, {"x-amz-acl", "authenticated-read"}, {"x-amz-grant-read", allUsers},
	} {
		owner.denied("PUT", "/bucket?acl", "", headers...)
		owner.denied("PUT", "/bucket/key?acl", "", headers...)
		owner.denied("PUT", "/bucket/new", "", headers...)
		owner.denied("PUT", "/bucket/new", "", append(headers, "x-amz-copy-source", "/bucket/key")...)
		owner.denied("POST", "/bucket/new?uploads", "", headers...)
		owner.denied("PUT", "/bucket", "", headers...)
	}
	owner.ok("PUT", "/bucket?acl", "", "x-amz-acl", "private")
	owner.ok("PUT", "/bucket/key", "body", "x-amz-grant-read", "id="+other.id())
	other.ok("GET", "/bucket/key", "")
}

func TestIgnorePublicACLs(t *testing.T) {
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/bucket", "", "x-amz-acl", "public-read")
	owner.ok("PUT", "/bucket/key", "body", "x-amz-acl", "public-read")
	owner.ok("PUT", "/bucket/granted", "body", "x-amz-grant-read", "id="+other.id())
	other.ok("GET", "/bucket", "")
	r.anonymous().ok("GET", "/bucket/key", "")
	owner.ok("PUT", "/bucket?publicAccessBlock", blocks("IgnorePublicAcls"))
	owner.ok("PUT", "/bucket?acl", "", "x-amz-acl", "public-read") // may be set, and does not count
	for _, c := range []*caller{other, r.anonymous()} {
		c.denied("GET", "/bucket", "")
		c.denied("GET", "/bucket/key", "")
	}
	other.ok("GET", "/bucket/granted", "")
}

func TestPublicPolicies(t *testing.T) {
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	public := allow("s3:GetObject", "bucket/*")
	named := statement("Allow", `{"AWS":"`+string(other.account.ID)+`"}`, "s3:GetObject", "bucket/*")
	owner.ok("PUT", "/bucket", "")
	owner.ok("PUT", "/bucket/key", "body")
	owner.ok("PUT", "/bucket?publicAccessBlock", blocks("BlockPublicPolicy"))
	owner.denied("PUT", "/bucket?policy", public)
	owner.ok("PUT", "/bucket?policy", named)
	other.ok("GET", "/bucket/key", "")
	owner.ok("DELETE", "/bucket?publicAccessBlock", "")
	owner.ok("PUT", "/bucket?policy", public)
	r.anonymous().ok("GET", "/bucket/key", "")
	owner.ok("PUT", "/bucket?publicAccessBlock", blocks("RestrictPublicBuckets"))
	r.anonymous().denied("GET", "/bucket/key", "")
	other.denied("GET", "/bucket/key", "")
	owner.ok("GET", "/bucket/key", "")
}
