package sigv4

import (
	"context"
	"encoding/hex"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/undercroft/undercroft/s3"
)

// examplePolicy and its signature are AWS's example of a browser-based upload.
const (
	examplePolicy        = "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9"
	exampleFormSignature = "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"
)

func exampleForm() Form {
	return Form{
		Policy: examplePolicy, Algorithm: algorithm, Credential: exampleKey + "/20151229/us-east-1/s3/aws4_request",
		Date: "20151229T000000Z", Signature: exampleFormSignature,
	}
}

func TestVerifyFormExample(t *testing.T) {
	f := exampleForm()
	res, err := newVerifier(t).VerifyForm(t.Context(), &f)
	if err != nil {
		t.Fatal(err)
	}
	if res.Auth != AuthForm || res.AccessKey != exampleKey || res.Legacy || !res.Time.Equal(mustTime(t, f.Date)) {
		t.Errorf("%+v", res)
	}
	res, err = newVerifier(t).VerifyForm(t.Context(), &Form{})
	if err != nil || res.Auth != AuthAnonymous {
		t.Errorf("a form without any field of a signature: %+v, %v", res, err)
	}
}

func TestFormRefusals(t *testing.T) {
	const malformed = s3.AuthorizationQueryParametersError
	tests := []struct {
		name   string
		change func(*Form)
		kind   Kind
		code   s3.Code
		text   string
	}{
		{"no policy", func(f *Form) { f.Policy = "" }, KindFieldMissing, s3.InvalidArgument, "'Policy'"},
		{"no signature", func(f *Form) { f.Signature = "" }, KindFieldMissing, s3.InvalidArgument, "'X-Amz-Signature'"},
		{"no credential", func(f *Form) { f.Credential = "" }, KindFieldMissing, s3.InvalidArgument, "'X-Amz-Credential'"},
		{"no date", func(f *Form) { f.Date = "" }, KindFieldMissing, s3.InvalidArgument, "'X-Amz-Date'"},
		{"no algorithm", func(f *Form) { f.Algorithm = "" }, KindFieldMissing, s3.InvalidArgument, "'X-Amz-Algorithm'"},
		{"both versions", func(f *Form) { f.AccessKeyV2 = "a" }, KindMultipleAuth, s3.InvalidArgument, ""},
		{"token", func(f *Form) { f.Token = "t" }, KindSecurityToken, s3.InvalidToken, ""},
		{"algorithm", func(f *Form) { f.Algorithm = "AWS4-HMAC-MD5" }, KindMalformed, malformed, ""},
		{"asymmetric", func(f *Form) { f.Algorithm = algorithmECDSA }, KindAsymmetric, s3.NotImplemented, ""},
		{"region", func(f *Form) { f.Credential = strings.Replace(f.Credential, "us-east-1", "eu-west-1", 1) }, KindWrongRegion, malformed, "eu-west-1"},
		{"credential", func(f *Form) { f.Credential = "x" }, KindCredentialMalformed, malformed, ""},
		{"date", func(f *Form) { f.Date = "2015-12-29" }, KindMalformed, malformed, ""},
		{"other date", func(f *Form) { f.Date = "20151228T000000Z" }, KindWrongDate, malformed, ""},
		{"unknown key", func(f *Form) { f.Credential = "AKIA" + f.Credential }, KindUnknownAccessKey, s3.InvalidAccessKeyID, ""},
		{"policy changed", func(f *Form) { f.Policy += "=" }, KindSignatureMismatch, s3.SignatureDoesNotMatch, ""},
		{"signature changed", func(f *Form) { f.Signature = strings.ToUpper(f.Signature) }, KindSignatureMismatch, s3.SignatureDoesNotMatch, ""},
		{"version 2", func(f *Form) { *f = Form{Policy: "p", AccessKeyV2: "a", SignatureV2: "s"} }, KindSignatureV2, s3.InvalidRequest, ""},
		{"policy alone", func(f *Form) { *f = Form{Policy: "p"} }, KindSignatureV2, s3.InvalidRequest, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := exampleForm()
			tt.change(&f)
			res, err := newVerifier(t).VerifyForm(t.Context(), &f)
			if res != nil || kindOf(err) != tt.kind {
				t.Fatalf("%+v, kind %d (%v), want kind %d", res, kindOf(err), err, tt.kind)
			}
			if got := answer(t, err); got.Code != tt.code || !strings.Contains(got.Message, tt.text) {
				t.Errorf("answer %s, want %s with %q", got, tt.code, tt.text)
			}
		})
	}
}

// A verifier of Version 2 that takes one signature and no other.
type legacy struct{ refusal error }

func (l legacy) Verify(r *http.Request, secret func(string) (string, error)) (accessKey string, at time.Time, err error) {
	if _, err := secret(r.URL.Query().Get("AWSAccessKeyId")); err != nil && r.Header.Get("Authorization") == "" {
		return "", at, err
	}
	return exampleKey, time.Unix(1, 0), l.refusal
}

func (l legacy) VerifyPolicy(_, accessKey, _ string, secret func(string) (string, error)) error {
	if _, err := secret(accessKey); err != nil {
		return err
	}
	return l.refusal
}

