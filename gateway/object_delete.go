package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// markerOwner is whose the delete markers are that the request leaves.
func (x *exchange) markerOwner() s3.OwnerID {
	if x.place.facts.ACLsDisabled {
		return x.place.Owner
	}
	return x.writer()
}

// deleteObject answers DeleteObject. What is not there is deleted already.
func (g *Gateway) deleteObject(x *exchange) error {
	if err := x.refuseConditions(s3.HeaderIfNoneMatch, s3.HeaderIfModifiedSince, s3.HeaderIfUnmodifiedSince); err != nil {
		return err
	}
	precondition, err := deletePrecondition(x.header(s3.HeaderIfMatch),
		x.header("X-Amz-If-Match-Last-Modified-Time"), x.header("X-Amz-If-Match-Size"))
	if err != nil {
		return err
	}
	q := question{action: "s3:GetObject", place: &x.place, bucket: x.bucket, key: x.key, version: x.version()}
	if x.version() != "" {
		q.action = "s3:GetObjectVersion"
	}
	precondition = x.comparing(&q, precondition)
	out, err := g.o.Objects.DeleteObject(x.r.Context(), objects.DeleteObjectInput{
		Bucket: x.bucket, Key: x.key, VersionID: x.version(), Owner: x.markerOwner(), Precondition: precondition,
		Bypass: x.bypass(x.key, x.version()),
	})
	if err != nil {
		return err
	}
	x.setOptional(s3.HeaderVersionID, string(out.VersionID))
	if out.DeleteMarker {
		x.set(s3.HeaderDeleteMarker, "true")
	}
	return x.finish(http.StatusNoContent)
}
