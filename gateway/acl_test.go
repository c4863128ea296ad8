package gateway

import (
	"strings"
	"testing"

	"github.com/undercroft/undercroft/s3"
)

func grantTo(id, permission string) string {
	return `<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>` + id +
		`</ID></Grantee><Permission>` + permission + `</Permission></Grant>`
}

func grantToEmail(email, permission string) string {
	return `<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="AmazonCustomerByEmail"><EmailAddress>` + email +
		`</EmailAddress></Grantee><Permission>` + permission + `</Permission></Grant>`
}

func aclOf(owner string, grants ...string) string {
	return `<AccessControlPolicy><Owner><ID>` + owner + `</ID></Owner><AccessControlList>` + strings.Join(grants, "") + `</AccessControlList></AccessControlPolicy>`
}

const allUsers = `uri="http://acs.amazonaws.com/groups/global/AllUsers"`

// TestACLsAreShownAsTheyWereSet sets each kind of list by each way on buckets
// and on objects.
func TestACLsAreShownAsTheyWereSet(t *testing.T) {
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/bucket", "")
	owner.ok("PUT", "/bucket/key", "body")
	for _, target := range []string{"/bucket?acl", "/bucket/key?acl"} {
		owner.wantACL(target, "owner", "owner=FULL_CONTROL")
		for _, tt := range []struct {
			body    string
			headers []string
			want    string
		}{
			{"", []string{"x-amz-acl", "public-read"}, "AllUsers=READ owner=FULL_CONTROL"},
			{"", []string{"x-amz-acl", "public-read-write"}, "AllUsers=READ AllUsers=WRITE owner=FULL_CONTROL"},
			{"", []string{"x-amz-acl", "authenticated-read"}, "AuthenticatedUsers=READ owner=FULL_CONTROL"},
			{"", []string{"x-amz-acl", "log-delivery-write"}, "LogDelivery=WRITE LogDelivery=READ_ACP owner=FULL_CONTROL"},
			{"", []string{"x-amz-acl", "bucket-owner-read"}, "owner=FULL_CONTROL"},
			{"", []string{"x-amz-grant-read", allUsers + `, id="` + other.id() + `"`}, "AllUsers=READ other=READ"},
			{"", []string{"x-amz-grant-read-acp", "emailAddress=other@example.test", "x-amz-grant-write", "id=" + other.id()}, "other=WRITE other=READ_ACP"},
			{aclOf(owner.id(), grantTo(other.id(), "WRITE_ACP"), grantToEmail("OTHER@example.test", "READ")), nil, "other=WRITE_ACP other=READ"},
			{aclOf(owner.id()), nil, ""},
			{"", []string{"x-amz-acl", "private"}, "owner=FULL_CONTROL"},
		} {
			owner.ok("PUT", target, tt.body, tt.headers...)
			owner.wantACL(target, "owner", strings.Fields(tt.want)...)
		}
	}
}

