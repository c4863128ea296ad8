package iam

import "testing"

func TestPolicyIsPublic(t *testing.T) {
	const account = `{"AWS": "111111111111"}`
	tests := []struct {
		name     string
		elements map[string]string
		public   bool
	}{
		{"everyone", map[string]string{}, true},
		{"AWS everyone", map[string]string{"Principal": `{"AWS": "*"}`}, true},
		{"everyone among others", map[string]string{"Principal": `{"AWS": ["111111111111", "*"]}`}, true},
		{"denied to everyone", map[string]string{"Effect": `"Deny"`}, false},
		{"denied to all but one", map[string]string{"Effect": `"Deny"`, "Principal": "", "NotPrincipal": account}, false},
		{"an account", map[string]string{"Principal": account}, false},
		{"an account and an open condition", map[string]string{"Principal": account, "Condition": `{"StringLike": {"aws:Referer": "*"}}`}, false},
		{"a service", map[string]string{"Principal": `{"Service": "logging.s3.amazonaws.com"}`}, false},
		{"an address", map[string]string{"Condition": `{"IpAddress": {"aws:SourceIp": "203.0.113.1"}}`}, false},
		{"a range of one address", map[string]string{"Condition": `{"IpAddress": {"aws:SourceIp": "10.0.0.0/32"}}`}, false},
		{"a private range", map[string]string{"Condition": `{"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}`}, false},
		{"a broad range", map[string]string{"Condition": `{"IpAddress": {"aws:SourceIp": "8.0.0.0/7"}}`}, true},
		{"all addresses", map[string]string{"Condition": `{"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}`}, true},
		{"a narrow and a broad range", map[string]string{"Condition": `{"IpAddress": {"aws:SourceIp": ["203.0.113.1", "0.0.0.0/1"]}}`}, true},
		{"a range of version 6", map[string]string{"Condition": `{"IpAddress": {"aws:SourceIp": "2001:db8::/32"}}`}, false},
		{"a broad range of version 6", map[string]string{"Condition": `{"IpAddress": {"aws:SourceIp": "2001::/31"}}`}, true},
		{"the private range of version 6", map[string]string{"Condition": `{"IpAddress": {"aws:SourceIp": "fc00::/7"}}`}, false},
		{"all but an address", map[string]string{"Condition": `{"NotIpAddress": {"aws:SourceIp": "203.0.113.1"}}`}, true},
		{"an address if known", map[string]string{"Condition": `{"IpAddressIfExists": {"aws:SourceIp": "203.0.113.1"}}`}, true},
		{"an account of the principal", map[string]string{"Condition": `{"StringEquals": {"aws:PrincipalAccount": "111111111111"}}`}, false},
		{"an account of the principal like a fixed one", map[string]string{"Condition": `{"StringLike": {"aws:PrincipalAccount": "111111111111"}}`}, false},
		{"any account of the principal", map[string]string{"Condition": `{"StringLike": {"aws:PrincipalAccount": "1*"}}`}, true},
		{"a fixed and an open account", map[string]string{"Condition": `{"StringLike": {"aws:PrincipalAccount": ["111111111111", "*"]}}`}, true},
		{"a variable account", map[string]string{"Condition": `{"StringEquals": {"aws:PrincipalAccount": "${s3:ResourceAccount}"}}`}, true},
		{"an account if known", map[string]string{"Condition": `{"StringEqualsIfExists": {"aws:PrincipalAccount": "111111111111"}}`}, true},
		{"all but an account", map[string]string{"Condition": `{"StringNotEquals": {"aws:PrincipalAccount": "111111111111"}}`}, true},
		{"all values of a key that may be absent", map[string]string{"Condition": `{"ForAllValues:StringEquals": {"aws:PrincipalOrgPaths": "o-1/r/"}}`}, true},
		{"any value of a fixed set", map[string]string{"Condition": `{"ForAnyValue:StringEquals": {"aws:PrincipalOrgPaths": "o-1/r/"}}`}, false},
		{"an organization", map[string]string{"Condition": `{"StringEquals": {"aws:PrincipalOrgID": "o-1"}}`}, false},
		{"a principal by its ARN", map[string]string{"Condition": `{"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111111111111:user/a"}}`}, false},
		{"principals by an open ARN", map[string]string{"Condition": `{"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::111111111111:user/*"}}`}, true},
		{"a source by its ARN", map[string]string{"Condition": `{"ArnEquals": {"aws:SourceArn": "arn:aws:sns:r:1:t"}}`}, false},
		{"a network", map[string]string{"Condition": `{"StringEquals": {"aws:SourceVpc": "vpc-1"}}`}, false},
		{"a user id", map[string]string{"Condition": `{"StringEquals": {"aws:userid": "AIDA"}}`}, false},
		{"the user id of nobody", map[string]string{"Condition": `{"StringEquals": {"aws:userid": "anonymous"}}`}, true},
		{"the user id of nobody in capitals", map[string]string{"Condition": `{"StringEqualsIgnoreCase": {"aws:userid": ["AIDA", "ANONYMOUS"]}}`}, true},
		{"sessions of a role", map[string]string{"Condition": `{"StringLike": {"aws:userid": "AROA:*"}}`}, true},
		{"access points of an account", map[string]string{"Condition": `{"ArnLike": {"s3:DataAccessPointArn": "arn:aws:s3:r:111111111111:accesspoint/*"}}`}, false},
		{"access points of any account", map[string]string{"Condition": `{"ArnLike": {"s3:DataAccessPointArn": "arn:aws:s3:r:*:accesspoint/*"}}`}, true},
		{"a referer", map[string]string{"Condition": `{"StringEquals": {"aws:Referer": "x"}}`}, true},
		{"HTTPS", map[string]string{"Condition": `{"Bool": {"aws:SecureTransport": "true"}}`}, true},
		{"a key that is present", map[string]string{"Condition": `{"Null": {"aws:PrincipalAccount": "false"}}`}, true},
		{"one closed condition of two", map[string]string{"Condition": `{"Bool": {"aws:SecureTransport": "true"}, "IpAddress": {"aws:SourceIp": "203.0.113.1"}}`}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := ParsePolicy(statementDoc(tt.elements), "bucket")
			if err != nil {
				t.Fatal(err)
			}
			if p.IsPublic() != tt.public {
				t.Errorf("public = %v, want %v", p.IsPublic(), tt.public)
			}
		})
	}
	if (*Policy)(nil).IsPublic() {
		t.Error("no policy is public")
	}
}

func TestOnePublicStatementMakesThePolicyPublic(t *testing.T) {
	const closed = `{"Effect": "Allow", "Principal": {"AWS": "111111111111"}, "Action": "s3:*", "Resource": "arn:aws:s3:::bucket/*"}`
	const open = `{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/a"}`
	for doc, public := range map[string]bool{
		`{"Statement": [` + closed + `]}`:                 false,
		`{"Statement": [` + closed + `, ` + open + `]}`:   true,
		`{"Statement": [` + open + `, ` + closed + `]}`:   true,
		`{"Statement": [` + closed + `, ` + closed + `]}`: false,
	} {
		p, err := ParsePolicy([]byte(doc), "bucket")
		if err != nil {
			t.Fatal(err)
		}
		if p.IsPublic() != public {
			t.Errorf("%s: public = %v", doc, p.IsPublic())
		}
	}
}
