package iam

// Decision is an answer and why it is so. The reason is one line for logs and
// administrators; S3 tells a client AccessDenied and no more. The zero Decision
// denies.
type Decision struct {
	Allowed bool
	Reason  string
}

// Context holds the condition keys of a request.
type Context interface {
	// Values returns the values of a condition key, nil when the request has
	// no such key. The key is in lower case, the name of a tag in
	// "s3:existingobjecttag/name" included, so tags are to be found without
	// regard to case. Values is called only when a statement asks for the key,
	// perhaps several times, and must always answer the same. What the identity
	// and the bucket say (aws:username, aws:PrincipalArn, s3:ResourceAccount and
	// so on) is not asked.
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
// evaluates policies and ACLs:
//
//  1. A statement that denies decides, in the policy of the bucket or of the
//     user. Only the root of the bucket's account may read and replace the
//     policy of the bucket whatever it says, so that nobody locks himself out.
//     Policies that are too costly to hold against the request deny too.
//  2. A bucket whose public policy is restricted serves its own account alone.
//  3. The account that owns the resource allows its root everything, and a user
//     what the user's policies allow, or the policy of the bucket to the user by
//     name.
//  4. A caller of another account needs both: its own account must allow, and
//     the policy of the bucket or an ACL. An anonymous caller needs the latter.
//
// The resource is the bucket owner's, but for reading an object, its attributes
// and its ACL, and writing its ACL, when the object is another account's and
// ACLs are enabled. Then neither the bucket's owner nor its policy can allow.
//
// Decide is pure: the answer depends on r alone. It never panics.
func Decide(r *Request) Decision {
	if r.Action == "" || r.ARN == "" {
		// A route without an action is a mistake of ours, and is not served.
		return Decision{Reason: "the request names no action or no resource"}
	}
	ofUser, ofBucket := judge(r)
	if ofUser.denies != nil {
		return Decision{Reason: ofUser.denies.reason}
	}
	if r.Bucket == nil {
		return ownAccount(r.Who, ofUser)
	}
	owned := r.Bucket.ownedBy(r.Who)
	if ofBucket.denies != nil && (!owned || !r.Who.Root || !isPolicyAction(r.Action)) {
		return Decision{Reason: ofBucket.denies.reason}
	}
	if !owned && r.Bucket.Block.RestrictPublicBuckets && r.Bucket.Policy.IsPublic() {
		return Decision{Reason: "the public access block restricts the public bucket policy to the owner's account"}
	}
	if r.foreignObject() {
		// The bucket's owner has denied, if anything; it cannot allow.
		owned, ofBucket = r.Who.is(r.Object.Owner), verdict{}
	}
	if owned {
		if !r.Who.Root && ofBucket.allows != nil {
			return Decision{Allowed: true, Reason: ofBucket.allows.reason}
		}
		return ownAccount(r.Who, ofUser)
	}
	if r.Who != nil {
		if own := ownAccount(r.Who, ofUser); !own.Allowed {
			return own
		}
	}
	return r.acrossAccounts(ofBucket)
}

// judge asks the policies, those of the user first. A denial of theirs ends it.
func judge(r *Request) (ofUser, ofBucket verdict) {
	hasPolicies := r.Who != nil && !r.Who.Root && len(r.Who.Policies) > 0
	if !hasPolicies && (r.Bucket == nil || r.Bucket.Policy == nil) {
		return verdict{}, verdict{} // without an evaluation, which costs an allocation
	}
	e := &evaluation{Request: r}
	if hasPolicies {
		for _, p := range r.Who.Policies {
			p.judge(e, &ofUser)
			if ofUser.denies = e.costly(ofUser.denies); ofUser.denies != nil {
				return ofUser, verdict{}
			}
		}
	}
	if r.Bucket != nil {
		r.Bucket.Policy.judge(e, &ofBucket)
		ofBucket.denies = e.costly(ofBucket.denies)
	}
	return ofUser, ofBucket
}

// ownAccount answers what the account of the caller says: it allows its root,
// and a user what the policies of the user allow.
func ownAccount(who *Identity, ofUser verdict) Decision {
	switch {
	case who == nil:
		return Decision{Reason: "anonymous callers have no account that allows"}
	case who.Root:
		return Decision{Allowed: true, Reason: "the account allows its root everything"}
	case ofUser.allows != nil:
		return Decision{Allowed: true, Reason: ofUser.allows.reason}
	}
	return Decision{Reason: "no policy allows the user"}
}

// acrossAccounts answers for callers that are not of the account that owns the
// resource, anonymous ones among them.
func (r *Request) acrossAccounts(ofBucket verdict) Decision {
	switch {
	case ofBucket.allows != nil:
		return Decision{Allowed: true, Reason: ofBucket.allows.reason}
	case ofBucket.allowsAccount != nil:
		return Decision{Allowed: true, Reason: ofBucket.allowsAccount.reason}
	case byInitiator(r.Action) && r.Object != nil && r.Who.is(r.Object.Owner):
		return Decision{Allowed: true, Reason: "the caller initiated the multipart upload"}
	case r.Bucket.ACLsDisabled:
		return Decision{Reason: "no bucket policy statement allows, and ACLs are disabled"}
	}
	permission, onObject := aclPermission(r.Action)
	kind, acl := "bucket", r.Bucket.ACL
	if onObject {
		kind, acl = "object", ACL{}
		if r.Object != nil {
			acl = r.Object.ACL
		}
	}
	if g := acl.grants(permission, r.Who, r.Bucket.Block); g != nil {
		return Decision{Allowed: true, Reason: kind + " ACL grants " + string(g.Permission) + " to " + g.ID}
	}
	return Decision{Reason: "no bucket policy statement and no ACL allows"}
}

// foreignObject reports whether the request is about an object that belongs to
// another account than the bucket, and is that account's to allow.
func (r *Request) foreignObject() bool {
	return r.Object != nil && !r.Bucket.ACLsDisabled && r.Object.Owner != r.Bucket.Owner && byObjectOwner(r.Action)
}

// ownedBy reports whether the caller is of the account that owns the bucket.
func (b *BucketFacts) ownedBy(who *Identity) bool {
	if who == nil {
		return false
	}
	if b.OwnerAccount != "" {
		return who.AccountID == b.OwnerAccount
	}
	return who.is(b.Owner)
}

// isPolicyAction reports whether an action is on the policy of a bucket.
func isPolicyAction(action string) bool {
	return action == "s3:GetBucketPolicy" || action == "s3:PutBucketPolicy" || action == "s3:DeleteBucketPolicy"
}
