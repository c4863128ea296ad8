package iam

import "errors"

// ErrPolicyTooLarge refuses a policy above [MaxBucketPolicy]. S3 calls it
// PolicyTooLarge.
var ErrPolicyTooLarge = errors.New("the policy document is too large")

// MaxBucketPolicy is the size of the largest bucket policy in bytes, not
// counting white space between its elements.
const MaxBucketPolicy = 20 << 10

// MalformedPolicyError refuses a policy. Its reason is what S3 says in the
// message of MalformedPolicy.
type MalformedPolicyError struct {
	Reason string
}

// Error implements error.
func (e *MalformedPolicyError) Error() string { return "malformed policy: " + e.Reason }

// Policy is a parsed policy document. It is immutable.
type Policy struct {
	public bool
}

// IsPublic reports whether the policy of a bucket lets in more than a fixed
// set of callers, as S3 defines that for its public access block.
func (p *Policy) IsPublic() bool { return p != nil && p.public }
