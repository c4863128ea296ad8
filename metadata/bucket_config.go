package metadata

import (
	"encoding/binary"
	"fmt"

	"github.com/undercroft/undercroft/metadata/kv"
)

// ConfigKind names a configuration document of a bucket. Its number is in the
// key of the row and never changes.
type ConfigKind byte

// The kinds of configuration.
const (
	ConfigACL               ConfigKind = 1
	ConfigOwnership         ConfigKind = 2
	ConfigPublicAccessBlock ConfigKind = 3
	ConfigPolicy            ConfigKind = 4
	ConfigCORS              ConfigKind = 5
	ConfigTagging           ConfigKind = 6
	ConfigRequestPayment    ConfigKind = 7
	ConfigEncryption        ConfigKind = 8
	ConfigLifecycle         ConfigKind = 10
	ConfigWebsite           ConfigKind = 11

	lastConfig = ConfigWebsite
)

// String is the kind for people.
func (k ConfigKind) String() string {
	names := [...]string{
		"", "acl", "ownership", "public-access-block", "policy", "cors", "tagging", "request-payment",
		"encryption", "object-lock", "lifecycle", "website",
	}
	if int(k) < len(names) && k != 0 {
		return names[k]
	}
	return fmt.Sprintf("configuration %d", byte(k))
}

// MaxConfig bounds a configuration document, in bytes: a row holds at most
// kv.MaxValue.
const MaxConfig = 90_000

// BucketConfigs are the configuration documents of a bucket: of each kind that
// is set, the text that was put. They must not be changed.
func (r *Reader) BucketConfigs(id BucketID) (map[ConfigKind][]byte, error) {
	var out map[ConfigKind][]byte
	err := r.each(kv.PrefixRange(r.keys.inBucket(tagConfig, id, 0)), 0, func(p kv.Pair) (bool, error) {
		_, kind, err := r.keys.parseConfig(p.Key)
		if err != nil {
			return false, err
		}
		doc, err := decodeConfig(p.Value)
		if err != nil {
			return false, fmt.Errorf("%s: %w", kind, err)
		}
		if out == nil {
			out = make(map[ConfigKind][]byte)
		}
		out[kind] = doc
		return true, nil
	})
	return out, err
}

// PutBucketConfig sets a document of an existing bucket, and makes every cache
// and every write to the bucket that is under way look again.
func (t *Tx) PutBucketConfig(b *Bucket, kind ConfigKind, doc []byte) error {
	if kind == 0 || kind > lastConfig || len(doc) > MaxConfig {
		t.invalid("%s of %d bytes", kind, len(doc))
		return t.err
	}
	t.set(t.keys.config(b.ID, kind), append([]byte{recordVersion}, doc...))
	return t.PutBucket(b)
}

// DeleteBucketConfig removes a document, if it is there, as PutBucketConfig
// sets one.
func (t *Tx) DeleteBucketConfig(b *Bucket, kind ConfigKind) error {
	t.kv.Delete(t.keys.config(b.ID, kind))
	return t.PutBucket(b)
}

// decodeConfig returns a copy: the pair of an iterator is gone with its next
// step, and a document is kept for long.
func decodeConfig(v []byte) ([]byte, error) {
	if len(v) == 0 || v[0] != recordVersion {
		return nil, fmt.Errorf("%w: configuration", ErrCorrupt)
	}
	return append([]byte{}, v[1:]...), nil
}

// parseConfig splits the key of a row c.
func (s keyspace) parseConfig(k []byte) (BucketID, ConfigKind, error) {
	b := s.body(k)
	if len(b) != 9 {
		return 0, 0, errKey(k)
	}
	return BucketID(binary.BigEndian.Uint64(b)), ConfigKind(b[8]), nil
}

func checkConfig(c *pageCheck, p kv.Pair) error {
	id, kind, err := c.keys.parseConfig(p.Key)
	if err != nil {
		return err
	}
	if kind == 0 || kind > lastConfig {
		c.problem(StrayRow, p.Key, "a configuration of no known kind")
	}
	if _, err := decodeConfig(p.Value); err != nil {
		return err
	}
	return c.inBucket(id, p.Key)
}
