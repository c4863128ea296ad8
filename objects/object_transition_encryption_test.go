package objects_test

import (
	"slices"
	"testing"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sse"
)

// putPartsAs uploads an encrypted object of parts.
func (e *env) putPartsAs(key s3.Key, as objects.Encryption, parts ...[]byte) {
	e.t.Helper()
	u, err := e.CreateMultipartUpload(e.ctx, objects.CreateUploadInput{Bucket: bucket, Key: key, Owner: owner, Encryption: as})
	e.must(err)
	var done []objects.CompletedPart
	for i, data := range parts {
		p, err := e.UploadPart(e.ctx, objects.UploadPartInput{
			Bucket: bucket, Key: key, Upload: u.ID, Number: i + 1, Body: bodyOf(data), CustomerKey: as.Customer,
		})
		e.must(err)
		done = append(done, objects.CompletedPart{Number: i + 1, ETag: p.ETag})
	}
	_, err = e.CompleteMultipartUpload(e.ctx, objects.CompleteUploadInput{
		Bucket: bucket, Key: key, Upload: u.ID, Parts: done, Size: -1, CustomerKey: as.Customer,
	})
	e.must(err)
}

// TestTransitionOfEncryptedObjects moves what it has no key for, twice, and copies share
// and move what was moved.
func TestTransitionOfEncryptedObjects(t *testing.T) {
	heavy(t)
	e, _ := openEncrypting(t, withClasses)
	small, large := bytesOf(1, 100), bytesOf(2, 5*mib+70*kib)
	for _, name := range []string{"c1", "s3", "kms2"} {
		as := encryptions()[name]
		e.putAs("small", small, as)
		e.putAs("large", large, as)
		e.putPartsAs("parts", as, large, small)
		all := map[s3.Key][]byte{"small": small, "large": large, "parts": slices.Concat(large, small)}
		for key, data := range all {
			before := e.row(key)
			for _, class := range []s3.StorageClass{cold, rare} {
				e.move(key, class)
				out := e.holdsAs(key, data, as)
				row := e.row(key)
				if out.Object.StorageClass != string(class) || string(row.Encryption.Sealed) != string(before.Encryption.Sealed) || row.ETag != before.ETag {
					t.Errorf("%s %q in %s: %+v", name, key, class, out.Object)
				}
			}
			for _, r := range rangesOf(int64(len(data))) {
				_, got, err := e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: key, Range: &r, CustomerKey: as.Customer})
				e.must(err)
				if d := difference(got, data[r.First:r.Last+1]); d != "" {
					t.Errorf("%s %q range %+v: %s", name, key, r, d)
				}
			}
			for _, class := range []string{string(rare), string(cold), ""} {
				_, err := e.CopyObject(e.ctx, objects.CopyObjectInput{
					Source: objects.CopySource{Bucket: bucket, Key: key, CustomerKey: as.Customer}, Bucket: bucket, Key: "copy", Owner: owner,
					StorageClass: class, Encryption: as,
				})
				e.must(err)
				e.holdsAs("copy", data, as)
				e.move("copy", cold)
				e.holdsAs("copy", data, as)
			}
			other := encryptions()["c2"]
			_, err := e.CopyObject(e.ctx, objects.CopyObjectInput{
				Source: objects.CopySource{Bucket: bucket, Key: key, CustomerKey: as.Customer}, Bucket: bucket, Key: "other", Owner: owner,
				StorageClass: string(cold), Encryption: other,
			})
			e.must(err)
			e.holdsAs("other", data, other)
			e.holdsAs(key, data, as)
		}
		e.RunSteward()
		e.noIntents()
	}
}

// TestReadersOfEncryptedObjectsFollowATransition: from the byte on that they have seen.
func TestReadersOfEncryptedObjectsFollowATransition(t *testing.T) {
	heavy(t)
	e, _ := openEncrypting(t, withClasses)
	as := encryptions()["c1"]
	large := bytesOf(2, 9*mib+7)
	e.putAs("large", large, as)
	e.putPartsAs("parts", as, large, large[:6*mib])
	for key, data := range map[s3.Key][]byte{"large": large, "parts": slices.Concat(large, large[:6*mib])} {
		for _, after := range []int{1, 2 * sse.ChunkData, len(data) - 5*mib} {
			r := s3.ByteRange{First: 17, Last: int64(len(data)) - 5}
			out, err := e.GetObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: key, CustomerKey: as.Customer, Range: &r})
			e.must(err)
			e.readWhileMoving(out, key, after, data[r.First:r.Last+1])
			e.move(key, "STANDARD")
		}
	}
}
