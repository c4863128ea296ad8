package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// getBucketOwnershipControls answers GetBucketOwnershipControls.
func (g *Gateway) getBucketOwnershipControls(x *exchange) error {
	if x.place.Config(objects.ConfigOwnership) == nil {
		return s3.NewError(s3.OwnershipControlsNotFoundError).With("BucketName", string(x.bucket))
	}
	return g.withDocument(x, x.place.ownership.AppendXML)
}

// putBucketOwnershipControls answers PutBucketOwnershipControls. What its
// document asks for is a condition key.
func (g *Gateway) putBucketOwnershipControls(x *exchange) error {
	if err := g.enter(x); err != nil {
		return err
	}
	body, err := x.readConfiguration()
	if err != nil {
		return err
	}
	ownership, err := s3.DecodeOwnershipControls(body)
	if err != nil {
		return err
	}
	x.ownership = ownership
	if err := x.allow(&question{action: x.op.Action, place: &x.place, bucket: x.bucket}); err != nil {
		return err
	}
	if ownership == s3.BucketOwnerEnforced && x.place.grantsOthers() {
		return s3.NewError(s3.InvalidBucketACLWithOwnership)
	}
	err = g.o.Objects.PutBucketConfig(x.r.Context(), x.bucket, objects.ConfigOwnership, ownership.AppendXML(nil))
	if err != nil {
		return err
	}
	return x.finish(http.StatusOK)
}

// grantsOthers reports whether the bucket's access control list grants anything
// to others than its owner.
func (p *place) grantsOthers() bool {
	if p.acl == nil {
		return false
	}
	asked := askedACL{grants: p.acl.document.Grants, given: true}
	return !asked.within(p.Owner, p.Owner)
}

// deleteBucketOwnershipControls answers DeleteBucketOwnershipControls.
func (g *Gateway) deleteBucketOwnershipControls(x *exchange) error {
	return g.deleteConfiguration(x, objects.ConfigOwnership)
}

// deleteConfiguration removes a configuration document, also when there is none.
func (g *Gateway) deleteConfiguration(x *exchange, kind objects.ConfigKind) error {
	if err := g.o.Objects.DeleteBucketConfig(x.r.Context(), x.bucket, kind); err != nil {
		return err
	}
	return x.finish(http.StatusNoContent)
}

// readConfiguration reads a configuration document, which must be there.
func (x *exchange) readConfiguration() ([]byte, error) {
	body, _, err := x.readDocument(s3.MaxConfigBody)
	if err == nil && len(body) == 0 {
		err = s3.NewError(s3.MissingRequestBodyError)
	}
	return body, err
}
