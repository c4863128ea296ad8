package metadata

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// The tags of the key space. docs/format/metadata.md describes each.
const (
	tagFormat     = 'Z'
	tagBucketName = 'b'
	tagOwned      = 'u'
	tagBucket     = 'B'
	tagConfig     = 'c'
	tagObject     = 'O'
	tagVersion    = 'V'
	tagNull       = 'N'
	tagInline     = 'D'
	tagUpload     = 'M'
	tagPart       = 'P'
	tagParts      = 'Q'
	tagManifest   = 'Y'
	tagExtents    = 'E'
	tagRef        = 'R'
	tagOwner      = 'K'
	tagGarbage    = 'G'
	tagIntent     = 'W'
	tagPartition  = 'p'
	tagDisk       = 'd'
	tagCounter    = 'C'
	tagToken      = 'J'
	tagIdentity   = 'I'
	tagJob        = 'j'
	tagHolder     = 'l'
	tagScrub      = 'v'

	tagEncryptionKey = 'k'
)

// The counters of a bucket (rows C 'b') and of a partition (rows C 'p').
const (
	counterBucket    = 'b'
	counterPartition = 'p'

	countObjects   = 1 // rows O
	countBytes     = 2 // sizes of rows O and V
	countUploads   = 3 // rows M
	countPartBytes = 4 // sizes of rows P
)

// homeGone is the owner of the row K that says that the home gave up its data.
const homeGone = 0x00

// keyspace builds keys under the root prefix.
type keyspace struct{ root []byte }

func (s keyspace) tag(tag byte, room int) []byte {
	k := make([]byte, len(s.root)+1, len(s.root)+1+room)
	copy(k, s.root)
	k[len(s.root)] = tag
	return k
}

// body is the key after its tag.
func (s keyspace) body(key []byte) []byte { return key[min(len(s.root)+1, len(key)):] }

func (s keyspace) all(tag byte) kv.Range { return kv.PrefixRange(s.tag(tag, 0)) }

func u64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }

// escBody is esc without its terminator: the prefix of every esc of a text
// that starts with s.
func escBody(b []byte, s string) []byte {
	for i := range len(s) {
		b = append(b, s[i])
		if s[i] == 0 {
			b = append(b, 0xff)
		}
	}
	return b
}

func esc(b []byte, s string) []byte { return append(escBody(b, s), 0, 1) }

// unesc is the inverse of esc and returns what follows.
func unesc(b []byte) (s string, rest []byte, err error) {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != 0 {
			out = append(out, b[i])
			continue
		}
		if i+1 == len(b) {
			break
		}
		i++
		switch b[i] {
		case 0xff:
			out = append(out, 0)
		case 0x01:
			return string(out), b[i+1:], nil
		default:
			return "", nil, fmt.Errorf("%w: bad escape in key", ErrCorrupt)
		}
	}
	return "", nil, fmt.Errorf("%w: unterminated text in key", ErrCorrupt)
}

func (s keyspace) format() []byte { return append(s.tag(tagFormat, 6), "format"...) }

func (s keyspace) bucketName(name string) []byte {
	return append(s.tag(tagBucketName, len(name)), name...)
}

func (s keyspace) owned(owner, name string) []byte {
	return append(esc(s.tag(tagOwned, len(owner)+len(name)+4), owner), name...)
}

func (s keyspace) bucket(id BucketID) []byte { return u64(s.tag(tagBucket, 8), uint64(id)) }

func (s keyspace) config(id BucketID, kind ConfigKind) []byte {
	return append(s.inBucket(tagConfig, id, 1), byte(kind))
}

// inBucket is the prefix of all rows of a table of a bucket.
func (s keyspace) inBucket(tag byte, id BucketID, room int) []byte {
	return u64(s.tag(tag, 8+room), uint64(id))
}

func (s keyspace) object(id BucketID, key string) []byte {
	return append(s.inBucket(tagObject, id, len(key)), key...)
}

func (s keyspace) null(id BucketID, key string) []byte {
	return append(s.inBucket(tagNull, id, len(key)), key...)
}

// versions is the prefix of the rows of one key in V or D.
func (s keyspace) versions(tag byte, id BucketID, key string) []byte {
	return esc(s.inBucket(tag, id, len(key)+12), key)
}

func (s keyspace) version(id BucketID, key string, ord Ord) []byte {
	return u64(s.versions(tagVersion, id, key), ^uint64(ord))
}

func (s keyspace) inline(id BucketID, key string, ord Ord) []byte {
	return u64(s.versions(tagInline, id, key), ^uint64(ord))
}

func (s keyspace) upload(id BucketID, key string, upload UploadID) []byte {
	return append(esc(s.inBucket(tagUpload, id, len(key)+20), key), upload[:]...)
}

func (s keyspace) parts(id BucketID, upload UploadID) []byte {
	return append(s.inBucket(tagPart, id, 18), upload[:]...)
}

func (s keyspace) part(id BucketID, upload UploadID, number int) []byte {
	return binary.BigEndian.AppendUint16(s.parts(id, upload), uint16(number))
}

