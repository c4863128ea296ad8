package iam

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
)

// statementDoc returns a policy of one statement with its elements replaced:
// "" leaves one out.
func statementDoc(replace map[string]string) []byte {
	elements := map[string]string{
		"Effect": `"Allow"`, "Principal": `"*"`, "Action": `"s3:GetObject"`, "Resource": `"arn:aws:s3:::bucket/*"`,
	}
	maps.Copy(elements, replace)
	var members []string
	for _, name := range []string{
		"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition", "Odd",
	} {
		if elements[name] != "" {
			members = append(members, fmt.Sprintf("%q: %s", name, elements[name]))
		}
	}
	return []byte(`{"Version": "2012-10-17", "Statement": [{` + strings.Join(members, ", ") + `}]}`)
}

func TestMalformedStatements(t *testing.T) {
	type elements = map[string]string
	tests := []struct {
		elements elements
		reason   string // "" for none
	}{
		{elements{}, ""},
		{elements{"Sid": `"Allow Public Access to All Objects"`}, ""},
		{elements{"Sid": `7`}, reasonSyntax},
		{elements{"Odd": `"x"`}, "Unknown field Odd"},
		{elements{"Effect": ""}, "Missing required field Effect"},
		{elements{"Effect": `"allow"`}, "Invalid effect: allow"},
		{elements{"Effect": `true`}, reasonSyntax},
		{elements{"Principal": ""}, "Missing required field Principal"},
		{elements{"Principal": `"arn:aws:iam::111111111111:root"`}, reasonSyntax},
		{elements{"Principal": `["*"]`}, reasonSyntax},
		{elements{"Principal": `{}`}, reasonNoPrincipal},
		{elements{"Principal": `{"AWS": []}`}, reasonNoPrincipal},
		{elements{"Principal": `{"AWS": 111111111111}`}, reasonSyntax},
		{elements{"Principal": `{"AWS": ["*", "111111111111"]}`}, ""},
		{elements{"Principal": `{"AWS": "11111111111"}`}, reasonPrincipal},
		{elements{"Principal": `{"AWS": "somebody"}`}, reasonPrincipal},
		{elements{"Principal": `{"AWS": "arn:aws:iam::111111111111:root"}`}, ""},
		{elements{"Principal": `{"AWS": "arn:aws:iam::s3tenant1:root"}`}, ""},
		{elements{"Principal": `{"AWS": "arn:aws:iam:::root"}`}, reasonPrincipal},
		{elements{"Principal": `{"AWS": "arn:aws:iam::111111111111:rooty"}`}, reasonPrincipal},
		{elements{"Principal": `{"AWS": "arn:aws:iam::111111111111:root/x"}`}, reasonPrincipal},
		{elements{"Principal": `{"AWS": "arn:aws:iam::111111111111:user/*"}`}, reasonPrincipal},
		{elements{"Principal": `{"AWS": "arn:aws:iam::111111111111:user/"}`}, reasonPrincipal},
		{elements{"Principal": `{"AWS": "arn:aws:iam::111111111111:user/path/name"}`}, ""},
		{elements{"Principal": `{"AWS": "arn:aws:iam::111111111111:group/admins"}`}, reasonPrincipal},
		{elements{"Principal": `{"AWS": "arn:aws:iam::111111111111:role/r"}`}, ""},
		{elements{"Principal": `{"AWS": "arn:aws:sts::111111111111:assumed-role/r/s"}`}, ""},
		{elements{"Principal": `{"AWS": "arn:aws:s3:::bucket"}`}, reasonPrincipal},
		{elements{"Principal": `{"AWS": "arn:aws:iam::111111111111"}`}, reasonPrincipal},
		{elements{"Principal": `{"AWS": "urn:aws:iam::111111111111:root"}`}, reasonPrincipal},
		{elements{"Principal": `{"AWS": "arn:aws-cn:iam::111111111111:root"}`}, reasonPrincipal},
		{elements{"Principal": `{"AWS": "arn:aws:iam:us-east-1:111111111111:root"}`}, reasonPrincipal},
		{elements{"Principal": `{"AWS": "arn:aws:iam::a.b:root"}`}, reasonPrincipal},
		{elements{"Principal": `{"Service": "logging.s3.amazonaws.com"}`}, ""},
		{elements{"Principal": `{"Federated": ["a", ""]}`}, reasonPrincipal},
		{elements{"Principal": `{"CanonicalUser": "` + strings.Repeat("0a", 32) + `"}`}, ""},
		{elements{"Principal": `{"CanonicalUser": "*"}`}, reasonPrincipal},
		{elements{"Principal": `{"CanonicalUser": "` + strings.Repeat("0a", 31) + `"}`}, reasonPrincipal},
		{elements{"Principal": `{"CanonicalUser": "` + strings.Repeat("0A", 32) + `"}`}, reasonPrincipal},
		{elements{"Principal": `{"Nobody": "x"}`}, reasonPrincipal},
		{elements{"Principal": "", "NotPrincipal": `{"AWS": "111111111111"}`}, reasonNotPrincipal},
		{elements{"Effect": `"Deny"`, "Principal": "", "NotPrincipal": `{"AWS": "111111111111"}`}, ""},
		{elements{"Effect": `"Deny"`, "NotPrincipal": `{"AWS": "111111111111"}`}, reasonSyntax},
		{elements{"Action": ""}, "Missing required field Action"},
		{elements{"Action": `[]`}, "Missing required field Action"},
		{elements{"Action": `[["s3:GetObject"]]`}, reasonSyntax},
		{elements{"Action": `"s3:GetObjekt"`}, reasonAction},
		{elements{"Action": `"GetObject"`}, reasonAction},
		{elements{"Action": `"iam:CreateUser"`}, reasonAction},
		{elements{"Action": `["s3:GetObject", "s3:Nothing*"]`}, reasonAction},
		{elements{"Action": `["S3:getobject", "s3:Get*", "*"]`}, ""},
		{elements{"NotAction": `"s3:PutObject"`}, reasonSyntax},
		{elements{"Action": "", "NotAction": `"s3:PutObject"`}, ""},
		{elements{"Action": `"s3:ListBucket"`}, reasonActionResource},
		{elements{"Action": `["s3:GetObject", "s3:ListBucket"]`}, reasonActionResource},
		{elements{"Action": `["s3:GetObject", "s3:ListBucket"]`, "Resource": `["arn:aws:s3:::bucket/*", "arn:aws:s3:::bucket"]`}, ""},
		{elements{"Action": `"s3:GetObject"`, "Resource": `"arn:aws:s3:::bucket"`}, reasonActionResource},
		{elements{"Action": `["s3:GetObject", "s3:ListBucket"]`, "Resource": `"arn:aws:s3:::bucket*"`}, ""},
		{elements{"Action": `"s3:CreateBucket"`, "Resource": `"arn:aws:s3:::bucket"`}, reasonActionResource},
		{elements{"Resource": ""}, "Missing required field Resource"},
		{elements{"Resource": `[]`}, "Missing required field Resource"},
		{elements{"Resource": `"*"`}, reasonResource},
		{elements{"Resource": `"bucket/*"`}, reasonResource},
		{elements{"Resource": `"arn:aws:s3:::other/*"`}, reasonResource},
		{elements{"Resource": `["arn:aws:s3:::bucket/*", "arn:aws:s3:::other/*"]`}, reasonResource},
		{elements{"Resource": `"arn:aws:s3:::*/*"`}, ""},
		{elements{"Resource": `"arn:aws:s3:::buck?t/a*"`}, ""},
		{elements{"Resource": `"arn:aws:s3:::buck?/a*"`}, reasonResource},
		{elements{"Resource": `"arn:aws:s3:::${aws:username}/*"`}, reasonResource},
		{elements{"Resource": `"arn:aws:s3:::bucket/${aws:username/*"`}, reasonResource},
		{elements{"Resource": `"arn:aws:s3:::bucket/${aws:username}/*"`}, ""},
		{elements{"Resource": `"arn:aws:s3:::bucket/` + strings.Repeat("?", 1024) + `*"`}, ""},
		{elements{"Resource": `"arn:aws:s3:::bucket/*` + strings.Repeat("?", maxSought) + `*"`}, ""},
		{elements{"Resource": `"arn:aws:s3:::bucket/*` + strings.Repeat("?", maxSought+1) + `*"`}, reasonResource},
		{elements{"Resource": `["arn:aws:s3:::bucket/*?*", "arn:aws:s3:::bucket/*` + strings.Repeat("?", maxSought) + `*"]`}, reasonResource},
		{elements{"Condition": `{"StringLike": {"aws:Referer": "*` + strings.Repeat("a?", maxSought+1) + `*"}}`}, reasonSyntax},
		{elements{"NotResource": `"arn:aws:s3:::bucket/x"`}, reasonSyntax},
		{elements{"Resource": "", "NotResource": `"arn:aws:s3:::bucket/x"`}, ""},
		{elements{"Condition": `{}`}, ""},
		{elements{"Condition": `[]`}, reasonSyntax},
		{elements{"Condition": `{"StringEquals": {}}`}, reasonSyntax},
		{elements{"Condition": `{"StringEquals": "x"}`}, reasonSyntax},
		{elements{"Condition": `{"StringEquals": {"aws:Referer": []}}`}, reasonSyntax},
		{elements{"Condition": `{"StringEquals": {"aws:Referer": null}}`}, reasonSyntax},
		{elements{"Condition": `{"StringEquals": {"aws:Referer": {}}}`}, reasonSyntax},
		{elements{"Condition": `{"StringEquals": {"aws:Referer": ["x", 1, -2, true, false]}}`}, ""},
		{elements{"Condition": `{"StringEqual": {"aws:Referer": "x"}}`}, "Invalid Condition type : StringEqual"},
		{elements{"Condition": `{"StringEquals": {"aws:Referrer": "x"}}`}, reasonConditionKey},
		{elements{"Condition": `{"StringEquals": {"s3:nothing": "x"}}`}, reasonConditionKey},
		{elements{"Condition": `{"StringEquals": {"s3:ExistingObjectTag/": "x"}}`}, reasonConditionKey},
		{elements{"Condition": `{"StringEquals": {"AWS:referer": "x"}}`}, ""},
		{elements{"Condition": `{"StringEquals": {"aws:PrincipalTag/team": "x"}}`}, ""},
		{elements{"Condition": `{"StringEquals": {"s3:prefix": "x"}}`}, reasonConditionAction},
		{elements{"Action": `"s3:Get*"`, "Condition": `{"StringEquals": {"s3:prefix": "x"}}`}, ""},
		{elements{"Action": `["s3:GetObject", "s3:PutObject"]`, "Condition": `{"StringEquals": {"s3:x-amz-acl": "x"}}`}, reasonConditionAction},
		{elements{"Action": `"s3:PutObject"`, "Condition": `{"StringEquals": {"s3:x-amz-acl": "x"}}`}, ""},
		{elements{"Condition": `{"IpAddress": {"aws:SourceIp": "300.0.0.1"}}`}, reasonConditionIP},
		{elements{"Condition": `{"Null": {"aws:SourceIp": "true"}}`}, reasonConditionIP},
		{elements{"Condition": `{"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "::1"]}}`}, ""},
		{elements{"Condition": `{"NumericEquals": {"s3:signatureAge": "old"}}`}, reasonSyntax},
		{elements{"Condition": `{"DateEquals": {"aws:CurrentTime": "now"}}`}, reasonSyntax},
		{elements{"Condition": `{"Bool": {"aws:SecureTransport": "yes"}}`}, reasonSyntax},
		{elements{"Condition": `{"BinaryEquals": {"aws:Referer": "?"}}`}, reasonSyntax},
		{elements{"Condition": `{"StringEquals": {"aws:Referer": "${"}}`}, reasonSyntax},
		{elements{"Condition": `{"StringEquals": {"aws:Referer": "x"}, "StringEquals": {"aws:Referer": "y"}}`}, reasonJSON},
	}
	for _, tt := range tests {
		doc := statementDoc(tt.elements)
		_, err := ParsePolicy(doc, "bucket")
		checkReason(t, doc, err, tt.reason)
	}
}

