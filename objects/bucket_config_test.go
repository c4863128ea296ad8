package objects_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

func (e *env) config(b s3.BucketName, kind objects.ConfigKind) []byte {
	e.t.Helper()
	state, err := e.BucketState(e.ctx, b)
	e.must(err)
	return state.Config(kind)
}

func TestBucketConfigIsInForceAtOnce(t *testing.T) {
	e := open(t)
	if got := e.config(bucket, objects.ConfigPolicy); got != nil {
		t.Errorf("a new bucket has the policy %q", got)
	}
	e.must(e.PutBucketConfig(e.ctx, bucket, objects.ConfigPolicy, []byte("first")))
	e.must(e.PutBucketConfig(e.ctx, bucket, objects.ConfigCORS, []byte("cors")))
	e.must(e.PutBucketConfig(e.ctx, other, objects.ConfigPolicy, []byte("other")))
	e.must(e.PutBucketConfig(e.ctx, bucket, objects.ConfigPolicy, []byte("second")))
	if got := string(e.config(bucket, objects.ConfigPolicy)); got != "second" {
		t.Errorf("policy %q, want the second", got)
	}
	e.must(e.DeleteBucketConfig(e.ctx, bucket, objects.ConfigPolicy))
	e.must(e.DeleteBucketConfig(e.ctx, bucket, objects.ConfigPolicy))
	if got := e.config(bucket, objects.ConfigPolicy); got != nil {
		t.Errorf("policy %q after its deletion", got)
	}
	if got := string(e.config(bucket, objects.ConfigCORS)); got != "cors" {
		t.Errorf("CORS %q", got)
	}
	e.restart()
	if got := string(e.config(other, objects.ConfigPolicy)); got != "other" {
		t.Errorf("policy %q after a restart", got)
	}
}

func TestBucketConfigErrors(t *testing.T) {
	e := open(t)
	err := e.PutBucketConfig(e.ctx, "missing", objects.ConfigPolicy, nil)
	if s3.CodeOf(err) != s3.NoSuchBucket {
		t.Errorf("no bucket: %v", err)
	}
	err = e.PutBucketConfig(e.ctx, bucket, objects.ConfigPolicy, make([]byte, metadata.MaxConfig+1))
	if s3.CodeOf(err) != s3.EntityTooLarge {
		t.Errorf("too long: %v", err)
	}
}

func TestCreateBucketWithConfigs(t *testing.T) {
	e := open(t)
	const name s3.BucketName = "configured"
	_, err := e.CreateBucket(e.ctx, objects.CreateBucketInput{
		Name: name, Owner: owner, Configs: map[objects.ConfigKind][]byte{objects.ConfigACL: []byte("acl")},
	})
	e.must(err)
	if got := string(e.config(name, objects.ConfigACL)); got != "acl" {
		t.Errorf("ACL %q", got)
	}
}

// A document is parsed once, also when other buckets change, and again after
// its own change.
func TestBucketConfigIsParsedOnce(t *testing.T) {
	e := open(t)
	e.must(e.PutBucketConfig(e.ctx, bucket, objects.ConfigPolicy, []byte("a")))
	times := 0
	parse := func(doc []byte) (string, error) {
		times++
		if bytes.Equal(doc, []byte("bad")) {
			return "", errors.New("bad")
		}
		return string(doc) + "!", nil
	}
	parsed := func() (string, error) {
		state, err := e.BucketState(e.ctx, bucket)
		e.must(err)
		return objects.Parsed(state, objects.ConfigPolicy, parse)
	}
	for range 3 {
		if got, err := parsed(); got != "a!" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		e.must(e.PutBucketConfig(e.ctx, other, objects.ConfigPolicy, []byte("x")))
	}
	if times != 1 {
		t.Errorf("parsed %d times", times)
	}
	e.must(e.PutBucketConfig(e.ctx, bucket, objects.ConfigPolicy, []byte("bad")))
	if got, err := parsed(); err == nil {
		t.Errorf("%q of a document that does not parse", got)
	}
	e.must(e.DeleteBucketConfig(e.ctx, bucket, objects.ConfigPolicy))
	if got, err := parsed(); got != "" || err != nil {
		t.Errorf("%q, %v of no document", got, err)
	}
}
