package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// sample is a request of an operation that is decided on the version found:
// what it sends beyond what its row of the table says.
type sample struct {
	body    string
	headers []string
	code    s3.Code // with which the owner is refused; empty for none
}

func versionSamples() map[string]sample {
	const hold = "<LegalHold><Status>ON</Status></LegalHold>"
	const tagging = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
	return map[string]sample{
		"GetObject":           {},
		"HeadObject":          {},
		"GetObjectAttributes": {headers: []string{"x-amz-object-attributes", "ETag"}},
		"GetObjectAcl":        {},
		"PutObjectAcl":        {headers: []string{"x-amz-acl", "private"}},
		"GetObjectTagging":    {},
		"PutObjectTagging":    {body: tagging},
		"DeleteObjectTagging": {},
		"GetObjectTorrent":    {code: s3.NoSuchKey},
		"GetObjectLegalHold":  {code: s3.InvalidRequest}, // the bucket has no Object Lock
		"GetObjectRetention":  {code: s3.InvalidRequest},
		"PutObjectLegalHold":  {body: hold, headers: []string{"Content-Md5", md5Of(hold)}, code: s3.InvalidRequest},
		"PutObjectRetention":  {body: "<Retention/>", headers: []string{"Content-Md5", md5Of("<Retention/>")}, code: s3.InvalidRequest},
		"UpdateObjectEncryption": {
			body: "<ObjectEncryption><SSE-KMS><KMSKeyArn>k</KMSKeyArn></SSE-KMS></ObjectEncryption>", code: s3.InvalidRequest, // the object is not encrypted
		},
	}
}

// TestEveryOperationOnAVersionAsksAboutIt goes through the table: with no right
// but what the object's ACL and tags give, each operation that is decided on
// the version found must be refused, and must succeed for the owner. The
// gateway itself refuses an answer that nobody decided about.
func TestEveryOperationOnAVersionAsksAboutIt(t *testing.T) {
	r := newRealm(t)
	owner, other := r.root(), r.newAccount("other")
	owner.ok("PUT", "/bucket", "")
	owner.ok("PUT", "/bucket/key", "body")
	samples := versionSamples()
	checked := 0
	for _, op := range Operations() {
		if op.decided != onVersion || !op.Implemented() {
			continue
		}
		checked++
		s, ok := samples[op.Name]
		if !ok {
			t.Errorf("no sample of %s: add one to this test", op.Name)
			continue
		}
		target := "/bucket/key?" + strings.Join(op.Query, "&")
		missing := "/bucket/none?" + strings.Join(op.Query, "&")
		r.anonymous().denied(op.Method, target, s.body, s.headers...)
		other.denied(op.Method, target, s.body, s.headers...)
		other.denied(op.Method, missing, s.body, s.headers...)
		owner.fails(s3.NoSuchKey, op.Method, missing, s.body, s.headers...)
		if s.code != "" {
			owner.fails(s.code, op.Method, target, s.body, s.headers...)
			continue
		}
		owner.ok(op.Method, target, s.body, s.headers...)
	}
	if checked < 5 {
		t.Errorf("only %d operations were checked", checked)
	}
}

// TestAnswersWithoutADecisionAreNotSent takes the question away from each
// handler: what it answers must not reach the client.
func TestAnswersWithoutADecisionAreNotSent(t *testing.T) {
	s := newServer(t)
	s.objects.stored["key"] = fakeObject{Object: objects.Object{ETag: "secret-tag", Size: 6, Owner: fakeOwner()}, data: []byte("secret")}
	for _, ops := range s.gateway.router.table.byTarget {
		for _, op := range ops {
			if handle := op.handle; op.decided == onVersion && handle != nil {
				op.handle = func(g *Gateway, x *exchange) error {
					x.access = func(*objects.Object) error { return nil }
					return handle(g, x)
				}
			}
		}
	}
	for _, method := range []string{"GET", "HEAD"} {
		a := s.do(method, "/bucket/key", "")
		if a.StatusCode != http.StatusInternalServerError || strings.Contains(a.body, "secret") || a.Header.Get("Etag") != "" {
			t.Errorf("%s: %d %v %q", method, a.StatusCode, a.Header, a.body)
		}
	}
	if !strings.Contains(s.log.String(), "nobody decided") {
		t.Error("the log does not say why")
	}
}

