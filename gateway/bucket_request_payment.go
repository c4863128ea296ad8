package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// getBucketRequestPayment answers GetBucketRequestPayment.
func (g *Gateway) getBucketRequestPayment(x *exchange) error {
	payer, err := objects.Parsed(x.place.BucketState, objects.ConfigRequestPayment, s3.DecodeRequestPayment)
	if err != nil {
		return s3.NewError(s3.InternalError).Because(err)
	}
	if payer == "" {
		payer = s3.PayerBucketOwner
	}
	return g.withDocument(x, func(dst []byte) []byte { return s3.AppendRequestPayment(dst, payer) })
}

// putBucketRequestPayment answers PutBucketRequestPayment. Nobody is charged
// here: what it changes is who may ask, and how.
func (g *Gateway) putBucketRequestPayment(x *exchange) error {
	body, err := x.readConfiguration()
	if err != nil {
		return err
	}
	payer, err := s3.DecodeRequestPayment(body)
	if err != nil {
		return err
	}
	doc := s3.AppendRequestPayment(nil, payer)
	if err := g.o.Objects.PutBucketConfig(x.r.Context(), x.bucket, objects.ConfigRequestPayment, doc); err != nil {
		return err
	}
	return x.finish(http.StatusOK)
}