func TestACLsThatAreRefused(t *testing.T) {
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/bucket", "")
	owner.ok("PUT", "/bucket/key", "body")
	id := other.id()
	for _, target := range []string{"/bucket?acl", "/bucket/key?acl"} {
		for _, tt := range []struct {
			code    s3.Code
			body    string
			headers []string
		}{
			{s3.MissingSecurityHeader, "", nil},
			{s3.InvalidArgument, "", []string{"x-amz-acl", "everybody"}},
			{s3.NotImplemented, "", []string{"x-amz-acl", "aws-exec-read"}},
			{s3.InvalidRequest, "", []string{"x-amz-acl", "private", "x-amz-grant-read", "id=" + id}},
			{s3.UnexpectedContent, aclOf(owner.id()), []string{"x-amz-acl", "private"}},
			{s3.InvalidArgument, "", []string{"x-amz-grant-read", "id=nobody"}},
			{s3.InvalidArgument, "", []string{"x-amz-grant-read", "name=" + id}},
			{s3.InvalidArgument, "", []string{"x-amz-grant-read", id}},
			{s3.InvalidArgument, "", []string{"x-amz-grant-read", "id="}},
			{s3.InvalidArgument, "", []string{"x-amz-grant-read", "uri=http://example.test/group"}},
			{s3.UnresolvableGrantByEmailAddress, "", []string{"x-amz-grant-read", "emailAddress=nobody@example.test"}},
			{s3.MalformedACLError, "", []string{"x-amz-grant-read", strings.TrimSuffix(strings.Repeat("id="+id+",", s3.MaxGrants+1), ",")}},
			{s3.MalformedACLError, "<AccessControlPolicy/>", nil},
			{s3.MalformedACLError, "hello", nil},
			{s3.InvalidArgument, aclOf(owner.id(), grantTo("_foo", "READ")), nil},
			{s3.UnresolvableGrantByEmailAddress, aclOf(owner.id(), grantToEmail("nobody@example.test", "READ")), nil},
			{s3.AccessDenied, aclOf(id, grantTo(id, "READ")), nil},
		} {
			owner.fails(tt.code, "PUT", target, tt.body, tt.headers...)
		}
		owner.wantACL(target, "owner", "owner=FULL_CONTROL")
	}
}

// TestBucketACLPermissions grants one permission and tries what each gives.
func TestBucketACLPermissions(t *testing.T) {
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/bucket", "")
	owner.ok("PUT", "/bucket/key", "body")
	tries := []struct {
		permission, method, target, body string
		headers                          []string
	}{
		{"READ", "GET", "/bucket", "", nil},
		{"READ", "HEAD", "/bucket", "", nil},
		{"READ", "GET", "/bucket?uploads", "", nil},
		{"WRITE", "PUT", "/bucket/new", "body", nil},
		{"WRITE", "DELETE", "/bucket/new", "", nil},
		{"READ_ACP", "GET", "/bucket?acl", "", nil},
		{"WRITE_ACP", "PUT", "/bucket?acl", "", nil}, // with the same list again
		{"", "GET", "/bucket/key", "", nil},
		{"", "GET", "/bucket?policy", "", nil},
		{"", "GET", "/bucket?location", "", nil},
		{"", "DELETE", "/bucket", "", nil},
	}
	for _, permission := range []string{"READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"} {
		list := aclOf(owner.id(), grantTo(owner.id(), "FULL_CONTROL"), grantTo(other.id(), permission))
		owner.ok("PUT", "/bucket?acl", list)
		for _, try := range tries {
			body := try.body
			if try.permission == "WRITE_ACP" {
				body = list
			}
			if try.permission != "" && (permission == try.permission || permission == "FULL_CONTROL") {
				other.ok(try.method, try.target, body)
			} else {
				other.denied(try.method, try.target, body)
			}
			r.anonymous().denied(try.method, try.target, body)
		}
	}
}

func TestObjectACLPermissions(t *testing.T) {
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/bucket", "")
	owner.ok("PUT", "/bucket/key", "body")
	for _, permission := range []string{"READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"} {
		list := aclOf(owner.id(), grantTo(owner.id(), "FULL_CONTROL"), grantTo(other.id(), permission))
		owner.ok("PUT", "/bucket/key?acl", list)
		for _, try := range []struct{ permission, method, target, body string }{
			{"READ", "GET", "/bucket/key", ""},
			{"READ", "HEAD", "/bucket/key", ""},
			{"READ_ACP", "GET", "/bucket/key?acl", ""},
			{"WRITE_ACP", "PUT", "/bucket/key?acl", list},
			{"", "PUT", "/bucket/key", "body"},
			{"", "DELETE", "/bucket/key", ""},
			{"", "GET", "/bucket/none", ""},
		} {
			if try.permission != "" && (permission == try.permission || permission == "FULL_CONTROL") {
				other.ok(try.method, try.target, try.body)
			} else {
				other.denied(try.method, try.target, try.body)
			}
		}
	}
}

