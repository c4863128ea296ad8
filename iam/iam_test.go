package iam

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func TestRootKeyring(t *testing.T) {
	keys := NewRootKeyring("AKIAROOT", "hush-hush")
	got, err := keys.Lookup(t.Context(), "AKIAROOT")
	if err != nil {
		t.Fatal(err)
	}
	want := Credential{AccessKey: "AKIAROOT", Secret: "hush-hush", Identity: RootIdentity()}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, unknown := range []string{"", "akiaroot", "AKIAROOT ", "AKIAROO"} {
		if _, err := keys.Lookup(t.Context(), unknown); !errors.Is(err, ErrNoSuchKey) {
			t.Errorf("Lookup(%q): %v, want ErrNoSuchKey", unknown, err)
		}
	}
	if _, err := NewRootKeyring("", "").Lookup(t.Context(), ""); !errors.Is(err, ErrNoSuchKey) {
		t.Errorf("an empty access key was found: %v", err)
	}
}

func TestRootIdentityIsStable(t *testing.T) {
	// Buckets carry the owner's canonical id: another value here is a change of
	// every owner on disk.
	const want = "5d5aec3cdccf81a31610882b3a5ecc84076bcb55720013b44b7f487393f3ca22"
	root := RootIdentity()
	if root.CanonicalID != want || root.AccountID != "000000000001" {
		t.Errorf("root is %s in %s, want %s", root.CanonicalID, root.AccountID, want)
	}
	if CanonicalIDOf("000000000002") == root.CanonicalID {
		t.Error("two accounts have one canonical id")
	}
}

func TestGenerateKey(t *testing.T) {
	accessKey, secret, err := GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(accessKey) {
		t.Errorf("access key %q", accessKey)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9+/]{40}$`).MatchString(secret) {
		t.Errorf("secret of %d characters or a strange one", len(secret))
	}
	again, secretAgain, err := GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if again == accessKey || secretAgain == secret {
		t.Error("two key pairs are alike")
	}
	if _, _, err := GenerateKey(bytes.NewReader(make([]byte, 45))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a short source of randomness: %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

func TestCredentialDoesNotLogItsSecret(t *testing.T) {
	var log strings.Builder
	c, err := NewRootKeyring("AKIAROOT", "hush-hush").Lookup(t.Context(), "AKIAROOT")
	if err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewTextHandler(&log, nil)).Info("key", slog.Any("credential", c))
	if strings.Contains(log.String(), "hush-hush") || !strings.Contains(log.String(), "AKIAROOT") {
		t.Errorf("log line %q", log.String())
	}
}
