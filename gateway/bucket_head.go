package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/s3"
)

// headBucket answers HeadBucket.
func (g *Gateway) headBucket(x *exchange) error {
	b, err := g.o.Objects.HeadBucket(x.r.Context(), x.bucket)
	if err != nil {
		return err
	}
	x.set(s3.HeaderBucketRegion, b.Region)
	x.set(s3.HeaderContentType, "application/xml")
	return x.finish(http.StatusOK)
}
