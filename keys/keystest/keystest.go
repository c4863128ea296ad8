// Package keystest is what every [keys.Provider] must do.
package keystest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/undercroft/undercroft/keys"
)

// Store is a provider with the means to change its keys. What a method changes
// is in force for the next call of the provider.
type Store struct {
	Provider keys.Provider
	// Create makes a key that was never there, Rotate gives it a new version.
	Create, Rotate func(t *testing.T, name string)
	// Disable keeps a key from being used, Enable ends that. Nil: the provider
	// knows no such state.
	Disable, Enable func(t *testing.T, name string)
	Delete          func(t *testing.T, name string)
	// Drop destroys the versions of a key but the newest. Nil: it cannot.
	Drop func(t *testing.T, name string)
}

// Run runs the suite. open makes a store without keys.
func Run(t *testing.T, open func(t *testing.T) Store) {
	t.Helper()
	for _, rule := range []struct {
		name string
		test func(t *testing.T, s Store)
	}{
		{"WhatIsSealedOpens", testRoundTrip},
		{"EachDataKeyIsAnother", testFresh},
		{"BoundToContext", testContext},
		{"BoundToKey", testOtherKey},
		{"DamageDoesNotOpen", testDamage},
		{"LongContext", testLongContext},
		{"NoKey", testNoKey},
		{"DeletedAtOnce", testDelete},
		{"DisabledAtOnce", testDisable},
		{"RotatedStillOpens", testRotate},
		{"RewrapMovesToTheNewest", testRewrap},
		{"RewrapRefuses", testRewrapRefuses},
		{"DroppedVersionsOpenNothing", testDrop},
		{"CancelledCallsEnd", testCancelled},
		{"ManyAtOnce", testConcurrent},
	} {
		t.Run(rule.name, func(t *testing.T) { rule.test(t, open(t)) })
	}
}

// box is a sealed data key, and what it is opened with.
type box struct {
	key, encCtx string
	sealed      []byte
}

func generate(t *testing.T, s Store, name, encCtx string) (keys.DataKey, []byte) {
	t.Helper()
	plain, sealed, err := s.Provider.Generate(t.Context(), name, []byte(encCtx))
	if err != nil {
		t.Fatalf("Generate: %v", err)
	}
	if plain == (keys.DataKey{}) || len(sealed) == 0 || len(sealed) > keys.MaxSealed || bytes.Contains(sealed, plain[:]) {
		t.Fatalf("Generate returns a data key that is not one, or %d sealed bytes", len(sealed))
	}
	return plain, sealed
}

func wantOpen(t *testing.T, s Store, b box, want keys.DataKey) {
	t.Helper()
	got, err := s.Provider.Unseal(t.Context(), b.key, b.sealed, []byte(b.encCtx))
	if err != nil || got != want {
		t.Errorf("Unseal: another data key, or %v", err)
	}
}

func wantClosed(t *testing.T, s Store, b box, want error) {
	t.Helper()
	got, err := s.Provider.Unseal(t.Context(), b.key, b.sealed, []byte(b.encCtx))
	if !errors.Is(err, want) || got != (keys.DataKey{}) {
		t.Errorf("Unseal: %v, want %v and no data key", err, want)
	}
}

func testRoundTrip(t *testing.T, s Store) {
	s.Create(t, "one")
	for _, encCtx := range []string{"", `{"a":"b"}`, "\x00\xff not text"} {
		plain, sealed := generate(t, s, "one", encCtx)
		wantOpen(t, s, box{"one", encCtx, sealed}, plain)
		wantOpen(t, s, box{"one", encCtx, sealed}, plain)
	}
	if err := s.Provider.Check(t.Context(), "one"); err != nil {
		t.Errorf("Check: %v", err)
	}
	// No context and an empty one are the same.
	plain, sealed, err := s.Provider.Generate(t.Context(), "one", nil)
	if err != nil {
		t.Fatal(err)
	}
	wantOpen(t, s, box{"one", "", sealed}, plain)
}

func testFresh(t *testing.T, s Store) {
	s.Create(t, "one")
	seen := make(map[keys.DataKey]bool)
	for range 8 {
		plain, _ := generate(t, s, "one", "")
		if seen[plain] {
			t.Fatal("a data key was made twice")
		}
		seen[plain] = true
	}
}