func checkReason(t *testing.T, doc []byte, err error, reason string) {
	t.Helper()
	var malformed *MalformedPolicyError
	switch {
	case reason == "" && err != nil:
		t.Errorf("%s: %v", doc, err)
	case reason != "" && (!errors.As(err, &malformed) || malformed.Reason != reason):
		t.Errorf("%s: %v, want %q", doc, err, reason)
	}
}

func TestMalformedPolicies(t *testing.T) {
	const one = `{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*"}`
	withSid := func(sid string) string { return strings.Replace(one, "{", `{"Sid": "`+sid+`", `, 1) }
	tests := []struct{ doc, reason string }{
		{`{"Statement": ` + one + `}`, ""},
		{`{"Version": "2008-10-17", "Id": "id", "Statement": [` + one + `, ` + one + `]}`, ""},
		{`{"Version": "2012-10-17", "Statement": [` + withSid("a") + `, ` + withSid("b") + `]}`, ""},
		{`{"Version": "2012-10-17", "Statement": [` + withSid("a") + `, ` + withSid("a") + `]}`, ""},
		{``, reasonFirstByte},
		{`[]`, reasonFirstByte},
		{` {"Statement": [` + one + `]}`, reasonFirstByte},
		{`{`, reasonJSON},
		{`{"Statement": [` + one + `]} {}`, reasonJSON},
		{`{"Statement": [` + one + `],}`, reasonJSON},
		{`{}`, "Missing required field Statement"},
		{`{"Version": "2012-10-17"}`, "Missing required field Statement"},
		{`{"Statement": []}`, reasonNoStatement},
		{`{"Statement": "x"}`, reasonSyntax},
		{`{"Statement": [1]}`, reasonSyntax},
		{`{"Version": "2020-01-01", "Statement": [` + one + `]}`, reasonVersion},
		{`{"Version": 2012, "Statement": [` + one + `]}`, reasonVersion},
		{`{"Id": {}, "Statement": [` + one + `]}`, reasonSyntax},
		{`{"Statement": [` + one + `], "Extra": 1}`, "Unknown field Extra"},
		{`{"statement": [` + one + `]}`, "Unknown field statement"},
		{`{"Statement": [` + one + `], "Statement": [` + one + `]}`, reasonJSON},
		{`{"Statement": [` + strings.Replace(one, "{", `{"Effect": "Deny", `, 1) + `]}`, reasonJSON},
	}
	for _, tt := range tests {
		_, err := ParsePolicy([]byte(tt.doc), "bucket")
		checkReason(t, []byte(tt.doc), err, tt.reason)
	}
}

