package gateway

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/undercroft/undercroft/s3"
)

var policyTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const (
	notExpired = `"expiration": "2026-01-02T03:04:06.000Z"`
	keyAny     = `{"bucket": "b"}, ["starts-with", "$key", ""]`
)

func encodePolicy(doc string) string { return base64.StdEncoding.EncodeToString([]byte(doc)) }

func policyOf(conditions string) string {
	return `{` + notExpired + `, "conditions": [` + conditions + `]}`
}

func TestPolicyConditions(t *testing.T) {
	const failed = "Policy Condition failed: "
	tests := []struct {
		name, conditions string
		fields           []string
		refusal          string // empty: it is allowed
	}{
		{"all", keyAny, []string{"key", "k"}, ""},
		{"no bucket", `["starts-with", "$key", ""]`, []string{"key", "k"}, "Extra input fields: bucket"},
		{"other bucket", `{"bucket": "c"}, ["starts-with", "$key", ""]`, []string{"key", "k"}, failed + `["eq", "$bucket", "c"]`},
		{"field bucket lies", `{"bucket": "c"}, ["starts-with", "$key", ""]`, []string{"key", "k", "bucket", "c"}, failed + `["eq", "$bucket", "c"]`},
		{"prefix", `{"bucket": "b"}, ["starts-with", "$key", "user/"]`, []string{"key", "user/k"}, ""},
		{"other prefix", `{"bucket": "b"}, ["starts-with", "$key", "user/"]`, []string{"key", "use"}, failed + `["starts-with", "$key", "user/"]`},
		{"eq", `{"bucket": "b"}, ["eq", "$key", "k"]`, []string{"key", "k"}, ""},
		{"not eq", `{"bucket": "b"}, ["eq", "$Key", "k"]`, []string{"key", "kk"}, failed + `["eq", "$Key", "k"]`},
		{"exact", `{"bucket": "b"}, {"key": "k"}`, []string{"key", "K"}, failed + `["eq", "$key", "k"]`},
		{"any case", `{"bUcKeT": "b"}, ["StArTs-WiTh", "$KeY", "k"]`, []string{"key", "k"}, ""},
		{"encryption as the bucket has it", keyAny + `, ["starts-with", "$x-amz-server-side-encryption", ""]`, []string{"key", "k"}, ""},
		{"encryption that is asked for", keyAny + `, ["starts-with", "$x-amz-server-side-encryption", "aws"]`, []string{"key", "k"}, failed + `["starts-with", "$x-amz-server-side-encryption", "aws"]`},
		{"exactly no encryption", keyAny + `, {"x-amz-server-side-encryption": ""}`, []string{"key", "k"}, failed + `["eq", "$x-amz-server-side-encryption", ""]`},
		{"missing field", keyAny + `, ["starts-with", "$x-amz-meta-a", ""]`, []string{"key", "k"}, failed + `["starts-with", "$x-amz-meta-a", ""]`},
		{"empty field", keyAny + `, ["eq", "$x-amz-meta-a", ""]`, []string{"key", "k", "x-amz-meta-a", "1"}, failed + `["eq", "$x-amz-meta-a", ""]`},
		{"extra fields", keyAny, []string{"key", "k", "x-amz-meta-b", "1", "acl", "private", "x-ignore-a", "1"}, "Extra input fields: acl, x-amz-meta-b"},
		{"checksum", keyAny, []string{"key", "k", "x-amz-checksum-sha256", "1"}, ""},
		{"checksum type", keyAny, []string{"key", "k", "x-amz-checksum-type", "1"}, "Extra input fields: x-amz-checksum-type"},
		{"checksum that is asked for", keyAny + `, ["eq", "$x-amz-checksum-sha256", "2"]`, []string{"key", "k", "x-amz-checksum-sha256", "1"}, failed + `["eq", "$x-amz-checksum-sha256", "2"]`},
		{"date is a field like others", keyAny, []string{"key", "k", "x-amz-date", "1"}, "Extra input fields: x-amz-date"},
		{"free fields", keyAny, []string{"key", "k", "policy", "p", "x-amz-signature", "s", "signature", "s", "awsaccesskeyid", "a"}, ""},
		{"content types", keyAny + `, ["starts-with", "$Content-Type", "image/"]`, []string{"key", "k", "content-type", "image/jpg,image/png, image/gif"}, ""},
		{"one other content type", keyAny + `, ["starts-with", "$Content-Type", "image/"]`, []string{"key", "k", "content-type", "image/jpg,text/plain"}, failed + `["starts-with", "$Content-Type", "image/"]`},
		{"commas elsewhere", keyAny + `, ["starts-with", "$x-amz-meta-a", "1"]`, []string{"key", "k", "x-amz-meta-a", "1,2"}, ""},
		{"two conditions", keyAny + `, ["starts-with", "$key", "a"]`, []string{"key", "k"}, failed + `["starts-with", "$key", "a"]`},
		{"escapes", `{"bucket": "b"}, ["eq", "$key", "\$\u0061\v\\$"]`, []string{"key", "$a\v\\$"}, ""},
		{"quotes", `{"bucket": "b"}, ["eq", "$key", "\"<"]`, []string{"key", "k"}, failed + `["eq", "$key", "\"\u003c"]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := parsePostPolicy(encodePolicy(policyOf(tt.conditions)))
			if err != nil {
				t.Fatal(err)
			}
			f := &form{fields: map[string]string{}}
			for i := 0; i < len(tt.fields); i += 2 {
				f.fields[tt.fields[i]] = tt.fields[i+1]
			}
			err = p.check(f, "b", policyTime)
			switch {
			case tt.refusal == "" && err != nil:
				t.Error(err)
			case tt.refusal == "":
			case s3.CodeOf(err) != s3.AccessDenied || s3.AsError(err).Message != "Invalid according to Policy: "+tt.refusal:
				t.Errorf("%v, want %q", err, tt.refusal)
			}
		})
	}
}

func TestPolicyExpires(t *testing.T) {
	p, err := parsePostPolicy(encodePolicy(policyOf(keyAny)))
	if err != nil {
		t.Fatal(err)
	}
	f := &form{fields: map[string]string{"key": "k"}}
	if err := p.check(f, "b", policyTime); err != nil {
		t.Error(err)
	}
	if err := p.check(f, "b", policyTime.Add(time.Second)); s3.CodeOf(err) != s3.AccessDenied || !strings.Contains(err.Error(), "Policy expired.") {
		t.Error(err)
	}
}

func TestPolicySizes(t *testing.T) {
	p, err := parsePostPolicy(encodePolicy(policyOf(`["content-length-range", 5, 100], ["Content-Length-Range", "0", "50"]`)))
	if err != nil || p.size != (sizeRange{5, 50}) {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := parsePostPolicy(encodePolicy(policyOf(""))); err != nil || p.size != anySize() {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestBadPolicies(t *testing.T) {
	tests := []struct{ name, doc, message string }{
		{"no JSON", `{`, "Invalid JSON."},
		{"null", `null`, "Invalid JSON."},
		{"a list", `[]`, "Invalid JSON."},
		{"after the end", policyOf("") + "x", "Invalid JSON."},
		{"no expiration", `{"conditions": []}`, "Policy missing expiration."},
		{"EXPIRATION", `{"EXPIRATION": "2026-01-02T03:04:06Z", "conditions": []}`, "Unexpected: 'EXPIRATION'"},
		{"expiration is a number", `{"expiration": 1, "conditions": []}`, "Invalid 'expiration' value: it is not a string"},
		{"no ISO 8601", `{"expiration": "2026-01-02 03:04:06+00:00", "conditions": []}`, "Invalid 'expiration' value: '2026-01-02 03:04:06+00:00'"},
		{"no conditions", `{` + notExpired + `}`, "Policy missing conditions."},
		{"null conditions", `{` + notExpired + `, "conditions": null}`, "Policy missing conditions."},
		{"conditions are an object", `{` + notExpired + `, "conditions": {}}`, "Policy missing conditions."},
		{"unknown member", `{` + notExpired + `, "conditions": [], "version": "1"}`, "Unexpected: 'version'"},
		{"empty simple", policyOf(`{}`), "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified."},
		{"two in one", policyOf(`{"a": "1", "b": "2"}`), "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified."},
		{"number", policyOf(`{"a": 1}`), "Invalid Simple-Condition: value must be a string."},
		{"null value", policyOf(`{"a": null}`), "Invalid Simple-Condition: value must be a string."},
		{"a string", policyOf(`"a"`), "Invalid condition: it is neither a list nor an object."},
		{"a null", policyOf(`null`), "Invalid condition: it is neither a list nor an object."},
		{"too short", policyOf(`["content-length-range", 0]`), "Invalid condition: it must have an operator and two operands."},
		{"too long", policyOf(`["eq", "$a", "b", "c"]`), "Invalid condition: it must have an operator and two operands."},
		{"negative size", policyOf(`["content-length-range", -1, 0]`), "Invalid content-length-range: it must have two sizes."},
		{"fraction", policyOf(`["content-length-range", 0, 1.5]`), "Invalid content-length-range: it must have two sizes."},
		{"empty range", policyOf(`["content-length-range", 2, 1]`), "Invalid content-length-range: it must have two sizes."},
		{"no dollar", policyOf(`["eq", "key", "k"]`), "Invalid condition: eq needs $field and a string."},
		{"no field", policyOf(`["starts-with", "$", "k"]`), "Invalid condition: starts-with needs $field and a string."},
		{"no string", policyOf(`["eq", "$key", 1]`), "Invalid condition: eq needs $field and a string."},
		{"operator", policyOf(`["ends-with", "$key", "k"]`), "Invalid condition: unknown operator."},
		{"operator is a number", policyOf(`[1, "$key", "k"]`), "Invalid condition: unknown operator."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parsePostPolicy(encodePolicy(tt.doc))
			if s3.CodeOf(err) != s3.InvalidPolicyDocument || s3.AsError(err).Message != "Invalid Policy: "+tt.message {
				t.Errorf("%v, want %q", err, tt.message)
			}
		})
	}
	if _, err := parsePostPolicy("*"); s3.CodeOf(err) != s3.InvalidPolicyDocument {
		t.Errorf("no base64: %v", err)
	}
}

// FuzzPostPolicy: a policy is refused as S3 refuses it, or what it allows has
// every field covered.
func FuzzPostPolicy(f *testing.F) {
	f.Add(policyOf(keyAny), "key", "k")
	f.Add(policyOf(keyAny+`, {"acl": "private"}, ["content-length-range", 1, 2], ["eq", "$a\$", "\v"]`), "acl", "private")
	f.Add(`{"expiration": "9999-01-01T00:00:00Z", "conditions": [["starts-with", "$content-type", "a"]]}`, "content-type", "a,b")
	f.Fuzz(func(t *testing.T, doc, field, value string) {
		p, err := parsePostPolicy(encodePolicy(doc))
		if err != nil {
			if s3.CodeOf(err) != s3.InvalidPolicyDocument {
				t.Errorf("%q: %v", doc, err)
			}
			return
		}
		if p.size.least < 0 || p.size.most > s3.MaxPutSize {
			t.Errorf("%q: %+v", doc, p.size)
		}
		field = strings.ToLower(field)
		err = p.check(&form{fields: map[string]string{field: value}}, "b", policyTime)
		if err != nil {
			if s3.CodeOf(err) != s3.AccessDenied {
				t.Errorf("%q: %v", doc, err)
			}
			return
		}
		covered := freeField(field)
		for i := range p.conditions {
			covered = covered || strings.EqualFold(p.conditions[i].field, field)
		}
		if !covered || !policyTime.Before(p.expires) {
			t.Errorf("%q allows %q, until %v", doc, field, p.expires)
		}
	})
}