func testContext(t *testing.T, s Store) {
	s.Create(t, "one")
	_, sealed := generate(t, s, "one", "mine")
	for _, other := range []string{"", "min", "mine ", "yours"} {
		wantClosed(t, s, box{"one", other, sealed}, keys.ErrInvalid)
	}
	_, sealed = generate(t, s, "one", "")
	wantClosed(t, s, box{"one", "mine", sealed}, keys.ErrInvalid)
}

func testOtherKey(t *testing.T, s Store) {
	s.Create(t, "one")
	s.Create(t, "two")
	_, sealed := generate(t, s, "one", "c")
	wantClosed(t, s, box{"two", "c", sealed}, keys.ErrInvalid)
}

func testDamage(t *testing.T, s Store) {
	s.Create(t, "one")
	_, sealed := generate(t, s, "one", "c")
	damaged := [][]byte{nil, {}, sealed[:1], sealed[:len(sealed)-1], append(bytes.Clone(sealed), 0), make([]byte, len(sealed)), bytes.Repeat([]byte("x"), keys.MaxSealed+1)}
	for _, at := range []int{len(sealed) / 2, len(sealed) - 6} {
		b := bytes.Clone(sealed)
		// A change that is one whatever the text's alphabet.
		if b[at] == 'A' {
			b[at] = 'B'
		} else {
			b[at] = 'A'
		}
		damaged = append(damaged, b)
	}
	for _, b := range damaged {
		wantClosed(t, s, box{"one", "c", b}, keys.ErrInvalid)
	}
}

func testLongContext(t *testing.T, s Store) {
	s.Create(t, "one")
	longest := string(bytes.Repeat([]byte("c"), keys.MaxContext))
	plain, sealed := generate(t, s, "one", longest)
	wantOpen(t, s, box{"one", longest, sealed}, plain)
	if _, _, err := s.Provider.Generate(t.Context(), "one", []byte(longest+"c")); !errors.Is(err, keys.ErrContext) {
		t.Errorf("a context of more than %d bytes: %v", keys.MaxContext, err)
	}
}

// wantUnusable sees every method refuse a key.
func wantUnusable(t *testing.T, s Store, name string, sealed []byte, want error) {
	t.Helper()
	if plain, b, err := s.Provider.Generate(t.Context(), name, nil); !errors.Is(err, want) || b != nil || plain != (keys.DataKey{}) {
		t.Errorf("Generate: %v, want %v", err, want)
	}
	wantClosed(t, s, box{name, "", sealed}, want)
	if b, err := s.Provider.Rewrap(t.Context(), name, sealed, nil); !errors.Is(err, want) || b != nil {
		t.Errorf("Rewrap: %v, want %v", err, want)
	}
	if err := s.Provider.Check(t.Context(), name); !errors.Is(err, want) {
		t.Errorf("Check: %v, want %v", err, want)
	}
}

func testNoKey(t *testing.T, s Store) {
	s.Create(t, "one")
	_, sealed := generate(t, s, "one", "")
	wantUnusable(t, s, "none", sealed, keys.ErrNoKey)
	// It is found as soon as it is there.
	s.Create(t, "none")
	plain, sealed := generate(t, s, "none", "")
	wantOpen(t, s, box{"none", "", sealed}, plain)
}

func testDelete(t *testing.T, s Store) {
	s.Create(t, "one")
	s.Create(t, "two")
	plain, sealed := generate(t, s, "one", "")
	other, sealedOther := generate(t, s, "two", "")
	wantOpen(t, s, box{"one", "", sealed}, plain)
	s.Delete(t, "one")
	wantUnusable(t, s, "one", sealed, keys.ErrNoKey)
	wantOpen(t, s, box{"two", "", sealedOther}, other)
}

func testDisable(t *testing.T, s Store) {
	if s.Disable == nil {
		t.Skip("the provider knows no disabled keys")
	}
	s.Create(t, "one")
	plain, sealed := generate(t, s, "one", "")
	s.Disable(t, "one")
	wantUnusable(t, s, "one", sealed, keys.ErrDisabled)
	s.Enable(t, "one")
	wantOpen(t, s, box{"one", "", sealed}, plain)
	if err := s.Provider.Check(t.Context(), "one"); err != nil {
		t.Errorf("Check of an enabled key: %v", err)
	}
}