// TestEveryRowIsDecided: what runs before anybody decided is listed here, and
// has to decide by itself.
func TestEveryRowIsDecided(t *testing.T) {
	byThemselves := map[string]decided{
		"CreateBucket": onBody, "PostObject": onBody, "PutBucketOwnershipControls": onBody, "DeleteObjects": onKeys,
		"PreflightBucket": onNothing, "PreflightObject": onNothing,
	}
	for _, op := range Operations() {
		if op.decided == onRequest || op.decided == onVersion {
			if op.Action == "" {
				t.Errorf("%s has no action to decide about", op.Name)
			}
			continue
		}
		if byThemselves[op.Name] != op.decided {
			t.Errorf("%s is decided otherwise than the others; if that is right, list it here", op.Name)
		}
	}
}

func TestDenialsAreLoggedWithTheirReason(t *testing.T) {
	r := newRealm(t)
	owner, other := r.root(), r.newAccount("other")
	owner.ok("PUT", "/bucket", "")
	owner.ok("PUT", "/bucket/key", "body")
	owner.ok("PUT", "/bucket?policy", policy(`{"Sid":"NoReaders","Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}`))
	a := other.do("GET", "/bucket/key", "")
	if a.StatusCode != http.StatusForbidden || strings.Contains(a.body, "NoReaders") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	id := a.Header.Get("x-amz-request-id")
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, "id="+id) {
			if !strings.Contains(line, "level=INFO") || !strings.Contains(line, "NoReaders") {
				t.Error(line)
			}
			return
		}
	}
	t.Errorf("request %s is not in the log", id)
}

func TestExpectedOwnersOfBucketAndSource(t *testing.T) {
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/bucket", "", "x-amz-acl", "public-read-write")
	owner.ok("PUT", "/bucket/key", "body", "x-amz-acl", "public-read")
	other.ok("PUT", "/copies", "")
	right, wrong := string(owner.account.ID), string(other.account.ID)
	for _, c := range []*caller{owner, other, r.anonymous()} {
		c.ok("GET", "/bucket/key", "", "x-amz-expected-bucket-owner", right)
		c.denied("GET", "/bucket/key", "", "x-amz-expected-bucket-owner", wrong)
		c.denied("PUT", "/bucket/key2", "body", "x-amz-expected-bucket-owner", owner.id()+"foo")
		c.denied("GET", "/bucket", "", "x-amz-expected-bucket-owner", wrong)
	}
	copySource := []string{"x-amz-copy-source", "/bucket/key", "x-amz-source-expected-bucket-owner"}
	other.ok("PUT", "/copies/key", "", append(copySource, right)...)
	other.denied("PUT", "/copies/key", "", append(copySource, wrong)...)
}

func TestBucketsOfOthers(t *testing.T) {
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/owned", "")
	other.ok("PUT", "/others", "")
	if body := other.ok("GET", "/", "").body; strings.Contains(body, "owned") || !strings.Contains(body, "others") {
		t.Errorf("%s", body)
	}
	other.fails(s3.BucketAlreadyExists, "PUT", "/owned", "")
	r.anonymous().denied("PUT", "/anybodys", "")
	r.anonymous().denied("GET", "/", "")
	for _, c := range []*caller{other, r.anonymous()} {
		c.denied("HEAD", "/owned", "")
		c.denied("GET", "/owned", "")
		c.denied("GET", "/owned?list-type=2", "")
		c.denied("DELETE", "/owned", "")
		c.denied("PUT", "/owned/key", "body")
		c.denied("DELETE", "/owned/key", "")
		c.denied("GET", "/owned?location", "")
		c.denied("GET", "/owned?acl", "")
		c.fails(s3.NoSuchBucket, "GET", "/nowhere/key", "")
		c.fails(s3.NoSuchBucket, "DELETE", "/nowhere/key", "")
	}
}

