package gateway

import "github.com/undercroft/undercroft/s3"

// getBucketLocation answers GetBucketLocation.
func (g *Gateway) getBucketLocation(x *exchange) error {
	return g.withDocument(x, func(dst []byte) []byte { return s3.AppendLocation(dst, x.place.Region) })
}
