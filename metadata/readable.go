package metadata

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// readableKey renders a key for people: the tag and the fields, or the raw
// bytes of a key that has no known form.
func readableKey(s keyspace, key []byte) string {
	if len(key) <= len(s.root) {
		return fmt.Sprintf("%q", key)
	}
	tag, b := key[len(s.root)], s.body(key)
	var text string
	var ok bool
	switch tag {
	case tagBucket, tagConfig, tagObject, tagNull, tagVersion, tagInline, tagUpload, tagPart, tagParts:
		text, ok = readableInBucket(s, tag, key)
	case tagManifest, tagExtents, tagOwner, tagGarbage, tagIntent, tagDisk, tagToken, tagHolder:
		text, ok = readableByID(tag, b)
	case tagRef, tagPartition, tagScrub:
		text, ok = readablePartition(b)
	case tagCounter:
		text, ok = readableCounter(b)
	case tagOwned:
		owner, name, err := unesc(b)
		text, ok = fmt.Sprintf("owner=%q name=%q", owner, name), err == nil
	case tagIdentity:
		text, ok = readableIdentity(b)
	case tagBucketName, tagFormat, tagJob, tagEncryptionKey:
		text, ok = fmt.Sprintf("name=%q", b), true
	}
	if !ok {
		text = fmt.Sprintf("%x", b)
	}
	return strings.TrimSpace(fmt.Sprintf("%c %s", printable(tag), text))
}

func printable(tag byte) rune {
	if tag < ' ' || tag > '~' {
		return '?'
	}
	return rune(tag)
}

func readableInBucket(s keyspace, tag byte, key []byte) (string, bool) {
	switch tag {
	case tagObject, tagNull:
		id, k, err := s.parsePlain(key)
		return fmt.Sprintf("bucket=%016x key=%q", uint64(id), k), err == nil
	case tagVersion, tagInline:
		k, err := s.parseVersion(key)
		return fmt.Sprintf("bucket=%016x key=%q ord=%d", uint64(k.bucket), k.key, k.ord), err == nil
	case tagUpload:
		k, err := s.parseUpload(key)
		return fmt.Sprintf("bucket=%016x key=%q upload=%x", uint64(k.bucket), k.key, k.upload[:]), err == nil
	case tagPart, tagParts:
		k, err := s.parsePart(key)
		return fmt.Sprintf("bucket=%016x upload=%x part=%d", uint64(k.bucket), k.upload[:], k.part), err == nil
	case tagConfig:
		id, kind, err := s.parseConfig(key)
		return fmt.Sprintf("bucket=%016x %s", uint64(id), kind), err == nil
	default:
		id, err := parseUint(s.body(key))
		return fmt.Sprintf("bucket=%016x", id), err == nil
	}
}

func readableByID(tag byte, b []byte) (string, bool) {
	if len(b) < 16 {
		return "", false
	}
	text, rest := fmt.Sprintf("id=%x", b[:16]), b[16:]
	switch {
	case len(rest) == 0:
		return text, true
	case tag == tagManifest && len(rest) == 10:
		return fmt.Sprintf("%s end=%d part=%d", text, binary.BigEndian.Uint64(rest), binary.BigEndian.Uint16(rest[8:])), true
	case tag == tagExtents && len(rest) == 8:
		return fmt.Sprintf("%s end=%d", text, binary.BigEndian.Uint64(rest)), true
	case tag == tagOwner && len(rest) == 1:
		return text + " home gone", rest[0] == homeGone
	case tag == tagOwner:
		o, err := parseOwner(rest)
		return text + " " + o.String(), err == nil
	default:
		return "", false
	}
}

// String names the owner for people.
func (o Owner) String() string {
	if o.Kind == OwnerVersion {
		return fmt.Sprintf("version of bucket=%016x key=%q ord=%d", uint64(o.Bucket), o.Key, o.Ord)
	}
	return fmt.Sprintf("part %d of bucket=%016x upload=%x token=%x", o.Part, uint64(o.Bucket), o.Upload[:], o.Token[:])
}

func readablePartition(b []byte) (string, bool) {
	switch len(b) {
	case 8:
		return fmt.Sprintf("partition=%016x", binary.BigEndian.Uint64(b)), true
	case 32:
		return fmt.Sprintf("partition=%016x stripe=%d id=%x", binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), b[16:]), true
	default:
		return "", false
	}
}

func readableCounter(b []byte) (string, bool) {
	switch {
	case len(b) == 9 && b[0] == counterPartition:
		return fmt.Sprintf("partition=%016x live bytes", binary.BigEndian.Uint64(b[1:])), true
	case len(b) == 10 && b[0] == counterBucket && b[9] >= countObjects && b[9] <= countPartBytes:
		names := [...]string{"objects", "bytes", "uploads", "part bytes"}
		return fmt.Sprintf("bucket=%016x %s", binary.BigEndian.Uint64(b[1:]), names[b[9]-countObjects]), true
	default:
		return "", false
	}
}
