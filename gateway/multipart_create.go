package gateway

import (
	"strings"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// createMultipartUpload answers CreateMultipartUpload.
func (g *Gateway) createMultipartUpload(x *exchange) error {
	attributes, err := x.attributes()
	if err != nil {
		return err
	}
	own, err := g.newObject(x)
	if err != nil {
		return err
	}
	in := objects.CreateUploadInput{
		Bucket: x.bucket, Key: x.key, Owner: own.owner, Initiator: x.writer(), ACL: own.acl, Attributes: attributes,
	}
	if in.Encryption, err = g.newEncryption(x); err != nil {
		return err
	}
	if in.Tags, err = x.headerTags(); err != nil {
		return err
	}
	if in.Lock, err = x.headerLock(); err != nil {
		return err
	}
	if in.Checksum, err = x.checksumAlgorithm(); err != nil {
		return err
	}
	if in.ChecksumType, err = x.checksumType(in.Checksum); err != nil {
		return err
	}
	up, err := g.o.Objects.CreateMultipartUpload(x.r.Context(), in)
	if err != nil {
		return err
	}
	x.setOptional(s3.HeaderChecksumAlgorithm, up.ChecksumAlgorithm)
	if up.ChecksumAlgorithm != "" {
		x.setOptional(s3.HeaderChecksumType, up.ChecksumType)
	}
	x.showEncryption(&up.Encryption)
	x.showAbort(up.Initiated)
	res := s3.InitiateResult{Bucket: x.bucket, Key: x.key, Upload: up.ID}
	return g.withDocument(x, res.AppendXML)
}

// checksumType returns the name of the type that x-amz-checksum-type asks
// for, empty when it asks for none.
func (x *exchange) checksumType(a checksum.Algorithm) (string, error) {
	value := x.header(s3.HeaderChecksumType)
	if value == "" {
		return "", nil
	}
	t, ok := checksum.ParseType(value)
	switch {
	case !ok:
		return "", invalidRequest("Value for x-amz-checksum-type header is invalid.")
	case a == 0:
		return "", invalidRequest("The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
	case !a.Supports(t):
		return "", invalidRequest("The " + t.String() + " checksum type cannot be used with the " +
			strings.ToLower(a.String()) + " checksum algorithm.")
	}
	return t.String(), nil
}