// TestStrangersLearnNoAccounts: who may not set a list gets the same answer
// whomever it names.
func TestStrangersLearnNoAccounts(t *testing.T) {
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/bucket", "")
	owner.ok("PUT", "/bucket/key", "body")
	for _, c := range []*caller{other, r.anonymous()} {
		for _, target := range []string{"/bucket?acl", "/bucket/key?acl", "/bucket/new"} {
			for _, grantee := range []string{"emailAddress=other@example.test", "emailAddress=nobody@example.test", "id=nobody"} {
				c.denied("PUT", target, "", "x-amz-grant-read", grantee)
			}
		}
	}
}

func FuzzParseGrants(f *testing.F) {
	f.Add(`id="a", uri=b,emailAddress="c@d"`)
	f.Add(`id=,`)
	f.Add(`id="a""`)
	f.Fuzz(func(t *testing.T, header string) {
		grants, err := parseGrants(grantHeaders()[0], header)
		if err != nil {
			if s3.CodeOf(err) != s3.InvalidArgument || len(grants) != 0 {
				t.Errorf("%v with %v", grants, err)
			}
			return
		}
		for _, g := range grants {
			if g.Type == "" || g.Grantee == "" || g.Permission != s3.PermissionRead || !strings.Contains(header, g.Grantee) {
				t.Errorf("%q gives %+v", header, g)
			}
		}
	})
}

