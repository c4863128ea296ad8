package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/s3"
)

// serviceOperations are those on the service itself.
func serviceOperations() []Operation {
	return []Operation{
		{Name: "ListBuckets", Method: http.MethodGet, Scope: ScopeService, Action: "s3:ListAllMyBuckets", handle: (*Gateway).listBuckets},
		{Name: "ListDirectoryBuckets", Method: http.MethodGet, Scope: ScopeService, Query: []string{"x-id=ListDirectoryBuckets"}, Action: "s3:ListAllMyDirectoryBuckets"},
	}
}

// bucketReads are the reads of buckets: what is in them.
func bucketReads() []Operation {
	return []Operation{
		{Name: "CreateSession", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"session"}, Action: "s3:CreateSession"},
		{Name: "GetBucketLocation", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"location"}, Action: "s3:GetBucketLocation", handle: (*Gateway).getBucketLocation},
		{Name: "HeadBucket", Method: http.MethodHead, Scope: ScopeBucket, Action: "s3:ListBucket", handle: (*Gateway).headBucket},
		{Name: "ListBucketAnalyticsConfigurations", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"analytics"}, Action: "s3:GetAnalyticsConfiguration", handle: emptyList("ListBucketAnalyticsConfigurationResult")},
		{Name: "ListBucketIntelligentTieringConfigurations", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"intelligent-tiering"}, Action: "s3:GetIntelligentTieringConfiguration", handle: emptyList("ListBucketIntelligentTieringConfigurationsOutput")},
		{Name: "ListBucketInventoryConfigurations", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"inventory"}, Action: "s3:GetInventoryConfiguration", handle: emptyList("ListInventoryConfigurationsResult")},
		{Name: "ListBucketMetricsConfigurations", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"metrics"}, Action: "s3:GetMetricsConfiguration", handle: emptyList("ListMetricsConfigurationsResult")},
		{Name: "ListMultipartUploads", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"uploads"}, Action: "s3:ListBucketMultipartUploads", handle: (*Gateway).listMultipartUploads},
		{Name: "ListObjectVersions", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"versions"}, Action: "s3:ListBucketVersions", handle: (*Gateway).listObjectVersions},
		{Name: "ListObjects", Method: http.MethodGet, Scope: ScopeBucket, Action: "s3:ListBucket", handle: (*Gateway).listObjects},
		{Name: "ListObjectsV2", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"list-type=2"}, Action: "s3:ListBucket", handle: (*Gateway).listObjectsV2},
		{Name: "PreflightBucket", Method: http.MethodOptions, Scope: ScopeBucket, beyond: true, handle: (*Gateway).preflight, decided: onNothing},
	}
}

