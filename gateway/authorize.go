package gateway

import (
	"errors"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sigv4"
)

// authenticate finds out who asks. Nothing of the body has been read.
func (g *Gateway) authenticate(x *exchange) error {
	res, err := g.o.Authenticator.Verify(x.r)
	if err != nil {
		return err
	}
	x.auth = res
	if res.Auth == sigv4.AuthAnonymous {
		return nil
	}
	cred, err := g.o.Keyring.Lookup(x.r.Context(), res.AccessKey)
	if errors.Is(err, iam.ErrNoSuchKey) {
		return s3.NewError(s3.InvalidAccessKeyID).With("AWSAccessKeyId", res.AccessKey)
	}
	if err != nil {
		return s3.NewError(s3.ServiceUnavailable).Because(err)
	}
	x.caller = &cred.Identity
	return nil
}

// authorize asks whether the caller may do what the row of the table says.
func (g *Gateway) authorize(x *exchange) error {
	action := x.op.Action
	if x.version() != "" && x.op.VersionAction != "" {
		action = x.op.VersionAction
	}
	return x.allow(action, x.bucket, x.key)
}

// allow asks whether the caller may take an action on a bucket or a key.
func (x *exchange) allow(action string, bucket s3.BucketName, key s3.Key) error {
	d := iam.Authorize(x.caller, action, resource(bucket, key))
	if d.Allowed {
		return nil
	}
	return s3.NewError(s3.AccessDenied).Because(errors.New(d.Reason))
}

// resource returns the ARN of a bucket or a key, "*" for the service.
func resource(bucket s3.BucketName, key s3.Key) string {
	const prefix = "arn:aws:s3:::"
	switch {
	case bucket == "":
		return prefix + "*"
	case key == "":
		return prefix + string(bucket)
	}
	return prefix + string(bucket) + "/" + string(key)
}

// checkBucketOwner enforces x-amz-expected-bucket-owner.
func (g *Gateway) checkBucketOwner(x *exchange) error {
	if x.bucket == "" {
		return nil
	}
	return g.requireOwner(x, s3.HeaderExpectedBucketOwner, x.bucket)
}

// requireOwner refuses a request whose header names another account than the
// owner of the bucket.
func (g *Gateway) requireOwner(x *exchange, header string, bucket s3.BucketName) error {
	account := x.header(header)
	if account == "" {
		return nil
	}
	b, err := g.o.Objects.HeadBucket(x.r.Context(), bucket)
	if err != nil {
		return err
	}
	if s3.OwnerID(iam.CanonicalIDOf(iam.AccountID(account))) != b.Owner {
		return s3.NewError(s3.AccessDenied)
	}
	return nil
}
