package gateway

import (
	"errors"
	"net/http"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// maxPolicyBody bounds the body of PutBucketPolicy: white space does not count
// against the limit of a policy.
const maxPolicyBody = 64 << 10

// getBucketPolicy answers GetBucketPolicy with the text that was put.
func (g *Gateway) getBucketPolicy(x *exchange) error {
	if err := x.requireOwnAccount(); err != nil {
		return err
	}
	doc := x.place.Config(objects.ConfigPolicy)
	if doc == nil {
		return s3.NewError(s3.NoSuchBucketPolicy).With("BucketName", string(x.bucket))
	}
	x.set(s3.HeaderContentType, "application/json")
	x.setInt(s3.HeaderContentLength, int64(len(doc)))
	x.begin(http.StatusOK)
	_, err := x.Write(doc)
	return err
}

// requireOwnAccount refuses what only the bucket's own account may do, whatever
// its policy allows to others.
func (x *exchange) requireOwnAccount() error {
	if x.ownerID() != x.place.Owner {
		return s3.NewError(s3.MethodNotAllowed).With("Method", x.r.Method).With("ResourceType", "BUCKETPOLICY")
	}
	return nil
}

// putBucketPolicy answers PutBucketPolicy.
func (g *Gateway) putBucketPolicy(x *exchange) error {
	if err := x.requireOwnAccount(); err != nil {
		return err
	}
	doc, _, err := x.readDocument(maxPolicyBody)
	if err != nil {
		return err
	}
	policy, err := iam.ParsePolicy(doc, string(x.bucket))
	if err != nil {
		return policyError(err)
	}
	if x.place.facts.Block.BlockPublicPolicy && policy.IsPublic() {
		return denied("the public access block refuses public policies")
	}
	if x.header("X-Amz-Confirm-Remove-Self-Bucket-Access") != "true" {
		if err := x.keepsAccess(policy); err != nil {
			return err
		}
	}
	if err := g.o.Objects.PutBucketConfig(x.r.Context(), x.bucket, objects.ConfigPolicy, doc); err != nil {
		return err
	}
	return x.finish(http.StatusNoContent)
}

// policyError says what is wrong with a policy.
func policyError(err error) error {
	if malformed, ok := errors.AsType[*iam.MalformedPolicyError](err); ok {
		return s3.NewError(s3.MalformedPolicy).WithMessage(malformed.Reason)
	}
	if errors.Is(err, iam.ErrPolicyTooLarge) {
		return s3.NewError(s3.PolicyTooLarge).WithInt("MaxSizeAllowed", iam.MaxBucketPolicy)
	}
	return s3.NewError(s3.InternalError).Because(err)
}

// keepsAccess refuses a policy that would keep the caller from changing it.
func (x *exchange) keepsAccess(policy *iam.Policy) error {
	next := x.place
	next.facts.Policy = policy
	d := x.decide(&question{action: "s3:PutBucketPolicy", place: &next, bucket: x.bucket})
	if d.Allowed {
		return nil
	}
	return s3.NewError(s3.MalformedPolicy).Because(&denial{d.Reason}).
		WithMessage("The new policy would keep you from changing it in the future. Confirm that with x-amz-confirm-remove-self-bucket-access.")
}

// deleteBucketPolicy answers DeleteBucketPolicy.
func (g *Gateway) deleteBucketPolicy(x *exchange) error {
	if err := x.requireOwnAccount(); err != nil {
		return err
	}
	return g.deleteConfiguration(x, objects.ConfigPolicy)
}

// getBucketPolicyStatus answers GetBucketPolicyStatus: whether the bucket is
// public, by its policy or by its access control list.
func (g *Gateway) getBucketPolicyStatus(x *exchange) error {
	facts := &x.place.facts
	public := facts.Policy.IsPublic() ||
		facts.ACL.IsPublic() && !facts.ACLsDisabled && !facts.Block.IgnorePublicAcls
	return g.withDocument(x, s3.PolicyStatus{IsPublic: public}.AppendXML)
}
