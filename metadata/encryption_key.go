package metadata

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// KeyState is the state of an encryption key.
type KeyState byte

// The states of a key.
const (
	KeyEnabled  KeyState = 1
	KeyDisabled KeyState = 2 // there, and not used
	KeyDeleted  KeyState = 3 // its versions are gone; its name is not given again
)

// String is the state for people.
func (s KeyState) String() string {
	names := [...]string{"", "enabled", "disabled", "deleted"}
	if int(s) < len(names) && s != 0 {
		return names[s]
	}
	return fmt.Sprintf("state %d", byte(s))
}

// Limits of a row k.
const (
	// MaxKeyName bounds the name of an encryption key, in bytes.
	MaxKeyName = 128
	// MaxKeyVersions bounds the versions of a key: the row stays well below
	// kv.MaxValue.
	MaxKeyVersions = 256
	// MaxKeyDescription bounds what is said of a key, in bytes.
	MaxKeyDescription = 256
	// maxSealedKey bounds a sealed version, in bytes.
	maxSealedKey = 128
)

// EncryptionKey is a key of the local keyring (row k). This package does not see
// the key itself: each version is sealed.
type EncryptionKey struct {
	Name        string // in the row's key
	State       KeyState
	Created     time.Time
	Changed     time.Time // of the state or the versions; zero: never
	Description string
	// Oldest is the first version under which something may still be published:
	// what is below is about to be dropped. Zero: any.
	Oldest uint32
	// Versions by ascending number, the last being the newest; none of a deleted
	// key.
	Versions []KeyVersion
}

// KeyVersion is one version of an encryption key.
type KeyVersion struct {
	Number    uint32 // from 1 on, never used again
	MasterKey uint64 // which master key sealed it
	Sealed    []byte
	Created   time.Time
}

// Fields of an EncryptionKey (rows k) and of its versions.
const (
	encryptionKeyState       = 1
	encryptionKeyCreated     = 2
	encryptionKeyChanged     = 3
	encryptionKeyDescription = 4
	encryptionKeyOldest      = 5
	encryptionKeyVersion     = 6

	keyVersionNumber    = 1
	keyVersionMasterKey = 2
	keyVersionSealed    = 3
	keyVersionCreated   = 4
)

func encodeEncryptionKey(k *EncryptionKey) []byte {
	e := newRecord(64 + 96*len(k.Versions))
	e.uint(encryptionKeyState, uint64(k.State))
	e.time(encryptionKeyCreated, k.Created)
	e.time(encryptionKeyChanged, k.Changed)
	e.text(encryptionKeyDescription, k.Description)
	e.uint(encryptionKeyOldest, uint64(k.Oldest))
	for i := range k.Versions {
		v := &k.Versions[i]
		e.nested(encryptionKeyVersion, func(e *encoder) {
			e.uint(keyVersionNumber, uint64(v.Number))
			e.fixed(keyVersionMasterKey, v.MasterKey)
			e.bytes(keyVersionSealed, v.Sealed)
			e.time(keyVersionCreated, v.Created)
		})
	}
	return e.b
}

// decodeEncryptionKey decodes the value of a row k; Name is not in it.
func decodeEncryptionKey(v []byte) (*EncryptionKey, error) {
	k := &EncryptionKey{}
	d := openRecord(v)
	for d.next() {
		switch d.field {
		case encryptionKeyState:
			k.State = KeyState(d.uint(math.MaxUint8))
		case encryptionKeyCreated:
			k.Created = d.time()
		case encryptionKeyChanged:
			k.Changed = d.time()
		case encryptionKeyDescription:
			k.Description = d.text()
		case encryptionKeyOldest:
			k.Oldest = uint32(d.uint(math.MaxUint32))
		case encryptionKeyVersion:
			inner := d.nested()
			k.Versions = append(k.Versions, decodeKeyVersion(&inner))
			d.join(&inner)
		default:
			d.unknown()
		}
	}
	return k, d.finish("encryption key")
}

func decodeKeyVersion(d *decoder) (v KeyVersion) {
	for d.next() {
		switch d.field {
		case keyVersionNumber:
			v.Number = uint32(d.uint(math.MaxUint32))
		case keyVersionMasterKey:
			v.MasterKey = d.fixed()
		case keyVersionSealed:
			v.Sealed = append([]byte(nil), d.bytes()...)
		case keyVersionCreated:
			v.Created = d.time()
		default:
			d.unknown()
		}
	}
	return v
}

