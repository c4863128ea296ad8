package s3_test

import (
	"encoding/xml"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/s3"
)

const xsi = ` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"`

// aclDocument makes a document of grants.
func aclDocument(grants ...string) []byte {
	return []byte(`<AccessControlPolicy` + ns + `><Owner><ID>o</ID><DisplayName>n</DisplayName></Owner><AccessControlList>` +
		strings.Join(grants, "") + `</AccessControlList></AccessControlPolicy>`)
}

func grantee(typ, inside string) string {
	return `<Grant><Grantee` + xsi + ` xsi:type="` + typ + `">` + inside + `</Grantee><Permission>READ</Permission></Grant>`
}

func TestDecodeACL(t *testing.T) {
	got, err := s3.DecodeACL(aclDocument(
		grantee("CanonicalUser", "<ID> abc </ID><DisplayName>A &amp; B</DisplayName>"),
		grantee("Group", "<URI>"+s3.GroupAllUsers+"</URI>"),
		grantee("AmazonCustomerByEmail", "<EmailAddress>a@b.test</EmailAddress>"),
	))
	want := s3.AccessControlPolicy{Owner: s3.Owner{ID: "o", DisplayName: "n"}, Grants: []s3.Grant{
		{Type: s3.GranteeUser, Grantee: "abc", DisplayName: "A & B", Permission: s3.PermissionRead},
		{Type: s3.GranteeGroup, Grantee: s3.GroupAllUsers, Permission: s3.PermissionRead},
		{Type: s3.GranteeEmail, Grantee: "a@b.test", Permission: s3.PermissionRead},
	}}
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	again, err := s3.DecodeACL(got.AppendXML(nil))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(got, again); d != "" {
		t.Errorf("what is written reads otherwise: %s", d)
	}
}

func TestDecodeACLOfNobody(t *testing.T) {
	got, err := s3.DecodeACL(aclDocument())
	if err != nil || len(got.Grants) != 0 || got.Owner.ID != "o" {
		t.Errorf("%+v %v", got, err)
	}
}

func TestMalformedACL(t *testing.T) {
	user := grantee("CanonicalUser", "<ID>a</ID>")
	for name, doc := range map[string]string{
		"empty":              "",
		"no owner":           `<AccessControlPolicy><AccessControlList>` + user + `</AccessControlList></AccessControlPolicy>`,
		"no type":            string(aclDocument(`<Grant><Grantee><ID>a</ID></Grantee><Permission>READ</Permission></Grant>`)),
		"unknown type":       string(aclDocument(grantee("Everybody", "<ID>a</ID>"))),
		"element of another": string(aclDocument(grantee("CanonicalUser", "<URI>a</URI>"))),
		"two ids":            string(aclDocument(grantee("CanonicalUser", "<ID>a</ID><ID>b</ID>"))),
		"no id":              string(aclDocument(grantee("CanonicalUser", ""))),
		"unknown permission": strings.Replace(string(aclDocument(user)), "READ", "READ_WRITE", 1),
		"no permission":      strings.Replace(string(aclDocument(user)), "<Permission>READ</Permission>", "", 1),
		"unknown element":    strings.Replace(string(aclDocument(user)), "<Permission>", "<Nope/><Permission>", 1),
		"too many":           string(aclDocument(strings.Repeat(user, s3.MaxGrants+1))),
	} {
		if p, err := s3.DecodeACL([]byte(doc)); s3.CodeOf(err) != s3.MalformedACLError {
			t.Errorf("%s: %+v %v", name, p, err)
		}
	}
	if p, err := s3.DecodeACL(aclDocument(strings.Repeat(user, s3.MaxGrants))); err != nil || len(p.Grants) != s3.MaxGrants {
		t.Errorf("%d grants: %v", s3.MaxGrants, err)
	}
}

func TestACLDocument(t *testing.T) {
	p := s3.AccessControlPolicy{Owner: s3.Owner{ID: "o", DisplayName: "<o>"}, Grants: s3.ACLPublicRead.Grants("o", "o")}
	var doc struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ AccessControlPolicy"`
		Owner   struct{ ID, DisplayName string }
		Grants  []struct {
			Grantee struct {
				Type    string `xml:"http://www.w3.org/2001/XMLSchema-instance type,attr"`
				ID, URI string
			}
			Permission string
		} `xml:"AccessControlList>Grant"`
	}
	if err := xml.Unmarshal(p.AppendXML(nil), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Grants) != 2 || doc.Owner.DisplayName != "<o>" {
		t.Fatalf("%+v", doc)
	}
	if g := doc.Grants[0]; g.Grantee.Type != "Group" || g.Grantee.URI != s3.GroupAllUsers || g.Permission != "READ" {
		t.Errorf("%+v", g)
	}
	if g := doc.Grants[1]; g.Grantee.Type != "CanonicalUser" || g.Grantee.ID != "o" || g.Permission != "FULL_CONTROL" {
		t.Errorf("%+v", g)
	}
}

