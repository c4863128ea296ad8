package s3

// Sizes and counts that S3 fixes. Sizes are in bytes.
const (
	// MaxKeyBytes is the longest object key, counted in bytes of UTF-8.
	MaxKeyBytes = 1024
	// MinBucketName and MaxBucketName bound the length of a bucket name.
	MinBucketName = 3
	MaxBucketName = 63
	// MaxPutSize is the largest body of one PutObject or UploadPart.
	MaxPutSize = 5 << 30
	// MaxPartSize is the largest part of a multipart upload.
	MaxPartSize = 5 << 30
	// MinPartSize is the smallest part other than the last.
	MinPartSize = 5 << 20
	// MaxParts is the largest part number and the largest number of parts.
	MaxParts = 10000
	// MaxObjectSize is the largest object, made of parts.
	MaxObjectSize = 5 << 40
	// MaxUserMetadata is the largest sum of user metadata names (without the
	// x-amz-meta- prefix) and values.
	MaxUserMetadata = 2048
	// MaxDeleteKeys is the largest number of keys of one DeleteObjects.
	MaxDeleteKeys = 1000
	// MaxListKeys is the largest page of ListObjects, ListObjectVersions,
	// ListParts and ListMultipartUploads.
	MaxListKeys = 1000
	// MaxListBuckets is the largest page of ListBuckets.
	MaxListBuckets = 10000
)

// Limits of what a request may carry besides an object's bytes.
const (
	// MaxHeaderBytes bounds the header section of a request.
	MaxHeaderBytes = 64 << 10
	// MaxQueryBytes bounds the raw query string.
	MaxQueryBytes = 16 << 10
	// MaxConfigBody bounds the XML of bucket-level requests.
	MaxConfigBody = 64 << 10
	// MaxDeleteBody bounds the XML of DeleteObjects: a thousand keys of 1024
	// bytes, each byte as a numeric escape.
	MaxDeleteBody = 8 << 20
	// MaxCompleteBody bounds the XML of CompleteMultipartUpload: ten thousand
	// parts with an entity tag and a SHA-256 each.
	MaxCompleteBody = 4 << 20
)
