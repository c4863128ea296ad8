package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/s3"
)

// headBucket answers HeadBucket: that the bucket is there is known by now.
func (g *Gateway) headBucket(x *exchange) error {
	x.set(s3.HeaderContentType, "application/xml")
	if x.param("read-stats") == "true" {
		if err := g.showUsage(x); err != nil {
			return err
		}
	}
	return x.finish(http.StatusOK)
}

// showUsage sets the headers with which Ceph's gateway tells what a bucket
// holds, to who asks for them.
func (g *Gateway) showUsage(x *exchange) error {
	u, err := g.o.Objects.BucketUsage(x.r.Context(), x.bucket)
	if err != nil {
		return err
	}
	x.setInt("X-Rgw-Object-Count", u.Objects)
	x.setInt("X-Rgw-Bytes-Used", u.Bytes)
	x.setInt("X-Rgw-Quota-Max-Buckets", int64(g.o.MaxBuckets))
	return nil
}
