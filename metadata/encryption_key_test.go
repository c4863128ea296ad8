package metadata

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/metadata/kv"
)

// goldenEncryptionKey is the encoding of sampleEncryptionKey in format 1.
const goldenEncryptionKey = "010802103e184021057465737473280231130801130102030405060708" +
	"19047365616c20323115080213010203040506070819067365616c65642034"

// sampleEncryptionKey is a key without its name, as its row has it.
func sampleEncryptionKey() *EncryptionKey {
	return &EncryptionKey{
		State: KeyDisabled, Created: at(31), Changed: at(32), Description: "tests", Oldest: 2,
		Versions: []KeyVersion{
			{Number: 1, MasterKey: 0x0102030405060708, Sealed: []byte("seal"), Created: at(25)},
			{Number: 2, MasterKey: 0x0102030405060708, Sealed: []byte("sealed"), Created: at(26)},
		},
	}
}

func namedKey(name string) *EncryptionKey {
	k := sampleEncryptionKey()
	k.Name = name
	return k
}

func putMaster(t *testing.T, db *DB) {
	t.Helper()
	update(t, db, func(tx *Tx) error {
		return tx.PutMasterKey(&MasterKey{ID: 0x0102030405060708, Check: []byte("check")})
	})
}

func TestEncryptionKeysReadBack(t *testing.T) {
	db := newDB(t)
	putMaster(t, db)
	generation := found(t, db, (*Reader).Generation)
	for _, name := range []string{"b", "a", "a.c"} {
		update(t, db, func(tx *Tx) error { return tx.PutEncryptionKey(namedKey(name)) })
	}
	if bytes.Equal(generation, found(t, db, (*Reader).Generation)) {
		t.Error("a key was written without a new generation")
	}
	equal(t, "the key", namedKey("a"), found(t, db, func(r *Reader) (*EncryptionKey, error) { return r.EncryptionKey("a") }))
	if none := found(t, db, func(r *Reader) (*EncryptionKey, error) { return r.EncryptionKey("c") }); none != nil {
		t.Errorf("found %v", none)
	}
	view(t, db, func(r *Reader) error {
		all, more, err := r.EncryptionKeys("", 0)
		equal(t, "the keys", []EncryptionKey{*namedKey("a"), *namedKey("a.c"), *namedKey("b")}, all)
		some, others, err2 := r.EncryptionKeys("a", 1)
		equal(t, "the key after a", []EncryptionKey{*namedKey("a.c")}, some)
		if more || !others {
			t.Errorf("more keys: %v, %v", more, others)
		}
		return errors.Join(err, err2)
	})
	clean(t, db)
}

func TestNothingIsPublishedUnderVersionsThatGo(t *testing.T) {
	db := newDB(t)
	putMaster(t, db)
	update(t, db, func(tx *Tx) error { return tx.PutEncryptionKey(namedKey("a")) })
	for _, c := range []struct {
		name    string
		version uint32
		want    bool
	}{{"a", 1, false}, {"a", 2, true}, {"a", 3, false}, {"a", 0, false}, {"b", 2, false}} {
		if got := found(t, db, func(r *Reader) (bool, error) { return r.MayPublish(c.name, c.version) }); got != c.want {
			t.Errorf("version %d of %s: %v", c.version, c.name, got)
		}
	}
	// What is about to publish does not commit once the version is retired.
	_, err := db.engine.Update(t.Context(), kv.TxOptions{Class: "test", MaxRetries: -1}, func(ktx kv.Tx) error {
		tx := &Tx{Reader: Reader{keys: db.keys, kv: ktx}, db: db, kv: ktx}
		if may, err := tx.MayPublish("a", 2); err != nil || !may {
			t.Errorf("version 2: %v, %v", may, err)
		}
		retired := namedKey("a")
		retired.Versions = append(retired.Versions, KeyVersion{Number: 3, MasterKey: retired.Versions[0].MasterKey, Sealed: []byte("s")})
		retired.Oldest = 3
		update(t, db, func(tx *Tx) error { return tx.PutEncryptionKey(retired) })
		tx.set(tx.keys.token(Token{1}), []byte{})
		return nil
	})
	if !errors.Is(err, kv.ErrConflict) {
		t.Errorf("published beside the retirement: %v", err)
	}
}

func TestEncryptionKeysThatAreWrong(t *testing.T) {
	for name, spoil := range map[string]func(*EncryptionKey){
		"no name":         func(k *EncryptionKey) { k.Name = "" },
		"a path":          func(k *EncryptionKey) { k.Name = "a/b" },
		"a hidden name":   func(k *EncryptionKey) { k.Name = ".a" },
		"a long name":     func(k *EncryptionKey) { k.Name = strings.Repeat("a", MaxKeyName+1) },
		"no state":        func(k *EncryptionKey) { k.State = 0 },
		"another state":   func(k *EncryptionKey) { k.State = 4 },
		"no versions":     func(k *EncryptionKey) { k.Versions = nil },
		"deleted and not": func(k *EncryptionKey) { k.State = KeyDeleted },
		"many versions":   func(k *EncryptionKey) { k.Versions = make([]KeyVersion, MaxKeyVersions+1) },
		"much text":       func(k *EncryptionKey) { k.Description = strings.Repeat("x", MaxKeyDescription+1) },
		"out of order":    func(k *EncryptionKey) { k.Versions[1].Number = 1 },
		"nothing sealed":  func(k *EncryptionKey) { k.Versions[1].Sealed = nil },
		"much sealed":     func(k *EncryptionKey) { k.Versions[1].Sealed = make([]byte, maxSealedKey+1) },
		"all retired":     func(k *EncryptionKey) { k.Oldest = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			db := newDB(t)
			putMaster(t, db)
			k := namedKey("a")
			spoil(k)
			if err := db.Update(t.Context(), "test", func(tx *Tx) error { return tx.PutEncryptionKey(k) }); !errors.Is(err, ErrInvalid) {
				t.Errorf("written: %v", err)
			}
			update(t, db, func(tx *Tx) error {
				tx.set(tx.keys.encryptionKey(k.Name), encodeEncryptionKey(k))
				return nil
			})
			wantFinding(t, db, CorruptRow)
		})
	}
}

func wantFinding(t *testing.T, db *DB, want ProblemKind) {
	t.Helper()
	problems, _ := findings(t.Context(), t, db)
	for _, p := range problems {
		if p.Kind == want && strings.HasPrefix(p.Key, "k ") {
			return
		}
	}
	t.Errorf("found %v, want %s", problems, want)
}

func TestCheckFindsKeysWithoutTheirMasterKey(t *testing.T) {
	db := newDB(t)
	update(t, db, func(tx *Tx) error { return tx.PutEncryptionKey(namedKey("a")) })
	wantFinding(t, db, KeyMismatch)
}
