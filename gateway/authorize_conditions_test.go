package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/s3"
)

// when is a statement about everybody that holds under a condition.
func when(effect, action, resource, condition string) string {
	return fmt.Sprintf(`{"Effect":%q,"Principal":"*","Action":%q,"Resource":"arn:aws:s3:::%s","Condition":{%s}}`,
		effect, action, resource, condition)
}

// TestConditionsAreAboutWhatCounts: of a header or a parameter that is there
// twice, a policy sees what the operation obeys, and no more.
func TestConditionsAreAboutWhatCounts(t *testing.T) {
	const control = "bucket-owner-full-control"
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/bucket", "")
	owner.ok("PUT", "/bucket/secret/key", "body")
	twice := []string{"x-amz-acl", "private", "x-amz-acl", control}
	for _, p := range []string{
		policy(when("Allow", "s3:PutObject", "bucket/*", `"StringEquals":{"s3:x-amz-acl":"`+control+`"}`)),
		policy(allowed("s3:PutObject"),
			when("Deny", "s3:PutObject", "bucket/*", `"StringNotEquals":{"s3:x-amz-acl":"`+control+`"}`)),
		policy(allowed("s3:PutObject"),
			when("Deny", "s3:PutObject", "bucket/*", `"Null":{"s3:x-amz-acl":"true"}`)),
	} {
		owner.ok("PUT", "/bucket?policy", p)
		other.denied("PUT", "/bucket/key", "body")
		other.ok("PUT", "/bucket/key", "body", "x-amz-acl", control)
		if !strings.Contains(p, "Null") {
			other.denied("PUT", "/bucket/key", "body", twice...)
			other.denied("POST", "/bucket/key?uploads", "", twice...)
		}
		other.denied("PUT", "/bucket/key", "body", "x-amz-acl", "")
	}
	mine := "id=" + owner.id()
	owner.ok("PUT", "/bucket?policy", policy(
		when("Allow", "s3:PutObject", "bucket/*", `"StringEquals":{"s3:x-amz-grant-full-control":"`+mine+`"}`)))
	other.ok("PUT", "/bucket/key", "body", "x-amz-grant-full-control", mine)
	other.denied("PUT", "/bucket/key", "body", "x-amz-grant-full-control", mine, "x-amz-grant-full-control", "id="+other.id())

	owner.ok("PUT", "/bucket?policy", policy(when("Allow", "s3:ListBucket", "bucket", `"StringEquals":{"s3:prefix":"home/"}`)))
	other.ok("GET", "/bucket?prefix=home/", "")
	for _, target := range []string{"/bucket?prefix=&prefix=home/", "/bucket?list-type=2&prefix=secret/&prefix=home/"} {
		r.anonymous().denied("GET", target, "")
	}
}

