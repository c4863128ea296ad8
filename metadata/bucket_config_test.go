package metadata

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBucketConfigs(t *testing.T) {
	db := newDB(t)
	b, other := newBucket(t, db, "one"), newBucket(t, db, "two")
	stamp := func() (out []byte) {
		view(t, db, func(r *Reader) (err error) {
			out, err = r.Generation()
			return err
		})
		return bytes.Clone(out)
	}
	configs := func(id BucketID) (out map[ConfigKind][]byte) {
		view(t, db, func(r *Reader) (err error) {
			out, err = r.BucketConfigs(id)
			return err
		})
		return out
	}
	if got := configs(b.ID); len(got) != 0 {
		t.Errorf("a new bucket has %v", got)
	}
	before := stamp()
	update(t, db, func(tx *Tx) error { return tx.PutBucketConfig(b, ConfigPolicy, []byte("{}")) })
	update(t, db, func(tx *Tx) error { return tx.PutBucketConfig(b, ConfigTagging, nil) })
	update(t, db, func(tx *Tx) error { return tx.PutBucketConfig(other, ConfigCORS, []byte("x")) })
	if bytes.Equal(before, stamp()) {
		t.Error("the generation stamp did not change")
	}
	want := map[ConfigKind][]byte{ConfigPolicy: []byte("{}"), ConfigTagging: {}}
	if diff := cmp.Diff(want, configs(b.ID)); diff != "" {
		t.Error(diff)
	}
	clean(t, db)
	update(t, db, func(tx *Tx) error { return tx.DeleteBucketConfig(b, ConfigPolicy) })
	delete(want, ConfigPolicy)
	if diff := cmp.Diff(want, configs(b.ID)); diff != "" {
		t.Error(diff)
	}
	update(t, db, func(tx *Tx) error { return tx.DeleteBucket(b) })
	if got := configs(b.ID); len(got) != 0 {
		t.Errorf("a deleted bucket has %v", got)
	}
	clean(t, db)
}

// A writer that holds the bucket must not commit beside a change of its
// configuration.
func TestBucketConfigConflictsWithHolders(t *testing.T) {
	db := newDB(t)
	b := newBucket(t, db, "one")
	attempts := 0
	err := db.Update(t.Context(), "test", func(tx *Tx) error {
		attempts++
		if err := tx.HoldBucket(b.ID); err != nil {
			return err
		}
		if attempts == 1 {
			update(t, db, func(tx *Tx) error { return tx.PutBucketConfig(b, ConfigPolicy, []byte("{}")) })
		}
		return tx.MarkToken(db.NewToken())
	})
	if err != nil || attempts != 2 {
		t.Errorf("%d attempts, %v; want 2 without an error", attempts, err)
	}
}

func TestBucketConfigLimits(t *testing.T) {
	db := newDB(t)
	b := newBucket(t, db, "one")
	for name, put := range map[string]func(*Tx) error{
		"long":         func(tx *Tx) error { return tx.PutBucketConfig(b, ConfigPolicy, bytes.Repeat([]byte("x"), MaxConfig+1)) },
		"unknown kind": func(tx *Tx) error { return tx.PutBucketConfig(b, lastConfig+1, nil) },
		"no kind":      func(tx *Tx) error { return tx.PutBucketConfig(b, 0, nil) },
	} {
		if err := db.Update(t.Context(), "test", put); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if got := ConfigKind(0).String() + ConfigACL.String(); !strings.HasSuffix(got, "acl") {
		t.Errorf("names %q", got)
	}
}

// TestConfigsOutliveTheirRow: an engine may use the memory of a pair again.
func TestConfigsOutliveTheirRow(t *testing.T) {
	v := append([]byte{recordVersion}, "<a/>"...)
	doc, err := decodeConfig(v)
	if err != nil {
		t.Fatal(err)
	}
	clear(v)
	if string(doc) != "<a/>" {
		t.Errorf("%q: the document shares the memory of its row", doc)
	}
}