// bucketConfigurationReads are the reads of what is configured of buckets.
func bucketConfigurationReads() []Operation {
	return []Operation{
		{Name: "GetBucketAbac", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"abac"}, Action: "s3:GetBucketAbac", handle: (*Gateway).getBucketAbac},
		{Name: "GetBucketAccelerateConfiguration", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"accelerate"}, Action: "s3:GetAccelerateConfiguration", handle: empty("AccelerateConfiguration")},
		{Name: "GetBucketAcl", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"acl"}, Action: "s3:GetBucketAcl", handle: (*Gateway).getBucketACL},
		{Name: "GetBucketAnalyticsConfiguration", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"analytics", "id"}, Action: "s3:GetAnalyticsConfiguration", handle: (*Gateway).noConfiguration},
		{Name: "GetBucketCors", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"cors"}, Action: "s3:GetBucketCORS", handle: (*Gateway).getBucketCors},
		{Name: "GetBucketEncryption", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"encryption"}, Action: "s3:GetEncryptionConfiguration", handle: (*Gateway).getBucketEncryption},
		{Name: "GetBucketIntelligentTieringConfiguration", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"intelligent-tiering", "id"}, Action: "s3:GetIntelligentTieringConfiguration", handle: (*Gateway).noConfiguration},
		{Name: "GetBucketInventoryConfiguration", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"inventory", "id"}, Action: "s3:GetInventoryConfiguration", handle: (*Gateway).noConfiguration},
		{Name: "GetBucketLifecycle", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"lifecycle"}, Action: "s3:GetLifecycleConfiguration", handle: (*Gateway).getBucketLifecycle},
		{Name: "GetBucketLifecycleConfiguration", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"lifecycle"}, Action: "s3:GetLifecycleConfiguration", handle: (*Gateway).getBucketLifecycle},
		{Name: "GetBucketLogging", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"logging"}, Action: "s3:GetBucketLogging", handle: empty("BucketLoggingStatus")},
		{Name: "GetBucketMetadataConfiguration", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"metadataConfiguration"}, Action: "s3:GetBucketMetadataTableConfiguration", handle: unconfigured(s3.MetadataConfigurationNotFound)},
		{Name: "GetBucketMetadataTableConfiguration", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"metadataTable"}, Action: "s3:GetBucketMetadataTableConfiguration", handle: unconfigured(s3.MetadataConfigurationNotFound)},
		{Name: "GetBucketMetricsConfiguration", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"metrics", "id"}, Action: "s3:GetMetricsConfiguration", handle: (*Gateway).noConfiguration},
		{Name: "GetBucketNotification", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"notification"}, Action: "s3:GetBucketNotification", handle: empty("NotificationConfiguration")},
		{Name: "GetBucketNotificationConfiguration", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"notification"}, Action: "s3:GetBucketNotification", handle: empty("NotificationConfiguration")},
		{Name: "GetBucketOwnershipControls", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"ownershipControls"}, Action: "s3:GetBucketOwnershipControls", handle: (*Gateway).getBucketOwnershipControls},
		{Name: "GetBucketPolicy", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"policy"}, Action: "s3:GetBucketPolicy", handle: (*Gateway).getBucketPolicy},
		{Name: "GetBucketPolicyStatus", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"policyStatus"}, Action: "s3:GetBucketPolicyStatus", handle: (*Gateway).getBucketPolicyStatus},
		{Name: "GetBucketReplication", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"replication"}, Action: "s3:GetReplicationConfiguration", handle: unconfigured(s3.ReplicationConfigurationNotFoundError)},
		{Name: "GetBucketRequestPayment", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"requestPayment"}, Action: "s3:GetBucketRequestPayment", handle: (*Gateway).getBucketRequestPayment},
		{Name: "GetBucketTagging", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"tagging"}, Action: "s3:GetBucketTagging", handle: (*Gateway).getBucketTagging},
		{Name: "GetBucketVersioning", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"versioning"}, Action: "s3:GetBucketVersioning", handle: (*Gateway).getBucketVersioning},
		{Name: "GetBucketWebsite", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"website"}, Action: "s3:GetBucketWebsite", handle: (*Gateway).getBucketWebsite},
		{Name: "GetObjectLockConfiguration", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"object-lock"}, Action: "s3:GetBucketObjectLockConfiguration", handle: (*Gateway).getObjectLockConfiguration},
		{Name: "GetPublicAccessBlock", Method: http.MethodGet, Scope: ScopeBucket, Query: []string{"publicAccessBlock"}, Action: "s3:GetBucketPublicAccessBlock", handle: (*Gateway).getPublicAccessBlock},
	}
}

// bucketWrites are the writes to buckets.
func bucketWrites() []Operation {
	return []Operation{
		{Name: "CreateBucket", Method: http.MethodPut, Scope: ScopeBucket, Action: "s3:CreateBucket", handle: (*Gateway).createBucket, decided: onBody},
		{Name: "CreateBucketMetadataConfiguration", Method: http.MethodPost, Scope: ScopeBucket, Query: []string{"metadataConfiguration"}, Action: "s3:CreateBucketMetadataTableConfiguration"},
		{Name: "CreateBucketMetadataTableConfiguration", Method: http.MethodPost, Scope: ScopeBucket, Query: []string{"metadataTable"}, Action: "s3:CreateBucketMetadataTableConfiguration"},
		{Name: "DeleteObjects", Method: http.MethodPost, Scope: ScopeBucket, Query: []string{"delete"}, Action: "s3:DeleteObject", handle: (*Gateway).deleteObjects, decided: onKeys},
		{Name: "WriteGetObjectResponse", Method: http.MethodPost, Scope: ScopeBucket, Header: "X-Amz-Request-Route", Action: "s3:WriteGetObjectResponse", uri: "/WriteGetObjectResponse"},
		{Name: "PostObject", Method: http.MethodPost, Scope: ScopeBucket, Action: "s3:PutObject", beyond: true, decided: onBody, handle: (*Gateway).postObject},
	}
}

