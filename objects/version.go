package objects

import (
	"encoding/base32"
	"encoding/binary"
	"errors"
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
	return encodeVersionID(o.Ord, o.Suffix)
}

func encodeVersionID(ord metadata.Ord, suffix uint64) s3.VersionID {
	var raw [16]byte
	var text [26]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(ord))
	binary.BigEndian.PutUint64(raw[8:], suffix)
	versionEncoding.Encode(text[:], raw[:])
	return s3.VersionID(text[:])
}

// parseVersionID is the reverse of versionID for ids other than null. An id has
// one spelling: a policy that names a version compares texts.
func parseVersionID(id s3.VersionID) (metadata.Ord, uint64, error) {
	if b, err := versionEncoding.DecodeString(string(id)); err == nil && len(b) == 16 {
		ord, suffix := metadata.Ord(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint64(b[8:])
		if encodeVersionID(ord, suffix) == id {
			return ord, suffix, nil
		}
	}
	return 0, 0, s3.InvalidArg("versionId", string(id), "Invalid version id specified")
}

// findVersion returns the version of a key that a request names, which may be
// a delete marker; nil when it is not there. The empty id is the newest.
func findVersion(r rows, b *metadata.Bucket, key s3.Key, id s3.VersionID) (*metadata.Object, error) {
	switch id {
	case "":
		return newestVersion(r, b, string(key))
	case s3.NullVersion:
		return nullVersion(r, b, string(key))
	}
	ord, suffix, err := parseVersionID(id)
	if err != nil {
		return nil, err
	}
	found, err := r.Object(b.ID, string(key))
	if err == nil && (found == nil || found.Ord != ord) {
		found, err = r.Version(b.ID, string(key), ord)
	}
	if err != nil || found == nil || found.Null || found.Suffix != suffix {
		return nil, err
	}
	return found, nil
}

// newestVersion is the current live object of a key, or the delete marker that
// hides it. Where a row O is, it is the newest version.
func newestVersion(r rows, b *metadata.Bucket, key string) (*metadata.Object, error) {
	current, err := r.Object(b.ID, key)
	if err != nil || current != nil || b.Versioning == metadata.Unversioned {
		return current, err
	}
	newest, err := r.Versions(b.ID, key, 1)
	if err != nil || len(newest) == 0 {
		return nil, err
	}
	return &newest[0], nil
}

// nullVersion is the version of a key whose id is null.
func nullVersion(r rows, b *metadata.Bucket, key string) (*metadata.Object, error) {
	current, err := r.Object(b.ID, key)
	if err != nil || current != nil && current.Null {
		return current, err
	}
	ord, err := r.NullOrd(b.ID, key)
	if err != nil || ord == 0 {
		return nil, err
	}
	return r.Version(b.ID, key, ord)
}

// MarkerError says that a read found a delete marker. It wraps what the client
// is told.
type MarkerError struct {
	VersionID s3.VersionID
	Modified  time.Time
	// Named says that the request named the marker by its id; it is the newest
	// version otherwise.
	Named  bool
	answer error
}

// Error implements error.
func (e *MarkerError) Error() string { return e.answer.Error() }

// Unwrap returns the [s3.Error].
func (e *MarkerError) Unwrap() error { return e.answer }

// markerError is NoSuchKey for a marker that is the newest version, and
// MethodNotAllowed for one that is named.
func markerError(row *metadata.Object, n named) error {
	e := &MarkerError{VersionID: versionID(row), Modified: row.Modified, Named: n.version != ""}
	e.answer = notFound(n.key, "")
	if e.Named {
		e.answer = s3.NewError(s3.MethodNotAllowed).With("Method", "GET").With("ResourceType", "DeleteMarker")
	}
	return e
}

// sourceError is what the client of a copy is told of its source.
func sourceError(err error) error {
	marker, ok := errors.AsType[*MarkerError](err)
	switch {
	case !ok:
		return err
	case marker.Named:
		return s3.NewError(s3.InvalidRequest).WithMessage(
			"The source of a copy request may not specifically refer to a delete marker by version id.")
	}
	return marker.answer
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
	Versions(b metadata.BucketID, key string, limit int) ([]metadata.Object, error)
	NullOrd(b metadata.BucketID, key string) (metadata.Ord, error)
}

// readOf is objectOf for an answer to a read, which shows the version id of a
// null version too where versions are kept.
func readOf(o *metadata.Object, b *metadata.Bucket) Object {
	out := objectOf(o)
	out.Versioned = b.Versioning != metadata.Unversioned
	return out
}

// objectOf describes a version, with its id to be shown as an answer to a
// write shows it: AWS names null versions only to who reads.
func objectOf(o *metadata.Object) Object {
	class := o.Attributes.StorageClass
	if class == "" {
		class = "STANDARD"
	}
	return Object{
		Key:          s3.Key(o.Key),
		VersionID:    versionID(o),
		Versioned:    !o.Null,
		DeleteMarker: o.DeleteMarker,
		Size:         o.Size,
		ETag:         s3.ETag(o.ETag),
		Modified:     o.Modified,
		StorageClass: class,
		Owner:        s3.OwnerID(o.Owner),
		Attributes:   o.Attributes,
		Tags:         o.Tags,
		ACL:          o.ACL,
		Retention:    o.Retention,
		LegalHold:    o.LegalHold,
		Checksums:    o.Checksums,
		PartCount:    o.Parts,
		Encryption:   encryptedOf(o.Encryption),
	}
}
