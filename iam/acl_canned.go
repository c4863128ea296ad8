package iam

// CannedACL returns the grants that a canned ACL stands for: x-amz-acl's
// value, the owner of the bucket or object that gets it, and the owner of the
// bucket, who is the same for a bucket. It reports false for an unknown name.
func CannedACL(name string, owner, bucketOwner CanonicalID) (ACL, bool) {
	user := func(id CanonicalID, p Permission) Grant {
		return Grant{Type: GranteeCanonicalUser, ID: string(id), Permission: p}
	}
	group := func(uri string, p Permission) Grant {
		return Grant{Type: GranteeGroup, ID: uri, Permission: p}
	}
	grants := []Grant{user(owner, PermissionFullControl)}
	switch name {
	case "private":
	case "aws-exec-read":
		// Amazon EC2, whom it lets read, is nobody here.
	case "public-read":
		grants = append(grants, group(GroupAllUsers, PermissionRead))
	case "public-read-write":
		grants = append(grants, group(GroupAllUsers, PermissionRead), group(GroupAllUsers, PermissionWrite))
	case "authenticated-read":
		grants = append(grants, group(GroupAuthenticatedUsers, PermissionRead))
	case "log-delivery-write":
		grants = append(grants, group(GroupLogDelivery, PermissionWrite), group(GroupLogDelivery, PermissionReadACP))
	case "bucket-owner-read", "bucket-owner-full-control":
		// For a bucket, and for an object of the bucket's owner, they add nothing.
		permission := PermissionRead
		if name == "bucket-owner-full-control" {
			permission = PermissionFullControl
		}
		if bucketOwner != owner {
			grants = append(grants, user(bucketOwner, permission))
		}
	default:
		return ACL{}, false
	}
	return ACL{Grants: grants}, true
}