func TestUsersAreLimitedByTheirPolicies(t *testing.T) {
	r := newRealm(t)
	owner := r.newAccount("owner")
	nobody := owner.user("nobody", "")
	reader := owner.user("reader", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["s3:GetObject","s3:ListAllMyBuckets"],"Resource":"*"}}`)
	maker := owner.user("maker", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:CreateBucket","Resource":"*"}}`)
	owner.ok("PUT", "/bucket", "")
	owner.ok("PUT", "/bucket/key", "body")
	nobody.denied("GET", "/bucket/key", "")
	nobody.denied("GET", "/", "")
	nobody.denied("PUT", "/made", "")
	reader.ok("GET", "/bucket/key", "")
	reader.ok("GET", "/", "")
	reader.denied("GET", "/bucket/none", "") // it may not list
	reader.denied("PUT", "/bucket/key", "body")
	reader.denied("GET", "/bucket", "")
	maker.ok("PUT", "/made", "")
	maker.denied("PUT", "/made-too", "", "x-amz-acl", "private")
	maker.denied("PUT", "/made-too", "", "x-amz-object-ownership", "ObjectWriter")
	owner.ok("DELETE", "/made", "")
}

func TestAttributesNeedReading(t *testing.T) {
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/bucket", "")
	owner.ok("PUT", "/bucket/key", "body")
	owner.ok("PUT", "/bucket?policy", allow("s3:GetObjectAttributes", "bucket/*"))
	other.denied("GET", "/bucket/key?attributes", "", "x-amz-object-attributes", "ETag")
	owner.ok("PUT", "/bucket?policy", allow("s3:GetObject*", "bucket/*"))
	other.ok("GET", "/bucket/key?attributes", "", "x-amz-object-attributes", "ETag")
}

func TestDeleteObjectsDecidesEachKey(t *testing.T) {
	r := newRealm(t)
	owner, other := r.root(), r.newAccount("other")
	owner.ok("PUT", "/bucket", "")
	owner.ok("PUT", "/bucket/open/key", "body")
	owner.ok("PUT", "/bucket/shut/key", "body")
	owner.ok("PUT", "/bucket?policy", allow("s3:DeleteObject", "bucket/open/*"))
	const body = "<Delete><Object><Key>open/key</Key></Object><Object><Key>shut/key</Key></Object></Delete>"
	for _, c := range []*caller{other, r.anonymous()} {
		a := c.ok("POST", "/bucket?delete", body, "Content-MD5", md5Of(body))
		if !strings.Contains(a.body, "<Deleted><Key>open/key</Key></Deleted>") ||
			!strings.Contains(a.body, "<Error><Key>shut/key</Key><Code>AccessDenied</Code>") {
			t.Error(a.body)
		}
	}
	owner.fails(s3.NoSuchKey, "GET", "/bucket/open/key", "")
	owner.ok("GET", "/bucket/shut/key", "")
	if !strings.Contains(r.log.String(), `level=INFO msg="deletions denied"`) {
		t.Error("the log does not say that keys were refused")
	}
}

// TestCopiesNeedTheirSource: the source is decided with the version found.
func TestCopiesNeedTheirSource(t *testing.T) {
	r := newRealm(t)
	owner, other := r.root(), r.newAccount("other")
	owner.ok("PUT", "/source", "")
	owner.ok("PUT", "/source/open", "body", "x-amz-acl", "public-read")
	owner.ok("PUT", "/source/shut", "body")
	other.ok("PUT", "/target", "")
	other.ok("PUT", "/target/a", "", "x-amz-copy-source", "/source/open")
	other.denied("PUT", "/target/b", "", "x-amz-copy-source", "/source/shut")
	other.denied("PUT", "/target/b", "", "x-amz-copy-source", "/source/none")
	owner.denied("PUT", "/target/b", "", "x-amz-copy-source", "/source/open")
	r.anonymous().denied("PUT", "/target/b", "", "x-amz-copy-source", "/source/open")
	upload := uploadIn(t, other.ok("POST", "/target/c?uploads", "").body)
	part := "/target/c?partNumber=1&uploadId=" + upload
	other.ok("PUT", part, "", "x-amz-copy-source", "/source/open")
	other.denied("PUT", part, "", "x-amz-copy-source", "/source/shut")
	if body := other.ok("GET", "/target?list-type=2", "").body; strings.Contains(body, "<Key>b</Key>") {
		t.Error(body)
	}
}

