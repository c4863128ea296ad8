package objects

import (
	"encoding/base32"
	"encoding/binary"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/s3"
)

// versionEncoding keeps version ids URL-safe, opaque and sortable.
var versionEncoding = base32.HexEncoding.WithPadding(base32.NoPadding) //nolint:gochecknoglobals // a constant in all but name

// versionID is the name of a version that clients see: 16 bytes, order and random suffix.
func versionID(o *metadata.Object) s3.VersionID {
	if o.Null {
		return s3.NullVersion
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(o.Ord))
	binary.BigEndian.PutUint64(b[8:], o.Suffix)
	return s3.VersionID(versionEncoding.EncodeToString(b[:]))
}

// parseVersionID is the reverse of versionID for ids other than null.
func parseVersionID(id s3.VersionID) (metadata.Ord, uint64, error) {
	b, err := versionEncoding.DecodeString(string(id))
	if err != nil || len(b) != 16 {
		return 0, 0, s3.InvalidArg("versionId", string(id), "Invalid version id specified")
	}
	return metadata.Ord(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint64(b[8:]), nil
}

// findVersion returns the version of a key that a request names, nil when it
// is not there. The empty id is the current version.
func findVersion(r rows, b metadata.BucketID, key s3.Key, id s3.VersionID) (*metadata.Object, error) {
	current, err := r.Object(b, string(key))
	if err != nil || id == "" {
		return current, err
	}
	if id == s3.NullVersion {
		if current != nil && current.Null {
			return current, nil
		}
		ord, err := r.NullOrd(b, string(key))
		if err != nil || ord == 0 {
			return nil, err
		}
		return r.Version(b, string(key), ord)
	}
	ord, suffix, err := parseVersionID(id)
	if err != nil {
		return nil, err
	}
	found := current
	if current == nil || current.Ord != ord {
		if found, err = r.Version(b, string(key), ord); err != nil {
			return nil, err
		}
	}
	if found == nil || found.Null || found.Suffix != suffix {
		return nil, nil
	}
	return found, nil
}

// notFound is what S3 answers when findVersion finds nothing.
func notFound(key s3.Key, id s3.VersionID) error {
	if id == "" {
		return s3.NewError(s3.NoSuchKey).With("Key", string(key))
	}
	return s3.NewError(s3.NoSuchVersion).With("Key", string(key)).With("VersionId", string(id))
}

// nextOrd orders a new version above the one before, whatever the clock says.
func nextOrd(now time.Time, previous *metadata.Object) metadata.Ord {
	ord := metadata.Ord(max(now.UnixMicro(), 1))
	if previous != nil && previous.Ord >= ord {
		ord = previous.Ord + 1
	}
	return ord
}

// rows are the reads that a snapshot and a transaction share.
type rows interface {
	Object(b metadata.BucketID, key string) (*metadata.Object, error)
	Version(b metadata.BucketID, key string, ord metadata.Ord) (*metadata.Object, error)
	NullOrd(b metadata.BucketID, key string) (metadata.Ord, error)
}

func objectOf(o *metadata.Object) Object {
	class := o.Attributes.StorageClass
	if class == "" {
		class = "STANDARD"
	}
	return Object{
		Key:          s3.Key(o.Key),
		VersionID:    versionID(o),
		Versioned:    !o.Null,
		Size:         o.Size,
		ETag:         s3.ETag(o.ETag),
		Modified:     o.Modified,
		StorageClass: class,
		Owner:        s3.OwnerID(o.Owner),
		Attributes:   o.Attributes,
		Tags:         o.Tags,
		ACL:          o.ACL,
		Checksums:    o.Checksums,
		PartCount:    o.Parts,
	}
}
