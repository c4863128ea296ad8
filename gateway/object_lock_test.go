package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/undercroft/undercroft/s3"
)

// locks is a caller with a bucket that has Object Lock.
type locks struct{ *caller }

func newLocks(t *testing.T, change ...func(*Options)) locks {
	t.Helper()
	l := locks{newRealm(t, change...).root()}
	l.ok("PUT", "/vault", "", "x-amz-bucket-object-lock-enabled", "true")
	return l
}

// in is a time from now, by the store's clock, as headers and documents write it.
func (l locks) in(d time.Duration) string {
	return l.gateway.o.Objects.LockTime().Add(d).UTC().Format(time.RFC3339)
}

func retentionDoc(mode, until string) string {
	return "<Retention><Mode>" + mode + "</Mode><RetainUntilDate>" + until + "</RetainUntilDate></Retention>"
}

// write sends a document of Object Lock with its digest.
func (c *caller) write(target, doc string, headers ...string) *answer {
	c.t.Helper()
	return c.do("PUT", target, doc, append(headers, "Content-Md5", md5Of(doc))...)
}

// wrote requires an answer of write to be this code, "" for success.
func (l locks) wrote(code s3.Code, a *answer) {
	l.t.Helper()
	if a.StatusCode/100 == 2 {
		if code != "" {
			l.t.Errorf("succeeded, want %s", code)
		}
		return
	}
	if got := a.failure(l.t).Code; got != code {
		l.t.Errorf("%s, want %q", a.body, code)
	}
}

// put writes an object and returns its version.
func (l locks) put(key string, headers ...string) string {
	l.t.Helper()
	return l.ok("PUT", "/vault/"+key, "body", append(headers, "Content-Md5", md5Of("body"))...).Header.Get("X-Amz-Version-Id")
}

