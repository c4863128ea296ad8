package gateway

import "net/http"

// deleteBucket answers DeleteBucket.
func (g *Gateway) deleteBucket(x *exchange) error {
	if err := g.o.Objects.DeleteBucket(x.r.Context(), x.bucket); err != nil {
		return err
	}
	return x.finish(http.StatusNoContent)
}
