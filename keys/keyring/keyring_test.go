package keyring

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/undercroft/undercroft/iam/directory"
	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/keys/keystest"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

func instant() time.Time { return time.UnixMilli(1_795_000_000_123).UTC() }

func newEngine(tb testing.TB, o mem.Options) kv.Engine {
	tb.Helper()
	e := mem.New(o)
	tb.Cleanup(func() {
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
	})
	return e
}

func sealer(tb testing.TB, b byte) *directory.Sealer {
	tb.Helper()
	s, err := directory.NewSealer(directory.MasterKey{b}, directory.MasterKey{}, rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// open opens a keyring on an engine, as another gateway would.
func open(tb testing.TB, e kv.Engine, s *directory.Sealer) *Keyring {
	tb.Helper()
	db, err := metadata.Open(e, metadata.Options{Now: instant})
	if err != nil {
		tb.Fatal(err)
	}
	k, err := New(db, s, Options{Now: instant})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(k.Close)
	return k
}

func clean(ctx context.Context, t *testing.T, k *Keyring) {
	t.Helper()
	summary, err := metadata.Check(ctx, k.db, func(p metadata.Problem) { t.Error(p) })
	if err != nil {
		t.Errorf("check: %v, %v", summary, err)
	}
}

// one is a keyring whose state must be clean at the end of the test.
func one(t *testing.T) *Keyring {
	t.Helper()
	k := open(t, newEngine(t, mem.Options{}), sealer(t, 1))
	t.Cleanup(func() { clean(context.Background(), t, k) })
	return k
}

type changer func(context.Context, string) (metadata.EncryptionKey, error)

func must(change changer) func(*testing.T, string) {
	return func(t *testing.T, name string) {
		t.Helper()
		if _, err := change(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
}

// store is a provider of one gateway whose keys another one changes: what it
// knows is never out of date.
func store(t *testing.T, provider, admin *Keyring) keystest.Store {
	t.Helper()
	return keystest.Store{
		Provider: provider,
		Create: must(func(ctx context.Context, name string) (metadata.EncryptionKey, error) {
			return admin.Create(ctx, name, "of a test")
		}),
		Rotate: must(admin.Rotate), Disable: must(admin.Disable), Enable: must(admin.Enable), Delete: must(admin.Delete),
		Drop: func(t *testing.T, name string) {
			t.Helper()
			must(admin.Retire)(t, name)
			must(admin.dropAll)(t, name)
		},
	}
}

func TestConformance(t *testing.T) {
	keystest.Run(t, func(t *testing.T) keystest.Store {
		t.Helper()
		k := one(t)
		return store(t, k, k)
	})
}

func TestConformanceThroughAnotherGateway(t *testing.T) {
	keystest.Run(t, func(t *testing.T) keystest.Store {
		t.Helper()
		e, s := newEngine(t, mem.Options{}), sealer(t, 1)
		return store(t, open(t, e, s), open(t, e, s))
	})
}

func TestKeysOfTheStoreAreMadeWhenTheyAreUsed(t *testing.T) {
	k := one(t)
	for _, name := range []string{keys.SSES3, SSEKMS} {
		if err := k.Check(t.Context(), name); err != nil {
			t.Errorf("Check before it is made: %v", err)
		}
		plain, sealed, err := k.Generate(t.Context(), name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := k.Unseal(t.Context(), name, sealed, nil); err != nil || got != plain {
			t.Errorf("another data key, or %v", err)
		}
	}
	if all, err := k.List(t.Context()); err != nil || len(all) != 2 {
		t.Errorf("%d keys, %v", len(all), err)
	}
	// Deleted, it is not made again.
	must(k.Delete)(t, SSEKMS)
	if _, _, err := k.Generate(t.Context(), SSEKMS, nil); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("a deleted key was made again: %v", err)
	}
	if err := k.Check(t.Context(), SSEKMS); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("Check: %v", err)
	}
	for name, change := range map[string]changer{"Disable": k.Disable, "Delete": k.Delete} {
		if _, err := change(t.Context(), keys.SSES3); !errors.Is(err, ErrReserved) {
			t.Errorf("%s of the key of SSE-S3: %v", name, err)
		}
	}
}

func TestChangesThatAreRefused(t *testing.T) {
	k := one(t)
	if _, err := k.Create(t.Context(), "a", ""); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{"a": ErrExists, "": ErrName, "a/b": ErrName, "alias/b": ErrName, strings.Repeat("a", keys.MaxName+1): ErrName} {
		if _, err := k.Create(t.Context(), name, ""); !errors.Is(err, want) {
			t.Errorf("Create(%q): %v, want %v", name, err, want)
		}
	}
	if _, err := k.Create(t.Context(), "b", strings.Repeat("x", metadata.MaxKeyDescription+1)); !errors.Is(err, ErrDescription) {
		t.Errorf("a long description: %v", err)
	}
	for name, change := range map[string]changer{"Rotate": k.Rotate, "Disable": k.Disable, "Enable": k.Enable, "Delete": k.Delete, "Retire": k.Retire, "Drop": k.dropAll, "Show": k.Show} {
		if _, err := change(t.Context(), "none"); !errors.Is(err, keys.ErrNoKey) {
			t.Errorf("%s of no key: %v", name, err)
		}
	}
	must(k.Disable)(t, "a")
	if _, err := k.Rotate(t.Context(), "a"); !errors.Is(err, keys.ErrDisabled) {
		t.Errorf("Rotate of a disabled key: %v", err)
	}
	must(k.Delete)(t, "a")
	must(k.Delete)(t, "a")
	for name, change := range map[string]changer{"Enable": k.Enable, "Disable": k.Disable, "Rotate": k.Rotate} {
		if _, err := change(t.Context(), "a"); !errors.Is(err, keys.ErrNoKey) {
			t.Errorf("%s of a deleted key: %v", name, err)
		}
	}
	if _, err := k.Create(t.Context(), "a", ""); !errors.Is(err, ErrExists) {
		t.Errorf("the name of a deleted key was given again: %v", err)
	}
	if row, err := k.Show(t.Context(), "a"); err != nil || row.State != metadata.KeyDeleted || len(row.Versions) != 0 {
		t.Errorf("a deleted key is %+v, %v", row, err)
	}
}

func TestVersionsAreBounded(t *testing.T) {
	k := one(t)
	if _, err := k.Create(t.Context(), "a", ""); err != nil {
		t.Fatal(err)
	}
	for range metadata.MaxKeyVersions - 1 {
		must(k.Rotate)(t, "a")
	}
	if _, err := k.Rotate(t.Context(), "a"); !errors.Is(err, ErrLimit) {
		t.Errorf("one version more: %v", err)
	}
	must(k.dropAll)(t, "a") // nothing is retired yet
	must(k.Retire)(t, "a")
	if row, err := k.Drop(t.Context(), "a", 3); err != nil || row.Versions[0].Number != 3 {
		t.Errorf("dropped below 3: %+v, %v", row.Versions[0], err)
	}
	must(k.dropAll)(t, "a")
	row, err := k.Rotate(t.Context(), "a")
	if err != nil || len(row.Versions) != 2 || row.Versions[1].Number != metadata.MaxKeyVersions+1 {
		t.Errorf("after the old ones were dropped: %+v, %v", row, err)
	}
}

// The rows hold no key, and a version opens at its own place only.
func TestVersionsAreSealedAndBoundToTheirPlace(t *testing.T) {
	k := one(t)
	for _, name := range []string{"a", "b"} {
		if _, err := k.Create(t.Context(), name, ""); err != nil {
			t.Fatal(err)
		}
	}
	must(k.Rotate)(t, "a")
	a, err := k.Show(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	v, err := k.use(t.Context(), "a", 1)
	if err != nil || bytes.Contains(a.Versions[0].Sealed, v.key[:]) {
		t.Fatalf("the row holds its key, or %v", err)
	}
	move := func(to string, number int) {
		t.Helper()
		row, err := k.Show(t.Context(), to)
		if err != nil {
			t.Fatal(err)
		}
		row.Versions[number-1].Sealed = a.Versions[0].Sealed
		if err := k.db.Update(t.Context(), "test", func(tx *metadata.Tx) error { return tx.PutEncryptionKey(&row) }); err != nil {
			t.Fatal(err)
		}
		if _, _, err := k.Generate(t.Context(), to, nil); !errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("a version that was moved to %s, %d seals: %v", to, number, err)
		}
	}
	move("b", 1)
	move("a", 2)
}

func TestAnotherMasterKeyOpensNothing(t *testing.T) {
	e := newEngine(t, mem.Options{})
	k := open(t, e, sealer(t, 1))
	_, sealed, err := k.Generate(t.Context(), SSEKMS, nil)
	if err != nil {
		t.Fatal(err)
	}
	other := open(t, e, sealer(t, 2))
	if _, err := other.Unseal(t.Context(), SSEKMS, sealed, nil); !errors.Is(err, directory.ErrWrongMasterKey) {
		t.Errorf("Unseal: %v", err)
	}
	if _, err := other.Create(t.Context(), "a", ""); !errors.Is(err, directory.ErrWrongMasterKey) {
		t.Errorf("Create: %v", err)
	}
	clean(t.Context(), t, k)
}

func TestClosedKeyringsForget(t *testing.T) {
	k := one(t)
	plain, sealed, err := k.Generate(t.Context(), SSEKMS, nil)
	if err != nil {
		t.Fatal(err)
	}
	held := k.known[SSEKMS]
	k.Close()
	for n, v := range held.versions {
		if v != (keys.DataKey{}) {
			t.Errorf("version %d is still in memory", n)
		}
	}
	if got, err := k.Unseal(t.Context(), SSEKMS, sealed, nil); err != nil || got != plain {
		t.Errorf("another data key, or %v", err)
	}
}

func TestNewNeedsItsOptions(t *testing.T) {
	k := one(t)
	for name, err := range map[string]error{
		"clock":      second(New(k.db, k.seal, Options{})),
		"master key": second(New(k.db, nil, Options{Now: instant})),
		"metadata":   second(New(nil, k.seal, Options{Now: instant})),
	} {
		if err == nil {
			t.Errorf("made without %s", name)
		}
	}
}

// dropAll drops whatever is retired.
func (k *Keyring) dropAll(ctx context.Context, name string) (metadata.EncryptionKey, error) {
	return k.Drop(ctx, name, math.MaxUint32)
}

func second(_ *Keyring, err error) error { return err }

// A commit whose outcome is unknown is settled: a change that was made is not
// reported as one that was not, nor made twice.
func TestUnknownCommitsAreSettled(t *testing.T) {
	for fault, applied := range map[mem.Fault]bool{mem.UnknownApplied: true, mem.UnknownLost: false} {
		t.Run(fmt.Sprintf("applied %v", applied), func(t *testing.T) {
			var armed atomic.Bool
			k := open(t, newEngine(t, mem.Options{Faults: mem.Faults{Hook: func(p mem.Point) mem.Fault {
				if p.Place == mem.AtCommit && armed.CompareAndSwap(true, false) {
					return fault
				}
				return mem.None
			}}}), sealer(t, 1))
			if _, err := k.Create(t.Context(), "a", ""); err != nil {
				t.Fatal(err)
			}
			armed.Store(true)
			row, err := k.Rotate(t.Context(), "a")
			now, readErr := k.Show(t.Context(), "a")
			if readErr != nil || armed.Load() {
				t.Fatalf("nothing was committed, or %v", readErr)
			}
			if applied != (err == nil) || applied != (len(now.Versions) == 2) || applied && !same(&row, &now) {
				t.Errorf("%v, with %d versions", err, len(now.Versions))
			}
		})
	}
}
