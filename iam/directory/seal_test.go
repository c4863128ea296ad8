package directory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/metadata"
)

func TestMasterKeyText(t *testing.T) {
	k := testKey(7)
	got, err := ParseMasterKey(k.Text())
	if err != nil || got != k {
		t.Errorf("a master key reads back as another: %v", err)
	}
	for _, text := range []string{"", "x", k.Text() + "=", strings.Repeat("A", 40), k.Text()[:20]} {
		if _, err := ParseMasterKey(text); err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("ParseMasterKey(%q): %v", text, err)
		}
	}
	encoded, err := json.Marshal(struct{ Key MasterKey }{k})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("key", "key", k, "inside", struct{ Key MasterKey }{k})
	for _, printed := range []string{fmt.Sprint(k), fmt.Sprintf("%v %+v %#v %d %x %s %q", k, k, k, k, k, k, k), string(encoded), log.String()} {
		if strings.Contains(printed, k.Text()) || strings.Contains(printed, "0x7") || strings.Contains(printed, "7 8 9") || strings.Contains(printed, "7,8,9") || strings.Contains(printed, "070809") {
			t.Errorf("a master key prints itself: %s", printed)
		}
	}
	if made, err := NewMasterKey(bytes.NewReader(make([]byte, 31))); err == nil {
		t.Errorf("a master key of too few bytes: %v", made)
	}
}

func TestSecretsAreNotInTheMetadata(t *testing.T) {
	d := checked(t)
	a := newAccount(t, d, "a", "")
	err := d.db.View(t.Context(), "test", func(r *metadata.Reader) error {
		k, err := r.AccessKey(a.Key.AccessKey.AccessKey)
		if err == nil && (k == nil || len(k.Sealed) != nonceSize+len(a.Key.Secret)+16 || bytes.Contains(k.Sealed, []byte(a.Key.Secret))) {
			t.Errorf("the row holds %+v", k)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A sealed secret is of its access key alone: a row that takes over another's
// secret does not open.
func TestSealedSecretsAreBoundToTheirAccessKeys(t *testing.T) {
	d := checked(t)
	mine, theirs := newAccount(t, d, "a", ""), newAccount(t, d, "b", "")
	err := d.db.Update(t.Context(), "test", func(tx *metadata.Tx) error {
		from, err := tx.AccessKey(theirs.Key.AccessKey.AccessKey)
		if err != nil {
			return err
		}
		to, err := tx.AccessKey(mine.Key.AccessKey.AccessKey)
		if err != nil {
			return err
		}
		to.Sealed = from.Sealed
		return tx.PutAccessKey(to)
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Lookup(t.Context(), mine.Key.AccessKey.AccessKey)
	if err == nil || errors.Is(err, iam.ErrNoSuchKey) || c.Secret != "" {
		t.Errorf("a moved secret opens: %v, %v", c, err)
	}
	mustFind(t, d, theirs.Key.AccessKey.AccessKey, theirs.Key.Secret)
}

func TestOneSecretIsSealedDifferentlyEachTime(t *testing.T) {
	s, err := newSealer(testKey(1), bytes.NewReader(bytes.Repeat([]byte("0123456789ab9876543210zz"), 1)))
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.encrypt("text", "about")
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.encrypt("text", "about")
	if err != nil || bytes.Equal(first[nonceSize:], second[nonceSize:]) {
		t.Errorf("sealed alike, or %v", err)
	}
	for _, sealed := range [][]byte{first, second} {
		if text, err := s.decrypt(sealed, "about"); err != nil || text != "text" {
			t.Errorf("opened as %q, %v", text, err)
		}
		if _, err := s.decrypt(sealed, "another"); err == nil {
			t.Error("opened as something else")
		}
	}
	if _, err := s.encrypt("text", "about"); err == nil {
		t.Error("sealed without a nonce")
	}
	if _, err := s.decrypt(first[:5], "about"); err == nil {
		t.Error("opened a text cut short")
	}
}

func TestWrongMasterKeyStopsTheStart(t *testing.T) {
	e := newEngine(t)
	other := options()
	other.MasterKey = testKey(2)
	// Nothing is sealed yet: any master key will do.
	for _, o := range []Options{options(), other} {
		if _, err := Open(t.Context(), openDB(t, e), o); err != nil {
			t.Fatal(err)
		}
	}
	d := open(t, e)
	a := newAccount(t, d, "a", "")
	_, err := Open(t.Context(), openDB(t, e), other)
	wantErr(t, "another master key", err, ErrWrongMasterKey)
	if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), fmt.Sprintf("%016x", testKey(1).id())) {
		t.Errorf("the error is %q", err)
	}
	mustFind(t, open(t, e), a.Key.AccessKey.AccessKey, a.Key.Secret)
	// Two gateways that started before anything was sealed, with different keys:
	// only the first that seals may go on.
	late, err := newSealer(testKey(3), bytes.NewReader(make([]byte, 100)))
	if err != nil {
		t.Fatal(err)
	}
	err = d.db.Update(t.Context(), "test", late.Record)
	wantErr(t, "a second sealer", err, ErrWrongMasterKey)
	clean(t.Context(), t, d)
}

func TestOpenNeedsItsOptions(t *testing.T) {
	db := openDB(t, newEngine(t))
	for name, spoil := range map[string]func(*Options){
		"clock": func(o *Options) { o.Now = nil }, "root": func(o *Options) { o.RootAccessKey = "" },
		"secret": func(o *Options) { o.RootSecret = "" }, "master key": func(o *Options) { o.MasterKey = MasterKey{} },
	} {
		o := options()
		spoil(&o)
		if _, err := Open(t.Context(), db, o); err == nil {
			t.Errorf("opened without %s", name)
		}
	}
}
