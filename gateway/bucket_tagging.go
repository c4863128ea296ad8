package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// getBucketTagging answers GetBucketTagging.
func (g *Gateway) getBucketTagging(x *exchange) error {
	return x.configuration(objects.ConfigTagging, s3.NoSuchTagSet)
}

// putBucketTagging answers PutBucketTagging. No tags at all are none set.
func (g *Gateway) putBucketTagging(x *exchange) error {
	body, err := x.readConfiguration()
	if err != nil {
		return err
	}
	tags, err := s3.DecodeBucketTagging(body)
	switch {
	case err != nil:
		return err
	case len(tags) == 0:
		return g.deleteConfiguration(x, objects.ConfigTagging)
	}
	err = g.o.Objects.PutBucketConfig(x.r.Context(), x.bucket, objects.ConfigTagging, s3.AppendTagging(nil, tags))
	if err != nil {
		return err
	}
	return x.finish(http.StatusNoContent)
}

// deleteBucketTagging answers DeleteBucketTagging.
func (g *Gateway) deleteBucketTagging(x *exchange) error {
	return g.deleteConfiguration(x, objects.ConfigTagging)
}
