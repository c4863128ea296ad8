package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// getPublicAccessBlock answers GetPublicAccessBlock.
func (g *Gateway) getPublicAccessBlock(x *exchange) error {
	doc := x.place.Config(objects.ConfigPublicAccessBlock)
	if doc == nil {
		return s3.NewError(s3.NoSuchPublicAccessBlock).With("BucketName", string(x.bucket))
	}
	block, err := s3.DecodePublicAccessBlock(doc)
	if err != nil {
		return s3.NewError(s3.InternalError).Because(err)
	}
	return g.withDocument(x, block.AppendXML)
}

// putPublicAccessBlock answers PutPublicAccessBlock.
func (g *Gateway) putPublicAccessBlock(x *exchange) error {
	body, err := x.readConfiguration()
	if err != nil {
		return err
	}
	block, err := s3.DecodePublicAccessBlock(body)
	if err != nil {
		return err
	}
	err = g.o.Objects.PutBucketConfig(x.r.Context(), x.bucket, objects.ConfigPublicAccessBlock, block.AppendXML(nil))
	if err != nil {
		return err
	}
	return x.finish(http.StatusOK)
}

// deletePublicAccessBlock answers DeletePublicAccessBlock.
func (g *Gateway) deletePublicAccessBlock(x *exchange) error {
	return g.deleteConfiguration(x, objects.ConfigPublicAccessBlock)
}
