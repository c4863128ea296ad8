package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// getBucketEncryption answers GetBucketEncryption. A bucket that configures
// nothing is encrypted as the store does by default, where it does.
func (g *Gateway) getBucketEncryption(x *exchange) error {
	e, err := x.place.encryption()
	if err != nil {
		return err
	}
	if e == nil {
		if g.o.DefaultEncryption == "" {
			return s3.NewError(s3.ServerSideEncryptionConfigurationNotFoundError).With("BucketName", string(x.bucket))
		}
		e = &s3.BucketEncryption{Algorithm: g.o.DefaultEncryption, BucketKey: new(bool)}
	}
	return g.withDocument(x, e.AppendXML)
}

// putBucketEncryption answers PutBucketEncryption. As at AWS, nobody looks
// whether the key is there: writes that want it do.
func (g *Gateway) putBucketEncryption(x *exchange) error {
	body, err := x.readConfiguration()
	if err != nil {
		return err
	}
	e, err := s3.DecodeBucketEncryption(body)
	if err != nil {
		return err
	}
	if e.Algorithm == s3.SSEDSSE {
		return s3.NewError(s3.NotImplemented).WithMessage("Dual-layer encryption (aws:kms:dsse) is not implemented.")
	}
	if err := g.o.Objects.PutBucketConfig(x.r.Context(), x.bucket, objects.ConfigEncryption, e.AppendXML(nil)); err != nil {
		return err
	}
	return x.finish(http.StatusOK)
}

// deleteBucketEncryption answers DeleteBucketEncryption: the bucket is again
// encrypted as the store does by default.
func (g *Gateway) deleteBucketEncryption(x *exchange) error {
	return g.deleteConfiguration(x, objects.ConfigEncryption)
}