func TestPolicySize(t *testing.T) {
	ofSize := func(n int) []byte {
		doc := bytes.ReplaceAll(statementDoc(map[string]string{"Sid": `"$"`}), []byte(" "), nil)
		return bytes.Replace(doc, []byte("$"), bytes.Repeat([]byte("x"), n-len(doc)+1), 1)
	}
	if doc := ofSize(MaxBucketPolicy); len(doc) != MaxBucketPolicy {
		t.Fatalf("%d bytes", len(doc))
	}
	for _, doc := range [][]byte{
		ofSize(MaxBucketPolicy),
		bytes.Replace(ofSize(MaxBucketPolicy), []byte(":"), []byte(strings.Repeat(" ", 20000)+":"), 1),
	} {
		if _, err := ParsePolicy(doc, "bucket"); err != nil {
			t.Errorf("%d bytes: %v", len(doc), err)
		}
	}
	for _, doc := range [][]byte{
		ofSize(MaxBucketPolicy + 1),
		bytes.Replace(ofSize(MaxBucketPolicy), []byte(":"), []byte(strings.Repeat(" ", 80000)+":"), 1),
	} {
		if _, err := ParsePolicy(doc, "bucket"); !errors.Is(err, ErrPolicyTooLarge) {
			t.Errorf("%d bytes: %v", len(doc), err)
		}
	}
}

