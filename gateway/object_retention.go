package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// getObjectRetention answers GetObjectRetention.
func (g *Gateway) getObjectRetention(x *exchange) error {
	o, err := g.lockedObject(x)
	if err != nil {
		return err
	}
	if o.Retention.Mode == objects.RetentionNone {
		return s3.NewError(s3.NoSuchObjectLockConfiguration).With("Key", string(x.key))
	}
	r := s3.Retention{Mode: retentionName(o.Retention.Mode), Until: o.Retention.Until}
	return g.withDocument(x, func(dst []byte) []byte { return s3.AppendRetention(dst, r) })
}

// lockedObject is the version of which the lock is asked for, where its bucket
// has Object Lock.
func (g *Gateway) lockedObject(x *exchange) (*objects.Object, error) {
	out, err := g.o.Objects.HeadObject(x.r.Context(), objects.GetObjectInput{
		Bucket: x.bucket, Key: x.key, VersionID: x.version(), Access: x.access, Keyless: true,
	})
	switch {
	case err != nil:
		return nil, x.refuseMarker(err)
	case x.place.ObjectLock == nil:
		return nil, invalidRequest("Bucket is missing Object Lock Configuration")
	}
	x.showVersion(&out.Object)
	return &out.Object, nil
}

// putObjectRetention answers PutObjectRetention.
func (g *Gateway) putObjectRetention(x *exchange) error {
	body, err := x.readLockDocument()
	if err != nil {
		return err
	}
	asked, err := s3.DecodeRetention(body)
	if err != nil {
		return err
	}
	x.lock = &objects.Lock{Retention: retentionOf(asked)}
	o, err := g.o.Objects.PutObjectRetention(x.r.Context(), objects.PutObjectRetentionInput{
		Bucket: x.bucket, Key: x.key, VersionID: x.version(), Access: x.access,
		Retention: x.lock.Retention, Bypass: x.bypass(x.key, x.version()),
	})
	if err != nil {
		return x.refuseMarker(err)
	}
	x.showVersion(&o)
	return x.finish(http.StatusOK)
}
