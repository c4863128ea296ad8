package sigv4

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
)

// Form is what the fields of an upload form say of its signature. Empty fields
// were not there.
type Form struct {
	// Policy is the policy as it was sent, in base64: that is what is signed.
	Policy string
	// The fields x-amz-algorithm, -credential, -date, -signature and -security-token.
	Algorithm, Credential, Date, Signature, Token string
	// AccessKeyV2 and SignatureV2 are the fields of Signature Version 2:
	// AWSAccessKeyId and signature.
	AccessKeyV2, SignatureV2 string
}

// Anonymous reports whether the form is not meant to be authorized.
func (f *Form) Anonymous() bool {
	return f.Policy == "" && !f.v4() && !f.v2()
}

func (f *Form) v4() bool {
	return f.Algorithm != "" || f.Credential != "" || f.Date != "" || f.Signature != ""
}

func (f *Form) v2() bool { return f.AccessKeyV2 != "" || f.SignatureV2 != "" }

// VerifyForm checks the signature of an upload form. That its policy is not
// expired and allows the form is for the caller to find out. An anonymous form
// is accepted as AuthAnonymous. The result says nothing of the body.
func (v *Verifier) VerifyForm(ctx context.Context, f *Form) (*Result, error) {
	switch {
	case f.Anonymous():
		return &Result{Auth: AuthAnonymous, Length: -1, Payload: PayloadUnsigned}, nil
	case f.v4() && f.v2():
		return nil, refuse(KindMultipleAuth)
	case f.Token != "":
		return nil, refuse(KindSecurityToken)
	case f.v4():
		return v.verifyForm(ctx, f)
	}
	if v.Legacy == nil {
		return nil, refuse(KindSignatureV2)
	}
	if err := f.require(field{"AWSAccessKeyId", f.AccessKeyV2}, field{"Signature", f.SignatureV2}, field{"Policy", f.Policy}); err != nil {
		return nil, err
	}
	if err := v.Legacy.VerifyPolicy(f.Policy, f.AccessKeyV2, f.SignatureV2, v.lookup(ctx)); err != nil {
		return nil, err
	}
	return &Result{Auth: AuthForm, AccessKey: f.AccessKeyV2, Legacy: true, Length: -1, Payload: PayloadUnsigned}, nil
}

func (v *Verifier) verifyForm(ctx context.Context, f *Form) (*Result, error) {
	err := f.require(field{"Policy", f.Policy}, field{paramAlgorithm, f.Algorithm}, field{paramCredential, f.Credential},
		field{paramDate, f.Date}, field{paramSignature, f.Signature})
	if err != nil {
		return nil, err
	}
	if f.Algorithm == algorithmECDSA {
		return nil, refuse(KindAsymmetric)
	}
	if f.Algorithm != algorithm {
		return nil, malformed(KindMalformed, AuthQuery, `X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"`)
	}
	c := claim{auth: AuthQuery} // the refusals are told as those of a query
	if err := c.parseCredential(f.Credential); err != nil {
		return nil, err
	}
	if c.time, err = parseTime(f.Date); err != nil {
		return nil, malformed(KindMalformed, AuthQuery, `X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`)
	}
	c.timestamp = f.Date
	if err := c.checkScope(v); err != nil {
		return nil, err
	}
	secret, err := v.secret(ctx, c.accessKey)
	if err != nil {
		return nil, err
	}
	if err := c.checkDate(); err != nil {
		return nil, err
	}
	var sum [sha256.Size]byte
	want := v.keys.get(v, &c, secret).sign(sum[:0], []byte(f.Policy))
	got, ok := parseSignature(f.Signature)
	if !ok || !hmac.Equal(got[:], want) {
		return nil, refuse(KindSignatureMismatch, "AWSAccessKeyId", c.accessKey,
			"StringToSign", f.Policy, "SignatureProvided", f.Signature, "StringToSignBytes", hexBytes(f.Policy))
	}
	return &Result{Auth: AuthForm, AccessKey: c.accessKey, Time: c.time, Length: -1, Payload: PayloadUnsigned}, nil
}

// field is a field of a form by the name that AWS calls it.
type field struct{ name, value string }

// require refuses a form without one of the fields.
func (f *Form) require(fields ...field) error {
	for _, one := range fields {
		if one.value == "" {
			return refuseMessage(KindFieldMissing, fmt.Sprintf(
				"Bucket POST must contain a field named '%s'.  If it is specified, please check the order of the fields.", one.name),
				"ArgumentName", one.name, "ArgumentValue", "")
		}
	}
	return nil
}