func TestACLsOfNewObjects(t *testing.T) {
	r := newRealm(t)
	owner, writer, reader := r.newAccount("owner"), r.newAccount("writer"), r.newAccount("reader")
	owner.ok("PUT", "/bucket", "", "x-amz-acl", "public-read-write")
	owner.ok("PUT", "/bucket/source", "body", "x-amz-acl", "public-read")
	made := map[string]func(key string, headers ...string){
		"put": func(key string, headers ...string) { writer.ok("PUT", key, "body", headers...) },
		"copy": func(key string, headers ...string) {
			writer.ok("PUT", key, "", append(headers, "x-amz-copy-source", "bucket/source")...)
		},
		"upload": func(key string, headers ...string) {
			upload := uploadIn(t, writer.ok("POST", key+"?uploads", "", headers...).body)
			tag := writer.ok("PUT", key+"?partNumber=1&uploadId="+upload, "body").Header.Get("ETag")
			writer.ok("POST", key+"?uploadId="+upload, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"+tag+"</ETag></Part></CompleteMultipartUpload>")
		},
	}
	for name, put := range made {
		key := "/bucket/" + name
		put(key)
		writer.wantACL(key+"?acl", "writer", "writer=FULL_CONTROL")
		owner.denied("GET", key, "") // it is the writer's
		owner.denied("GET", key+"?acl", "")
		put(key, "x-amz-acl", "bucket-owner-full-control")
		writer.wantACL(key+"?acl", "writer", "writer=FULL_CONTROL", "owner=FULL_CONTROL")
		owner.ok("GET", key, "")
		reader.denied("GET", key, "")
		put(key, "x-amz-acl", "bucket-owner-read")
		owner.ok("GET", key, "")
		owner.denied("GET", key+"?acl", "")
		writer.denied("PUT", key+"?acl", "", "x-amz-acl", "private", "x-amz-expected-bucket-owner", string(writer.account.ID))
		owner.ok("DELETE", key, "") // in its own bucket
	}
	if _, err := r.directory.ByEmail(t.Context(), "reader@example.test"); err != nil {
		t.Fatal(err)
	}
	// Somebody else's ACL needs a permission of its own.
	owner.ok("PUT", "/policied", "")
	owner.ok("PUT", "/policied?policy", allow("s3:PutObject", "policied/*"))
	writer.ok("PUT", "/policied/a", "body")
	writer.ok("PUT", "/policied/a", "body", "x-amz-grant-full-control", "id="+owner.id())
	writer.denied("PUT", "/policied/a", "body", "x-amz-grant-read", "id="+reader.id())
	writer.denied("PUT", "/policied/a", "body", "x-amz-acl", "public-read")
	owner.ok("PUT", "/policied?policy", allow("s3:PutObject*", "policied/*"))
	writer.ok("PUT", "/policied/a", "body", "x-amz-acl", "public-read")
	reader.ok("GET", "/policied/a", "")
}

// TestACLsOfWhoMayWriteByACL: what a writer owns is its own affair.
func TestACLsOfWhoMayWriteByACL(t *testing.T) {
	r := newRealm(t)
	owner, writer := r.newAccount("owner"), r.newAccount("writer")
	limited := writer.user("limited", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"}}`)
	owner.ok("PUT", "/bucket", "", "x-amz-acl", "public-read-write")
	for _, c := range []*caller{writer, r.anonymous()} {
		c.ok("PUT", "/bucket/key", "body", "x-amz-acl", "public-read")
		r.anonymous().ok("GET", "/bucket/key", "")
	}
	limited.ok("PUT", "/bucket/key", "body")
	limited.denied("PUT", "/bucket/key", "body", "x-amz-acl", "public-read")
	owner.ok("PUT", "/bucket?policy", statement("Deny", `"*"`, "s3:PutObjectAcl", "bucket/*"))
	for _, c := range []*caller{writer, r.anonymous()} {
		c.ok("PUT", "/bucket/key", "body")
		c.denied("PUT", "/bucket/key", "body", "x-amz-acl", "public-read")
	}
}

func TestCreatingABucketAgainResetsItsACL(t *testing.T) {
	r := newRealm(t)
	owner := r.newAccount("owner")
	owner.ok("PUT", "/bucket", "", "x-amz-acl", "public-read")
	owner.wantACL("/bucket?acl", "owner", "AllUsers=READ", "owner=FULL_CONTROL")
	owner.ok("PUT", "/bucket", "")
	owner.wantACL("/bucket?acl", "owner", "owner=FULL_CONTROL")
	owner.ok("PUT", "/bucket", "", "x-amz-acl", "authenticated-read")
	owner.wantACL("/bucket?acl", "owner", "AuthenticatedUsers=READ", "owner=FULL_CONTROL")
	owner.fails(s3.BucketAlreadyOwnedByYou, "PUT", "/bucket", "", "x-amz-object-ownership", "BucketOwnerEnforced")
	const tagged = "<CreateBucketConfiguration><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></CreateBucketConfiguration>"
	owner.fails(s3.BucketAlreadyOwnedByYou, "PUT", "/bucket", tagged)
	owner.ok("PUT", "/tagged", tagged)
	owner.ok("PUT", "/tagged", tagged)
	owner.ok("PUT", "/enforced", "", "x-amz-object-ownership", "BucketOwnerEnforced")
	owner.ok("PUT", "/enforced", "", "x-amz-acl", "private")
	owner.fails(s3.InvalidBucketACLWithOwnership, "PUT", "/enforced", "", "x-amz-acl", "public-read")
}

func TestAnonymousAccess(t *testing.T) {
	r := newRealm(t)
	owner, nobody := r.newAccount("owner"), r.anonymous()
	owner.ok("PUT", "/bucket", "", "x-amz-acl", "public-read-write")
	nobody.ok("PUT", "/bucket/key", "body")
	nobody.ok("GET", "/bucket", "")
	nobody.fails(s3.NoSuchKey, "GET", "/bucket/none", "")
	nobody.ok("DELETE", "/bucket/key", "")
	owner.ok("PUT", "/bucket/key", "body", "x-amz-acl", "authenticated-read")
	nobody.denied("GET", "/bucket/key", "")
	r.newAccount("other").ok("GET", "/bucket/key", "")
	owner.ok("PUT", "/bucket?acl", "", "x-amz-acl", "private")
	nobody.denied("GET", "/bucket/none", "")
	nobody.denied("PUT", "/bucket/key", "body")
}
