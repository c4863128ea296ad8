package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// getBucketACL answers GetBucketAcl.
func (g *Gateway) getBucketACL(x *exchange) error {
	p := &x.place
	if p.acl == nil || p.facts.ACLsDisabled {
		return g.showACL(x, p.Owner, s3.ACLPrivate.Grants(p.Owner, p.Owner))
	}
	return g.showACL(x, p.Owner, p.acl.document.Grants)
}

// putBucketACL answers PutBucketAcl.
func (g *Gateway) putBucketACL(x *exchange) error {
	p := &x.place
	asked, owner, err := g.documentACL(x)
	switch {
	case err != nil:
		return err
	case p.facts.ACLsDisabled && asked.givesBucketOwnerControl(p.Owner):
		return x.finish(http.StatusOK) // it is so already
	case p.facts.ACLsDisabled:
		return s3.NewError(s3.AccessControlListNotSupported)
	case owner != "" && owner != p.Owner:
		return denied("the document names another owner")
	case p.facts.Block.BlockPublicAcls && asked.public():
		return denied("the public access block refuses public access control lists")
	}
	doc := bucketACLDocument(p.Owner, &asked)
	if err := g.o.Objects.PutBucketConfig(x.r.Context(), x.bucket, objects.ConfigACL, doc); err != nil {
		return err
	}
	return x.finish(http.StatusOK)
}

// bucketACLDocument is a bucket's access control list as it is kept.
func bucketACLDocument(owner s3.OwnerID, asked *askedACL) []byte {
	p := s3.AccessControlPolicy{Owner: s3.Owner{ID: owner}, Grants: asked.on(owner, owner)}
	return p.AppendXML(nil)
}