// bucketConfigurationWrites are the writes of what is configured of buckets.
func bucketConfigurationWrites() []Operation {
	return []Operation{
		{Name: "PutBucketAbac", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"abac"}, Action: "s3:PutBucketAbac"},
		{Name: "PutBucketAccelerateConfiguration", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"accelerate"}, Action: "s3:PutAccelerateConfiguration"},
		{Name: "PutBucketAcl", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"acl"}, Action: "s3:PutBucketAcl", handle: (*Gateway).putBucketACL},
		{Name: "PutBucketAnalyticsConfiguration", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"analytics", "id"}, Action: "s3:PutAnalyticsConfiguration"},
		{Name: "PutBucketCors", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"cors"}, Action: "s3:PutBucketCORS", handle: (*Gateway).putBucketCors},
		{Name: "PutBucketEncryption", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"encryption"}, Action: "s3:PutEncryptionConfiguration", handle: (*Gateway).putBucketEncryption},
		{Name: "PutBucketIntelligentTieringConfiguration", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"intelligent-tiering", "id"}, Action: "s3:PutIntelligentTieringConfiguration"},
		{Name: "PutBucketInventoryConfiguration", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"inventory", "id"}, Action: "s3:PutInventoryConfiguration"},
		{Name: "PutBucketLifecycle", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"lifecycle"}, Action: "s3:PutLifecycleConfiguration", handle: (*Gateway).putBucketLifecycle},
		{Name: "PutBucketLifecycleConfiguration", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"lifecycle"}, Action: "s3:PutLifecycleConfiguration", handle: (*Gateway).putBucketLifecycle},
		{Name: "PutBucketLogging", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"logging"}, Action: "s3:PutBucketLogging"},
		{Name: "PutBucketMetricsConfiguration", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"metrics", "id"}, Action: "s3:PutMetricsConfiguration"},
		{Name: "PutBucketNotification", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"notification"}, Action: "s3:PutBucketNotification"},
		{Name: "PutBucketNotificationConfiguration", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"notification"}, Action: "s3:PutBucketNotification"},
		{Name: "PutBucketOwnershipControls", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"ownershipControls"}, Action: "s3:PutBucketOwnershipControls", handle: (*Gateway).putBucketOwnershipControls, decided: onBody},
		{Name: "PutBucketPolicy", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"policy"}, Action: "s3:PutBucketPolicy", handle: (*Gateway).putBucketPolicy},
		{Name: "PutBucketReplication", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"replication"}, Action: "s3:PutReplicationConfiguration"},
		{Name: "PutBucketRequestPayment", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"requestPayment"}, Action: "s3:PutBucketRequestPayment", handle: (*Gateway).putBucketRequestPayment},
		{Name: "PutBucketTagging", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"tagging"}, Action: "s3:PutBucketTagging", handle: (*Gateway).putBucketTagging},
		{Name: "PutBucketVersioning", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"versioning"}, Action: "s3:PutBucketVersioning", handle: (*Gateway).putBucketVersioning},
		{Name: "PutBucketWebsite", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"website"}, Action: "s3:PutBucketWebsite", handle: (*Gateway).putBucketWebsite},
		{Name: "PutObjectLockConfiguration", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"object-lock"}, Action: "s3:PutBucketObjectLockConfiguration", handle: (*Gateway).putObjectLockConfiguration},
		{Name: "PutPublicAccessBlock", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"publicAccessBlock"}, Action: "s3:PutBucketPublicAccessBlock", handle: (*Gateway).putPublicAccessBlock},
		{Name: "UpdateBucketMetadataAnnotationTableConfiguration", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"metadataAnnotationTable"}, Action: "s3:UpdateBucketMetadataAnnotationTableConfiguration"},
		{Name: "UpdateBucketMetadataInventoryTableConfiguration", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"metadataInventoryTable"}, Action: "s3:UpdateBucketMetadataInventoryTableConfiguration"},
		{Name: "UpdateBucketMetadataJournalTableConfiguration", Method: http.MethodPut, Scope: ScopeBucket, Query: []string{"metadataJournalTable"}, Action: "s3:UpdateBucketMetadataJournalTableConfiguration"},
	}
}

