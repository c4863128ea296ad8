package objects

import (
	"crypto/md5"
	"encoding/hex"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/metadata"
)

// completedAmong is among how many of the newest versions of a key the one is
// looked for that an upload was completed to.
const completedAmong = 100

// completed is the version that the upload was completed to, for a client that
// did not get the answer and asks again. Another list of parts is another
// request: for that, the upload is gone.
func (c *completion) completed(r *metadata.Reader) (*metadata.Object, error) {
	row, err := c.completedRow(r)
	if err != nil {
		return nil, err
	}
	same := false
	if row != nil {
		if same, err = c.sameParts(r, row); err != nil {
			return nil, err
		}
	}
	if !same {
		return nil, noSuchUpload(c.target.name)
	}
	return row, nil
}

// completedRow finds the row that has the upload's id for its token.
func (c *completion) completedRow(r *metadata.Reader) (*metadata.Object, error) {
	b, key, token := c.target.bucket.ID, string(c.target.key), metadata.Token(c.target.id)
	row, err := r.Object(b, key)
	if err != nil || row != nil && row.Token == token {
		return row, err
	}
	older, err := r.Versions(b, key, completedAmong)
	for i := range older {
		if older[i].Token == token {
			return &older[i], err
		}
	}
	return nil, err
}

// sameParts says whether the version is made of the parts listed.
func (c *completion) sameParts(r *metadata.Reader, row *metadata.Object) (bool, error) {
	tag := multipartETag(len(c.list), func(i int) string { return string(c.list[i].ETag) })
	if tag != row.ETag {
		return false, nil
	}
	if row.Data.Kind != metadata.DataManifest {
		return true, nil // a single part of no bytes
	}
	same, n := true, 0
	err := r.EachManifestPart(row.Data.ID, func(p *metadata.ManifestPart) bool {
		same = n < len(c.list) && p.Number == c.list[n].Number
		n++
		return same
	})
	return same && n == len(c.list), err
}

// multipartETag is the entity tag of an object of n parts, made of theirs.
func multipartETag(n int, tagOf func(int) string) string {
	return checksum.MultipartETag(func(yield func([md5.Size]byte) bool) {
		for i := range n {
			var sum [md5.Size]byte
			if tag := tagOf(i); len(tag) == 2*md5.Size {
				_, _ = hex.Decode(sum[:], []byte(tag)) // tags of parts are ours; others match nothing
			}
			if !yield(sum) {
				return
			}
		}
	})
}
