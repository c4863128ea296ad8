package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/s3"
)

// What is not built cannot be configured: its writes answer 501. Its reads
// answer as AWS does for a bucket where it is not configured, and its deletions
// as where there is nothing to delete. Tools that read a bucket as a whole,
// such as Terraform, work because of that.

// empty answers a read with a document that says nothing.
func empty(root string) handler {
	return func(g *Gateway, x *exchange) error {
		return g.withDocument(x, func(dst []byte) []byte { return s3.AppendEmpty(dst, root) })
	}
}

// emptyList answers the listing of configurations, of which there is none.
func emptyList(root string) handler {
	return func(g *Gateway, x *exchange) error {
		return g.withDocument(x, func(dst []byte) []byte { return s3.AppendEmptyList(dst, root) })
	}
}

// unconfigured answers with the error that the bucket has no such configuration.
func unconfigured(code s3.Code) handler {
	return func(_ *Gateway, x *exchange) error {
		return s3.NewError(code).With("BucketName", string(x.bucket))
	}
}

// noConfiguration answers for one configuration of many, by its id.
func (g *Gateway) noConfiguration(*exchange) error {
	return s3.NewError(s3.NoSuchConfiguration)
}

// nothingToDelete answers the deletion of what is not configured.
func (g *Gateway) nothingToDelete(x *exchange) error {
	return x.finish(http.StatusNoContent)
}

// getBucketAbac answers GetBucketAbac.
func (g *Gateway) getBucketAbac(x *exchange) error {
	return g.withDocument(x, s3.AppendAbacStatus)
}
