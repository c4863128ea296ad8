package gateway

import (
	"net/http"
	"testing"

	"github.com/undercroft/undercroft/s3"
)

func ownership(o s3.ObjectOwnership) string { return string(o.AppendXML(nil)) }

func TestOwnershipControls(t *testing.T) {
	r := newRealm(t)
	owner := r.newAccount("owner")
	owner.ok("PUT", "/bucket", "")
	owner.fails(s3.OwnershipControlsNotFoundError, "GET", "/bucket?ownershipControls", "")
	for _, o := range []s3.ObjectOwnership{s3.BucketOwnerPreferred, s3.ObjectWriter, s3.BucketOwnerEnforced} {
		owner.ok("PUT", "/bucket?ownershipControls", ownership(o))
		if a := owner.ok("GET", "/bucket?ownershipControls", ""); a.body != ownership(o) {
			t.Error(a.body)
		}
	}
	owner.fails(s3.MalformedXML, "PUT", "/bucket?ownershipControls", "<OwnershipControls/>")
	owner.fails(s3.MissingRequestBodyError, "PUT", "/bucket?ownershipControls", "")
	for range 2 {
		if a := owner.ok("DELETE", "/bucket?ownershipControls", ""); a.StatusCode != http.StatusNoContent {
			t.Errorf("DELETE: %d", a.StatusCode)
		}
	}
	owner.fails(s3.OwnershipControlsNotFoundError, "GET", "/bucket?ownershipControls", "")
	owner.ok("PUT", "/preferred", "", "x-amz-object-ownership", "BucketOwnerPreferred")
	if a := owner.ok("GET", "/preferred?ownershipControls", ""); a.body != ownership(s3.BucketOwnerPreferred) {
		t.Error(a.body)
	}
	owner.fails(s3.InvalidArgument, "PUT", "/bad-bucket", "", "x-amz-object-ownership", "Nobody")
	owner.fails(s3.InvalidBucketACLWithOwnership, "PUT", "/bad-bucket", "", "x-amz-object-ownership", "BucketOwnerEnforced", "x-amz-acl", "public-read")
	owner.ok("PUT", "/enforced", "", "x-amz-object-ownership", "BucketOwnerEnforced", "x-amz-acl", "private")
}

// TestNewBucketsAreAsAtAWS: without settings, ACLs are off and all public
// access is blocked.
func TestNewBucketsAreAsAtAWS(t *testing.T) {
	r := newRealm(t, func(o *Options) { o.ObjectOwnership, o.PublicAccess = "", false })
	owner := r.newAccount("owner")
	owner.ok("PUT", "/bucket", "")
	if a := owner.ok("GET", "/bucket?ownershipControls", ""); a.body != ownership(s3.BucketOwnerEnforced) {
		t.Error(a.body)
	}
	if a := owner.ok("GET", "/bucket?publicAccessBlock", ""); a.body != blocks("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets") {
		t.Error(a.body)
	}
	owner.fails(s3.AccessControlListNotSupported, "PUT", "/bucket/key", "body", "x-amz-acl", "public-read")
	owner.ok("PUT", "/bucket/key", "body", "x-amz-acl", "private") // the same as none, to the owner
	owner.fails(s3.AccessControlListNotSupported, "PUT", "/bucket/key?acl", "", "x-amz-acl", "private")
	owner.denied("PUT", "/bucket?policy", allow("s3:GetObject", "bucket/*"))
	owner.denied("PUT", "/public", "", "x-amz-object-ownership", "ObjectWriter", "x-amz-acl", "public-read")
	owner.fails(s3.InvalidBucketACLWithOwnership, "PUT", "/public", "", "x-amz-acl", "public-read")
}