// bucketDeletes are the deletions of buckets and of what is configured of them.
func bucketDeletes() []Operation {
	return []Operation{
		{Name: "DeleteBucket", Method: http.MethodDelete, Scope: ScopeBucket, Action: "s3:DeleteBucket", handle: (*Gateway).deleteBucket},
		{Name: "DeleteBucketAnalyticsConfiguration", Method: http.MethodDelete, Scope: ScopeBucket, Query: []string{"analytics", "id"}, Action: "s3:PutAnalyticsConfiguration", handle: (*Gateway).noConfiguration},
		{Name: "DeleteBucketCors", Method: http.MethodDelete, Scope: ScopeBucket, Query: []string{"cors"}, Action: "s3:PutBucketCORS", handle: (*Gateway).deleteBucketCors},
		{Name: "DeleteBucketEncryption", Method: http.MethodDelete, Scope: ScopeBucket, Query: []string{"encryption"}, Action: "s3:PutEncryptionConfiguration", handle: (*Gateway).deleteBucketEncryption},
		{Name: "DeleteBucketIntelligentTieringConfiguration", Method: http.MethodDelete, Scope: ScopeBucket, Query: []string{"intelligent-tiering", "id"}, Action: "s3:PutIntelligentTieringConfiguration", handle: (*Gateway).noConfiguration},
		{Name: "DeleteBucketInventoryConfiguration", Method: http.MethodDelete, Scope: ScopeBucket, Query: []string{"inventory", "id"}, Action: "s3:PutInventoryConfiguration", handle: (*Gateway).noConfiguration},
		{Name: "DeleteBucketLifecycle", Method: http.MethodDelete, Scope: ScopeBucket, Query: []string{"lifecycle"}, Action: "s3:PutLifecycleConfiguration", handle: (*Gateway).deleteBucketLifecycle},
		{Name: "DeleteBucketMetadataConfiguration", Method: http.MethodDelete, Scope: ScopeBucket, Query: []string{"metadataConfiguration"}, Action: "s3:DeleteBucketMetadataTableConfiguration"},
		{Name: "DeleteBucketMetadataTableConfiguration", Method: http.MethodDelete, Scope: ScopeBucket, Query: []string{"metadataTable"}, Action: "s3:DeleteBucketMetadataTableConfiguration"},
		{Name: "DeleteBucketMetricsConfiguration", Method: http.MethodDelete, Scope: ScopeBucket, Query: []string{"metrics", "id"}, Action: "s3:PutMetricsConfiguration", handle: (*Gateway).noConfiguration},
		{Name: "DeleteBucketOwnershipControls", Method: http.MethodDelete, Scope: ScopeBucket, Query: []string{"ownershipControls"}, Action: "s3:PutBucketOwnershipControls", handle: (*Gateway).deleteBucketOwnershipControls},
		{Name: "DeleteBucketPolicy", Method: http.MethodDelete, Scope: ScopeBucket, Query: []string{"policy"}, Action: "s3:DeleteBucketPolicy", handle: (*Gateway).deleteBucketPolicy},
		{Name: "DeleteBucketReplication", Method: http.MethodDelete, Scope: ScopeBucket, Query: []string{"replication"}, Action: "s3:PutReplicationConfiguration", handle: (*Gateway).nothingToDelete},
		{Name: "DeleteBucketTagging", Method: http.MethodDelete, Scope: ScopeBucket, Query: []string{"tagging"}, Action: "s3:PutBucketTagging", handle: (*Gateway).deleteBucketTagging},
		{Name: "DeleteBucketWebsite", Method: http.MethodDelete, Scope: ScopeBucket, Query: []string{"website"}, Action: "s3:DeleteBucketWebsite", handle: (*Gateway).deleteBucketWebsite},
		{Name: "DeletePublicAccessBlock", Method: http.MethodDelete, Scope: ScopeBucket, Query: []string{"publicAccessBlock"}, Action: "s3:PutBucketPublicAccessBlock", handle: (*Gateway).deletePublicAccessBlock},
	}
}