func TestObjectLockHeaders(t *testing.T) {
	l := newLocks(t)
	until := l.in(48 * time.Hour)
	lock := []string{"x-amz-object-lock-mode", "GOVERNANCE", "x-amz-object-lock-retain-until-date", until, "x-amz-object-lock-legal-hold", "ON"}
	l.put("key", lock...)
	a := l.ok("HEAD", "/vault/key", "")
	for name, want := range map[string]string{
		"X-Amz-Object-Lock-Mode": "GOVERNANCE", "X-Amz-Object-Lock-Legal-Hold": "ON",
		"X-Amz-Object-Lock-Retain-Until-Date": strings.Replace(until, "Z", ".000Z", 1),
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	l.fails(s3.InvalidRequest, "PUT", "/vault/key", "body", lock...) // no digest
	l.fails(s3.InvalidRequest, "PUT", "/vault/key", "body", "x-amz-object-lock-legal-hold", "OFF")
	digest := []string{"Content-Md5", md5Of("body")}
	for _, bad := range [][]string{
		{"x-amz-object-lock-mode", "GOVERNANCE"},
		{"x-amz-object-lock-retain-until-date", until},
		{"x-amz-object-lock-mode", "governance", "x-amz-object-lock-retain-until-date", until},
		{"x-amz-object-lock-mode", "GOVERNANCE", "x-amz-object-lock-retain-until-date", "tomorrow"},
		{"x-amz-object-lock-mode", "GOVERNANCE", "x-amz-object-lock-retain-until-date", l.in(-time.Hour)},
		{"x-amz-object-lock-legal-hold", "on"},
		{"x-amz-object-lock-legal-hold", "OFF", "x-amz-object-lock-legal-hold", "ON"},
	} {
		l.fails(s3.InvalidArgument, "PUT", "/vault/key", "body", append(bad, digest...)...)
		l.fails(s3.InvalidArgument, "POST", "/vault/key?uploads", "", bad...)
		l.fails(s3.InvalidArgument, "PUT", "/vault/copy", "", append(bad, "x-amz-copy-source", "/vault/key")...)
	}
	l.ok("PUT", "/plain", "")
	l.fails(s3.InvalidRequest, "PUT", "/plain/key", "body", append(lock, digest...)...)
	l.fails(s3.InvalidRequest, "POST", "/plain/key?uploads", "", lock...)
	l.fails(s3.NotImplemented, "PUT", "/vault/key", "body", "x-amz-object-lock-event-hold", "ON")
	l.fails(s3.InvalidArgument, "PUT", "/another", "", "x-amz-bucket-object-lock-enabled", "perhaps")
}

// TestCopiesAreLockedByTheirOwnHeaders: never by those of the source.
func TestCopiesAreLockedByTheirOwnHeaders(t *testing.T) {
	l := newLocks(t)
	l.put("key", "x-amz-object-lock-legal-hold", "ON")
	l.ok("PUT", "/vault/copy", "", "x-amz-copy-source", "/vault/key")
	if a := l.ok("HEAD", "/vault/copy", ""); a.Header.Get("X-Amz-Object-Lock-Legal-Hold") != "" {
		t.Errorf("the copy has %v", a.Header)
	}
	l.ok("PUT", "/vault/copy", "", "x-amz-copy-source", "/vault/key", "x-amz-object-lock-legal-hold", "ON")
	if a := l.ok("HEAD", "/vault/copy", ""); a.Header.Get("X-Amz-Object-Lock-Legal-Hold") != "ON" {
		t.Errorf("the copy has %v", a.Header)
	}
}

func TestPartsOfWhatWillBeLockedNeedDigests(t *testing.T) {
	l := newLocks(t)
	id := uploadIn(t, l.ok("POST", "/vault/key?uploads", "", "x-amz-object-lock-legal-hold", "ON").body)
	target := "/vault/key?partNumber=1&uploadId=" + id
	l.fails(s3.InvalidRequest, "PUT", target, "body")
	tag := l.ok("PUT", target, "body", "Content-Md5", md5Of("body")).Header.Get("Etag")
	doc := "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + tag + "</ETag></Part></CompleteMultipartUpload>"
	version := l.ok("POST", "/vault/key?uploadId="+id, doc).Header.Get("X-Amz-Version-Id")
	l.denied("DELETE", "/vault/key?versionId="+version, "")

	id = uploadIn(t, l.ok("POST", "/vault/key?uploads", "").body)
	target = "/vault/key?partNumber=1&uploadId=" + id
	l.ok("PUT", target, "body")
	l.wrote("", l.write("/vault?object-lock", "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>3</Days></DefaultRetention></Rule></ObjectLockConfiguration>"))
	l.fails(s3.InvalidRequest, "PUT", target, "body") // the default will lock it
	l.ok("PUT", target, "body", "Content-Md5", md5Of("body"))
}

// TestWhoMayLock: each header needs the permission of its operation, and each
// answer is for whom may ask for it.
func TestWhoMayLock(t *testing.T) {
	l := newLocks(t)
	version := l.put("key", "x-amz-object-lock-mode", "GOVERNANCE", "x-amz-object-lock-retain-until-date", l.in(48*time.Hour), "x-amz-object-lock-legal-hold", "ON")
	user := func(name string, actions ...string) *caller {
		quoted := `"s3:` + strings.Join(actions, `","s3:`) + `"`
		return l.user(name, policy(`{"Effect":"Allow","Action":[`+quoted+`],"Resource":"*"}`))
	}
	digest := []string{"Content-Md5", md5Of("body")}
	hold := append([]string{"x-amz-object-lock-legal-hold", "ON"}, digest...)
	retain := append([]string{"x-amz-object-lock-mode", "GOVERNANCE", "x-amz-object-lock-retain-until-date", l.in(time.Hour)}, digest...)
	user("holder", "PutObject", "PutObjectLegalHold").ok("PUT", "/vault/held", "body", hold...)
	user("keeper", "PutObject", "PutObjectRetention").ok("PUT", "/vault/kept", "body", retain...)
	writer := user("writer", "PutObject")
	writer.denied("PUT", "/vault/other", "body", hold...)
	writer.denied("PUT", "/vault/other", "body", retain...)
	writer.denied("POST", "/vault/other?uploads", "", hold[:2]...)
	writer.denied("PUT", "/vault/other?legal-hold", "<LegalHold><Status>ON</Status></LegalHold>", "Content-Md5", md5Of("<LegalHold><Status>ON</Status></LegalHold>"))

	reader := user("reader", "GetObject")
	if a := reader.ok("GET", "/vault/key", ""); a.Header.Get("X-Amz-Object-Lock-Mode")+a.Header.Get("X-Amz-Object-Lock-Legal-Hold") != "" {
		t.Errorf("a reader is told %v", a.Header)
	}
	reader.denied("GET", "/vault/key?retention", "")
	reader.denied("GET", "/vault/key?legal-hold", "")
	auditor := user("auditor", "GetObject", "GetObjectRetention", "GetObjectLegalHold")
	if a := auditor.ok("GET", "/vault/key", ""); a.Header.Get("X-Amz-Object-Lock-Mode")+a.Header.Get("X-Amz-Object-Lock-Legal-Hold") != "GOVERNANCEON" {
		t.Errorf("an auditor is told %v", a.Header)
	}
	auditor.ok("GET", "/vault/key?retention", "")
	auditor.ok("GET", "/vault/key?legal-hold", "")

	target := "/vault/key?versionId=" + version
	eraser := user("eraser", "DeleteObjectVersion", "DeleteObject")
	bypasser := user("bypasser", "DeleteObjectVersion", "DeleteObject", "BypassGovernanceRetention")
	bypassing := []string{"x-amz-bypass-governance-retention", "true"}
	bypasser.denied("DELETE", target, "", bypassing...) // the legal hold is another thing
	l.wrote("", l.write("/vault/key?legal-hold", "<LegalHold><Status>OFF</Status></LegalHold>"))
	eraser.denied("DELETE", target, "", bypassing...)
	bypasser.denied("DELETE", target, "")
	eraser.ok("DELETE", "/vault/key", "", bypassing...) // leaves a marker
	bypasser.ok("DELETE", target, "", bypassing...)
	free := l.put("free")
	eraser.ok("DELETE", "/vault/free?versionId="+free, "", bypassing...)

	maker := user("maker", "CreateBucket")
	maker.denied("PUT", "/made", "", "x-amz-bucket-object-lock-enabled", "true")
	maker.ok("PUT", "/made", "", "x-amz-bucket-object-lock-enabled", "false")
}

func TestRetentionChanges(t *testing.T) {
	l := newLocks(t)
	day := 24 * time.Hour
	bypassing := []string{"x-amz-bypass-governance-retention", "true"}
	l.put("key")
	target := "/vault/key?retention"
	l.fails(s3.NoSuchObjectLockConfiguration, "GET", target, "")
	l.fails(s3.NoSuchObjectLockConfiguration, "GET", "/vault/key?legal-hold", "")
	l.wrote(s3.InvalidRequest, l.do("PUT", target, retentionDoc("GOVERNANCE", l.in(day))))
	l.wrote(s3.InvalidArgument, l.write(target, retentionDoc("GOVERNANCE", l.in(-day))))
	l.wrote("", l.write(target, retentionDoc("GOVERNANCE", l.in(2*day))))
	l.wrote("", l.write(target, retentionDoc("GOVERNANCE", l.in(3*day))))
	l.wrote(s3.AccessDenied, l.write(target, retentionDoc("GOVERNANCE", l.in(day))))
	l.wrote(s3.AccessDenied, l.write(target, "<Retention/>"))
	l.wrote(s3.AccessDenied, l.write(target, retentionDoc("COMPLIANCE", l.in(4*day))))
	l.wrote("", l.write(target, "<Retention/>", bypassing...))
	l.fails(s3.NoSuchObjectLockConfiguration, "GET", target, "")
	l.wrote("", l.write(target, retentionDoc("COMPLIANCE", l.in(2*day))))
	for _, doc := range []string{"<Retention/>", retentionDoc("COMPLIANCE", l.in(day)), retentionDoc("GOVERNANCE", l.in(3*day))} {
		l.wrote(s3.AccessDenied, l.write(target, doc, bypassing...))
	}
	l.wrote("", l.write(target, retentionDoc("COMPLIANCE", l.in(3*day))))

	marker := l.ok("DELETE", "/vault/key", "").Header.Get("X-Amz-Version-Id")
	l.fails(s3.MethodNotAllowed, "GET", "/vault/key?legal-hold&versionId="+marker, "")
	l.wrote(s3.MethodNotAllowed, l.write("/vault/key?retention&versionId="+marker, retentionDoc("GOVERNANCE", l.in(day))))
	l.ok("DELETE", "/vault/key?versionId="+marker, "")
	l.fails(s3.BucketNotEmpty, "DELETE", "/vault", "")
}

// TestObjectLockConditions: policies decide on what is asked for, not on what
// a header says beside a document.
func TestObjectLockConditions(t *testing.T) {
	l := newLocks(t)
	deny := func(action, condition string) string {
		return `{"Effect":"Deny","Principal":"*","Action":"s3:` + action + `","Resource":"arn:aws:s3:::vault/*","Condition":{` + condition + `}}`
	}
	l.ok("PUT", "/vault?policy", policy(
		deny("PutObjectRetention", `"NumericGreaterThan":{"s3:object-lock-remaining-retention-days":"10"}`),
		deny("PutObjectRetention", `"StringEquals":{"s3:object-lock-mode":"COMPLIANCE"}`),
		deny("PutObjectLegalHold", `"StringEquals":{"s3:object-lock-legal-hold":"OFF"}`),
		deny("PutObjectRetention", fmt.Sprintf(`"DateLessThan":{"s3:object-lock-retain-until-date":%q}`, l.in(time.Hour))),
		deny("BypassGovernanceRetention", `"NumericGreaterThan":{"s3:object-lock-remaining-retention-days":"5"}`),
		deny("BypassGovernanceRetention", `"StringEquals":{"s3:object-lock-legal-hold":"ON"}`)))
	day := 24 * time.Hour
	l.put("key")
	target := "/vault/key?retention"
	l.wrote(s3.AccessDenied, l.write(target, retentionDoc("GOVERNANCE", l.in(10*day+time.Hour))))
	l.wrote(s3.AccessDenied, l.write(target, retentionDoc("GOVERNANCE", l.in(30*day)),
		"x-amz-object-lock-mode", "GOVERNANCE", "x-amz-object-lock-retain-until-date", l.in(day)))
	l.wrote(s3.AccessDenied, l.write(target, retentionDoc("GOVERNANCE", "9999-12-31T00:00:00Z"))) // more than a time.Duration holds
	l.wrote(s3.AccessDenied, l.write(target, retentionDoc("COMPLIANCE", l.in(day))))
	l.wrote(s3.AccessDenied, l.write(target, retentionDoc("GOVERNANCE", l.in(time.Minute))))
	l.wrote("", l.write(target, retentionDoc("GOVERNANCE", l.in(9*day))))
	l.wrote("", l.write("/vault/key?legal-hold", "<LegalHold><Status>ON</Status></LegalHold>"))
	l.wrote(s3.AccessDenied, l.write("/vault/key?legal-hold", "<LegalHold><Status>OFF</Status></LegalHold>"))

	digest := []string{"Content-Md5", md5Of("body"), "x-amz-object-lock-mode", "GOVERNANCE", "x-amz-object-lock-retain-until-date"}
	l.denied("PUT", "/vault/long", "body", append(digest, l.in(30*day))...)
	l.denied("PUT", "/vault/long", "body", append(digest, "9999-12-31T00:00:00Z")...)
	bypassing := []string{"x-amz-bypass-governance-retention", "true"}
	l.put("nine", append(digest[2:], l.in(9*day))...)
	for _, doc := range []string{"<Retention/>", retentionDoc("GOVERNANCE", l.in(day))} { // nobody shortens what he may not bypass
		l.wrote(s3.AccessDenied, l.write("/vault/nine?retention", doc, bypassing...))
	}
	for days, refused := range map[int]bool{4: false, 9: true} {
		version := l.put("gone", append(digest[2:], l.in(time.Duration(days)*day))...)
		a := l.do("DELETE", "/vault/gone?versionId="+version, "", bypassing...)
		if got := a.StatusCode == http.StatusForbidden; got != refused {
			t.Errorf("bypass with %d days left: %d", days, a.StatusCode)
		}
	}
}

func TestObjectLockConfiguration(t *testing.T) {
	l := newLocks(t)
	const days = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>3</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
	l.wrote("", l.write("/vault?object-lock", days))
	if a := l.ok("GET", "/vault?object-lock", ""); !strings.Contains(a.body, "<Days>3</Days>") {
		t.Error(a.body)
	}
	l.fails(s3.InvalidRequest, "PUT", "/vault/key", "body") // the default locks it too
	version := l.put("key")
	l.denied("DELETE", "/vault/key?versionId="+version, "")
	l.wrote("", l.write("/vault?object-lock", "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"))
	l.denied("DELETE", "/vault/key?versionId="+version, "") // keeps what it got
	l.ok("DELETE", "/vault/free?versionId="+l.put("free"), "")
	l.fails(s3.InvalidBucketState, "PUT", "/vault?versioning", "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>")
	l.ok("PUT", "/vault?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")

	l.ok("PUT", "/plain", "")
	l.fails(s3.ObjectLockConfigurationNotFoundError, "GET", "/plain?object-lock", "")
	l.wrote(s3.InvalidBucketState, l.write("/plain?object-lock", days))
	l.ok("PUT", "/plain?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	l.wrote("", l.write("/plain?object-lock", days))
	l.fails(s3.InvalidBucketState, "PUT", "/plain?versioning", "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>")
}

// TestFormsLock: the fields of a form are what the headers of PutObject are,
// but not under a signature of version 2.
func TestFormsLock(t *testing.T) {
	root := newRealm(t, allowV2).root()
	root.ok("PUT", "/bucket", "", "x-amz-bucket-object-lock-enabled", "true")
	l := locks{root}
	conditions := []string{
		`{"x-amz-object-lock-mode": "COMPLIANCE"}`, `["starts-with", "$x-amz-object-lock-retain-until-date", ""]`,
		`["starts-with", "$content-md5", ""]`,
	}
	fields := []string{"key", "key", "x-amz-object-lock-mode", "COMPLIANCE", "x-amz-object-lock-retain-until-date", l.in(time.Hour)}
	digest := []string{"Content-MD5", md5Of("hello"), "file", "hello"}
	if a := l.post(signedV4(conditions[:2:2], append(fields[:6:6], "file", "hello")...)); a.StatusCode != http.StatusBadRequest {
		t.Errorf("no digest: %d %s", a.StatusCode, a.body)
	}
	if a := l.post(signedV2(conditions, append(fields[:6:6], digest...)...)); a.StatusCode != http.StatusBadRequest {
		t.Errorf("version 2: %d %s", a.StatusCode, a.body)
	}
	a := l.post(signedV4(conditions, append(fields[:6:6], digest...)...))
	if a.StatusCode != http.StatusNoContent {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	l.denied("DELETE", "/bucket/key?versionId="+a.Header.Get("X-Amz-Version-Id"), "", "x-amz-bypass-governance-retention", "true")
}

// TestBatchesReportEachLockedVersion: the rest of a batch is deleted.
func TestBatchesReportEachLockedVersion(t *testing.T) {
	l := newLocks(t)
	held := l.put("held", "x-amz-object-lock-legal-hold", "ON")
	governed := l.put("governed", "x-amz-object-lock-mode", "GOVERNANCE", "x-amz-object-lock-retain-until-date", l.in(time.Hour))
	free := l.put("free")
	entry := func(key, version string) string {
		return "<Object><Key>" + key + "</Key><VersionId>" + version + "</VersionId></Object>"
	}
	body := "<Delete>" + entry("held", held) + entry("governed", governed) + entry("free", free) + "<Object><Key>held</Key></Object></Delete>"
	a := l.ok("POST", "/vault?delete", body, "Content-Md5", md5Of(body))
	if n := strings.Count(a.body, "Access Denied because object protected by object lock."); n != 2 || strings.Count(a.body, "<DeleteMarker>true") != 1 {
		t.Errorf("%d are refused: %s", n, a.body)
	}
	body = "<Delete>" + entry("held", held) + entry("governed", governed) + entry("free", free) + "</Delete>"
	a = l.ok("POST", "/vault?delete", body, "Content-Md5", md5Of(body), "x-amz-bypass-governance-retention", "true")
	if n := strings.Count(a.body, "<Code>AccessDenied</Code>"); n != 1 || !strings.Contains(a.body, "<Error><Key>held</Key>") {
		t.Errorf("with bypass %d are refused: %s", n, a.body)
	}
}

// TestBucketWithoutLockIsNotCreatedAgainWithIt: where creation again is no error
// otherwise.
func TestBucketWithoutLockIsNotCreatedAgainWithIt(t *testing.T) {
	l := newLocks(t)
	l.ok("PUT", "/vault", "", "x-amz-bucket-object-lock-enabled", "true")
	l.ok("PUT", "/plain", "")
	l.ok("PUT", "/plain", "")
	l.fails(s3.BucketAlreadyOwnedByYou, "PUT", "/plain", "", "x-amz-bucket-object-lock-enabled", "true")
}
