package s3

// Request and response headers, in the canonical form of net/http, so that
// they index a header map directly.
const (
	HeaderAcceptRanges      = "Accept-Ranges"
	HeaderCacheControl      = "Cache-Control"
	HeaderContentMD5        = "Content-Md5"
	HeaderContentRange      = "Content-Range"
	HeaderContentType       = "Content-Type"
	HeaderContentLength     = "Content-Length"
	HeaderContentEncoding   = "Content-Encoding"
	HeaderContentLanguage   = "Content-Language"
	HeaderContentDispo      = "Content-Disposition"
	HeaderExpires           = "Expires"
	HeaderETag              = "Etag"
	HeaderLastModified      = "Last-Modified"
	HeaderLocation          = "Location"
	HeaderRange             = "Range"
	HeaderIfMatch           = "If-Match"
	HeaderIfNoneMatch       = "If-None-Match"
	HeaderIfModifiedSince   = "If-Modified-Since"
	HeaderIfUnmodifiedSince = "If-Unmodified-Since"
)

// Headers of S3 itself.
const (
	HeaderRequestID             = "X-Amz-Request-Id"
	HeaderHostID                = "X-Amz-Id-2"
	HeaderDate                  = "X-Amz-Date"
	HeaderContentSHA256         = "X-Amz-Content-Sha256"
	HeaderDecodedContentLength  = "X-Amz-Decoded-Content-Length"
	HeaderTrailer               = "X-Amz-Trailer"
	HeaderACL                   = "X-Amz-Acl"
	HeaderStorageClass          = "X-Amz-Storage-Class"
	HeaderBucketRegion          = "X-Amz-Bucket-Region"
	HeaderVersionID             = "X-Amz-Version-Id"
	HeaderDeleteMarker          = "X-Amz-Delete-Marker"
	HeaderPartsCount            = "X-Amz-Mp-Parts-Count"
	HeaderObjectSize            = "X-Amz-Object-Size"
	HeaderObjectAttributes      = "X-Amz-Object-Attributes"
	HeaderMaxParts              = "X-Amz-Max-Parts"
	HeaderPartNumberMarker      = "X-Amz-Part-Number-Marker"
	HeaderExpectedBucketOwner   = "X-Amz-Expected-Bucket-Owner"
	HeaderExpectedSourceOwner   = "X-Amz-Source-Expected-Bucket-Owner"
	HeaderCopySource            = "X-Amz-Copy-Source"
	HeaderCopySourceRange       = "X-Amz-Copy-Source-Range"
	HeaderCopySourceVersionID   = "X-Amz-Copy-Source-Version-Id"
	HeaderCopySourceIfMatch     = "X-Amz-Copy-Source-If-Match"
	HeaderCopySourceIfNoneMatch = "X-Amz-Copy-Source-If-None-Match"
	HeaderCopySourceIfModified  = "X-Amz-Copy-Source-If-Modified-Since"
	HeaderCopySourceIfUnmod     = "X-Amz-Copy-Source-If-Unmodified-Since"
	HeaderMetadataDirective     = "X-Amz-Metadata-Directive"
	HeaderWebsiteRedirect       = "X-Amz-Website-Redirect-Location"
	HeaderTagging               = "X-Amz-Tagging"
	HeaderTaggingCount          = "X-Amz-Tagging-Count"
	HeaderTaggingDirective      = "X-Amz-Tagging-Directive"
	HeaderChecksumMode          = "X-Amz-Checksum-Mode"
	HeaderChecksumAlgorithm     = "X-Amz-Checksum-Algorithm"
	HeaderChecksumType          = "X-Amz-Checksum-Type"
	HeaderSDKChecksumAlgorithm  = "X-Amz-Sdk-Checksum-Algorithm"
)

// Headers of server-side encryption. Those of the client's key (SSE-C) come once
// more, behind another prefix, for the source of a copy.
const (
	HeaderSSE          = "X-Amz-Server-Side-Encryption"
	HeaderSSEKeyID     = "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"
	HeaderSSEContext   = "X-Amz-Server-Side-Encryption-Context"
	HeaderSSEBucketKey = "X-Amz-Server-Side-Encryption-Bucket-Key-Enabled"

	CustomerKeyPrefix       = "X-Amz-Server-Side-Encryption-Customer-"
	CopySourceKeyPrefix     = "X-Amz-Copy-Source-Server-Side-Encryption-Customer-"
	SuffixCustomerAlgorithm = "Algorithm"
	SuffixCustomerKey       = "Key"
	SuffixCustomerKeyMD5    = "Key-Md5"
)

// UserMetadataPrefix starts the headers of user metadata, in the canonical
// form of net/http.
const UserMetadataPrefix = "X-Amz-Meta-"

// ChecksumPrefix starts the headers that carry a checksum, in the canonical
// form of net/http. Algorithm, Type and Mode follow it too and carry none.
const ChecksumPrefix = "X-Amz-Checksum-"

// DefaultContentType is that of an object written without one.
const DefaultContentType = "binary/octet-stream"
