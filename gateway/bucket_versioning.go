package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/s3"
)

// getBucketVersioning answers GetBucketVersioning.
func (g *Gateway) getBucketVersioning(x *exchange) error {
	status := x.place.Versioning
	return g.withDocument(x, func(dst []byte) []byte { return s3.AppendVersioning(dst, status) })
}

// putBucketVersioning answers PutBucketVersioning. MFA delete is not there to
// be enabled: a request with the header that has a code of the device is
// refused before.
func (g *Gateway) putBucketVersioning(x *exchange) error {
	body, err := x.readConfiguration()
	if err != nil {
		return err
	}
	c, err := s3.DecodeVersioning(body)
	switch {
	case err != nil:
		return err
	case c.MFADelete == s3.MFADeleteEnabled:
		return s3.NewError(s3.AccessDenied).WithMessage("Mfa Authentication must be used for this request")
	case c.Status == "":
		return s3.NewError(s3.IllegalVersioningConfigurationException)
	}
	if err := g.o.Objects.PutBucketVersioning(x.r.Context(), x.bucket, c.Status); err != nil {
		return err
	}
	return x.finish(http.StatusOK)
}
