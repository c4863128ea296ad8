package s3

// Grants returns what a canned ACL grants on something of an owner in the
// bucket of another, or the same, owner. On a bucket the two are the same.
// Grants of groups come first.
func (a CannedACL) Grants(owner, bucketOwner OwnerID) []Grant {
	var grants []Grant
	group := func(uri string, permissions ...Permission) {
		for _, p := range permissions {
			grants = append(grants, Grant{Type: GranteeGroup, Grantee: uri, Permission: p})
		}
	}
	switch a {
	case ACLPublicRead:
		group(GroupAllUsers, PermissionRead)
	case ACLPublicReadWrite:
		group(GroupAllUsers, PermissionRead, PermissionWrite)
	case ACLAuthenticatedRead:
		group(GroupAuthenticatedUsers, PermissionRead)
	case ACLLogDeliveryWrite:
		group(GroupLogDelivery, PermissionWrite, PermissionReadACP)
	case ACLPrivate, ACLAWSExecRead, ACLBucketOwnerRead, ACLBucketOwnerFullControl:
	}
	grants = append(grants, Grant{Type: GranteeUser, Grantee: string(owner), Permission: PermissionFullControl})
	if owner == bucketOwner {
		return grants
	}
	switch a { //nolint:exhaustive // the others grant the bucket's owner nothing
	case ACLBucketOwnerRead:
		grants = append(grants, Grant{Type: GranteeUser, Grantee: string(bucketOwner), Permission: PermissionRead})
	case ACLBucketOwnerFullControl:
		grants = append(grants, Grant{Type: GranteeUser, Grantee: string(bucketOwner), Permission: PermissionFullControl})
	}
	return grants
}