// TestVersionsDecideWhereverTheyAreNamed: in a query, in the source of a copy,
// and in a list of deletions.
func TestVersionsDecideWhereverTheyAreNamed(t *testing.T) {
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/bucket", "")
	owner.ok("PUT", "/bucket?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	kept := owner.ok("PUT", "/bucket/key", "one").Header.Get("x-amz-version-id")
	open := owner.ok("PUT", "/bucket/key", "two").Header.Get("x-amz-version-id")
	named := `"StringEquals":{"s3:VersionId":` + fmt.Sprintf("%q", kept) + `}`
	owner.ok("PUT", "/bucket?policy", policy(
		`{"Effect":"Allow","Principal":"*","Action":["s3:GetObjectVersion","s3:DeleteObjectVersion"],"Resource":"arn:aws:s3:::bucket/*"}`,
		when("Deny", "s3:GetObjectVersion", "bucket/*", named), when("Deny", "s3:DeleteObjectVersion", "bucket/*", named)))
	other.ok("PUT", "/copies", "")
	other.ok("PUT", "/copies/key", "", "x-amz-copy-source", "/bucket/key?versionId="+url.QueryEscape(open))
	other.denied("PUT", "/copies/key", "", "x-amz-copy-source", "/bucket/key?versionId="+url.QueryEscape(kept))
	upload := "/copies/parts?partNumber=1&uploadId=" + uploadIn(t, other.ok("POST", "/copies/parts?uploads", "").body)
	other.denied("PUT", upload, "", "x-amz-copy-source", "/bucket/key?versionId="+url.QueryEscape(kept))
	for _, version := range []string{kept, open} {
		body := "<Delete><Object><Key>key</Key><VersionId>" + version + "</VersionId></Object></Delete>"
		a := other.ok("POST", "/bucket?delete", body, "Content-MD5", md5Of(body))
		if denied := strings.Contains(a.body, string(s3.AccessDenied)); denied != (version == kept) {
			t.Error(a.body)
		}
	}
	owner.ok("DELETE", "/bucket?policy", "")
	owner.ok("GET", "/bucket/key?versionId="+kept, "")
}

// TestOwnershipDecidesAsTheDocumentSays: the condition key of the header is
// that of the document where there is one.
func TestOwnershipDecidesAsTheDocumentSays(t *testing.T) {
	r := newRealm(t)
	owner := r.newAccount("owner")
	user := owner.user("user", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:PutBucketOwnershipControls","Resource":"*",
		"Condition":{"StringEquals":{"s3:x-amz-object-ownership":"BucketOwnerEnforced"}}}}`)
	owner.ok("PUT", "/bucket", "")
	user.denied("PUT", "/bucket?ownershipControls", ownership(s3.ObjectWriter), "x-amz-object-ownership", "BucketOwnerEnforced")
	user.denied("PUT", "/bucket?ownershipControls", ownership(s3.ObjectWriter))
	r.anonymous().denied("PUT", "/bucket?ownershipControls", ownership(s3.BucketOwnerEnforced))
	user.ok("PUT", "/bucket?ownershipControls", ownership(s3.BucketOwnerEnforced))
}

// TestCreatingAgainChangesNoListPastTheBucketsPolicy: the list of a bucket that
// is there is changed by who may put it.
func TestCreatingAgainChangesNoListPastTheBucketsPolicy(t *testing.T) {
	r := newRealm(t)
	owner := r.newAccount("owner")
	everything := owner.user("everything", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`)
	creator := owner.user("creator", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:CreateBucket","Resource":"*"}}`)
	owner.ok("PUT", "/bucket", "")
	creator.ok("PUT", "/bucket", "")
	owner.ok("PUT", "/bucket?policy", statement("Deny", `"*"`, "s3:PutBucketAcl", "bucket"))
	everything.denied("PUT", "/bucket?acl", "", "x-amz-acl", "public-read")
	everything.denied("PUT", "/bucket", "", "x-amz-acl", "public-read")
	owner.wantACL("/bucket?acl", "owner", "owner=FULL_CONTROL")
	owner.ok("PUT", "/open", "", "x-amz-acl", "public-read")
	creator.denied("PUT", "/open", "")
	owner.wantACL("/open?acl", "owner", "AllUsers=READ", "owner=FULL_CONTROL")
	owner.ok("PUT", "/open", "")
	owner.wantACL("/open?acl", "owner", "owner=FULL_CONTROL")
}

// TestTagsThatDifferInCaseAllCount: condition keys have no case, tags have.
func TestTagsThatDifferInCaseAllCount(t *testing.T) {
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/bucket", "")
	owner.ok("PUT", "/bucket/key", "body", "x-amz-tagging", "class=secret&Class=public")
	owner.ok("PUT", "/bucket?policy", policy(
		allowed("s3:GetObject"),
		when("Deny", "s3:GetObject", "bucket/*", `"StringEquals":{"s3:ExistingObjectTag/class":"secret"}`)))
	other.denied("GET", "/bucket/key", "")
}

// TestPresignedBodiesAreUnsigned: a policy that refuses unsigned bodies refuses
// presigned uploads, whatever whoever has the URL says of the body.
func TestPresignedBodiesAreUnsigned(t *testing.T) {
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	r := newRealm(t)
	owner := r.root()
	owner.ok("PUT", "/bucket", "")
	owner.ok("PUT", "/bucket?policy", policy(
		when("Deny", "s3:PutObject", "bucket/*", `"StringEquals":{"s3:x-amz-content-sha256":"UNSIGNED-PAYLOAD"}`)))
	owner.ok("PUT", "/bucket/key", "body")
	for _, added := range []string{"", "UNSIGNED-PAYLOAD", empty} {
		request := r.presigned("PUT", "/bucket/key")
		if added != "" {
			request.Header.Set("X-Amz-Content-Sha256", added)
		}
		if a := r.send(request); a.StatusCode != http.StatusForbidden || a.failure(t).Code != s3.AccessDenied {
			t.Errorf("%q: %d %s", added, a.StatusCode, a.body)
		}
	}
}

