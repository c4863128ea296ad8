package iam

import (
	"slices"
	"testing"
)

// The lists that S3's canned ACLs stand for.
func TestPublicACLs(t *testing.T) {
	user := func(id string, p Permission) Grant { return Grant{GranteeCanonicalUser, id, p} }
	group := func(uri string, p Permission) Grant { return Grant{GranteeGroup, uri, p} }
	mine := user("me", PermissionFullControl)
	for name, tt := range map[string]struct {
		grants []Grant
		public bool
	}{
		"private":                   {[]Grant{mine}, false},
		"public-read":               {[]Grant{mine, group(GroupAllUsers, PermissionRead)}, true},
		"public-read-write":         {[]Grant{mine, group(GroupAllUsers, PermissionRead), group(GroupAllUsers, PermissionWrite)}, true},
		"authenticated-read":        {[]Grant{mine, group(GroupAuthenticatedUsers, PermissionRead)}, true},
		"log-delivery-write":        {[]Grant{mine, group(GroupLogDelivery, PermissionWrite), group(GroupLogDelivery, PermissionReadACP)}, false},
		"bucket-owner-read":         {[]Grant{mine, user("host", PermissionRead)}, false},
		"bucket-owner-full-control": {[]Grant{mine, user("host", PermissionFullControl)}, false},
	} {
		if got := (ACL{Grants: tt.grants}).IsPublic(); got != tt.public {
			t.Errorf("%s: public = %v", name, got)
		}
	}
}

// Whatever is not in AWS's table of permissions no ACL grants.
func TestACLsGrantNothingElse(t *testing.T) {
	granted := []string{
		"s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads", "s3:PutObject", "s3:DeleteObject",
		"s3:GetBucketAcl", "s3:PutBucketAcl", "s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTorrent",
		"s3:GetObjectVersionTorrent", "s3:GetObjectAcl", "s3:GetObjectVersionAcl", "s3:PutObjectAcl",
		"s3:PutObjectVersionAcl",
	}
	everything := ACL{Grants: []Grant{{GranteeGroup, GroupAllUsers, PermissionFullControl}}}
	asked := 0
	for _, of := range []scope{scopeService, scopeBucket, scopeObject} {
		for _, name := range s3Actions(of) {
			asked++
			d := Decide(&Request{
				Action: "s3:" + name, ARN: "arn:aws:s3:::bucket/key",
				Bucket: &BucketFacts{Owner: "o", ACL: everything}, Object: &ObjectFacts{Owner: "o", ACL: everything},
			})
			if want := slices.Contains(granted, "s3:"+name); d.Allowed != want {
				t.Errorf("%s: %v (%s)", name, d.Allowed, d.Reason)
			}
		}
	}
	if asked < 90 {
		t.Errorf("%d actions are not all", asked)
	}
}

// A grant of a kind that is not known reaches nobody.
func TestUnknownGrantees(t *testing.T) {
	root := RootIdentity()
	for _, g := range []Grant{
		{"", GroupAllUsers, PermissionRead},
		{"AmazonCustomerByEmail", "root@example.com", PermissionRead},
		{GranteeGroup, "http://acs.amazonaws.com/groups/global/Nobody", PermissionRead},
		{GranteeGroup, string(root.CanonicalID), PermissionRead},
		{GranteeCanonicalUser, GroupAllUsers, PermissionRead},
		{GranteeCanonicalUser, "", PermissionRead},
	} {
		for _, who := range []*Identity{nil, {Root: true}, &root} {
			d := Decide(&Request{
				Who: who, Action: "s3:ListBucket", ARN: "arn:aws:s3:::bucket",
				Bucket: &BucketFacts{Owner: "o", ACL: ACL{Grants: []Grant{g}}},
			})
			if d.Allowed {
				t.Errorf("%+v: %s", g, d.Reason)
			}
		}
	}
}

func TestPermissionNames(t *testing.T) {
	for _, p := range []Permission{"READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"} {
		if !p.Valid() {
			t.Errorf("%s is no permission", p)
		}
	}
	for _, p := range []Permission{"", "read", "DELETE", "FULLCONTROL"} {
		if p.Valid() {
			t.Errorf("%q is a permission", p)
		}
	}
}
