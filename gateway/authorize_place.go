package gateway

import (
	"errors"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// place is a bucket with what decides about it.
type place struct {
	*objects.BucketState
	facts     iam.BucketFacts
	ownership s3.ObjectOwnership
	acl       *bucketACL // nil: none was set
}

// bucketACL is a bucket's access control list as it is shown, and as it counts.
type bucketACL struct {
	document s3.AccessControlPolicy
	facts    iam.ACL
}

// locate finds a bucket, and holds the request to it: whatever is decided by
// what it says is not done in another that takes its name. A configuration that cannot be read is an error: what
// it forbids must not be forgotten.
func (g *Gateway) locate(x *exchange, name s3.BucketName) (place, error) {
	state, err := g.o.Objects.BucketState(x.r.Context(), name)
	if err != nil {
		return place{}, err
	}
	x.r = x.r.WithContext(objects.Bind(x.r.Context(), state))
	p := place{BucketState: state, facts: iam.BucketFacts{Owner: iam.CanonicalID(state.Owner)}}
	if err := g.configure(&p); err != nil {
		return place{}, s3.NewError(s3.InternalError).Because(err)
	}
	if p.facts.Policy != nil || x.caller != nil && len(x.caller.Policies) > 0 {
		p.facts.OwnerAccount, err = g.account(x, state.Owner) // a policy may ask for it
	}
	return p, err
}

// configure fills in what the bucket's documents say.
func (g *Gateway) configure(p *place) error {
	state := p.BucketState
	policy, err := objects.Parsed(state, objects.ConfigPolicy, func(doc []byte) (*iam.Policy, error) {
		return iam.ParsePolicy(doc, string(state.Name))
	})
	p.facts.Policy = policy
	if err == nil {
		p.facts.Block, err = objects.Parsed(state, objects.ConfigPublicAccessBlock, parsePublicAccessBlock)
	}
	if err == nil {
		p.ownership, err = objects.Parsed(state, objects.ConfigOwnership, s3.DecodeOwnershipControls)
	}
	if err == nil {
		p.acl, err = objects.Parsed(state, objects.ConfigACL, parseBucketACL)
	}
	if err != nil {
		return err
	}
	if p.ownership == "" {
		p.ownership = s3.ObjectWriter
	}
	p.facts.ACLsDisabled = p.ownership == s3.BucketOwnerEnforced
	if p.acl != nil {
		p.facts.ACL = p.acl.facts
	}
	return nil
}

func parsePublicAccessBlock(doc []byte) (iam.PublicAccessBlock, error) {
	b, err := s3.DecodePublicAccessBlock(doc)
	return iam.PublicAccessBlock{
		BlockPublicAcls: b.BlockPublicACLs, IgnorePublicAcls: b.IgnorePublicACLs,
		BlockPublicPolicy: b.BlockPublicPolicy, RestrictPublicBuckets: b.RestrictPublicBuckets,
	}, err
}

func parseBucketACL(doc []byte) (*bucketACL, error) {
	p, err := s3.DecodeACL(doc)
	if err != nil {
		return nil, err
	}
	acl := &bucketACL{document: p}
	for i := range p.Grants {
		g := &p.Grants[i]
		acl.facts.Grants = append(acl.facts.Grants, iam.Grant{
			Type: iam.GranteeType(g.Type), ID: g.Grantee, Permission: iam.Permission(g.Permission),
		})
	}
	return acl, nil
}

// checkOwner refuses a request whose header names another account than the
// owner of the bucket.
func (g *Gateway) checkOwner(x *exchange, header string, p *place) error {
	expected := iam.AccountID(x.header(header))
	if expected == "" {
		return nil
	}
	account, err := g.account(x, p.Owner)
	switch {
	case err != nil:
		return err
	case account != expected:
		return denied("the bucket belongs to another account than " + header + " says")
	}
	return nil
}

// account is the number of the account with a canonical id, empty where there
// is none.
func (g *Gateway) account(x *exchange, owner s3.OwnerID) (iam.AccountID, error) {
	if x.caller != nil && owner == x.ownerID() {
		return x.caller.AccountID, nil
	}
	a, err := g.o.Accounts.ByCanonicalID(x.r.Context(), iam.CanonicalID(owner))
	switch {
	case errors.Is(err, iam.ErrNoSuchAccount):
		return "", nil
	case err != nil:
		return "", s3.NewError(s3.ServiceUnavailable).Because(err)
	}
	return a.ID, nil
}

// Headers of buckets whose requesters pay.
const (
	headerRequestPayer   = "X-Amz-Request-Payer"
	headerRequestCharged = "X-Amz-Request-Charged"
)

// checkPayer refuses requests of others to a bucket whose requesters pay, unless
// they say that they know.
func (x *exchange) checkPayer(p *place) error {
	payer, err := objects.Parsed(p.BucketState, objects.ConfigRequestPayment, s3.DecodeRequestPayment)
	switch {
	case err != nil:
		return s3.NewError(s3.InternalError).Because(err)
	case payer != s3.PayerRequester || x.caller != nil && x.ownerID() == p.Owner:
		return nil
	case x.caller == nil:
		return denied("who asks pays for requests to this bucket, and nobody signed")
	case x.header(headerRequestPayer) != "requester" && x.param("x-amz-request-payer") != "requester":
		return denied("who asks pays for requests to this bucket, which the request does not confirm")
	}
	x.set(headerRequestCharged, "requester")
	return nil
}
