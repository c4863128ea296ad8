package gateway

import (
	"fmt"
	"testing"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sigv4"
)

// twentyStatements is a policy of which the last statement allows and the others
// are looked at.
func twentyStatements() []byte {
	var statements []string
	for i := range 19 {
		statements = append(statements, fmt.Sprintf(`{"Sid":"s%d","Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:PutObject"],`+
			`"Resource":"arn:aws:s3:::bucket/some/*","Condition":{"StringLike":{"aws:Referer":"https://%d.example.test/*"},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`, i, i))
	}
	return []byte(policy(append(statements, `{"Effect":"Allow","Principal":"*","Action":"s3:Get*","Resource":"arn:aws:s3:::bucket/*","Condition":{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}}`)...))
}

// BenchmarkAuthorize measures what deciding adds to a GET: finding the bucket
// with its configuration in a store, and asking about the version. The bound is
// 15 microseconds, and a denial costs no more than a grant.
func BenchmarkAuthorize(b *testing.B) {
	root := iam.RootIdentity()
	acl := make([]s3.Grant, s3.MaxGrants)
	for i := range acl {
		acl[i] = s3.Grant{Type: s3.GranteeUser, Grantee: fmt.Sprintf("%064d", i), Permission: s3.PermissionRead}
	}
	acl[s3.MaxGrants-1] = s3.Grant{Type: s3.GranteeGroup, Grantee: s3.GroupAllUsers, Permission: s3.PermissionRead}
	list := s3.AccessControlPolicy{Owner: s3.Owner{ID: fakeOwner()}, Grants: acl}
	withPolicy := map[objects.ConfigKind][]byte{objects.ConfigPolicy: twentyStatements()}
	withACL := map[objects.ConfigKind][]byte{objects.ConfigACL: list.AppendXML(nil)}
	for _, bb := range []struct {
		name    string
		who     *iam.Identity
		configs map[objects.ConfigKind][]byte
		acl     []s3.Grant
		want    s3.Code
	}{
		{"Root", &root, nil, nil, ""},
		{"RootPolicy", &root, withPolicy, nil, ""},
		{"Policy", nil, withPolicy, nil, ""},
		{"ACL", nil, withACL, s3.ACLPublicRead.Grants(fakeOwner(), fakeOwner()), ""},
		{"LongACL", nil, withACL, acl, ""},
		{"Denied", nil, withACL, nil, s3.AccessDenied},
	} {
		b.Run(bb.name, func(b *testing.B) {
			cluster := testcluster.New(b, testcluster.Options{})
			s := newServer(b, func(o *Options) { o.Objects = cluster.Objects })
			in := objects.CreateBucketInput{Name: fakeBucket, Owner: fakeOwner(), Configs: bb.configs}
			if _, err := cluster.Objects.CreateBucket(b.Context(), in); err != nil {
				b.Fatal(err)
			}
			op, err := s.gateway.router.table.find("GET", ScopeObject, nil, nil)
			if err != nil {
				b.Fatal(err)
			}
			r := s.request("GET", "/bucket/some/key", "")
			r.RemoteAddr = "127.0.0.1:1234"
			object := &objects.Object{Owner: fakeOwner()}
			if bb.acl != nil {
				object.ACL = keptGrants(bb.acl)
			}
			b.ReportAllocs()
			for b.Loop() {
				x := &exchange{
					gateway: s.gateway, r: r, op: op, bucket: fakeBucket, key: "some/key",
					scope: ScopeObject, caller: bb.who, auth: &sigv4.Result{},
				}
				if err := s.gateway.authorize(x); err != nil {
					b.Fatal(err)
				}
				if err := x.access(object); s3.CodeOf(err) != bb.want {
					b.Fatal(err)
				}
			}
		})
	}
}