func (s keyspace) partsStamp(id BucketID, upload UploadID) []byte {
	return append(s.inBucket(tagParts, id, 16), upload[:]...)
}

// byID is the prefix of the rows of a table that is keyed by a data id.
func (s keyspace) byID(tag byte, id DataID) []byte {
	return append(s.tag(tag, len(id)+12), id[:]...)
}

func (s keyspace) manifest(id DataID, end int64, part int) []byte {
	return binary.BigEndian.AppendUint16(u64(s.byID(tagManifest, id), uint64(end)), uint16(part))
}

func (s keyspace) extents(id DataID, end int64) []byte {
	return u64(s.byID(tagExtents, id), uint64(end))
}

func (s keyspace) refs(p PartitionID, stripe int64) []byte {
	return u64(u64(s.tag(tagRef, 32), uint64(p)), uint64(stripe))
}

func (s keyspace) ref(p PartitionID, stripe int64, id DataID) []byte {
	return append(s.refs(p, stripe), id[:]...)
}

func (s keyspace) owner(id DataID, o *Owner) []byte { return appendOwner(s.byID(tagOwner, id), o) }

func (s keyspace) homeGone(id DataID) []byte { return append(s.byID(tagOwner, id), homeGone) }

func (s keyspace) garbage(id DataID) []byte { return s.byID(tagGarbage, id) }

func (s keyspace) intent(id DataID) []byte { return s.byID(tagIntent, id) }

func (s keyspace) partition(id PartitionID) []byte { return u64(s.tag(tagPartition, 8), uint64(id)) }

func (s keyspace) disk(id DiskID) []byte { return append(s.tag(tagDisk, len(id)), id[:]...) }

func (s keyspace) bucketCounter(id BucketID, counter byte) []byte {
	return append(u64(append(s.tag(tagCounter, 10), counterBucket), uint64(id)), counter)
}

func (s keyspace) liveBytes(id PartitionID) []byte {
	return u64(append(s.tag(tagCounter, 9), counterPartition), uint64(id))
}

func (s keyspace) job(name string) []byte { return append(s.tag(tagJob, len(name)), name...) }

func (s keyspace) holder(id HolderID) []byte { return append(s.tag(tagHolder, len(id)), id[:]...) }

func (s keyspace) token(t Token) []byte { return append(s.tag(tagToken, len(t)), t[:]...) }

// tokensBefore are the token rows of the minutes before that of t.
func (s keyspace) tokensBefore(t time.Time) kv.Range {
	begin := s.tag(tagToken, 0)
	return kv.Range{Begin: begin, End: binary.BigEndian.AppendUint32(s.tag(tagToken, 4), minuteOf(t))}
}

// minuteOf is the minute of t since 1970.
func minuteOf(t time.Time) uint32 { return uint32(max(t.Unix()/60, 0)) }

// rowKey is a parsed key of a row of a bucket; what the table does not have is
// zero.
type rowKey struct {
	bucket BucketID
	key    string
	ord    Ord
	upload UploadID
	part   int
}

// parseVersion splits the key of a row V or D.
func (s keyspace) parseVersion(k []byte) (rowKey, error) {
	out, rest, err := s.parseEscaped(k)
	if err != nil || len(rest) != 8 {
		return rowKey{}, orKey(err, k)
	}
	out.ord = Ord(^binary.BigEndian.Uint64(rest))
	return out, nil
}

// parseUpload splits the key of a row M.
func (s keyspace) parseUpload(k []byte) (rowKey, error) {
	out, rest, err := s.parseEscaped(k)
	if err != nil || len(rest) != 16 {
		return rowKey{}, orKey(err, k)
	}
	out.upload = UploadID(rest)
	return out, nil
}

func (s keyspace) parseEscaped(k []byte) (out rowKey, rest []byte, err error) {
	b := s.body(k)
	if len(b) < 8 {
		return rowKey{}, nil, errKey(k)
	}
	out.bucket = BucketID(binary.BigEndian.Uint64(b))
	out.key, rest, err = unesc(b[8:])
	return out, rest, err
}

// parsePart splits the key of a row P or Q; part is 0 for Q.
func (s keyspace) parsePart(k []byte) (out rowKey, err error) {
	b := s.body(k)
	switch len(b) {
	case 26:
		out.part = int(binary.BigEndian.Uint16(b[24:]))
	case 24:
	default:
		return rowKey{}, errKey(k)
	}
	out.bucket, out.upload = BucketID(binary.BigEndian.Uint64(b)), UploadID(b[8:24])
	return out, nil
}

// parsePlain splits the key of a row O or N.
func (s keyspace) parsePlain(k []byte) (BucketID, string, error) {
	b := s.body(k)
	if len(b) < 8 {
		return 0, "", errKey(k)
	}
	return BucketID(binary.BigEndian.Uint64(b)), string(b[8:]), nil
}

func errKey(k []byte) error { return fmt.Errorf("%w: key %q", ErrCorrupt, k) }

// orKey is err, or the error of a key of the wrong form.
func orKey(err error, k []byte) error {
	if err != nil {
		return err
	}
	return errKey(k)
}
