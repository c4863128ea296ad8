package objects_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// upload begins an upload of n parts, each a copy of one object.
func (a *afar) upload(key s3.Key, n int) objects.CompleteUploadInput {
	a.t.Helper()
	u, err := a.CreateMultipartUpload(a.t.Context(), objects.CreateUploadInput{Bucket: bucket, Key: key, Owner: owner})
	a.must(err)
	in := objects.CompleteUploadInput{Bucket: bucket, Key: key, Upload: u.ID, Size: -1}
	for number := 1; number <= n; number++ {
		out, err := a.UploadPartCopy(a.t.Context(), objects.UploadPartCopyInput{
			Source: objects.CopySource{Bucket: bucket, Key: "lead"}, Bucket: bucket, Key: key, Upload: u.ID, Number: number,
		})
		a.must(err)
		in.Parts = append(in.Parts, objects.CompletedPart{Number: number, ETag: out.Part.ETag})
	}
	return in
}

// What ends or lists an upload reads all of it in one round, but for the replies of the
// parts that follow the first.
func TestRoundsOfUploads(t *testing.T) {
	a := newAfar(t)
	a.must(a.put(t.Context(), "lead", s3.MinPartSize))
	complete := func(in objects.CompleteUploadInput) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := a.CompleteMultipartUpload(ctx, in)
			return err
		}
	}
	list := func(in objects.CompleteUploadInput) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			out, err := a.ListParts(ctx, objects.ListPartsInput{Bucket: bucket, Key: in.Key, Upload: in.Upload, Max: 1000})
			if len(out.Parts) != len(in.Parts) {
				t.Errorf("%d parts, want %d", len(out.Parts), len(in.Parts))
			}
			return err
		}
	}
	abort := func(in objects.CompleteUploadInput) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			return a.AbortMultipartUpload(ctx, objects.AbortUploadInput{Bucket: bucket, Key: in.Key, Upload: in.Upload})
		}
	}
	for _, c := range []struct {
		name    string
		parts   int
		request func(objects.CompleteUploadInput) func(context.Context) error
		want    trips
	}{
		{"complete 1", 1, complete, trips{2, 2, 1}},
		{"complete 1000", 1000, complete, trips{2, 4, 1}},
		{"list 1000", 1000, list, trips{1, 3, 0}},
		{"abort 100", 100, abort, trips{1, 1, 1}},
	} {
		in := a.upload("key", c.parts)
		counts, err := a.costs(c.request(in))
		a.must(err)
		if diff := cmp.Diff(c.want, trips{counts.ReadVersions, counts.Rounds, counts.Commits}); diff != "" {
			t.Errorf("%s: %+v (-want +got):\n%s", c.name, counts, diff)
		}
	}
}