// TestOwnershipOfWhatOthersWrite writes into each kind of bucket by each way.
func TestOwnershipOfWhatOthersWrite(t *testing.T) {
	r := newRealm(t)
	owner, writer := r.newAccount("owner"), r.newAccount("writer")
	for _, tt := range []struct {
		ownership               s3.ObjectOwnership
		plain, control, private string // the owner; empty where the ACL is refused
	}{
		{s3.BucketOwnerEnforced, "owner", "owner", ""},
		{s3.BucketOwnerPreferred, "writer", "owner", "writer"},
		{s3.ObjectWriter, "writer", "writer", "writer"},
	} {
		bucket := map[s3.ObjectOwnership]string{s3.BucketOwnerEnforced: "/enforced", s3.BucketOwnerPreferred: "/preferred", s3.ObjectWriter: "/writer"}[tt.ownership]
		owner.ok("PUT", bucket, "", "x-amz-object-ownership", string(tt.ownership))
		owner.ok("PUT", bucket+"?policy", policy(`{"Effect":"Allow","Principal":"*","Action":"*","Resource":["arn:aws:s3:::`+bucket[1:]+`","arn:aws:s3:::`+bucket[1:]+`/*"]}`))
		writer.ok("PUT", bucket+"/source", "body")
		for acl, want := range map[string]string{"": tt.plain, "bucket-owner-full-control": tt.control, "private": tt.private} {
			var headers []string
			if acl != "" {
				headers = []string{"x-amz-acl", acl}
			}
			copied := append([]string{"x-amz-copy-source", bucket + "/source"}, headers...)
			if want == "" {
				writer.fails(s3.AccessControlListNotSupported, "PUT", bucket+"/put", "body", headers...)
				writer.fails(s3.AccessControlListNotSupported, "PUT", bucket+"/copy", "", copied...)
				writer.fails(s3.AccessControlListNotSupported, "POST", bucket+"/upload?uploads", "", headers...)
				writer.fails(s3.AccessControlListNotSupported, "PUT", bucket+"?acl", "", headers...)
				writer.fails(s3.AccessControlListNotSupported, "PUT", bucket+"/source?acl", "", headers...)
				continue
			}
			writer.ok("PUT", bucket+"/put", "body", headers...)
			writer.ok("PUT", bucket+"/copy", "", copied...)
			for _, key := range []string{"/put", "/copy"} {
				if got, _ := writer.acl(bucket + key + "?acl"); got != want {
					t.Errorf("%s with %q belongs to %s, want %s", bucket+key, acl, got, want)
				}
			}
		}
	}
}

// TestEnforcingOwnershipTakesACLsAway: what is there stays, and counts again
// when ACLs come back.
func TestEnforcingOwnershipTakesACLsAway(t *testing.T) {
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/bucket", "", "x-amz-acl", "public-read")
	owner.ok("PUT", "/bucket/key", "body", "x-amz-acl", "public-read")
	owner.fails(s3.InvalidBucketACLWithOwnership, "PUT", "/bucket?ownershipControls", ownership(s3.BucketOwnerEnforced))
	owner.ok("PUT", "/bucket?acl", "", "x-amz-acl", "private")
	other.ok("GET", "/bucket/key", "")
	owner.ok("PUT", "/bucket?ownershipControls", ownership(s3.BucketOwnerEnforced))
	other.denied("GET", "/bucket/key", "")
	owner.wantACL("/bucket/key?acl", "owner", "owner=FULL_CONTROL")
	owner.wantACL("/bucket?acl", "owner", "owner=FULL_CONTROL")
	owner.ok("PUT", "/bucket/key?acl", "", "x-amz-acl", "bucket-owner-full-control")
	owner.ok("PUT", "/bucket?acl", aclOf(owner.id(), grantTo(owner.id(), "FULL_CONTROL")))
	owner.fails(s3.AccessControlListNotSupported, "PUT", "/bucket?acl", "", "x-amz-acl", "private")
	owner.ok("DELETE", "/bucket?ownershipControls", "")
	other.ok("GET", "/bucket/key", "")
}
