package metadata

import "time"

// Identifiers. All are random unless said otherwise and never reused.
type (
	// BucketID names a bucket's rows for its whole life; a bucket deleted and
	// created again has another.
	BucketID uint64
	// DataID names an immutable list of extents, or a manifest: the bytes of one object
	// version or of one uploaded part.
	DataID [16]byte
	// UploadID names a multipart upload. Its first 8 bytes are the time of
	// initiation in microseconds, big-endian, so that uploads of one key sort by time.
	UploadID [16]byte
	// Token marks the rows that one request wrote, so that an ambiguous commit
	// can be settled by one read.
	Token [16]byte
	// Ord orders the versions of one key: microseconds since 1970, raised to
	// be above the version before.
	Ord uint64
	// PartitionID names a partition.
	PartitionID uint64
	// DiskID is the identity of a disk.
	DiskID [16]byte
	// Epoch fences the writers of a partition.
	Epoch uint32
)

// Bucket is a bucket's row (B), with its name from row b.
type Bucket struct {
	ID         BucketID
	Name       string
	Owner      string // canonical id of the account
	Region     string
	Created    time.Time
	Versioning Versioning
	// ObjectLock is nil where the bucket has none; once set, it stays.
	ObjectLock *ObjectLock
	Token      Token
}

// Versioning is a bucket's versioning state.
type Versioning uint8

// The states of versioning.
const (
	Unversioned Versioning = iota
	VersioningEnabled
	VersioningSuspended
)

// Extent locates a blob, or a run of one, inside a stripe: bytes
// [Start, Start+Length) of the stripe's content, which is its data columns of
// Height bytes one after another.
type Extent struct {
	Partition PartitionID
	Stripe    int64  // offset of the stripe in every shard, multiple of 4096
	Height    uint32 // bytes in each column
	Start     uint32
	Length    uint32
}

// Placed is an extent that is durable, with the epoch under which it was
// written: publishing it requires that epoch still.
type Placed struct {
	Extent Extent
	Epoch  Epoch
}

// DataKind says where the bytes of a version or part are.
type DataKind uint8

// The kinds of data.
const (
	DataEmpty    DataKind = iota // no bytes
	DataInline                   // row D; only for object versions
	DataExtents                  // up to MaxRowExtents extents in the row itself; only for object versions that are the home of their data
	DataRows                     // rows E of ID
	DataManifest                 // rows Y of ID: a completed multipart upload
)

// MaxRowExtents is how many extents an object row carries itself.
const MaxRowExtents = 4

// Data refers to the bytes of a version or of a part.
type Data struct {
	Kind    DataKind
	ID      DataID
	Shared  bool // this row owns ID through a row K, not as its home
	Extents []Extent
	// Origin is the id under which encrypted bytes were written first, where they
	// were moved to another id as they are; zero: ID. See Salt.
	Origin DataID
}

// Slice is a run of the bytes of one data id (never a manifest's).
type Slice struct {
	ID     DataID
	Offset int64
	Length int64
	// Owner is set where ID is pinned by a row K of this owner; nil
	// where the part is the home of ID.
	Owner *Owner
	// Origin is as that of a Data.
	Origin DataID
}

// OwnerKind distinguishes the owners of data beside its home.
type OwnerKind uint8

// The kinds of owners.
const (
	OwnerVersion OwnerKind = 1 // bucket, key, ord
	OwnerPart    OwnerKind = 2 // bucket, upload, part number, token of the part
)

// Owner names a row that owns data beside the data's home; it is the suffix of a row K.
type Owner struct {
	Kind   OwnerKind
	Bucket BucketID
	Key    string   // OwnerVersion
	Ord    Ord      // OwnerVersion
	Upload UploadID // OwnerPart
	Part   int      // OwnerPart
	Token  Token    // OwnerPart
}

// Checksum is one additional checksum of S3, as its base64 text.
type Checksum struct {
	Algorithm string // "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"
	Type      string // "FULL_OBJECT" or "COMPOSITE"
	Value     string // base64, with "-N" where composite
}

// Attributes are what a client says of an object and gets back with it.
type Attributes struct {
	ContentType        string
	CacheControl       string
	ContentDisposition string
	ContentEncoding    string
	ContentLanguage    string
	Expires            string
	User               []Pair // x-amz-meta-*, names in lower case, sorted
	StorageClass       string // "" is STANDARD
	WebsiteRedirect    string // where the website sends who asks for the object
}

// Pair is a name with its value.
type Pair struct{ Name, Value string }

