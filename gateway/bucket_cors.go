package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// getBucketCors answers GetBucketCors.
func (g *Gateway) getBucketCors(x *exchange) error {
	return x.configuration(objects.ConfigCORS, s3.NoSuchCORSConfiguration)
}

// putBucketCors answers PutBucketCors.
func (g *Gateway) putBucketCors(x *exchange) error {
	body, err := x.readConfiguration()
	if err != nil {
		return err
	}
	cors, err := s3.DecodeCORS(body)
	if err != nil {
		return err
	}
	if err := g.o.Objects.PutBucketConfig(x.r.Context(), x.bucket, objects.ConfigCORS, cors.AppendXML(nil)); err != nil {
		return err
	}
	return x.finish(http.StatusOK)
}

// deleteBucketCors answers DeleteBucketCors.
func (g *Gateway) deleteBucketCors(x *exchange) error {
	return g.deleteConfiguration(x, objects.ConfigCORS)
}

// configuration answers with a configuration document as it is kept, which is
// as it is shown, or with the error that there is none.
func (x *exchange) configuration(kind objects.ConfigKind, none s3.Code) error {
	doc := x.place.Config(kind)
	if doc == nil {
		return s3.NewError(none).With("BucketName", string(x.bucket))
	}
	return x.document(http.StatusOK, doc)
}
