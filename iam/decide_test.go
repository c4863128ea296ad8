package iam

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestARNOfCallers(t *testing.T) {
	tests := []struct {
		who  Identity
		want string
	}{
		{RootIdentity(), "arn:aws:iam::000000000001:root"},
		{Identity{AccountID: "000000000002", UserName: "alice"}, "arn:aws:iam::000000000002:user/alice"},
		{Identity{AccountID: "000000000002", UserName: "staff/carol"}, "arn:aws:iam::000000000002:user/staff/carol"},
	}
	for _, tt := range tests {
		if got := tt.who.ARN(); got != tt.want {
			t.Errorf("%+v is %s, want %s", tt.who, got, tt.want)
		}
	}
}

// denials are statements that deny much or little, for buckets and for users.
func denials(t *testing.T) (ofBucket, ofUser []statement) {
	t.Helper()
	conditions := []string{
		`{}`, `{"StringNotEquals": {"aws:Referer": "x"}}`, `{"Bool": {"aws:SecureTransport": "false"}}`,
		`{"ForAllValues:StringLike": {"aws:TagKeys": "a*"}}`, `{"StringNotLike": {"aws:PrincipalArn": "*:user/${aws:username}"}}`,
	}
	for _, action := range []string{`"Action": "*"`, `"Action": "s3:Get*"`, `"NotAction": "s3:PutBucketPolicy"`} {
		for _, resource := range []string{`"Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]`, `"NotResource": "arn:aws:s3:::bucket/${aws:username}"`} {
			for _, condition := range conditions {
				rest := fmt.Sprintf(`"Effect": "Deny", %s, %s, "Condition": %s`, action, resource, condition)
				doc := `{"Version": "2012-10-17", "Statement": {` + rest + `}}`
				ofUser = append(ofUser, mustParse(t, ParseIdentityPolicy, []byte(doc)).statements...)
				for _, principal := range []string{`"Principal": "*"`, `"NotPrincipal": {"AWS": "222222222222"}`} {
					doc := `{"Version": "2012-10-17", "Statement": {` + principal + `, ` + rest + `}}`
					ofBucket = append(ofBucket, mustParse(t, bucketPolicy, []byte(doc)).statements...)
				}
			}
		}
	}
	return ofBucket, ofUser
}

// A denial, wherever it is added, takes away or changes nothing.
func TestAddingADenialNeverAllows(t *testing.T) {
	ofBucket, ofUser := denials(t)
	asked, changed := 0, 0
	check := func(name string, before bool, r *Request) {
		t.Helper()
		asked++
		after := Decide(r)
		if after.Allowed && !before {
			t.Errorf("%s: allowed by adding a denial: %s", name, after.Reason)
		}
		if after.Allowed != before {
			changed++
		}
	}
	for _, cases := range decisionCases(t) {
		for _, c := range cases {
			r := c.request(t)
			before := Decide(r).Allowed
			if r.Bucket != nil {
				old := r.Bucket.Policy
				for i := range ofBucket {
					r.Bucket.Policy = withStatement(old, ofBucket[i], i%2)
					check(c.Name, before, r)
				}
				r.Bucket.Policy = old
			}
			if r.Who != nil && !r.Who.Root {
				old := r.Who.Policies
				for i := range ofUser {
					r.Who.Policies = append(slices.Clone(old), &Policy{statements: ofUser[i : i+1]})
					check(c.Name, before, r)
				}
			}
		}
	}
	if asked < 10000 || changed < 1000 {
		t.Errorf("%d questions of which %d changed prove little", asked, changed)
	}
}

// withStatement returns a policy with one more statement, at its beginning or
// at its end.
func withStatement(p *Policy, s statement, at int) *Policy {
	if p == nil {
		return &Policy{statements: []statement{s}}
	}
	return &Policy{statements: slices.Insert(slices.Clone(p.statements), at*len(p.statements), s), public: p.public}
}

