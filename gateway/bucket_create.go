package gateway

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// legacyRegion is where AWS answers 200 to whoever creates a bucket of its own
// once more, and resets its access control list.
const legacyRegion = "us-east-1"

// createBucket answers CreateBucket.
func (g *Gateway) createBucket(x *exchange) error {
	wanted, err := g.readLocation(x)
	if err != nil {
		return err
	}
	x.bucketTags = pairsOf(wanted.Tags)
	if err := x.allow(&question{action: x.op.Action, bucket: x.bucket}); err != nil {
		return err
	}
	asked, err := g.headerACL(x)
	if err != nil {
		return err
	}
	configs, err := g.newBucketConfigs(x, &asked)
	if err != nil {
		return err
	}
	if len(wanted.Tags) > 0 {
		if err := x.allow(&question{action: "s3:TagResource", bucket: x.bucket}); err != nil {
			return err
		}
		configs[objects.ConfigTagging] = s3.AppendTagging(nil, wanted.Tags)
	}
	locked, err := x.asksObjectLock()
	if err != nil {
		return err
	}
	b, err := g.o.Objects.CreateBucket(x.r.Context(), objects.CreateBucketInput{
		Name: x.bucket, Owner: x.ownerID(), Region: g.o.Region, Configs: configs, Most: g.o.MaxBuckets, ObjectLock: locked,
	})
	if s3.CodeOf(err) == s3.BucketAlreadyOwnedByYou && g.o.Region == legacyRegion {
		b.Name = x.bucket
		err = g.createAgain(x, &asked, configs)
	}
	if err != nil {
		return err
	}
	x.set(s3.HeaderLocation, "/"+string(b.Name))
	return x.finish(http.StatusOK)
}

// newBucketConfigs are the documents of a new bucket. One of ObjectWriter, and
// one without a public access block, has none of these: that is what a bucket
// without documents is.
func (g *Gateway) newBucketConfigs(x *exchange, asked *askedACL) (map[objects.ConfigKind][]byte, error) {
	configs := make(map[objects.ConfigKind][]byte)
	ownership, named := g.o.ObjectOwnership, x.header(headerObjectOwnership)
	if named != "" {
		if ownership = s3.ObjectOwnership(named); !ownership.Valid() {
			return nil, s3.InvalidArg("x-amz-object-ownership", named, "Invalid x-amz-object-ownership header: "+named)
		}
		if err := x.allow(&question{action: "s3:PutBucketOwnershipControls", bucket: x.bucket}); err != nil {
			return nil, err
		}
	}
	if named != "" || ownership != s3.ObjectWriter {
		configs[objects.ConfigOwnership] = ownership.AppendXML(nil)
	}
	if !g.o.PublicAccess {
		all := s3.PublicAccessBlock{BlockPublicACLs: true, IgnorePublicACLs: true, BlockPublicPolicy: true, RestrictPublicBuckets: true}
		configs[objects.ConfigPublicAccessBlock] = all.AppendXML(nil)
	}
	if !asked.given {
		return configs, nil
	}
	if err := x.allow(&question{action: "s3:PutBucketAcl", bucket: x.bucket}); err != nil {
		return nil, err
	}
	switch {
	case ownership == s3.BucketOwnerEnforced && !asked.within(x.ownerID(), x.ownerID()):
		return nil, s3.NewError(s3.InvalidBucketACLWithOwnership)
	case !g.o.PublicAccess && asked.public():
		return nil, denied("the public access block of new buckets refuses public access control lists")
	case ownership != s3.BucketOwnerEnforced:
		configs[objects.ConfigACL] = bucketACLDocument(x.ownerID(), asked)
	}
	return configs, nil
}

const headerObjectOwnership = "X-Amz-Object-Ownership"

// createAgain is the creation of a bucket that is there and the caller's own:
// its access control list becomes what the request asks for, all else stays.
// A request that asks for something else is refused.
func (g *Gateway) createAgain(x *exchange, asked *askedACL, wanted map[objects.ConfigKind][]byte) error {
	p, err := g.locate(x, x.bucket)
	if err != nil {
		return err
	}
	if p.Owner != x.ownerID() { // by now
		return s3.NewError(s3.BucketAlreadyExists).With("BucketName", string(x.bucket))
	}
	named, tags := x.header(headerObjectOwnership), wanted[objects.ConfigTagging]
	if named != "" && s3.ObjectOwnership(named) != p.ownership || tags != nil && !bytes.Equal(tags, p.Config(objects.ConfigTagging)) ||
		strings.EqualFold(x.header(s3.HeaderBucketObjectLock), "true") && p.ObjectLock == nil {
		return s3.NewError(s3.BucketAlreadyOwnedByYou).With("BucketName", string(x.bucket))
	}
	switch {
	case p.facts.ACLsDisabled && !asked.within(p.Owner, p.Owner):
		return s3.NewError(s3.InvalidBucketACLWithOwnership)
	case p.facts.ACLsDisabled, !asked.given && p.acl == nil:
		return nil
	}
	// The bucket is there, and with it a policy that may forbid this.
	if err := x.allow(&question{action: "s3:PutBucketAcl", place: &p, bucket: x.bucket}); err != nil {
		return err
	}
	switch {
	case p.facts.Block.BlockPublicAcls && asked.public():
		return denied("the public access block refuses public access control lists")
	case asked.given:
		return g.o.Objects.PutBucketConfig(x.r.Context(), x.bucket, objects.ConfigACL, bucketACLDocument(p.Owner, asked))
	}
	return g.o.Objects.DeleteBucketConfig(x.r.Context(), x.bucket, objects.ConfigACL)
}

// readLocation reads the body, which may be absent, and accepts the region
// that we are in.
func (g *Gateway) readLocation(x *exchange) (c s3.CreateBucketConfiguration, err error) {
	if x.auth.Length == 0 {
		return c, nil
	}
	body, _, err := x.readDocument(s3.MaxConfigBody)
	if err != nil || len(body) == 0 {
		return c, err
	}
	c, err = s3.DecodeCreateBucket(body)
	x.region = c.LocationConstraint
	switch {
	case err != nil:
		return c, err
	case c.Unsupported != "":
		return c, s3.NewError(s3.NotImplemented).With("Element", c.Unsupported)
	case c.LocationConstraint != "" && c.LocationConstraint != g.o.Region:
		return c, s3.NewError(s3.InvalidLocationConstraint).With("LocationConstraint", c.LocationConstraint)
	}
	return c, nil
}
