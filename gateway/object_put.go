package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// putObject answers PutObject.
func (g *Gateway) putObject(x *exchange) error {
	attributes, err := x.attributes()
	if err != nil {
		return err
	}
	own, err := g.newObject(x)
	if err != nil {
		return err
	}
	precondition, err := x.writePrecondition()
	if err != nil {
		return err
	}
	tags, err := x.headerTags()
	if err != nil {
		return err
	}
	body, err := x.openUpload()
	if err != nil {
		return err
	}
	o, err := g.o.Objects.PutObject(x.r.Context(), objects.PutObjectInput{
		Bucket: x.bucket, Key: x.key, Owner: own.owner, ACL: own.acl,
		Body: body, Attributes: attributes, Tags: tags, Precondition: precondition,
	})
	if err != nil {
		return err
	}
	x.set(s3.HeaderETag, o.ETag.Quoted())
	x.showChecksums(o.Checksums)
	x.showVersion(&o)
	return x.finish(http.StatusOK)
}
