package objects

import (
	"time"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sse"
)

// CreateUploadInput starts a multipart upload.
type CreateUploadInput struct {
	Bucket       s3.BucketName
	Key          s3.Key
	Owner        s3.OwnerID
	Initiator    s3.OwnerID // who asks; empty: the owner
	Attributes   Attributes
	Tags         []Pair
	ACL          []Grant
	Lock         Lock               // of the version that it is completed to
	Checksum     checksum.Algorithm // zero: none asked
	ChecksumType string             // "", "COMPOSITE" or "FULL_OBJECT"
	Encryption   Encryption
}

// Upload describes a multipart upload in progress.
type Upload struct {
	Key               s3.Key
	ID                s3.UploadID
	Initiated         time.Time
	Owner             s3.OwnerID
	Initiator         s3.OwnerID
	StorageClass      string
	ChecksumAlgorithm string
	ChecksumType      string
	Encryption        Encrypted
}

// UploadPartInput uploads one part; the last one of a number wins.
type UploadPartInput struct {
	Bucket      s3.BucketName
	Key         s3.Key
	Upload      s3.UploadID
	Number      int
	Body        Body
	CustomerKey *sse.CustomerKey // that of the upload
}

// Part describes an uploaded part.
type Part struct {
	Number    int
	Size      int64
	ETag      s3.ETag
	Modified  time.Time
	Checksums []Checksum
	// Encryption is that of the upload; listings do not tell.
	Encryption Encrypted
}

// UploadPartCopyInput makes a part of a range of an existing object.
type UploadPartCopyInput struct {
	Source CopySource
	Range  *s3.ByteRange // of the source; nil takes all of it
	Bucket s3.BucketName
	Key    s3.Key
	Upload s3.UploadID
	Number int
	// CustomerKey is that of the upload; the source has its own.
	CustomerKey *sse.CustomerKey
}

// UploadPartCopyOutput is the part and the version it was made of.
type UploadPartCopyOutput struct {
	Part            Part
	SourceVersionID s3.VersionID
	SourceVersioned bool
}

// ListPartsInput selects a page of an upload's parts.
type ListPartsInput struct {
	Bucket s3.BucketName
	Key    s3.Key
	Upload s3.UploadID
	After  int // part number, exclusive
	Max    int // 0: the upload alone
	// CustomerKey is that of the upload. Without it, checksums of what it
	// encrypts are not listed.
	CustomerKey *sse.CustomerKey
}

// ListPartsOutput is a page of parts in order of their numbers.
type ListPartsOutput struct {
	Upload    Upload
	Parts     []Part
	Truncated bool
}

// ListUploadsInput selects a page of a bucket's uploads.
type ListUploadsInput struct {
	Bucket      s3.BucketName
	Prefix      string
	Delimiter   string
	KeyMarker   string
	AfterPrefix bool        // KeyMarker is a common prefix already listed
	UploadMark  s3.UploadID // only with KeyMarker: uploads of that key above it
	Max         int
}

// ListUploadsOutput is a page of uploads by key, then by initiation.
type ListUploadsOutput struct {
	Uploads        []Upload
	CommonPrefixes []string
	Truncated      bool
	NextKey        string
	NextUpload     s3.UploadID
}

// CompletedPart is a part as the client lists it in CompleteMultipartUpload.
type CompletedPart struct {
	Number    int
	ETag      s3.ETag // without quotes
	Checksums []Checksum
}

// CompleteUploadInput completes an upload.
type CompleteUploadInput struct {
	Bucket s3.BucketName
	Key    s3.Key
	Upload s3.UploadID
	Parts  []CompletedPart
	// Expected is the checksum of the whole object as the client has it: its
	// algorithm and base64 value ("-N" where composite), Type where the client gave one; zero for none.
	Expected Checksum
	// Size is x-amz-mp-object-size, -1 when absent.
	Size int64
	// CustomerKey, where given, must be that of the upload.
	CustomerKey  *sse.CustomerKey
	Precondition WritePrecondition
}

// AbortUploadInput aborts an upload.
type AbortUploadInput struct {
	Bucket s3.BucketName
	Key    s3.Key
	Upload s3.UploadID
	// InitiatedAt, when set, must equal the time of initiation (x-amz-if-match-initiated-time).
	InitiatedAt time.Time
}
