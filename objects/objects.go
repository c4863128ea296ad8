// Package objects is what S3 means, without HTTP: buckets, objects, listings,
// multipart uploads and copies on top of metadata (names) and partition
// (bytes).
//
// What a method acknowledged is durable and visible to every later call;
// writes of one key are linearizable, and every decision (a condition, the
// order of versions, the emptiness of a bucket) is taken inside the one
// transaction that acts on it. Bodies are verified against their digests
// before they become visible; a body that ends early leaves nothing behind.
// Errors are *[s3.Error] wherever a client is told why.
//
// It does not authenticate, authorize or know HTTP: the gateway does. Only
// gateway, steward and cmd may import it.
package objects

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sse"
)

// The records that cross this package unchanged.
type (
	// Attributes are the headers kept with an object.
	Attributes = metadata.Attributes
	// Pair is one user metadata entry.
	Pair = metadata.Pair
	// Grant is one entry of an object's access control list.
	Grant = metadata.Grant
	// Checksum is one additional checksum: algorithm, type and base64 value.
	Checksum = metadata.Checksum
)

// Options configure a Service. Zero values are usable defaults.
type Options struct {
	Region string
	// InlineLimit is the largest object whose bytes live in metadata, in
	// bytes. Negative: none; 0: 8 KiB.
	InlineLimit int64
	// Keys seal the keys of encrypted objects; a provider that is nil is not
	// implemented.
	Keys   keys.Providers
	Random io.Reader // of the keys of objects; nil: crypto/rand
	Now    func() time.Time
	Logger *slog.Logger
}

// Service is the object store. It is safe for concurrent use.
type Service struct {
	db      *metadata.DB
	store   *partition.Store
	opts    Options
	buckets *bucketCache
	turns   *turns
	hashers checksum.Pool
	chunks  sse.Buffers
	ruled   atomic.Pointer[ruled] // the bucket that lifecycle rules were read of last
}

