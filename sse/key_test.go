package sse

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSealedKeys(t *testing.T) {
	key, err := NewObjectKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	with, other := [32]byte{1}, [32]byte{2}
	sealed, err := key.Seal(rand.Reader, &with)
	if err != nil || len(sealed) != SealedSize {
		t.Fatalf("sealed to %d bytes, error %v", len(sealed), err)
	}
	got, err := OpenKey(sealed, &with)
	if err != nil || got.key != key.key {
		t.Errorf("does not open: %v", err)
	}
	if _, err := OpenKey(sealed, &other); !errors.Is(err, ErrWrongKey) {
		t.Errorf("with another key: error %v, want ErrWrongKey", err)
	}
	if _, err := OpenKey(sealed[1:], &with); !errors.Is(err, ErrTampered) {
		t.Errorf("cut short: error %v, want ErrTampered", err)
	}
	again, err := key.Seal(rand.Reader, &with)
	if err != nil || bytes.Equal(sealed, again) {
		t.Errorf("sealed twice to the same bytes, error %v", err)
	}
}

func TestCustomerKeys(t *testing.T) {
	raw := []byte("0123456789abcdef0123456789abcdef")
	key, err := NewCustomerKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	if got := key.MD5(); got != "hRasmdxgYDKV3nvbahU1MA==" {
		t.Errorf("MD5 %s", got)
	}
	other, err := NewCustomerKey(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	same, err := NewCustomerKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !key.Equal(same) || key.Equal(other) || key.Equal(nil) || (*CustomerKey)(nil).Equal(key) || !(*CustomerKey)(nil).Equal(nil) {
		t.Error("keys compare wrong")
	}
	sealed, err := key.Seal(rand.Reader, testKey())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := same.Open(sealed); err != nil || got.key != testKey().key {
		t.Errorf("does not open: %v", err)
	}
	if _, err := other.Open(sealed); !errors.Is(err, ErrWrongKey) {
		t.Errorf("error %v, want ErrWrongKey", err)
	}
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := NewCustomerKey(make([]byte, n)); err == nil {
			t.Errorf("%d bytes are taken for a key", n)
		}
	}
	key.Wipe()
	if key.key != ([32]byte{}) {
		t.Error("not wiped")
	}
	(*CustomerKey)(nil).Wipe()
}

func TestKeysNeverPrint(t *testing.T) {
	raw := []byte("0123456789abcdef0123456789abcdef")
	customer, err := NewCustomerKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	object := &ObjectKey{secret{[32]byte(raw)}}
	var out bytes.Buffer
	for _, k := range []any{customer, *customer, object, *object, []*CustomerKey{customer}, struct{ K ObjectKey }{*object}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			fmt.Fprintf(&out, verb, k)
		}
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("key", slog.Any("key", k))
		}
		if err := json.NewEncoder(&out).Encode(k); err != nil {
			t.Fatal(err)
		}
	}
	for _, shown := range []string{string(raw), hex.EncodeToString(raw), "48 49 50", "0x30"} {
		if strings.Contains(out.String(), shown) {
			t.Errorf("%q shows in %s", shown, out.String())
		}
	}
	if !strings.Contains(out.String(), redacted) {
		t.Error("nothing was printed")
	}
}
