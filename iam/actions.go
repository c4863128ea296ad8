package iam

import "strings"

// scope is what an action is taken on.
type scope uint8

const (
	scopeService scope = iota
	scopeBucket
	scopeObject
)

// s3Actions returns the actions of S3 that policies may name, without "s3:".
func s3Actions(s scope) []string {
	switch s {
	case scopeService:
		return strings.Fields(serviceActions)
	case scopeBucket:
		return strings.Fields(bucketActions)
	case scopeObject:
		return strings.Fields(objectActions)
	}
	return nil
}

// Service actions are on no bucket, or on one that is not there yet.
const serviceActions = `CreateBucket CreateJob GetAccountPublicAccessBlock ListAccessPoints ListAllMyBuckets
	ListAllMyDirectoryBuckets ListJobs PutAccountPublicAccessBlock`

const bucketActions = `CreateBucketMetadataTableConfiguration CreateSession DeleteBucket
	DeleteBucketMetadataTableConfiguration DeleteBucketPolicy DeleteBucketWebsite GetAccelerateConfiguration
	GetAnalyticsConfiguration GetBucketAbac GetBucketAcl GetBucketCORS GetBucketLocation GetBucketLogging
	GetBucketMetadataTableConfiguration GetBucketNotification GetBucketObjectLockConfiguration
	GetBucketOwnershipControls GetBucketPolicy GetBucketPolicyStatus GetBucketPublicAccessBlock
	GetBucketRequestPayment GetBucketTagging GetBucketVersioning GetBucketWebsite GetEncryptionConfiguration
	GetIntelligentTieringConfiguration GetInventoryConfiguration GetLifecycleConfiguration GetMetricsConfiguration
	GetReplicationConfiguration ListBucket ListBucketMultipartUploads ListBucketVersions ListTagsForResource
	PutAccelerateConfiguration PutAnalyticsConfiguration PutBucketAbac PutBucketAcl PutBucketCORS PutBucketLogging
	PutBucketNotification PutBucketObjectLockConfiguration PutBucketOwnershipControls PutBucketPolicy
	PutBucketPublicAccessBlock PutBucketRequestPayment PutBucketTagging PutBucketVersioning PutBucketWebsite
	PutEncryptionConfiguration PutIntelligentTieringConfiguration PutInventoryConfiguration
	PutLifecycleConfiguration PutMetricsConfiguration PutReplicationConfiguration TagResource UntagResource
	UpdateBucketMetadataAnnotationTableConfiguration UpdateBucketMetadataInventoryTableConfiguration
	UpdateBucketMetadataJournalTableConfiguration`

const objectActions = `AbortMultipartUpload BypassGovernanceRetention DeleteObject DeleteObjectAnnotation
	DeleteObjectTagging DeleteObjectVersion DeleteObjectVersionTagging GetObject GetObjectAcl GetObjectAnnotation
	GetObjectAttributes GetObjectLegalHold GetObjectRetention GetObjectTagging GetObjectTorrent GetObjectVersion
	GetObjectVersionAcl GetObjectVersionAttributes GetObjectVersionForReplication GetObjectVersionTagging
	GetObjectVersionTorrent InitiateReplication ListMultipartUploadParts ObjectOwnerOverrideToBucketOwner PutObject
	PutObjectAcl PutObjectAnnotation PutObjectLegalHold PutObjectRetention PutObjectTagging PutObjectVersionAcl
	PutObjectVersionTagging ReplicateDelete ReplicateObject ReplicateTags RestoreObject UpdateObjectEncryption
	WriteGetObjectResponse`

// isS3Action reports whether a compiled pattern such as "s3:get*" names an
// action of S3 of the scope.
func isS3Action(pattern string, s scope) bool {
	if pattern == run {
		return true
	}
	for _, name := range s3Actions(s) {
		if matchAction(pattern, "s3:"+name) {
			return true
		}
	}
	return false
}

// aclPermission returns the permission of an ACL that grants an action, and
// whether it is the object's ACL that is asked and not the bucket's. What ACLs
// do not grant has no permission.
func aclPermission(action string) (p Permission, onObject bool) {
	switch action {
	case "s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTorrent", "s3:GetObjectVersionTorrent":
		return PermissionRead, true
	case "s3:GetObjectAcl", "s3:GetObjectVersionAcl":
		return PermissionReadACP, true
	case "s3:PutObjectAcl", "s3:PutObjectVersionAcl":
		return PermissionWriteACP, true
	case "s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads":
		return PermissionRead, false
	case "s3:PutObject", "s3:DeleteObject":
		return PermissionWrite, false
	case "s3:GetBucketAcl":
		return PermissionReadACP, false
	case "s3:PutBucketAcl":
		return PermissionWriteACP, false
	}
	return "", false
}

// byObjectOwner reports whether an action belongs to the owner of the object
// when that is another account than the owner of the bucket, who may delete,
// tag, lock and restore any object, but not read it.
func byObjectOwner(action string) bool {
	switch action {
	case "s3:GetObjectAttributes", "s3:GetObjectVersionAttributes":
		return true
	}
	_, onObject := aclPermission(action)
	return onObject
}

// byInitiator reports whether an action on a multipart upload is allowed to
// whom began it.
func byInitiator(action string) bool {
	return action == "s3:AbortMultipartUpload" || action == "s3:ListMultipartUploadParts"
}
