package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// getBucketWebsite answers GetBucketWebsite.
func (g *Gateway) getBucketWebsite(x *exchange) error {
	return x.configuration(objects.ConfigWebsite, s3.NoSuchWebsiteConfiguration)
}

// putBucketWebsite answers PutBucketWebsite.
func (g *Gateway) putBucketWebsite(x *exchange) error {
	body, _, err := x.readDocument(s3.MaxWebsiteBody)
	if err != nil {
		return err
	}
	if len(body) == 0 {
		return s3.NewError(s3.MissingRequestBodyError)
	}
	website, err := s3.DecodeWebsite(body)
	if err != nil {
		return err
	}
	if err := g.o.Objects.PutBucketConfig(x.r.Context(), x.bucket, objects.ConfigWebsite, website.AppendXML(nil)); err != nil {
		return err
	}
	return x.finish(http.StatusOK)
}

// deleteBucketWebsite answers DeleteBucketWebsite.
func (g *Gateway) deleteBucketWebsite(x *exchange) error {
	return g.deleteConfiguration(x, objects.ConfigWebsite)
}