func TestIdentityPolicies(t *testing.T) {
	tests := []struct{ statement, reason string }{
		{`{"Effect": "Allow", "Action": "*", "Resource": "*"}`, ""},
		{`{"Effect": "Allow", "Action": ["s3:*", "iam:CreateUser"], "Resource": "arn:aws:s3:::a"}`, ""},
		{`{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::a/*"}`, ""},
		{`{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::${aws:username}/*"}`, ""},
		{`{"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"StringEquals": {"ec2:Region": "x"}}}`, ""},
		{`{"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"StringEquals": {"region": "x"}}}`, reasonConditionKey},
		{`{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}`, reasonIdentity},
		{`{"Effect": "Deny", "NotPrincipal": {"AWS": "111111111111"}, "Action": "*", "Resource": "*"}`, reasonIdentity},
		{`{"Effect": "Allow", "Action": "everything", "Resource": "*"}`, reasonAction},
		{`{"Effect": "Allow", "Action": "s3:", "Resource": "*"}`, reasonAction},
		{`{"Effect": "Allow", "Action": "s3:*", "Resource": "a/*"}`, reasonResource},
		{`{"Effect": "Allow", "Action": "s3:*"}`, "Missing required field Resource"},
		{`[{"Sid": "a", "Effect": "Allow", "Action": "*", "Resource": "*"}, {"Sid": "b", "Effect": "Allow", "Action": "*", "Resource": "*"}]`, ""},
		{`[{"Sid": "a", "Effect": "Allow", "Action": "*", "Resource": "*"}, {"Sid": "a", "Effect": "Allow", "Action": "*", "Resource": "*"}]`, reasonSid},
	}
	for _, tt := range tests {
		doc := []byte(`{"Version": "2012-10-17", "Statement": ` + tt.statement + `}`)
		_, err := ParseIdentityPolicy(doc)
		checkReason(t, doc, err, tt.reason)
	}
}

