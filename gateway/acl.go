package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// askedACL is the access control list that a request asks for. The zero value
// asks for none.
type askedACL struct {
	canned s3.CannedACL
	// grants are those of headers or of a document; nil where canned is set.
	grants []s3.Grant
	given  bool
}

// on returns what is granted on something of an owner in a bucket.
func (a *askedACL) on(owner, bucketOwner s3.OwnerID) []s3.Grant {
	if a.grants != nil {
		return a.grants
	}
	return a.canned.Grants(owner, bucketOwner)
}

// public reports whether the list grants anything to everybody.
func (a *askedACL) public() bool {
	return a.given && slices.ContainsFunc(a.on("", ""), func(g s3.Grant) bool {
		return g.Type == s3.GranteeGroup && (g.Grantee == s3.GroupAllUsers || g.Grantee == s3.GroupAuthenticatedUsers)
	})
}

// within reports whether the list grants nothing beyond the control of owner
// and of the bucket's owner.
func (a *askedACL) within(owner, bucketOwner s3.OwnerID) bool {
	if !a.given {
		return true
	}
	return !slices.ContainsFunc(a.on(owner, bucketOwner), func(g s3.Grant) bool {
		return g.Type != s3.GranteeUser || g.Grantee != string(owner) && g.Grantee != string(bucketOwner)
	})
}

// gives reports whether the list is one of full control for the bucket's owner
// and of nothing else, the only one where the bucket's owner owns everything.
func (a *askedACL) givesBucketOwnerControl(owner s3.OwnerID) bool {
	if !a.given || a.canned == s3.ACLBucketOwnerFullControl {
		return true
	}
	return len(a.grants) == 1 && a.grants[0].Grantee == string(owner) && a.grants[0].Permission == s3.PermissionFullControl
}

// grantHeader is a header that grants a permission.
type grantHeader struct {
	name       string
	permission s3.Permission
}

func grantHeaders() [5]grantHeader {
	return [...]grantHeader{
		{"X-Amz-Grant-Read", s3.PermissionRead},
		{"X-Amz-Grant-Write", s3.PermissionWrite},
		{"X-Amz-Grant-Read-Acp", s3.PermissionReadACP},
		{"X-Amz-Grant-Write-Acp", s3.PermissionWriteACP},
		{"X-Amz-Grant-Full-Control", s3.PermissionFullControl},
	}
}

// headerACL returns the list that the headers ask for.
func (g *Gateway) headerACL(x *exchange) (askedACL, error) {
	a := askedACL{}
	for _, h := range grantHeaders() {
		for _, value := range x.r.Header[h.name] {
			grants, err := parseGrants(h, value)
			if err != nil {
				return a, err
			}
			a.grants, a.given = append(a.grants, grants...), true
		}
	}
	canned := s3.CannedACL(x.header(s3.HeaderACL))
	switch {
	case canned == "":
	case !canned.Valid():
		return a, s3.InvalidArg("x-amz-acl", string(canned), "")
	case canned == s3.ACLAWSExecRead:
		return a, s3.NotImplementedHeader("x-amz-acl") // it lets a service of AWS read
	case a.given:
		return a, invalidRequest("Specifying both Canned ACLs and Header Grants is not allowed")
	default:
		a.canned, a.given = canned, true
	}
	return a, g.resolve(x.r.Context(), a.grants)
}

// parseGrants parses type=value, separated by commas, each value quoted or not.
func parseGrants(h grantHeader, header string) ([]s3.Grant, error) {
	refused := func() error {
		return s3.InvalidArg(strings.ToLower(h.name), header, "Argument format not recognized")
	}
	var grants []s3.Grant
	for item := range strings.SplitSeq(header, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(item), "=")
		value = strings.Trim(value, `"`)
		g := s3.Grant{Grantee: value, Permission: h.permission}
		switch strings.ToLower(name) {
		case "id":
			g.Type = s3.GranteeUser
		case "uri":
			g.Type = s3.GranteeGroup
		case "emailaddress":
			g.Type = s3.GranteeEmail
		}
		if !ok || value == "" || g.Type == "" {
			return nil, refused()
		}
		grants = append(grants, g)
	}
	return grants, nil
}