func TestLegacy(t *testing.T) {
	v := newVerifier(t)
	v.Legacy = legacy{}
	header := newRequest("PUT", "/b/k", "h", "Authorization", "AWS "+exampleKey+":x")
	query := newRequest("GET", "/b/k?AWSAccessKeyId="+exampleKey+"&Signature=x&Expires=1", "h")
	for auth, r := range map[AuthType]*http.Request{AuthHeader: header, AuthQuery: query} {
		res, err := v.Verify(r)
		if err != nil || res.Auth != auth || !res.Legacy || res.AccessKey != exampleKey || res.Payload != PayloadUnsigned {
			t.Errorf("auth %d: %+v, %v", auth, res, err)
		}
	}
	form := Form{Policy: "p", AccessKeyV2: exampleKey, SignatureV2: "s"}
	if res, err := v.VerifyForm(t.Context(), &form); err != nil || res.Auth != AuthForm || !res.Legacy {
		t.Errorf("form: %+v, %v", res, err)
	}
	unknown := newRequest("GET", "/b/k?AWSAccessKeyId=nobody&Signature=x&Expires=1", "h")
	if _, err := v.Verify(unknown); kindOf(err) != KindUnknownAccessKey {
		t.Errorf("unknown key: %v", err)
	}
	chunked := header.Clone(context.Background())
	maps.Copy(chunked.Header, http.Header{"X-Amz-Content-Sha256": {streamingSigned}, "X-Amz-Decoded-Content-Length": {"1"}})
	if _, err := v.Verify(chunked); kindOf(err) != KindSignatureV2 {
		t.Errorf("signed chunks: %v", err)
	}
	v.Legacy = legacy{refusal: s3.NewError(s3.SignatureDoesNotMatch)}
	for _, r := range []*http.Request{header, query} {
		if res, err := v.Verify(r); res != nil || s3.CodeOf(err) != s3.SignatureDoesNotMatch {
			t.Errorf("refused: %+v, %v", res, err)
		}
	}
	if _, err := v.VerifyForm(t.Context(), &form); s3.CodeOf(err) != s3.SignatureDoesNotMatch {
		t.Errorf("refused form: %v", err)
	}
	form.SignatureV2 = ""
	if _, err := v.VerifyForm(t.Context(), &form); kindOf(err) != KindFieldMissing {
		t.Errorf("form without a signature: %v", err)
	}
	broken := errors.New("no answer")
	v.Secret = func(context.Context, string) (string, error) { return "", broken }
	if _, err := v.Verify(query); !errors.Is(err, broken) {
		t.Errorf("broken lookup: %v", err)
	}
}

// The date of a signature is taken in every form of HTTP, and in ISO 8601.
func TestDateForms(t *testing.T) {
	for _, date := range []string{
		"Fri, 24 May 2013 00:00:00 GMT", "Friday, 24-May-13 00:00:00 GMT", "Fri May 24 00:00:00 2013",
		"Fri, 24 May 2013 00:00:00 -0000", "20130524T000000Z",
	} {
		for _, header := range []string{"Date", "X-Amz-Date"} {
			r := get()
			signed := "host;x-amz-content-sha256"
			if header == "X-Amz-Date" {
				signed += ";x-amz-date"
			}
			r.Header.Set(header, date)
			canonical := canonicalOf(r, signed, emptySHA256)
			r.Header.Set("Authorization", authorization(signed, sign(exampleSecret, testScope, exampleTime, canonical)))
			if res, err := newVerifier(t).Verify(r); err != nil || !res.Time.Equal(mustTime(t, exampleTime)) {
				t.Errorf("%s: %s: %v", header, date, err)
			}
		}
	}
	for _, date := range []string{"", "yesterday", "Fri, 24 May 1950 00:00:00 GMT"} {
		r := signRequest(get())
		r.Header.Set("X-Amz-Date", date)
		if _, err := newVerifier(t).Verify(r); kindOf(err) != KindMissingDate {
			t.Errorf("%q: %v", date, err)
		}
	}
}

// FuzzForm: nothing but the right signature is accepted.
func FuzzForm(f *testing.F) {
	e := exampleForm()
	f.Add(e.Policy, e.Algorithm, e.Credential, e.Date, e.Signature)
	f.Add("", "", "", "", "")
	f.Fuzz(func(t *testing.T, policy, algorithm, credential, date, signature string) {
		form := Form{Policy: policy, Algorithm: algorithm, Credential: credential, Date: date, Signature: signature}
		res, err := newVerifier(t).VerifyForm(t.Context(), &form)
		switch {
		case err != nil:
			if res != nil || kindOf(err) == 0 {
				t.Errorf("%+v: %+v, %v", form, res, err)
			}
		case res.Auth == AuthAnonymous:
			if !form.Anonymous() {
				t.Errorf("%+v is anonymous", form)
			}
		case signature != digestOf(credential, policy):
			t.Errorf("%+v is accepted", form)
		}
	})
}

func digestOf(credential, policy string) string {
	_, scope, _ := strings.Cut(credential, "/")
	return hex.EncodeToString(mac(testKey(exampleSecret, scope), policy))
}