// TestConditionsOfWritesTellOfWhatIsThere: they need the permission to read it.
func TestConditionsOfWritesTellOfWhatIsThere(t *testing.T) {
	r := newRealm(t)
	owner, writer := r.newAccount("owner"), r.newAccount("writer")
	owner.ok("PUT", "/bucket", "")
	tag := owner.ok("PUT", "/bucket/key", "body").Header.Get("ETag")
	owner.ok("PUT", "/bucket?policy", policy(`{"Effect":"Allow","Principal":"*","Action":["s3:PutObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::bucket/*"}`))
	body := "<Delete><Object><Key>key</Key><ETag>" + tag + "</ETag></Object></Delete>"
	for _, guess := range []string{tag, `"guess"`} {
		writer.denied("PUT", "/bucket/key", "new", "If-Match", guess)
		writer.denied("DELETE", "/bucket/key", "", "If-Match", guess)
	}
	if a := writer.ok("POST", "/bucket?delete", body, "Content-MD5", md5Of(body)); !strings.Contains(a.body, "<Code>AccessDenied</Code>") {
		t.Error(a.body)
	}
	writer.fails(s3.PreconditionFailed, "PUT", "/bucket/key", "new", "If-None-Match", "*")
	owner.ok("PUT", "/bucket?policy", policy(`{"Effect":"Allow","Principal":"*","Action":["s3:PutObject","s3:DeleteObject","s3:GetObject"],"Resource":"arn:aws:s3:::bucket/*"}`))
	writer.fails(s3.PreconditionFailed, "PUT", "/bucket/key", "new", "If-Match", `"guess"`)
	if a := writer.ok("POST", "/bucket?delete", body, "Content-MD5", md5Of(body)); !strings.Contains(a.body, "<Deleted><Key>key</Key>") {
		t.Error(a.body)
	}
}

// TestInitiatorsOfUploads: who began an upload is not who owns it, where the
// bucket's owner owns everything.
func TestInitiatorsOfUploads(t *testing.T) {
	r := newRealm(t)
	owner, writer := r.newAccount("owner"), r.newAccount("writer")
	owner.ok("PUT", "/bucket", "", "x-amz-object-ownership", "BucketOwnerEnforced")
	owner.ok("PUT", "/bucket?policy", allow("s3:PutObject", "bucket/*"))
	upload := uploadIn(t, writer.ok("POST", "/bucket/key?uploads", "").body)
	for _, a := range []*answer{owner.ok("GET", "/bucket?uploads", ""), writer.ok("GET", "/bucket/key?uploadId="+upload, "")} {
		if !strings.Contains(a.body, "<Initiator><ID>"+writer.id()) || !strings.Contains(a.body, "<Owner><ID>"+owner.id()) {
			t.Error(a.body)
		}
	}
	writer.ok("DELETE", "/bucket/key?uploadId="+upload, "")
}

func TestUploadsOfOthers(t *testing.T) {
	r := newRealm(t)
	owner, writer, other := r.root(), r.newAccount("writer"), r.newAccount("other")
	owner.ok("PUT", "/bucket", "", "x-amz-grant-write", "id="+writer.id())
	upload := uploadIn(t, writer.ok("POST", "/bucket/key?uploads", "").body)
	target := "/bucket/key?uploadId=" + upload
	writer.ok("PUT", target+"&partNumber=1", "body")
	writer.ok("GET", target, "")
	other.denied("GET", target, "")
	other.denied("DELETE", target, "")
	other.denied("PUT", target+"&partNumber=1", "body")
	other.denied("GET", "/bucket/key?uploadId=none", "")
	r.anonymous().denied("DELETE", target, "")
	writer.ok("DELETE", target, "")
	owner.fails(s3.NoSuchUpload, "GET", target, "")
}
