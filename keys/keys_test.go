package keys

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestDataKeysHide(t *testing.T) {
	k := DataKey(bytes.Repeat([]byte("A"), Size))
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, nil))
	logger.Info("key", "key", k, "pointer", &k, "inside", struct{ Key DataKey }{k})
	slog.New(slog.NewJSONHandler(&out, nil)).Info("key", "key", k, "inside", struct{ Key DataKey }{k})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%o", "%b"} {
		fmt.Fprintf(&out, verb+"\n", k)
		fmt.Fprintf(&out, verb+"\n", &k)
		fmt.Fprintf(&out, verb+"\n", struct{ Key DataKey }{k})
	}
	text, err := json.Marshal(map[string]any{"key": k, "pointer": &k})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	for _, told := range []string{"AAA", "414141", "65 65", "65,65", "0x41", "101 101", "1000001", "QUFB"} {
		if strings.Contains(out.String(), told) {
			t.Errorf("a data key tells itself as %q:\n%s", told, out.String())
		}
	}
	k.Wipe()
	if k != (DataKey{}) {
		t.Error("a data key was not wiped")
	}
}

func TestName(t *testing.T) {
	for id, want := range map[string]string{
		"k": "k", "my-key_1.x": "my-key_1.x", "alias/k": "k", SSES3: SSES3,
		"1234abcd-12ab-34cd-56ef-1234567890ab":                                  "1234abcd-12ab-34cd-56ef-1234567890ab",
		"arn:aws:kms:us-east-1:111122223333:key/1234abcd":                       "1234abcd",
		"arn:aws:kms:us-east-1:111122223333:alias/k":                            "k",
		"arn:aws-cn:kms:cn-north-1:111122223333:key/" + strings.Repeat("a", 99): strings.Repeat("a", 99),
		strings.Repeat("a", MaxName):                                            strings.Repeat("a", MaxName),
	} {
		if got, err := Name(id); err != nil || got != want {
			t.Errorf("Name(%q) = %q, %v", id, got, err)
		}
	}
	for _, id := range []string{
		"", " ", "a b", "a/b", "../x", ".", "..", "-a", "alias/", "alias/alias/x", "é", "arn:", "arn:aws:s3:::bucket", "arn:aws:kms:r:a:key/", "arn:aws:kms:r:a:grant/x",
		strings.Repeat("a", MaxName+1), "a\x00",
	} {
		if got, err := Name(id); !errors.Is(err, ErrNoKey) || got != "" || len(err.Error()) > 2*MaxName {
			t.Errorf("Name(%q) = %q, %v", id, got, err)
		}
	}
}

func TestWrapIsBoundToEverything(t *testing.T) {
	under, plain := DataKey{1}, DataKey{2}
	to := Bound{Key: "k", Version: 3, Context: []byte("c")}
	sealed, err := Wrap(rand.Reader, &under, &plain, to)
	if err != nil || len(sealed) != WrappedSize {
		t.Fatalf("%d bytes, %v", len(sealed), err)
	}
	if v, err := WrappedVersion(sealed); err != nil || v != 3 {
		t.Errorf("version %d, %v", v, err)
	}
	if got, err := Unwrap(&under, sealed, to); err != nil || got != plain {
		t.Errorf("another data key, or %v", err)
	}
	for _, other := range []Bound{
		{"k", 2, []byte("c")},
		{"j", 3, []byte("c")},
		{"k", 3, nil},
		{"kc", 3, nil},
		{"", 3, []byte("kc")},
	} {
		if got, err := Unwrap(&under, sealed, other); !errors.Is(err, ErrInvalid) || got != (DataKey{}) {
			t.Errorf("opened as %v: %v", other, err)
		}
	}
	for i := range sealed {
		b := bytes.Clone(sealed)
		b[i] ^= 1
		v, _ := WrappedVersion(b)
		if got, err := Unwrap(&under, b, Bound{"k", v, []byte("c")}); !errors.Is(err, ErrInvalid) || got != (DataKey{}) {
			t.Errorf("opened with byte %d changed: %v", i, err)
		}
	}
	if _, err := Wrap(bytes.NewReader(nil), &under, &plain, to); err == nil {
		t.Error("sealed without a salt")
	}
}