// GranteeType says what the id of a grantee is.
type GranteeType uint8

// The types of grantees.
const (
	GranteeUser  GranteeType = 1 // the canonical id of an account
	GranteeGroup GranteeType = 2 // the URI of a predefined group
)

// Permission is what an ACL grants.
type Permission uint8

// The permissions of S3's ACLs.
const (
	PermissionRead        Permission = 1
	PermissionWrite       Permission = 2
	PermissionReadACP     Permission = 3
	PermissionWriteACP    Permission = 4
	PermissionFullControl Permission = 5
)

// Grant is one entry of an object's access control list.
type Grant struct {
	Type       GranteeType
	ID         string
	Permission Permission
}

// Object is one version of a key: row O when it is the current live object,
// row V when it is noncurrent or a delete marker. Key and Ord are in the row's key too.
type Object struct {
	Key          string
	Ord          Ord
	Suffix       uint64 // random half of the version id
	Null         bool   // its version id is "null"
	DeleteMarker bool
	Size         int64
	Modified     time.Time // millisecond precision
	ETag         string    // without quotes
	Checksums    []Checksum
	Attributes   Attributes
	Parts        int // parts of the multipart upload it came from, else 0
	Owner        string
	Tags         []Pair      // in the order given
	ACL          []Grant     // nil: the owner alone, with full control
	Encryption   *Encryption // nil: not encrypted
	Retention    Retention
	LegalHold    LegalHold
	Data         Data
	Token        Token
}

// Upload is a multipart upload in progress (row M).
type Upload struct {
	ID         UploadID
	Key        string
	Initiated  time.Time
	Owner      string
	Initiator  string // who began it; empty: the owner
	Attributes Attributes
	Tags       []Pair
	ACL        []Grant
	Encryption *Encryption // of all parts; nil: not encrypted
	Retention  Retention
	LegalHold  LegalHold
	// Checksum is what the client asked for: algorithm and type, no value.
	Checksum Checksum
	Token    Token
}

// Part is one uploaded part (row P).
type Part struct {
	Number    int
	Size      int64
	Modified  time.Time
	ETag      string
	Checksums []Checksum
	Slices    []Slice // empty for a part of no bytes
	Token     Token
}

// ManifestPart is a part as a completed object keeps it (rows Y).
type ManifestPart struct {
	Number    int
	Size      int64
	Checksums []Checksum
	Slices    []Slice
}

// PartitionState is a partition's place in its life.
type PartitionState uint8

// The states of a partition, in order.
const (
	PartitionCreating PartitionState = iota + 1
	PartitionOpen
	PartitionClosing // no appends; publishing allowed
	PartitionSealed
	PartitionDropped
)

// Partition is a row p.
type Partition struct {
	ID       PartitionID
	State    PartitionState
	Epoch    Epoch
	K, M     uint8
	Secret   [16]byte
	Shards   []DiskID // k+m disks; shard i is on Shards[i]
	Lost     []uint8  // shards recorded as lost: nothing is expected on their disks
	Damaged  []uint8  // shards that are there but lack frames; none of Lost
	Capacity int64    // bytes of each shard
	End      int64    // once sealed: no stripe starts at or after it
	Class    string   // storage class
	Created  time.Time
	// Writer is the process that writes here, where several share the metadata: while
	// it has its row l, nobody takes the partition over. Zero: whoever opens the store.
	Writer HolderID
}

// Disk is a row of the inventory.
type Disk struct {
	ID    DiskID
	State DiskState
	Path  string // where it was last seen; for people
	Added time.Time
	// Parity is set of a removed disk: that of new partitions when it was
	// removed, which the removal does not lower.
	Parity uint8
}

// DiskState is what the administrator wants of a disk.
type DiskState uint8

// The states of a disk.
const (
	DiskActive DiskState = iota + 1
	DiskDraining
	DiskRemoved
)

// Intent announces data whose extents are written in more than one
// transaction (row W).
type Intent struct {
	ID      DataID
	Created time.Time
	Bucket  BucketID
	// Owns says that the manifest announced is the home of what its slices name: who
	// gives it up releases them. Else they belong to the parts of an upload still.
	Owns bool
}

// GarbageKind says what a row G releases.
type GarbageKind uint8

// The kinds of garbage.
const (
	GarbageData     GarbageKind = 1 // a data id with extents
	GarbageManifest GarbageKind = 2 // a manifest
	GarbageUpload   GarbageKind = 3 // an upload: its rows P
)
