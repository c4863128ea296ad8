package objects_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// held is how many bytes of keys and values the metadata engine has.
func (a *afar) held() (n int) {
	a.t.Helper()
	a.must(a.rounds.View(a.t.Context(), kv.TxOptions{}, func(r kv.Reader) error {
		n = 0
		it := r.GetRange(kv.Range{End: []byte{0xff}}, kv.RangeOptions{})
		defer it.Close()
		for it.Next() {
			n += len(it.Pair().Key) + len(it.Pair().Value)
		}
		return it.Err()
	}))
	return n
}

// What an object takes of the metadata, besides the bytes of an inline one.
func TestMetadataPerObject(t *testing.T) {
	const most, objectsEach = 350, 100
	for _, c := range []struct {
		name   string
		size   int
		status s3.VersioningStatus
	}{
		{"empty", 0, ""}, {"inline", 1000, ""}, {"on disks", 64 << 10, ""}, {"on disks, with versions", 64 << 10, s3.VersioningEnabled},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAfar(t)
			a.versioning(c.status)
			body := 0
			if c.size <= 8<<10 {
				body = c.size
			}
			put := func(i int) {
				_, err := a.PutObject(t.Context(), objects.PutObjectInput{
					Bucket: bucket, Key: s3.Key(fmt.Sprintf("photos/2026/11/22/some-camera-%08d.jpg", i)),
					Owner: s3.OwnerID(strings.Repeat("0123456789abcdef", 4)), Body: bodyOf(bytesOf(uint64(i), c.size)),
					Attributes: objects.Attributes{ContentType: "image/jpeg"},
				})
				a.must(err)
			}
			put(0) // makes what objects share
			before := a.held()
			for i := range objectsEach {
				put(i + 1)
			}
			per := (a.held()-before)/objectsEach - body
			t.Logf("%d bytes", per)
			if per > most || per < 100 {
				t.Errorf("an object takes %d bytes of metadata, at most %d are wanted", per, most)
			}
		})
	}
}