// Every caller asks everything of every bucket of the corpus: nothing panics,
// all answers have a reason, and what denies says so.
func TestEveryQuestionIsAnswered(t *testing.T) {
	var requests []*Request
	for _, cases := range decisionCases(t) {
		for _, c := range cases {
			requests = append(requests, c.request(t))
		}
	}
	for _, asked := range requests {
		for _, facts := range requests {
			r := *asked
			r.Bucket, r.Object = facts.Bucket, facts.Object
			d := Decide(&r)
			if d.Reason == "" || d.Allowed && strings.HasSuffix(d.Reason, " denies") {
				t.Fatalf("%s of %s: %+v", r.Action, r.ARN, d)
			}
			if r.Context = nil; Decide(&r).Reason == "" {
				t.Fatalf("%s of %s without context has no reason", r.Action, r.ARN)
			}
		}
	}
}

func FuzzDecide(f *testing.F) {
	f.Add("s3:GetObject", "arn:aws:s3:::bucket/key", "b", "READ", "aws:referer", "x", uint8(0))
	f.Add("s3:PutBucketPolicy", "arn:aws:s3:::bucket", "a", "FULL_CONTROL", "s3:prefix", "home/", uint8(0xFF))
	policy := mustParse(f, bucketPolicy, []byte(`{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]},
		{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::bucket/secret/*"}]}`))
	f.Fuzz(func(t *testing.T, action, arn, id, permission, key, value string, bits uint8) {
		acl := ACL{Grants: []Grant{{GranteeCanonicalUser, id, Permission(permission)}, {GranteeGroup, id, Permission(permission)}}}
		r := &Request{
			Action: action, ARN: arn, Context: contextMap{key: {value}},
			Bucket: &BucketFacts{Owner: "a", Policy: policy, ACL: acl, ACLsDisabled: bits&1 != 0},
			Object: &ObjectFacts{Owner: CanonicalID(id), ACL: acl},
		}
		if bits&2 != 0 {
			r.Who = &Identity{CanonicalID: CanonicalID(id), AccountID: AccountID(value), Root: bits&4 != 0, UserName: value}
		}
		d := Decide(r)
		if d.Reason == "" {
			t.Error("no reason")
		}
		if d.Allowed && strings.HasPrefix(arn, "arn:aws:s3:::bucket/secret/") && !isPolicyAction(action) &&
			matchAction("s3:"+run, action) {
			t.Errorf("%s of %s is allowed though it is denied: %s", action, arn, d.Reason)
		}
	})
}

// A policy that repeats what a request carries is given up before it costs much,
// and then nothing is allowed, for a denial may follow. Who owns the bucket can
// still replace the policy.
func TestCostlyPoliciesAllowNothing(t *testing.T) {
	values := strings.Repeat(`"*${aws:referer}*${aws:referer}*${aws:referer}*${aws:referer}*",`, 250)
	policy := mustParse(t, bucketPolicy, []byte(`{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]},
		{"Effect": "Deny", "Principal": "*", "Action": ["s3:GetObject", "s3:PutBucketPolicy"], "Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"],
			"Condition": {"StringLike": {"aws:useragent": [`+strings.TrimSuffix(values, ",")+`]}}}]}`))
	for _, times := range []int{1, 10_000} {
		for _, who := range []string{"a", "alice", "b", "anonymous"} {
			c := &decisionCase{Who: who, Action: "s3:PutObject", ARN: "arn:aws:s3:::bucket/key"}
			r := c.request(t)
			r.Bucket.Policy = policy
			r.Context = contextMap{"aws:referer": {strings.Repeat("a", times) + "b"}, "aws:useragent": {strings.Repeat("a", 4*times)}}
			if d := Decide(r); !d.Allowed && who != "b" {
				t.Errorf("%s, another action: %+v", who, d)
			}
			r.Action = "s3:GetObject"
			if d := Decide(r); d.Allowed != (times == 1) && who != "b" {
				t.Errorf("%s, %d times: %+v", who, times, d)
			}
			if r.Action, r.ARN = "s3:PutBucketPolicy", "arn:aws:s3:::bucket"; who == "a" && !Decide(r).Allowed {
				t.Errorf("the owner is locked out: %+v", Decide(r))
			}
		}
	}
}
