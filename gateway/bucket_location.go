package gateway

import "github.com/undercroft/undercroft/s3"

// getBucketLocation answers GetBucketLocation.
func (g *Gateway) getBucketLocation(x *exchange) error {
	b, err := g.o.Objects.HeadBucket(x.r.Context(), x.bucket)
	if err != nil {
		return err
	}
	return g.withDocument(x, func(dst []byte) []byte { return s3.AppendLocation(dst, b.Region) })
}
