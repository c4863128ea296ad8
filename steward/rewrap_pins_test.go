package steward

import (
	"context"
	"testing"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv/mem"
	"github.com/undercroft/undercroft/objects"
)

// retired is a key whose first version is to be dropped, and objects without any key.
type retired struct{ dropped int }

func (*retired) RewrapKeys(context.Context, objects.RewrapInput) (objects.RewrapOutput, error) {
	return objects.RewrapOutput{}, nil
}

func (*retired) List(context.Context) ([]metadata.EncryptionKey, error) {
	return []metadata.EncryptionKey{{Name: "k", Oldest: 2, Versions: []metadata.KeyVersion{{Number: 1}, {Number: 2}}}}, nil
}

func (*retired) SealedUnder(*metadata.Encryption) (name string, version uint32, ok bool) {
	return "", 0, false
}

func (r *retired) Drop(context.Context, string, uint32) (metadata.EncryptionKey, error) {
	r.dropped++
	return metadata.EncryptionKey{}, nil
}

// TestOldVersionsEndWithoutPins: also an engine that holds no version for long shows
// whether something is sealed under a version of a key.
func TestOldVersionsEndWithoutPins(t *testing.T) {
	engine := mem.New(mem.Options{})
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	pass := func(db *metadata.DB) int {
		t.Helper()
		keys := &retired{}
		job := NewRewrap(db, nil, keys, nil)
		job.in = keys
		job.RunNow()
		for more := true; more; {
			p, err := job.Step(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			more = p.More
		}
		return keys.dropped
	}
	for _, open := range []func() (*metadata.DB, error){
		func() (*metadata.DB, error) {
			return metadata.Open(&wire{Engine: engine}, metadata.Options{Now: time.Now}) // which has no pins
		},
		func() (*metadata.DB, error) { return metadata.Open(engine, metadata.Options{Now: time.Now}) },
	} {
		db, err := open()
		if err != nil {
			t.Fatal(err)
		}
		if got := pass(db); got != 1 {
			t.Errorf("%d keys were without their old versions, want 1", got)
		}
	}
}
