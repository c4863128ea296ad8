package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// updateObjectEncryption answers UpdateObjectEncryption: a version gets another
// key of SSE-KMS, and keeps its bytes.
func (g *Gateway) updateObjectEncryption(x *exchange) error {
	if x.auth.Legacy {
		return invalidRequest("Requests that modify an object encryption configuration require AWS Signature Version 4.")
	}
	body, err := x.readConfiguration()
	if err != nil {
		return err
	}
	asked, err := s3.DecodeObjectEncryption(body)
	if err != nil {
		return err
	}
	o, err := g.o.Objects.UpdateObjectEncryption(x.r.Context(), objects.UpdateEncryptionInput{
		Bucket: x.bucket, Key: x.key, VersionID: x.version(), Access: x.access, KeyID: asked.KeyID, BucketKey: asked.BucketKey,
	})
	if err != nil {
		return err
	}
	x.showVersion(&o)
	return x.finish(http.StatusOK)
}
