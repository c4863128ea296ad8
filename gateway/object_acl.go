package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// anonymousOwner owns what nobody signed for, as at AWS.
const anonymousOwner s3.OwnerID = "65a011a29cdf8ec533ec3d1ccaae921c"

// getObjectACL answers GetObjectAcl.
func (g *Gateway) getObjectACL(x *exchange) error {
	out, err := g.o.Objects.HeadObject(x.r.Context(), objects.GetObjectInput{
		Bucket: x.bucket, Key: x.key, VersionID: x.version(), Access: x.access, Keyless: true,
	})
	if err != nil {
		return err
	}
	o := &out.Object
	x.showVersion(o)
	owner := o.Owner
	if x.place.facts.ACLsDisabled {
		owner = x.place.Owner
	}
	if len(o.ACL) == 0 || x.place.facts.ACLsDisabled {
		return g.showACL(x, owner, s3.ACLPrivate.Grants(owner, owner))
	}
	grants := make([]s3.Grant, 0, len(o.ACL))
	for i := range o.ACL {
		if o.ACL[i].ID != "" {
			grants = append(grants, shownGrant(&o.ACL[i]))
		}
	}
	return g.showACL(x, owner, grants)
}

// putObjectACL answers PutObjectAcl. Whose the object is stays as it is.
func (g *Gateway) putObjectACL(x *exchange) error {
	// Who may not set the list must not learn which accounts there are.
	_, err := g.o.Objects.HeadObject(x.r.Context(), objects.GetObjectInput{
		Bucket: x.bucket, Key: x.key, VersionID: x.version(), Access: x.access, Keyless: true,
	})
	if err != nil {
		return err
	}
	asked, owner, err := g.documentACL(x)
	if err != nil {
		return err
	}
	p := &x.place
	in := objects.PutObjectACLInput{Bucket: x.bucket, Key: x.key, VersionID: x.version()}
	in.Access = func(current *objects.Object) error {
		if err := x.access(current); err != nil || current == nil {
			return err
		}
		switch {
		case p.facts.ACLsDisabled && !asked.givesBucketOwnerControl(p.Owner):
			return s3.NewError(s3.AccessControlListNotSupported)
		case owner != "" && owner != current.Owner && !p.facts.ACLsDisabled:
			return denied("the document names another owner")
		case p.facts.Block.BlockPublicAcls && asked.public():
			return denied("the public access block refuses public access control lists")
		}
		return nil
	}
	in.ACL = func(current *objects.Object) []objects.Grant {
		if p.facts.ACLsDisabled {
			return current.ACL
		}
		return keptGrants(asked.on(current.Owner, p.Owner))
	}
	o, err := g.o.Objects.PutObjectACL(x.r.Context(), in)
	if err != nil {
		return err
	}
	x.showVersion(&o)
	return x.finish(http.StatusOK)
}

// writer is the account that writes.
func (x *exchange) writer() s3.OwnerID {
	if x.caller == nil {
		return anonymousOwner
	}
	return x.ownerID()
}

// newObject is what is decided of an object before it is written.
type newObject struct {
	owner s3.OwnerID
	acl   []objects.Grant
}

// newObject decides whose a new object is and what it grants, and asks whether
// the caller may set that and the tags that come with it.
func (g *Gateway) newObject(x *exchange) (newObject, error) {
	asked, err := g.headerACL(x)
	if err != nil {
		return newObject{}, err
	}
	if x.header(s3.HeaderTagging) != "" {
		if err := x.alsoAllow("s3:PutObjectTagging"); err != nil {
			return newObject{}, err
		}
	}
	return x.owned(&asked)
}

// owned decides whose a new object with an access control list is.
func (x *exchange) owned(asked *askedACL) (newObject, error) {
	p := &x.place
	o := newObject{owner: x.writer()}
	switch p.ownership {
	case s3.BucketOwnerEnforced:
		// To the bucket's own account, private means the same as
		// bucket-owner-full-control; many clients send it unasked.
		own := o.owner == p.Owner && asked.canned == s3.ACLPrivate
		if !own && !asked.givesBucketOwnerControl(p.Owner) {
			return o, s3.NewError(s3.AccessControlListNotSupported)
		}
		o.owner = p.Owner
		return o, nil
	case s3.BucketOwnerPreferred:
		if asked.canned == s3.ACLBucketOwnerFullControl {
			o.owner = p.Owner
		}
	case s3.ObjectWriter:
	}
	if p.facts.Block.BlockPublicAcls && asked.public() {
		return o, denied("the public access block refuses public access control lists")
	}
	// What the object's and the bucket's owner get is no more than a writer may
	// give up: AWS's own examples allow it with s3:PutObject alone.
	if !asked.within(o.owner, p.Owner) {
		if err := x.allowACL(o.owner); err != nil {
			return o, err
		}
	}
	if asked.given && asked.canned != s3.ACLPrivate {
		o.acl = keptGrants(asked.on(o.owner, p.Owner))
	}
	return o, nil
}

// allowACL asks whether the caller may set the access control list of an object
// that it writes. To whom the bucket's own list alone lets write, and who owns
// the object then, its list is its own affair, unless a policy forbids it.
func (x *exchange) allowACL(owner s3.OwnerID) error {
	err := x.alsoAllow("s3:PutObjectAcl")
	if err == nil || owner != x.writer() {
		return err
	}
	unpoliced := x.place
	unpoliced.facts.Policy = nil
	if !x.decide(&question{action: "s3:PutObject", place: &unpoliced, bucket: x.bucket, key: x.key}).Allowed {
		return err
	}
	own := objects.Object{Owner: owner}
	if x.caller == nil {
		own.ACL = keptGrants([]s3.Grant{{Type: s3.GranteeGroup, Grantee: s3.GroupAllUsers, Permission: s3.PermissionFullControl}})
	}
	return check(x.decide(&question{action: "s3:PutObjectAcl", place: &x.place, bucket: x.bucket, key: x.key, object: &own}))
}
