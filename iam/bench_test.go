package iam

import (
	"fmt"
	"strings"
	"testing"
)

// benchRequest asks for an object of account a.
func benchRequest(tb testing.TB, who string) *Request {
	tb.Helper()
	c := &decisionCase{Who: who, Action: "s3:GetObject", ARN: "arn:aws:s3:::bucket/some/key/of/usual/length.jpg"}
	c.Context = contextMap{"aws:sourceip": {"203.0.113.9"}, "aws:securetransport": {"true"}, "aws:referer": {"http://example.com/"}}
	r := c.request(tb)
	r.Bucket.ACL = ACL{Grants: []Grant{{GranteeCanonicalUser, string(r.Bucket.Owner), PermissionFullControl}}}
	r.Object = &ObjectFacts{Owner: r.Bucket.Owner, ACL: r.Bucket.ACL}
	return r
}

// twentyStatements is a policy in which the last of twenty statements allows
// account b, after conditions that do not hold.
func twentyStatements(tb testing.TB) *Policy {
	tb.Helper()
	var statements []string
	for i := range 19 {
		effect, condition := "Allow", `{"StringLike": {"aws:Referer": "http://*.example.org/*"}}`
		if i%2 == 1 {
			effect, condition = "Deny", `{"NotIpAddress": {"aws:SourceIp": ["203.0.113.0/24", "2001:db8::/32"]}, "Bool": {"aws:SecureTransport": "false"}}`
		}
		statements = append(statements, fmt.Sprintf(`{"Sid": "s%d", "Effect": %q, "Principal": "*", "Action": ["s3:Get*", "s3:List*"],
			"Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/some/*.jpg"], "Condition": %s}`, i, effect, condition))
	}
	statements = append(statements, `{"Effect": "Allow", "Principal": {"AWS": "222222222222"}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*"}`)
	return mustParse(tb, bucketPolicy, []byte(`{"Version": "2012-10-17", "Statement": [`+strings.Join(statements, ",")+`]}`))
}

func BenchmarkDecide(b *testing.B) {
	tests := []struct {
		name    string
		who     string
		allowed bool
		prepare func(*Request)
	}{
		{"root", "a", true, func(*Request) {}},
		{"root-policy-20", "a", true, func(r *Request) { r.Bucket.Policy = twentyStatements(b) }},
		{"account-policy-20", "b", true, func(r *Request) { r.Bucket.Policy = twentyStatements(b) }},
		{"denied-policy-20", "c", false, func(r *Request) { r.Bucket.Policy = twentyStatements(b) }},
		{"user-policy-variable", "alice", true, func(r *Request) {
			r.Who.Policies = []*Policy{mustParse(b, ParseIdentityPolicy, []byte(`{"Version": "2012-10-17", "Statement":
				{"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::bucket/${aws:username, 'some'}/*", "Condition": {"Null": {"aws:TagKeys": "true"}}}}`))}
			r.ARN = "arn:aws:s3:::bucket/alice/key"
		}},
		{"acl", "b", true, func(r *Request) {
			r.Object.ACL.Grants = append(r.Object.ACL.Grants, Grant{GranteeGroup, GroupAuthenticatedUsers, PermissionRead})
		}},
		{"denied-acl", "b", false, func(*Request) {}},
		{"denied-anonymous", "anonymous", false, func(*Request) {}},
	}
	for _, tt := range tests {
		b.Run(tt.name, func(b *testing.B) {
			r := benchRequest(b, tt.who)
			tt.prepare(r)
			if d := Decide(r); d.Allowed != tt.allowed {
				b.Fatalf("allowed = %v: %s", d.Allowed, d.Reason)
			}
			b.ReportAllocs()
			for b.Loop() {
				Decide(r)
			}
		})
	}
}

func BenchmarkParsePolicy(b *testing.B) {
	doc := statementDoc(map[string]string{"Condition": `{"StringEquals": {"aws:Referer": "x"}}`})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParsePolicy(doc, "bucket"); err != nil {
			b.Fatal(err)
		}
	}
}

// The owner's root asks most of all, and a denial must not cost more than a
// grant, or asking in vain would be an attack.
func TestUsualDecisionsDoNotAllocate(t *testing.T) {
	for who, allowed := range map[string]bool{"a": true, "b": false, "anonymous": false} {
		r := benchRequest(t, who)
		if d := Decide(r); d.Allowed != allowed {
			t.Errorf("%s: %+v", who, d)
		}
		if n := testing.AllocsPerRun(100, func() { Decide(r) }); n != 0 {
			t.Errorf("a decision for %s allocates %v times", who, n)
		}
	}
}