func testRotate(t *testing.T, s Store) {
	s.Create(t, "one")
	first, sealedFirst := generate(t, s, "one", "c")
	s.Rotate(t, "one")
	second, sealedSecond := generate(t, s, "one", "c")
	wantOpen(t, s, box{"one", "c", sealedFirst}, first)
	wantOpen(t, s, box{"one", "c", sealedSecond}, second)
}

// rewrap returns what Rewrap says, without error.
func rewrap(t *testing.T, s Store, b box) []byte {
	t.Helper()
	fresh, err := s.Provider.Rewrap(t.Context(), b.key, b.sealed, []byte(b.encCtx))
	if err != nil {
		t.Fatalf("Rewrap: %v", err)
	}
	return fresh
}

func testRewrap(t *testing.T, s Store) {
	s.Create(t, "one")
	plain, sealed := generate(t, s, "one", "c")
	if rewrap(t, s, box{"one", "c", sealed}) != nil {
		t.Error("a data key of the newest version was sealed anew")
	}
	s.Rotate(t, "one")
	s.Rotate(t, "one")
	fresh := rewrap(t, s, box{"one", "c", sealed})
	if fresh == nil || bytes.Equal(fresh, sealed) || len(fresh) > keys.MaxSealed {
		t.Fatalf("Rewrap made %d bytes", len(fresh))
	}
	wantOpen(t, s, box{"one", "c", fresh}, plain)
	wantOpen(t, s, box{"one", "c", sealed}, plain)
	wantClosed(t, s, box{"one", "another", fresh}, keys.ErrInvalid)
	if rewrap(t, s, box{"one", "c", fresh}) != nil {
		t.Error("a data key was sealed anew twice")
	}
}

func testRewrapRefuses(t *testing.T, s Store) {
	s.Create(t, "one")
	s.Create(t, "two")
	_, sealed := generate(t, s, "one", "c")
	s.Rotate(t, "one")
	for _, b := range []box{{"two", "c", sealed}, {"one", "c", sealed[:len(sealed)-1]}, {"one", "c", nil}} {
		if fresh, err := s.Provider.Rewrap(t.Context(), b.key, b.sealed, []byte(b.encCtx)); !errors.Is(err, keys.ErrInvalid) || fresh != nil {
			t.Errorf("Rewrap under %s: %v", b.key, err)
		}
	}
	// A provider that moves a data key without opening it need not see that the
	// context is another; it does not make it open.
	fresh, err := s.Provider.Rewrap(t.Context(), "one", sealed, []byte("another"))
	if err == nil {
		wantClosed(t, s, box{"one", "another", fresh}, keys.ErrInvalid)
	} else if !errors.Is(err, keys.ErrInvalid) {
		t.Errorf("Rewrap with another context: %v", err)
	}
}

func testDrop(t *testing.T, s Store) {
	if s.Drop == nil {
		t.Skip("the provider drops no versions")
	}
	s.Create(t, "one")
	plain, old := generate(t, s, "one", "c")
	s.Rotate(t, "one")
	fresh := rewrap(t, s, box{"one", "c", old})
	s.Drop(t, "one")
	wantOpen(t, s, box{"one", "c", fresh}, plain)
	wantClosed(t, s, box{"one", "c", old}, keys.ErrInvalid)
}

func testCancelled(t *testing.T, s Store) {
	s.Create(t, "one")
	_, sealed := generate(t, s, "one", "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, generated := s.Provider.Generate(ctx, "one", nil)
	_, unsealed := s.Provider.Unseal(ctx, "one", sealed, nil)
	_, rewrapped := s.Provider.Rewrap(ctx, "one", sealed, nil)
	for name, err := range map[string]error{"Generate": generated, "Unseal": unsealed, "Rewrap": rewrapped, "Check": s.Provider.Check(ctx, "one")} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want the context's error", name, err)
		}
	}
}

func testConcurrent(t *testing.T, s Store) {
	s.Create(t, "one")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 4 {
				plain, sealed, err := s.Provider.Generate(t.Context(), "one", []byte("c"))
				if err != nil {
					t.Errorf("Generate: %v", err)
					return
				}
				if got, err := s.Provider.Unseal(t.Context(), "one", sealed, []byte("c")); err != nil || got != plain {
					t.Errorf("Unseal: another data key, or %v", err)
				}
			}
		})
	}
	s.Rotate(t, "one")
	wg.Wait()
}