// resolve checks that every grantee is there, and turns e-mail addresses into
// canonical ids.
func (g *Gateway) resolve(ctx context.Context, grants []s3.Grant) error {
	if len(grants) > s3.MaxGrants {
		return s3.NewError(s3.MalformedACLError)
	}
	for i := range grants {
		if err := g.resolveGrantee(ctx, &grants[i]); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gateway) resolveGrantee(ctx context.Context, grant *s3.Grant) error {
	grant.DisplayName = ""
	var account iam.Account
	var err error
	refused := s3.InvalidArg("CanonicalUser/ID", grant.Grantee, "Invalid id")
	switch grant.Type {
	case s3.GranteeGroup:
		switch grant.Grantee {
		case s3.GroupAllUsers, s3.GroupAuthenticatedUsers, s3.GroupLogDelivery:
			return nil
		}
		return s3.InvalidArg("Group/URI", grant.Grantee, "Invalid group uri")
	case s3.GranteeEmail:
		refused = s3.NewError(s3.UnresolvableGrantByEmailAddress).With("EmailAddress", grant.Grantee)
		account, err = g.o.Accounts.ByEmail(ctx, grant.Grantee)
	case s3.GranteeUser:
		account, err = g.o.Accounts.ByCanonicalID(ctx, iam.CanonicalID(grant.Grantee))
	}
	switch {
	case errors.Is(err, iam.ErrNoSuchAccount):
		return refused
	case err != nil:
		return s3.NewError(s3.ServiceUnavailable).Because(err)
	}
	grant.Type, grant.Grantee = s3.GranteeUser, string(account.CanonicalID)
	return nil
}

// documentACL returns the list of a request's headers or of its body, of which
// there must be exactly one. The owner that a document names must be the one.
func (g *Gateway) documentACL(x *exchange) (a askedACL, owner s3.OwnerID, err error) {
	if a, err = g.headerACL(x); err != nil {
		return a, "", err
	}
	body, _, err := x.readDocument(s3.MaxConfigBody)
	switch {
	case err != nil:
		return a, "", err
	case a.given && len(body) > 0:
		return a, "", s3.NewError(s3.UnexpectedContent)
	case a.given:
		return a, "", nil
	case len(body) == 0:
		return a, "", s3.NewError(s3.MissingSecurityHeader).With("MissingHeaderName", "x-amz-acl")
	}
	p, err := s3.DecodeACL(body)
	if err != nil {
		return a, "", err
	}
	a.grants, a.given = p.Grants, true
	if a.grants == nil {
		a.grants = []s3.Grant{}
	}
	return a, p.Owner.ID, g.resolve(x.r.Context(), a.grants)
}

// showACL answers with an access control list: grants of groups first, and
// accounts with their names.
func (g *Gateway) showACL(x *exchange, owner s3.OwnerID, grants []s3.Grant) error {
	p := s3.AccessControlPolicy{Owner: x.owner(owner), Grants: slices.Clone(grants)}
	slices.SortStableFunc(p.Grants, func(a, b s3.Grant) int {
		if a.Type == b.Type {
			return 0
		}
		if a.Type == s3.GranteeGroup {
			return -1
		}
		return 1
	})
	for i := range p.Grants {
		if grant := &p.Grants[i]; grant.Type == s3.GranteeUser {
			grant.DisplayName = x.owner(s3.OwnerID(grant.Grantee)).DisplayName
		}
	}
	return g.withDocument(x, p.AppendXML)
}

// permissionsKept says, by the number that is kept of a permission, what S3
// calls it.
func permissionsKept() [6]s3.Permission {
	return [...]s3.Permission{
		objects.PermissionRead:        s3.PermissionRead,
		objects.PermissionWrite:       s3.PermissionWrite,
		objects.PermissionReadACP:     s3.PermissionReadACP,
		objects.PermissionWriteACP:    s3.PermissionWriteACP,
		objects.PermissionFullControl: s3.PermissionFullControl,
	}
}

// keptGrants converts a list to what is kept with an object. A list of nobody
// is kept as a grant to nobody: none at all would mean the owner.
func keptGrants(grants []s3.Grant) []objects.Grant {
	if len(grants) == 0 {
		return []objects.Grant{{Type: objects.GranteeUser, Permission: objects.PermissionWrite}}
	}
	names := permissionsKept()
	kept := make([]objects.Grant, 0, len(grants))
	for i := range grants {
		g := &grants[i]
		k := objects.Grant{Type: objects.GranteeUser, ID: g.Grantee}
		if g.Type == s3.GranteeGroup {
			k.Type = objects.GranteeGroup
		}
		k.Permission = objects.Permission(max(slices.Index(names[:], g.Permission), 0))
		kept = append(kept, k)
	}
	return kept
}

// shownGrant is the reverse of keptGrants for one grant.
func shownGrant(k *objects.Grant) s3.Grant {
	g := s3.Grant{Type: s3.GranteeUser, Grantee: k.ID}
	if k.Type == objects.GranteeGroup {
		g.Type = s3.GranteeGroup
	}
	if names := permissionsKept(); int(k.Permission) < len(names) {
		g.Permission = names[k.Permission]
	}
	return g
}
