package objects_test

import (
	"testing"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

func TestDelete(t *testing.T) {
	e := open(t)
	for _, size := range []int{0, 10, 10_000, mib + 1} {
		e.put("k", bytesOf(1, size))
		e.remove("k")
		e.absent("k")
		e.remove("k") // gone already: not an error
		e.absent("k")
	}
	if keys := e.keys(); len(keys) != 0 {
		t.Errorf("keys %q", keys)
	}
	for _, tc := range []struct {
		in   objects.DeleteObjectInput
		want s3.Code
	}{
		{objects.DeleteObjectInput{Bucket: "nowhere", Key: "k"}, s3.NoSuchBucket},
		{objects.DeleteObjectInput{Bucket: bucket, Key: ""}, s3.InvalidRequest},
		{objects.DeleteObjectInput{Bucket: bucket, Key: "k", VersionID: "rubbish"}, s3.InvalidArgument},
	} {
		_, err := e.DeleteObject(e.ctx, tc.in)
		e.refuse(err, tc.want)
	}
}

func TestDeleteVersion(t *testing.T) {
	e := open(t)
	e.put("k", []byte("x"))
	out, err := e.DeleteObject(e.ctx, objects.DeleteObjectInput{Bucket: bucket, Key: "k", VersionID: "00000000000000000000000000"})
	e.must(err)
	if out.VersionID != "00000000000000000000000000" || out.DeleteMarker {
		t.Errorf("deletion of a version that is not there: %+v", out)
	}
	e.holds("k", []byte("x"))
	out, err = e.DeleteObject(e.ctx, objects.DeleteObjectInput{Bucket: bucket, Key: "k", VersionID: s3.NullVersion})
	e.must(err)
	if out.VersionID != s3.NullVersion || out.DeleteMarker {
		t.Errorf("deletion of the null version: %+v", out)
	}
	e.absent("k")
}

func TestDeletePrecondition(t *testing.T) {
	e := open(t)
	put := e.put("k", []byte("x"))
	expect := func(tag s3.ETag) objects.WritePrecondition {
		return func(current *objects.Object) error {
			if current == nil || current.ETag != tag {
				return s3.NewError(s3.PreconditionFailed)
			}
			return nil
		}
	}
	in := objects.DeleteObjectInput{Bucket: bucket, Key: "k", Precondition: expect("other")}
	_, err := e.DeleteObject(e.ctx, in)
	e.refuse(err, s3.PreconditionFailed)
	e.holds("k", []byte("x"))
	in.Precondition = expect(put.ETag)
	_, err = e.DeleteObject(e.ctx, in)
	e.must(err)
	e.absent("k")
	_, err = e.DeleteObject(e.ctx, in)
	e.refuse(err, s3.PreconditionFailed)
}
