package objects_test

import (
	"strings"
	"testing"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// TestVersionIDsHaveOneSpelling: what a policy says of a version is said of
// its id as it is written.
func TestVersionIDsHaveOneSpelling(t *testing.T) {
	e := open(t)
	e.must(e.PutBucketVersioning(e.ctx, bucket, s3.VersioningEnabled))
	o := e.put("k", []byte("text"))
	id := string(o.VersionID)
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
	last := strings.IndexByte(digits, id[len(id)-1])
	for _, other := range []string{id[:len(id)-1] + digits[last^1:last^1+1], id + "\n", "\r" + id, strings.ToLower(id)} {
		_, err := e.HeadObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: "k", VersionID: s3.VersionID(other)})
		if s3.CodeOf(err) != s3.InvalidArgument {
			t.Errorf("%q stands for %q: %v", other, id, err)
		}
	}
}
