package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// putObject answers PutObject.
func (g *Gateway) putObject(x *exchange) error {
	in, err := g.putInput(x)
	if err != nil {
		return err
	}
	if in.Body, err = x.openUpload(); err != nil {
		return err
	}
	if err := x.checkLockDigest(&in); err != nil {
		return err
	}
	o, err := g.o.Objects.PutObject(x.r.Context(), in)
	if err != nil {
		return err
	}
	x.showPut(&o)
	return x.finish(http.StatusOK)
}

// putInput returns what the headers say of the object to put: all but its body.
func (g *Gateway) putInput(x *exchange) (in objects.PutObjectInput, err error) {
	in = objects.PutObjectInput{Bucket: x.bucket, Key: x.key}
	if in.Attributes, err = x.attributes(); err != nil {
		return in, err
	}
	if in.Tags, err = x.headerTags(); err != nil {
		return in, err
	}
	own, err := g.newObject(x)
	if err != nil {
		return in, err
	}
	in.Owner, in.ACL = own.owner, own.acl
	if in.Lock, err = x.headerLock(); err != nil {
		return in, err
	}
	if in.Encryption, err = g.newEncryption(x); err != nil {
		return in, err
	}
	in.Precondition, err = x.writePrecondition()
	return in, err
}

// showPut sets the headers that tell what was stored.
func (x *exchange) showPut(o *objects.Object) {
	x.set(s3.HeaderETag, o.ETag.Quoted())
	x.showChecksums(o.Checksums)
	x.showEncryption(&o.Encryption)
	x.showVersion(o)
	x.showExpiration(o)
}