func FuzzParsePolicy(f *testing.F) {
	for _, cases := range decisionCases(f) {
		for _, c := range cases {
			if c.Bucket.Policy != nil {
				f.Add([]byte(c.Bucket.Policy))
			}
			for _, doc := range c.UserPolicies {
				f.Add([]byte(doc))
			}
		}
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		for _, parse := range []func([]byte) (*Policy, error){bucketPolicy, ParseIdentityPolicy} {
			p, err := parse(doc)
			var malformed *MalformedPolicyError
			if (p == nil) == (err == nil) || err != nil && !errors.As(err, &malformed) && !errors.Is(err, ErrPolicyTooLarge) {
				t.Fatalf("policy %v, error %v", p, err)
			}
			if err != nil {
				continue
			}
			r := &Request{Action: "s3:GetObject", ARN: "arn:aws:s3:::bucket/key", Context: contextMap{"aws:referer": {"x"}}}
			r.Bucket = &BucketFacts{Owner: "o", Policy: p}
			anonymous := Decide(r)
			if anonymous.Reason == "" {
				t.Error("a decision without a reason")
			}
			r.Bucket.Block.RestrictPublicBuckets = true
			if p.IsPublic() && Decide(r).Allowed {
				t.Error("a public policy serves the anonymous though it is restricted")
			}
		}
	})
}
