package iam

// Context holds the condition keys of a request.
type Context interface {
	// Values returns the values of a condition key, nil when the request has
	// no such key. The key is in lower case, the name of a tag in
	// "s3:existingobjecttag/name" included, so tags are to be found without
	// regard to case. Values is called only when a statement asks for the key,
	// perhaps several times, and must always answer the same.
	Values(key string) []string
}

// Request is a question to [Decide].
type Request struct {
	Who     *Identity    // nil: anonymous
	Action  string       // "s3:GetObject"
	ARN     string       // "arn:aws:s3:::bucket/key"
	Bucket  *BucketFacts // nil: a request to the service (ListBuckets), or CreateBucket
	Object  *ObjectFacts // nil: no existing object is concerned, or there is none
	Context Context      // nil: no condition key is present
}

// BucketFacts is what decides about a bucket and all that is in it.
type BucketFacts struct {
	Owner        CanonicalID
	OwnerAccount AccountID // "" when it is not known; then Owner alone identifies it
	Policy       *Policy   // nil: none
	ACL          ACL
	ACLsDisabled bool // object ownership is BucketOwnerEnforced
	Block        PublicAccessBlock
}

// ObjectFacts is what decides about an object. For an operation on a multipart
// upload, Owner is its initiator.
type ObjectFacts struct {
	Owner CanonicalID
	ACL   ACL
}

// Decide answers whether a request is allowed, in the order in which AWS
// evaluates policies and ACLs. It is pure: it depends on r alone.
func Decide(r *Request) Decision {
	return Authorize(r.Who, r.Action, r.ARN)
}
