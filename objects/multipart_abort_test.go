package objects_test

import (
	"strings"
	"testing"

	"github.com/undercroft/undercroft/metadata/kv/mem"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// An abort whose commit was lost while the upload was completed did not abort
// it, though the upload is gone.
func TestUnknownAbortIsNotTakenForTheCompletionThatCameBefore(t *testing.T) {
	var complete func()
	s := newShaky(t, mem.Faults{Hook: func(p mem.Point) mem.Fault {
		if p.Place != mem.AtCommit || p.Class != "abort" {
			return mem.None
		}
		complete()
		return mem.UnknownLost
	}})
	ctx := t.Context()
	u, err := s.CreateMultipartUpload(ctx, objects.CreateUploadInput{Bucket: bucket, Key: "k", Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	part, err := s.UploadPart(ctx, objects.UploadPartInput{
		Bucket: bucket, Key: "k", Upload: u.ID, Number: 1, Body: objects.Body{Reader: strings.NewReader("bytes"), Size: 5},
	})
	if err != nil {
		t.Fatal(err)
	}
	complete = func() {
		_, err := s.CompleteMultipartUpload(ctx, objects.CompleteUploadInput{
			Bucket: bucket, Key: "k", Upload: u.ID, Size: -1, Parts: []objects.CompletedPart{{Number: 1, ETag: part.ETag}},
		})
		if err != nil {
			t.Error(err)
		}
	}
	err = s.AbortMultipartUpload(ctx, objects.AbortUploadInput{Bucket: bucket, Key: "k", Upload: u.ID})
	if err == nil {
		t.Error("the abort of a completed upload was acknowledged")
	}
	if _, err := s.HeadObject(ctx, objects.GetObjectInput{Bucket: bucket, Key: s3.Key("k")}); err != nil {
		t.Error(err)
	}
}
