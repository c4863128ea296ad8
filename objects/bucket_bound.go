package objects

import (
	"context"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/s3"
)

// boundKey is the key of the buckets that a context is bound to.
type boundKey struct{}

// bound is a bucket that a context is bound to, and those before it.
type bound struct {
	name s3.BucketName
	id   metadata.BucketID
	next *bound
}

// Bind returns a context for what was decided about b. Calls with it find no
// bucket of that name where the name has gone to another one since, as while
// the body of a request was awaited: what is allowed in one bucket may not be
// done in another.
func Bind(ctx context.Context, b *BucketState) context.Context {
	if b.row == nil {
		return ctx
	}
	next, _ := ctx.Value(boundKey{}).(*bound)
	return context.WithValue(ctx, boundKey{}, &bound{b.Name, b.row.ID, next})
}

// checkBound is NoSuchBucket where the context is bound to another bucket of
// this one's name.
func checkBound(ctx context.Context, b *metadata.Bucket) error {
	one, _ := ctx.Value(boundKey{}).(*bound)
	for ; one != nil; one = one.next {
		if string(one.name) == b.Name && one.id != b.ID {
			return noSuchBucket(one.name)
		}
	}
	return nil
}
