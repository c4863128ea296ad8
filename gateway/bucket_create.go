package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// legacyRegion is where AWS answers 200 to whoever creates a bucket of its own
// once more.
const legacyRegion = "us-east-1"

// createBucket answers CreateBucket.
func (g *Gateway) createBucket(x *exchange) error {
	if err := g.checkLocation(x); err != nil {
		return err
	}
	b, err := g.o.Objects.CreateBucket(x.r.Context(), objects.CreateBucketInput{
		Name: x.bucket, Owner: x.ownerID(), Region: g.o.Region,
	})
	switch {
	case s3.CodeOf(err) == s3.BucketAlreadyOwnedByYou && g.o.Region == legacyRegion:
		b.Name = x.bucket
	case err != nil:
		return err
	}
	x.set(s3.HeaderLocation, "/"+string(b.Name))
	return x.finish(http.StatusOK)
}

// checkLocation reads the body, which may be absent, and accepts the region
// that we are in.
func (g *Gateway) checkLocation(x *exchange) error {
	if x.auth.Length == 0 {
		return nil
	}
	body, _, err := x.readDocument(s3.MaxConfigBody)
	if err != nil || len(body) == 0 {
		return err
	}
	c, err := s3.DecodeCreateBucket(body)
	switch {
	case err != nil:
		return err
	case c.Unsupported != "":
		return s3.NewError(s3.NotImplemented).With("Element", c.Unsupported)
	case c.LocationConstraint != "" && c.LocationConstraint != g.o.Region:
		return s3.NewError(s3.InvalidLocationConstraint).With("LocationConstraint", c.LocationConstraint)
	}
	return nil
}
