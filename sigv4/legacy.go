package sigv4

import (
	"context"
	"net/http"
	"time"
)

// Legacy verifies what is signed with Signature Version 2. Its refusals unwrap
// to the s3.Error that answers them; what secret returns as its error it
// returns as it is.
type Legacy interface {
	// Verify checks a request and returns who signed it, and when. A presigned
	// URL does not say when: its time is zero.
	Verify(r *http.Request, secret func(accessKey string) (string, error)) (accessKey string, at time.Time, err error)
	// VerifyPolicy checks the signature of an upload form's policy, as it was sent.
	VerifyPolicy(policy, accessKey, signature string, secret func(accessKey string) (string, error)) error
}

// verifyLegacy hands a request of Version 2 to the verifier of that. Only the
// headers are signed then: chunks cannot be, a digest of the body is compared
// where it is given.
func (v *Verifier) verifyLegacy(r *http.Request, auth AuthType) (*Result, error) {
	if v.Legacy == nil {
		return nil, refuse(KindSignatureV2)
	}
	accessKey, at, err := v.Legacy.Verify(r, v.lookup(r.Context()))
	if err != nil {
		return nil, err
	}
	res := &Result{Auth: auth, AccessKey: accessKey, Time: at, Legacy: true}
	value := unsignedPayload
	if values := r.Header[paramContentSHA256]; len(values) > 0 {
		value = values[0]
	}
	if err := res.setPayload(value, r); err != nil {
		return nil, err
	}
	if res.Payload.signed() {
		return nil, refuse(KindSignatureV2)
	}
	return res, nil
}

// lookup returns what finds the secret of an access key.
func (v *Verifier) lookup(ctx context.Context) func(string) (string, error) {
	return func(accessKey string) (string, error) { return v.secret(ctx, accessKey) }
}