// TestTagsOfNewBucketsDecide: a policy may say which tags a bucket is made with.
func TestTagsOfNewBucketsDecide(t *testing.T) {
	r := newRealm(t)
	owner := r.newAccount("owner")
	statement := func(effect, key string) string {
		return `{"Effect":"` + effect + `","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"` + key + `":"secret"}}}`
	}
	made := func(tag string) string {
		return "<CreateBucketConfiguration><Tags><Tag><Key>" + tag + "</Key><Value>secret</Value></Tag></Tags></CreateBucketConfiguration>"
	}
	only := owner.user("only", policy(statement("Allow", "aws:RequestTag/class")))
	only.ok("PUT", "/only", made("class"))
	only.denied("PUT", "/others", made("other"))
	only.denied("PUT", "/others", "")
	never := owner.user("never", policy(`{"Effect":"Allow","Action":"s3:*","Resource":"*"}`, statement("Deny", "aws:RequestTag/class"),
		`{"Effect":"Deny","Action":"s3:TagResource","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"aws:TagKeys":"key"}}}`))
	never.denied("PUT", "/never", made("class"))
	never.denied("PUT", "/never", made("key"))
	never.ok("PUT", "/never", made("other"))
}

// TestEachValueOfAHeaderIsRefused: a harmless first one hides no other.
func TestEachValueOfAHeaderIsRefused(t *testing.T) {
	s := newServer(t)
	s.ok("PUT", "/new", "", "x-amz-bucket-namespace", "global", "x-amz-bucket-namespace", "global")
	s.expect(s3.NotImplemented, "PUT", "/new", "", "x-amz-bucket-namespace", "global", "x-amz-bucket-namespace", "account-regional")
	s.expect(s3.InvalidStorageClass, "PUT", "/bucket/key", "body", "x-amz-storage-class", "STANDARD", "x-amz-storage-class", "GLACIER")
}

// TestCopiedTagsDecide: a copy that keeps tags sets those of its source, and
// not what a header says beside.
func TestCopiedTagsDecide(t *testing.T) {
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/bucket", "")
	other.ok("PUT", "/sources", "")
	for _, class := range []string{"public", "secret"} {
		other.ok("PUT", "/sources/"+class, "body", "x-amz-tagging", "class="+class)
	}
	copies := func(source string, headers ...string) *answer {
		t.Helper()
		return other.do("PUT", "/bucket/"+source, "", append(headers, "x-amz-copy-source", "/sources/"+source)...)
	}
	const public = `"StringEquals":{"s3:RequestObjectTag/class":"public"}`
	owner.ok("PUT", "/bucket?policy", policy(allowed("s3:PutObject"), when("Allow", "s3:PutObjectTagging", "bucket/*", public)))
	for _, tt := range []struct {
		source  string
		headers []string
		status  int
	}{
		{"public", nil, http.StatusOK},
		{"secret", nil, http.StatusForbidden},
		{"secret", []string{"x-amz-tagging", "class=public"}, http.StatusForbidden},
		{"secret", []string{"x-amz-tagging", "class=public", "x-amz-tagging-directive", "REPLACE"}, http.StatusOK},
		{"public", []string{"x-amz-tagging", "class=secret", "x-amz-tagging-directive", "REPLACE"}, http.StatusForbidden},
	} {
		if a := copies(tt.source, tt.headers...); a.StatusCode != tt.status {
			t.Errorf("%s %q: %d %s", tt.source, tt.headers, a.StatusCode, a.body)
		}
	}
	owner.ok("PUT", "/bucket?policy", policy(when("Allow", "s3:PutObject*", "bucket/*", public)))
	if a := copies("secret", "x-amz-tagging", "class=public"); a.StatusCode != http.StatusForbidden {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

// allowed is a statement that allows everybody something in the bucket.
func allowed(action string) string {
	return fmt.Sprintf(`{"Effect":"Allow","Principal":"*","Action":%q,"Resource":"arn:aws:s3:::bucket/*"}`, action)
}
