package objects_test

import (
	"errors"
	"testing"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// A request that began before its account was deleted leaves no bucket behind.
func TestDeletedAccountCreatesNoBucket(t *testing.T) {
	e := open(t)
	a := &metadata.Account{ID: "123456789012", Canonical: "c0ffee", Name: "gone"}
	update := func(fn func(*metadata.Tx) error) {
		t.Helper()
		if err := e.DB.Update(e.ctx, "test", fn); err != nil {
			t.Fatal(err)
		}
	}
	update(func(tx *metadata.Tx) error { return tx.PutAccount(nil, a) })
	in := objects.CreateBucketInput{Name: "before", Owner: s3.OwnerID(a.Canonical)}
	if _, err := e.CreateBucket(e.ctx, in); err != nil {
		t.Fatal(err)
	}
	if err := e.DeleteBucket(e.ctx, in.Name); err != nil {
		t.Fatal(err)
	}
	update(func(tx *metadata.Tx) error { return tx.DeleteAccount(a, time.UnixMilli(1)) })
	in.Name = "after"
	if _, err := e.CreateBucket(e.ctx, in); !errors.Is(err, s3.NewError(s3.AccessDenied)) {
		t.Errorf("a bucket of nobody: %v", err)
	}
	if _, err := e.BucketState(e.ctx, in.Name); !errors.Is(err, s3.NewError(s3.NoSuchBucket)) {
		t.Errorf("it is there: %v", err)
	}
}
