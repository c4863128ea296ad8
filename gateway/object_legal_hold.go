package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// getObjectLegalHold answers GetObjectLegalHold.
func (g *Gateway) getObjectLegalHold(x *exchange) error {
	o, err := g.lockedObject(x)
	if err != nil {
		return err
	}
	if o.LegalHold == objects.LegalHoldNever {
		return s3.NewError(s3.NoSuchObjectLockConfiguration).With("Key", string(x.key))
	}
	return g.withDocument(x, func(dst []byte) []byte { return s3.AppendLegalHold(dst, legalHoldName(o.LegalHold)) })
}

// putObjectLegalHold answers PutObjectLegalHold.
func (g *Gateway) putObjectLegalHold(x *exchange) error {
	body, err := x.readLockDocument()
	if err != nil {
		return err
	}
	status, err := s3.DecodeLegalHold(body)
	if err != nil {
		return err
	}
	x.lock = &objects.Lock{LegalHold: legalHoldOf(status)}
	o, err := g.o.Objects.PutObjectLegalHold(x.r.Context(), objects.PutObjectLegalHoldInput{
		Bucket: x.bucket, Key: x.key, VersionID: x.version(), Access: x.access, LegalHold: x.lock.LegalHold,
	})
	if err != nil {
		return x.refuseMarker(err)
	}
	x.showVersion(&o)
	return x.finish(http.StatusOK)
}
