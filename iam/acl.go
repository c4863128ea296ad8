package iam

import "slices"

// GranteeType says what the ID of a [Grant] is.
type GranteeType string

// The types of grantees. A grantee by e-mail address is resolved to a
// canonical user before it becomes a Grant.
const (
	GranteeCanonicalUser GranteeType = "CanonicalUser"
	GranteeGroup         GranteeType = "Group"
)

// Groups that an ACL may name.
const (
	GroupAllUsers           = "http://acs.amazonaws.com/groups/global/AllUsers"
	GroupAuthenticatedUsers = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
	GroupLogDelivery        = "http://acs.amazonaws.com/groups/s3/LogDelivery"
)

// Permission is what a [Grant] gives.
type Permission string

// The permissions of ACLs.
const (
	PermissionRead        Permission = "READ"
	PermissionWrite       Permission = "WRITE"
	PermissionReadACP     Permission = "READ_ACP"
	PermissionWriteACP    Permission = "WRITE_ACP"
	PermissionFullControl Permission = "FULL_CONTROL"
)

// Valid reports whether p is a permission that S3 knows.
func (p Permission) Valid() bool {
	switch p {
	case PermissionRead, PermissionWrite, PermissionReadACP, PermissionWriteACP, PermissionFullControl:
		return true
	}
	return false
}

// Grant gives a permission to an account or a group.
type Grant struct {
	Type       GranteeType
	ID         string // a canonical id or the URI of a group
	Permission Permission
}

// isPublic reports whether the grantee is everybody or everybody who signs.
func (g *Grant) isPublic() bool {
	return g.Type == GranteeGroup && (g.ID == GroupAllUsers || g.ID == GroupAuthenticatedUsers)
}

// ACL is an access control list. The zero ACL grants to the owner alone.
type ACL struct {
	Grants []Grant
}

// IsPublic reports whether the list grants anything to AllUsers or
// AuthenticatedUsers, which is what the public access block looks at.
func (a ACL) IsPublic() bool {
	return slices.ContainsFunc(a.Grants, func(g Grant) bool { return g.isPublic() })
}

// grants returns the first grant of a permission to the caller, nil when there
// is none. Logs are delivered by nobody of ours, so LogDelivery grants nothing.
func (a ACL) grants(p Permission, who *Identity, block PublicAccessBlock) *Grant {
	if p == "" {
		return nil
	}
	for i := range a.Grants {
		g := &a.Grants[i]
		if block.IgnorePublicAcls && g.isPublic() {
			continue
		}
		if (g.Permission == p || g.Permission == PermissionFullControl) && g.reaches(who) {
			return g
		}
	}
	return nil
}

// reaches reports whether the caller is the grantee or in the group.
func (g *Grant) reaches(who *Identity) bool {
	switch g.Type {
	case GranteeCanonicalUser:
		return who.is(CanonicalID(g.ID))
	case GranteeGroup:
		return g.ID == GroupAllUsers || g.ID == GroupAuthenticatedUsers && who != nil
	}
	return false
}

// PublicAccessBlock is what overrides public ACLs and policies of a bucket.
// [Decide] enforces IgnorePublicAcls and RestrictPublicBuckets; the other two
// refuse requests that would make something public, which is for whoever
// handles those to do, with [ACL.IsPublic] and [Policy.IsPublic].
type PublicAccessBlock struct {
	BlockPublicAcls       bool
	IgnorePublicAcls      bool
	BlockPublicPolicy     bool
	RestrictPublicBuckets bool
}