func (s keyspace) encryptionKey(name string) []byte {
	return append(s.tag(tagEncryptionKey, len(name)), name...)
}

// EncryptionKey is a key of the local keyring.
func (r *Reader) EncryptionKey(name string) (*EncryptionKey, error) {
	k, err := decode(r, r.keys.encryptionKey(name), decodeEncryptionKey)
	if k != nil {
		k.Name = name
	}
	return k, err
}

// EncryptionKeys lists keys by name: those above after ("" for all), at most
// limit (0: all). more says that there are others.
func (r *Reader) EncryptionKeys(after string, limit int) (keys []EncryptionKey, more bool, err error) {
	return named(r, r.keys.encryptionKey(""), after, limit, encryptionKeyRow)
}

func encryptionKeyRow(name string, v []byte) (*EncryptionKey, error) {
	k, err := decodeEncryptionKey(v)
	if err != nil {
		return nil, err
	}
	k.Name = name
	return k, nil
}

// PutEncryptionKey writes a key. The caller has read its row serializably, and
// has recorded the master key that sealed its versions. It changes the
// generation stamp, so that no gateway uses what it remembers of the key.
func (t *Tx) PutEncryptionKey(k *EncryptionKey) error {
	if wrong := k.wrong(); wrong != "" {
		t.invalid("encryption key %q: %s", k.Name, wrong)
		return t.err
	}
	t.set(t.keys.encryptionKey(k.Name), encodeEncryptionKey(k))
	t.kv.BumpGeneration()
	return t.err
}

// MayPublish says whether what is sealed under a version of a key may be
// published. Read through the Tx, it makes the transaction conflict with every
// change of the key, so that nothing comes to be that only a dropped version
// opens.
func (r *Reader) MayPublish(name string, version uint32) (bool, error) {
	k, err := r.EncryptionKey(name)
	if err != nil || k == nil || version < k.Oldest {
		return false, err
	}
	for i := range k.Versions {
		if k.Versions[i].Number == version {
			return true, nil
		}
	}
	return false, nil
}

// wrong says what is wrong with a key in itself; empty: nothing.
func (k *EncryptionKey) wrong() string {
	switch {
	case !isKeyName(k.Name):
		return "not a name"
	case k.State < KeyEnabled || k.State > KeyDeleted:
		return "in " + k.State.String()
	case (k.State == KeyDeleted) != (len(k.Versions) == 0):
		return fmt.Sprintf("%s with %d versions", k.State, len(k.Versions))
	case len(k.Versions) > MaxKeyVersions || len(k.Description) > MaxKeyDescription:
		return fmt.Sprintf("%d versions, a description of %d bytes", len(k.Versions), len(k.Description))
	}
	var last uint32
	for i := range k.Versions {
		v := &k.Versions[i]
		if v.Number <= last || len(v.Sealed) == 0 || len(v.Sealed) > maxSealedKey {
			return fmt.Sprintf("version %d after %d, of %d bytes", v.Number, last, len(v.Sealed))
		}
		last = v.Number
	}
	if len(k.Versions) > 0 && k.Oldest > last {
		return fmt.Sprintf("nothing may be published below version %d of %d", k.Oldest, last)
	}
	return ""
}

// isKeyName allows what is one segment of every path.
func isKeyName(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	if name == "" || len(name) > MaxKeyName || strings.Trim(name[:1], letters) != "" {
		return false
	}
	return strings.Trim(name, letters+"._-") == ""
}

// checkEncryptionKey looks at a row k.
func checkEncryptionKey(c *pageCheck, p kv.Pair) error {
	k, err := encryptionKeyRow(string(c.keys.body(p.Key)), p.Value)
	if err != nil {
		return err
	}
	if wrong := k.wrong(); wrong != "" {
		c.problem(CorruptRow, p.Key, wrong)
	}
	for i := range k.Versions {
		v := &k.Versions[i]
		master, err := c.get(c.keys.masterKey(v.MasterKey))
		if err != nil {
			return err
		}
		if master == nil {
			c.problem(KeyMismatch, p.Key, fmt.Sprintf("master key %016x, which sealed version %d, is not recorded", v.MasterKey, v.Number))
		}
	}
	return nil
}