func TestCannedACLs(t *testing.T) {
	user := func(id string, p s3.Permission) s3.Grant {
		return s3.Grant{Type: s3.GranteeUser, Grantee: id, Permission: p}
	}
	group := func(uri string, p s3.Permission) s3.Grant {
		return s3.Grant{Type: s3.GranteeGroup, Grantee: uri, Permission: p}
	}
	full := user("writer", s3.PermissionFullControl)
	for acl, want := range map[s3.CannedACL][]s3.Grant{
		s3.ACLPrivate:                {full},
		s3.ACLPublicRead:             {group(s3.GroupAllUsers, s3.PermissionRead), full},
		s3.ACLPublicReadWrite:        {group(s3.GroupAllUsers, s3.PermissionRead), group(s3.GroupAllUsers, s3.PermissionWrite), full},
		s3.ACLAuthenticatedRead:      {group(s3.GroupAuthenticatedUsers, s3.PermissionRead), full},
		s3.ACLBucketOwnerRead:        {full, user("owner", s3.PermissionRead)},
		s3.ACLBucketOwnerFullControl: {full, user("owner", s3.PermissionFullControl)},
		s3.ACLLogDeliveryWrite:       {group(s3.GroupLogDelivery, s3.PermissionWrite), group(s3.GroupLogDelivery, s3.PermissionReadACP), full},
	} {
		if d := cmp.Diff(want, acl.Grants("writer", "owner")); d != "" {
			t.Errorf("%s: %s", acl, d)
		}
	}
	if got := s3.ACLBucketOwnerRead.Grants("writer", "writer"); len(got) != 1 {
		t.Errorf("the owner of both is granted twice: %v", got)
	}
}

func TestOwnershipControls(t *testing.T) {
	for _, o := range []s3.ObjectOwnership{s3.BucketOwnerEnforced, s3.BucketOwnerPreferred, s3.ObjectWriter} {
		if got, err := s3.DecodeOwnershipControls(o.AppendXML(nil)); err != nil || got != o {
			t.Errorf("%s: %s %v", o, got, err)
		}
	}
	const rule = "<Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule>"
	for _, bad := range []string{"", rule + rule, "<Rule></Rule>", "<Rule><ObjectOwnership>Nobody</ObjectOwnership></Rule>", "<Rule><Nope/></Rule>"} {
		if got, err := s3.DecodeOwnershipControls([]byte("<OwnershipControls>" + bad + "</OwnershipControls>")); s3.CodeOf(err) != s3.MalformedXML {
			t.Errorf("%s: %s %v", bad, got, err)
		}
	}
}

func TestPublicAccessBlock(t *testing.T) {
	for _, b := range []s3.PublicAccessBlock{
		{},
		{BlockPublicACLs: true},
		{IgnorePublicACLs: true},
		{BlockPublicPolicy: true},
		{RestrictPublicBuckets: true},
		{BlockPublicACLs: true, IgnorePublicACLs: true, BlockPublicPolicy: true, RestrictPublicBuckets: true},
	} {
		if got, err := s3.DecodePublicAccessBlock(b.AppendXML(nil)); err != nil || got != b {
			t.Errorf("%+v: %+v %v", b, got, err)
		}
	}
	for _, bad := range []string{"<BlockPublicAcls>maybe</BlockPublicAcls>", "<Nope>true</Nope>"} {
		if got, err := s3.DecodePublicAccessBlock([]byte("<PublicAccessBlockConfiguration>" + bad + "</PublicAccessBlockConfiguration>")); s3.CodeOf(err) != s3.MalformedXML {
			t.Errorf("%s: %+v %v", bad, got, err)
		}
	}
	if doc := string(s3.PolicyStatus{IsPublic: true}.AppendXML(nil)); !strings.Contains(doc, "<PolicyStatus"+ns+"><IsPublic>true</IsPublic>") {
		t.Error(doc)
	}
}

// FuzzAccessControl reads the documents of access control: what is accepted
// reads the same once it is written.
func FuzzAccessControl(f *testing.F) {
	f.Add(aclDocument(grantee("CanonicalUser", "<ID>a</ID>"), grantee("Group", "<URI>"+s3.GroupAllUsers+"</URI>")))
	f.Add(s3.BucketOwnerEnforced.AppendXML(nil))
	f.Add(s3.PublicAccessBlock{IgnorePublicACLs: true}.AppendXML(nil))
	f.Fuzz(func(t *testing.T, body []byte) {
		if p, err := s3.DecodeACL(body); err == nil {
			again, err := s3.DecodeACL(p.AppendXML(nil))
			for i := range again.Grants {
				if again.Grants[i].Type != s3.GranteeUser {
					p.Grants[i].DisplayName = "" // only accounts have one
				}
			}
			if d := cmp.Diff(p, again); err != nil || d != "" {
				t.Errorf("%v %s", err, d)
			}
		} else if s3.CodeOf(err) != s3.MalformedACLError {
			t.Error(err)
		}
		if o, err := s3.DecodeOwnershipControls(body); err == nil {
			if again, err := s3.DecodeOwnershipControls(o.AppendXML(nil)); err != nil || again != o {
				t.Errorf("%s: %s %v", o, again, err)
			}
		}
		if b, err := s3.DecodePublicAccessBlock(body); err == nil {
			if again, err := s3.DecodePublicAccessBlock(b.AppendXML(nil)); err != nil || again != b {
				t.Errorf("%+v: %+v %v", b, again, err)
			}
		}
	})
}
