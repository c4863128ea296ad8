package testcluster_test

import (
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// TestFullMetadataDiskWithVersions: a delete marker is a row more for each
// key, so that markers would take what deletions need; versions can be deleted.
func TestFullMetadataDiskWithVersions(t *testing.T) {
	c, _ := filled(t, testcluster.Options{Edit: func(o *single.Options) { o.Engine.ReserveBytes = 64 << 20 }})
	if err := c.Objects.PutBucketVersioning(t.Context(), bucket, s3.VersioningEnabled); err != nil {
		t.Fatal(err)
	}
	put := func() (objects.Object, error) {
		return c.Objects.PutObject(t.Context(), objects.PutObjectInput{Bucket: bucket, Key: "k", Body: bodyOf(content(1, 10))})
	}
	first, err := put()
	if err != nil {
		t.Fatal(err)
	}
	c.Mem().SetUsage(vfs.DiskUsage{TotalBytes: 1 << 40, AvailBytes: 32 << 20})
	c.AdvanceEngine(time.Minute)
	for err == nil { // as in TestFullMetadataDisk
		_, err = put()
	}
	for _, key := range []s3.Key{"k", "none"} {
		if _, err := c.Objects.DeleteObject(t.Context(), objects.DeleteObjectInput{Bucket: bucket, Key: key}); s3.CodeOf(err) != s3.StorageFull {
			t.Errorf("a delete marker on a full metadata disk: %v", err)
		}
	}
	if _, err := c.Objects.DeleteObject(t.Context(), objects.DeleteObjectInput{Bucket: bucket, Key: "k", VersionID: first.VersionID}); err != nil {
		t.Errorf("deletion of a version on a full metadata disk: %v", err)
	}
	c.MustCheck()
}