// New returns the service over its two layers; it owns neither.
func New(db *metadata.DB, store *partition.Store, o Options) *Service {
	if o.InlineLimit == 0 {
		o.InlineLimit = 8 << 10
	}
	if o.Now == nil {
		o.Now = db.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{db: db, store: store, opts: o, buckets: newBucketCache(), turns: newTurns()}
}

// Bucket describes a bucket.
type Bucket struct {
	Name    s3.BucketName
	Owner   s3.OwnerID
	Region  string
	Created time.Time
	// Versioning is empty while it was never set.
	Versioning s3.VersioningStatus
	ObjectLock *ObjectLock // nil: not enabled
}

// Object describes one version of an object.
type Object struct {
	Key          s3.Key
	VersionID    s3.VersionID // "null" for what was written unversioned; the gateway shows it only where S3 does
	Versioned    bool         // the version id is to be shown
	DeleteMarker bool         // only asked about by the precondition of a deletion
	Size         int64
	ETag         s3.ETag // without quotes
	Modified     time.Time
	StorageClass string
	Owner        s3.OwnerID
	Attributes   Attributes
	Tags         []Pair
	ACL          []Grant // nil: the owner alone, with full control
	Retention    Retention
	LegalHold    LegalHold
	Checksums    []Checksum
	PartCount    int // parts of the multipart upload it came from, else 0
	Encryption   Encrypted
}

// Access decides whether the caller may do what it asks with the version that
// the request names: nil when there is none, or a delete marker only. It is
// asked in the snapshot or transaction that reads the version, before any
// other answer is given, and may be called more than once. A nil Access allows.
type Access func(current *Object) error

// ask asks about a row as it was found.
func (a Access) ask(row *metadata.Object) error {
	switch {
	case a == nil:
		return nil
	case row == nil || row.DeleteMarker:
		return a(nil)
	}
	current := objectOf(row)
	return a(&current)
}

// Precondition decides on an object's entity tag (without quotes) and time of
// modification; its error is returned as is (PreconditionFailed,
// NotModified). It may be called more than once.
type Precondition func(etag s3.ETag, modified time.Time) error

// WritePrecondition decides inside the transaction of a write on the version
// it would replace, nil when there is none: a delete marker counts as none. A
// deletion asks about what it would delete, and then about delete markers too.
// It may be called more than once.
type WritePrecondition func(current *Object) error

// Body is the bytes of a PutObject or UploadPart with what the client said of
// them.
type Body struct {
	Reader io.Reader
	// Size is the number of bytes that must come, -1 when unknown. A body
	// that is shorter is IncompleteBody; bytes past it are not read.
	Size int64
	// MD5 is the decoded Content-MD5, nil when absent.
	MD5 []byte
	// Checksum names the algorithm the client wants kept; zero for none asked (CRC64NVME
	// is then computed, as AWS does).
	Checksum checksum.Algorithm
	// Expected returns the base64 value that Checksum must have, "" when the
	// client gave none. It is called after the body's end, so that a trailer is known.
	Expected func() (string, error)
}

// PutObjectInput asks for an object to be written.
type PutObjectInput struct {
	Bucket       s3.BucketName
	Key          s3.Key
	Owner        s3.OwnerID
	Body         Body
	Attributes   Attributes
	Tags         []Pair
	ACL          []Grant
	Encryption   Encryption
	Lock         Lock
	Precondition WritePrecondition
}

// GetObjectInput selects what to read.
type GetObjectInput struct {
	Bucket       s3.BucketName
	Key          s3.Key
	VersionID    s3.VersionID  // "" is the current version
	Range        *s3.ByteRange // nil: all
	RangeHeader  string        // the Range header as it came, for the error
	PartNumber   int           // 0: all
	CustomerKey  *sse.CustomerKey
	Keyless      bool // what is asked for needs no key of SSE-C: tags, ACLs, locks
	WantSums     bool // of HeadObject: the checksums of the plaintext are asked for too
	Precondition Precondition
	Access       Access
}

// Reading is an open object. WriteTo streams the selected bytes, verified; an
// error after the first byte can only cut the stream. Close releases it.
type Reading interface {
	io.WriterTo
	io.Closer
}

// GetObjectOutput is an object and the bytes selected of it.
type GetObjectOutput struct {
	Object Object
	// Offset and Length are the selected bytes; Partial says that a range or a
	// part was asked for.
	Offset, Length int64
	Partial        bool
	Body           Reading // nil for HeadObject
	token          metadata.Token
	bucket         metadata.BucketID
}

// DeleteObjectInput names what to delete.
type DeleteObjectInput struct {
	Bucket       s3.BucketName
	Key          s3.Key
	VersionID    s3.VersionID // "": the object, whatever its current version
	Owner        s3.OwnerID   // of the delete marker; "": the bucket's owner
	Bypass       Bypass       // of the governance mode of a version that is named
	Precondition WritePrecondition
}

// DeleteObjectOutput tells what a deletion did.
type DeleteObjectOutput struct {
	// VersionID is that of the version deleted, or of the delete marker left
	// behind; empty where no version was named and none is kept.
	VersionID s3.VersionID
	// DeleteMarker says that a delete marker was left behind or deleted.
	DeleteMarker bool
}

// ListObjectsInput selects a page of a listing.
type ListObjectsInput struct {
	Bucket    s3.BucketName
	Prefix    string
	Delimiter string
	// After is exclusive: the page starts at the first key above it. When it
	// ends with the delimiter and Marker says so, all of that common prefix is above it too.
	After string
	// AfterPrefix says that After is a common prefix already listed.
	AfterPrefix bool
	Max         int // 0..1000; 0 gives an empty page
}

// ListedObject is one entry of a listing.
type ListedObject struct {
	Key               string
	Size              int64
	ETag              s3.ETag
	Modified          time.Time
	StorageClass      string
	Owner             s3.OwnerID
	ChecksumAlgorithm string
	ChecksumType      string
}

// ListObjectsOutput is a page, read at one version. Objects and
// CommonPrefixes are each in strict byte order.
type ListObjectsOutput struct {
	Objects        []ListedObject
	CommonPrefixes []string
	Truncated      bool
	// Next continues the listing as After; NextIsPrefix as AfterPrefix.
	Next         string
	NextIsPrefix bool
}

// ListBucketsInput selects a page of the buckets of an owner.
type ListBucketsInput struct {
	Owner  s3.OwnerID
	Prefix string
	After  string // exclusive
	Max    int
}

// ListBucketsOutput is a page of buckets in order of their names.
type ListBucketsOutput struct {
	Buckets   []Bucket
	Truncated bool
}

// CreateBucketInput asks for a bucket.
type CreateBucketInput struct {
	Name   s3.BucketName
	Owner  s3.OwnerID
	Region string
	// Configs are the documents that the bucket has from its beginning.
	Configs map[ConfigKind][]byte
	// ObjectLock enables Object Lock, and versioning with it.
	ObjectLock bool
	// Most is how many buckets the owner may have; 0 for any number. Those who
	// create at once are not counted by each other.
	Most int
}

// BucketUsage is what a bucket holds: all versions, and no uploads in progress.
type BucketUsage struct{ Objects, Bytes int64 }

// CopySource is the source of a copy.
type CopySource struct {
	Bucket       s3.BucketName
	Key          s3.Key
	VersionID    s3.VersionID
	CustomerKey  *sse.CustomerKey
	Precondition Precondition
	Access       Access
}

// CopyObjectInput asks for a copy. No bytes move, unless the copy is encrypted
// otherwise than the source.
type CopyObjectInput struct {
	Source       CopySource
	Bucket       s3.BucketName
	Key          s3.Key
	Owner        s3.OwnerID
	Replace      bool       // take Attributes in place of the source's
	Attributes   Attributes // where Replace
	StorageClass string     // never the source's; empty for STANDARD
	// WebsiteRedirect is never the source's.
	WebsiteRedirect string
	ReplaceTags     bool               // take Tags in place of the source's
	Tags            []Pair             // where ReplaceTags
	ACL             []Grant            // never the source's
	Checksum        checksum.Algorithm // zero: keep the source's
	Encryption      Encryption         // never the source's
	Lock            Lock               // never the source's
	Precondition    WritePrecondition
}

// CopyObjectOutput is the copy, and the version of the source it was made of.
type CopyObjectOutput struct {
	Object          Object
	SourceVersionID s3.VersionID
	SourceVersioned bool
}

// AttributesInput selects a version and a page of its parts.
type AttributesInput struct {
	Bucket           s3.BucketName
	Key              s3.Key
	VersionID        s3.VersionID
	PartNumberMarker int
	MaxParts         int
	WantParts        bool
	WantSums         bool // checksums of the plaintext: of the object, or of its parts
	CustomerKey      *sse.CustomerKey
	Precondition     Precondition
	Access           Access
}

// ObjectPart is a part of a completed object.
type ObjectPart struct {
	Number    int
	Size      int64
	Checksums []Checksum
}

// AttributesOutput is a version and a page of its parts.
type AttributesOutput struct {
	Object    Object
	Parts     []ObjectPart
	Truncated bool
}

// API lists the methods by which the gateway uses a Service.
type API interface {
	BucketAPI
	ObjectAPI
	EncryptionAPI
	ListAPI
	UploadAPI
	UsageAPI
	LockAPI
}

// BucketAPI is what can be done with buckets.
type BucketAPI interface {
	CreateBucket(ctx context.Context, in CreateBucketInput) (Bucket, error)
	BucketState(ctx context.Context, name s3.BucketName) (*BucketState, error)
	PutBucketConfig(ctx context.Context, name s3.BucketName, kind ConfigKind, doc []byte) error
	DeleteBucketConfig(ctx context.Context, name s3.BucketName, kind ConfigKind) error
	PutBucketVersioning(ctx context.Context, name s3.BucketName, status s3.VersioningStatus) error
	DeleteBucket(ctx context.Context, name s3.BucketName) error
	ListBuckets(ctx context.Context, in ListBucketsInput) (ListBucketsOutput, error)
}

// ObjectAPI is what can be done with one object.
type ObjectAPI interface {
	PutObject(ctx context.Context, in PutObjectInput) (Object, error)
	GetObject(ctx context.Context, in GetObjectInput) (*GetObjectOutput, error)
	HeadObject(ctx context.Context, in GetObjectInput) (*GetObjectOutput, error)
	DeleteObject(ctx context.Context, in DeleteObjectInput) (DeleteObjectOutput, error)
	CopyObject(ctx context.Context, in CopyObjectInput) (CopyObjectOutput, error)
	GetObjectAttributes(ctx context.Context, in AttributesInput) (AttributesOutput, error)
	PutObjectTagging(ctx context.Context, in PutObjectTaggingInput) (Object, error)
	PutObjectACL(ctx context.Context, in PutObjectACLInput) (Object, error)
}

// EncryptionAPI is what can be done with the encryption of one object.
type EncryptionAPI interface {
	UpdateObjectEncryption(ctx context.Context, in UpdateEncryptionInput) (Object, error)
}

// UsageAPI says how much is kept.
type UsageAPI interface {
	BucketUsage(ctx context.Context, name s3.BucketName) (BucketUsage, error)
}

// ListAPI lists objects and versions.
type ListAPI interface {
	ListObjects(ctx context.Context, in ListObjectsInput) (ListObjectsOutput, error)
	ListObjectVersions(ctx context.Context, in ListVersionsInput) (ListVersionsOutput, error)
}

// UploadAPI is multipart upload.
type UploadAPI interface {
	CreateMultipartUpload(ctx context.Context, in CreateUploadInput) (Upload, error)
	UploadPart(ctx context.Context, in UploadPartInput) (Part, error)
	UploadPartCopy(ctx context.Context, in UploadPartCopyInput) (UploadPartCopyOutput, error)
	ListParts(ctx context.Context, in ListPartsInput) (ListPartsOutput, error)
	ListMultipartUploads(ctx context.Context, in ListUploadsInput) (ListUploadsOutput, error)
	CompleteMultipartUpload(ctx context.Context, in CompleteUploadInput) (Object, error)
	AbortMultipartUpload(ctx context.Context, in AbortUploadInput) error
}
