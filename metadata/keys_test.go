package metadata

import (
	"bytes"
	"cmp"
	"math/rand/v2"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/metadata/kv"
)

func sign(n int) int { return cmp.Compare(n, 0) }

// checkKeyOrder compares the byte order of encoded keys with the order of what
// they encode.
func checkKeyOrder(t *testing.T, a, b string, x, y uint64) {
	t.Helper()
	s := keyspace{root: []byte("r")}
	byKey := strings.Compare(a, b)
	type pair struct {
		name string
		a, b []byte
		want int
	}
	for _, p := range []pair{
		{"V", s.version(9, a, Ord(x)), s.version(9, b, Ord(y)), cmp.Or(byKey, -cmp.Compare(x, y))},
		{"D", s.inline(9, a, Ord(x)), s.inline(9, b, Ord(y)), cmp.Or(byKey, -cmp.Compare(x, y))},
		{"O", s.object(9, a), s.object(9, b), byKey},
		{"O of buckets", s.object(BucketID(x), a), s.object(BucketID(y), b), cmp.Or(cmp.Compare(x, y), byKey)},
		{"u", s.owned(a, b), s.owned(b, a), cmp.Or(byKey, strings.Compare(b, a))},
		{"M", s.upload(9, a, UploadID{15: byte(x)}), s.upload(9, b, UploadID{15: byte(y)}), cmp.Or(byKey, cmp.Compare(byte(x), byte(y)))},
		{"E", s.extents(sampleID(1), int64(x>>1)), s.extents(sampleID(1), int64(y>>1)), cmp.Compare(x>>1, y>>1)},
		{"R", s.ref(1, int64(x>>1), sampleID(1)), s.ref(1, int64(y>>1), sampleID(2)), cmp.Or(cmp.Compare(x>>1, y>>1), -1)},
		{"P", s.part(1, UploadID{}, int(x&0xffff)), s.part(1, UploadID{}, int(y&0xffff)), cmp.Compare(x&0xffff, y&0xffff)},
	} {
		if got := sign(bytes.Compare(p.a, p.b)); got != p.want {
			t.Errorf("keys %s of (%q,%d) and (%q,%d) compare %d, want %d", p.name, a, x, b, y, got, p.want)
		}
	}
	if in := strings.HasPrefix(a, b); in != within(escBody([]byte{1}, b), esc([]byte{1}, a)) {
		t.Errorf("%q starts with %q: %v, but its key says otherwise", a, b, in)
	}
}

func within(prefix, key []byte) bool {
	r := kv.PrefixRange(prefix)
	return bytes.Compare(key, r.Begin) >= 0 && bytes.Compare(key, r.End) < 0
}

func checkKeyParsing(t *testing.T, key string, n uint64) {
	t.Helper()
	s := keyspace{root: []byte("root")}
	got, err := s.parseVersion(s.version(BucketID(n), key, Ord(^n)))
	if want := (rowKey{bucket: BucketID(n), key: key, ord: Ord(^n)}); err != nil || got != want {
		t.Errorf("version key parses to %+v, want %+v, error %v", got, want, err)
	}
	got, err = s.parseUpload(s.upload(BucketID(n), key, sampleID(byte(n))))
	if want := (rowKey{bucket: BucketID(n), key: key, upload: sampleID(byte(n))}); err != nil || got != want {
		t.Errorf("upload key parses to %+v, want %+v, error %v", got, want, err)
	}
	got, err = s.parsePart(s.part(BucketID(n), sampleID(byte(n)), int(n&0xffff)))
	if want := (rowKey{bucket: BucketID(n), upload: sampleID(byte(n)), part: int(n & 0xffff)}); err != nil || got != want {
		t.Errorf("part key parses to %+v, want %+v, error %v", got, want, err)
	}
	for _, o := range []Owner{
		{Kind: OwnerVersion, Bucket: BucketID(n), Key: key, Ord: Ord(n)},
		{Kind: OwnerPart, Bucket: BucketID(n), Upload: sampleID(1), Part: int(n % 10001), Token: sampleID(2)},
	} {
		got, err := parseOwner(appendOwner(nil, &o))
		if diff := gocmp.Diff(o, got); err != nil || diff != "" {
			t.Errorf("owner parses to another, error %v:\n%s", err, diff)
		}
	}
}

func TestKeysSortLikeTuples(t *testing.T) {
	texts := []string{"", "\x00", "\x00\x00", "\x00\x01", "\x00\xff", "\x01", "a", "a\x00", "a\x00b", "a\x01", "a/", "aa", "a\xff", "b", "\xff", "\xff\xff"}
	numbers := []uint64{0, 1, 255, 256, 1 << 32, 1<<63 - 1, 1 << 63, 1<<64 - 1}
	for _, a := range texts {
		for _, b := range texts {
			for _, x := range numbers {
				for _, y := range numbers {
					checkKeyOrder(t, a, b, x, y)
				}
			}
		}
		for _, x := range numbers {
			checkKeyParsing(t, a, x)
		}
	}
}

func FuzzKeys(f *testing.F) {
	f.Add("a", "a\x00", uint64(1), uint64(2))
	f.Add("\x00\xff", "\x00\x01", uint64(0), uint64(1<<63))
	f.Fuzz(func(t *testing.T, a, b string, x, y uint64) {
		checkKeyOrder(t, a, b, x, y)
		checkKeyParsing(t, a, x)
	})
}

func TestKeyParsersAcceptAnything(t *testing.T) {
	s := keyspace{root: []byte("r")}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		b := make([]byte, rng.IntN(40))
		for i := range b {
			b[i] = []byte{0, 1, 2, 0xff, 'a'}[rng.IntN(5)]
		}
		_, _ = s.parseVersion(b)
		_, _ = s.parseUpload(b)
		_, _ = s.parsePart(b)
		_, _, _ = s.parsePlain(b)
		_ = readableKey(s, b)
		if o, err := parseOwner(b); err == nil && !bytes.Equal(appendOwner(nil, &o), b) {
			t.Fatalf("owner %x parses to %+v, which is encoded otherwise", b, o)
		}
	}
}
