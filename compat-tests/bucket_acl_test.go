package compat

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// party is an account with a client that signs as its root.
type party struct {
	account
	*s3.Client
	email string
}

func newParty(t *testing.T, s *server, name string) party {
	t.Helper()
	email := name + "-" + randomHex(6) + "@example.test"
	a := s.newAccount(t, name, "--email", email)
	return party{account: a, Client: s.as(a.Key), email: email}
}

// openBucket makes a bucket as of before 2023: it has ACLs, whoever writes an
// object owns it, and public access is not blocked.
func (p *party) openBucket(t *testing.T) string {
	t.Helper()
	bucket := bucketOf(t, p.Client)
	_, err := p.PutBucketOwnershipControls(t.Context(), &s3.PutBucketOwnershipControlsInput{
		Bucket: &bucket, OwnershipControls: ownershipControls(types.ObjectOwnershipObjectWriter),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.DeletePublicAccessBlock(t.Context(), &s3.DeletePublicAccessBlockInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	return bucket
}

func ownershipControls(o types.ObjectOwnership) *types.OwnershipControls {
	return &types.OwnershipControls{Rules: []types.OwnershipControlsRule{{ObjectOwnership: o}}}
}

// grants shows a list as grantee=permission, sorted: the order means nothing.
func grants(list []types.Grant) string {
	var out []string
	for _, g := range list {
		who := aws.ToString(g.Grantee.DisplayName)
		if uri := aws.ToString(g.Grantee.URI); uri != "" {
			who = uri[strings.LastIndexByte(uri, '/')+1:]
		}
		out = append(out, who+"="+string(g.Permission))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func userGrant(id string, p types.Permission) types.Grant {
	return types.Grant{Grantee: &types.Grantee{Type: types.TypeCanonicalUser, ID: &id}, Permission: p}
}

func TestBucketACLLife(t *testing.T) {
	t.Parallel()
	s := shared(t)
	owner, other := newParty(t, s, "owner"), newParty(t, s, "other")
	bucket := owner.openBucket(t)
	want := func(list string) {
		t.Helper()
		out, err := owner.GetBucketAcl(t.Context(), &s3.GetBucketAclInput{Bucket: &bucket})
		if err != nil {
			t.Fatal(err)
		}
		if got := grants(out.Grants); got != list || aws.ToString(out.Owner.ID) != owner.CanonicalID || aws.ToString(out.Owner.DisplayName) != "owner" {
			t.Errorf("%s's with %q, want %q", aws.ToString(out.Owner.DisplayName), got, list)
		}
	}
	set := func(in s3.PutBucketAclInput) {
		t.Helper()
		in.Bucket = &bucket
		if _, err := owner.PutBucketAcl(t.Context(), &in); err != nil {
			t.Fatal(err)
		}
	}
	want("owner=FULL_CONTROL")
	for acl, list := range map[types.BucketCannedACL]string{
		types.BucketCannedACLPublicRead:        "AllUsers=READ owner=FULL_CONTROL",
		types.BucketCannedACLPublicReadWrite:   "AllUsers=READ AllUsers=WRITE owner=FULL_CONTROL",
		types.BucketCannedACLAuthenticatedRead: "AuthenticatedUsers=READ owner=FULL_CONTROL",
		types.BucketCannedACLPrivate:           "owner=FULL_CONTROL",
	} {
		set(s3.PutBucketAclInput{ACL: acl})
		want(list)
	}
	set(s3.PutBucketAclInput{GrantRead: aws.String(`emailAddress="` + other.email + `"`), GrantWriteACP: aws.String("id=" + other.CanonicalID)})
	want("other=READ other=WRITE_ACP")
	me := &types.Owner{ID: &owner.CanonicalID}
	set(s3.PutBucketAclInput{AccessControlPolicy: &types.AccessControlPolicy{Owner: me, Grants: []types.Grant{
		userGrant(owner.CanonicalID, types.PermissionFullControl),
		{Grantee: &types.Grantee{Type: types.TypeAmazonCustomerByEmail, EmailAddress: &other.email}, Permission: types.PermissionRead},
	}}})
	want("other=READ owner=FULL_CONTROL")
	if _, err := other.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket}); err != nil {
		t.Errorf("with READ: %v", err)
	}
	wantStranger(t, s.client(), bucket)
	for code, grant := range map[string]types.Grant{
		"InvalidArgument":                 userGrant("_foo", types.PermissionRead),
		"UnresolvableGrantByEmailAddress": {Grantee: &types.Grantee{Type: types.TypeAmazonCustomerByEmail, EmailAddress: aws.String("nobody@example.test")}, Permission: types.PermissionRead},
	} {
		_, err := owner.PutBucketAcl(t.Context(), &s3.PutBucketAclInput{Bucket: &bucket, AccessControlPolicy: &types.AccessControlPolicy{Owner: me, Grants: []types.Grant{grant}}})
		wantError(t, err, 400, code)
	}
	_, err := owner.PutBucketAcl(t.Context(), &s3.PutBucketAclInput{Bucket: &bucket, ACL: "private", GrantRead: aws.String("id=" + other.CanonicalID)})
	wantError(t, err, 400, "InvalidRequest")
	want("other=READ owner=FULL_CONTROL")
}

func TestBucketACLAtCreation(t *testing.T) {
	t.Parallel()
	s := shared(t)
	owner := newParty(t, s, "owner")
	name := "acl-" + randomHex(8)
	_, err := owner.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name, ACL: "public-read"})
	wantError(t, err, 400, "InvalidBucketAclWithObjectOwnership")
	_, err = owner.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name, ACL: "public-read", ObjectOwnership: types.ObjectOwnershipObjectWriter})
	wantError(t, err, 403, "AccessDenied") // new buckets block public ACLs
	_, err = owner.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: &name})
	wantError(t, err, 404, "NotFound")
}
