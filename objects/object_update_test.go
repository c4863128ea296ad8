package objects_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

func (e *env) head(key s3.Key) objects.Object {
	e.t.Helper()
	out, err := e.HeadObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: key})
	e.must(err)
	return out.Object
}

func TestPutObjectTaggingAndACL(t *testing.T) {
	e := open(t)
	e.put("k", bytes.Repeat([]byte("undercroft"), 10*kib))
	before := e.head("k")
	tags := []objects.Pair{{Name: "team", Value: "blue"}}
	acl := []objects.Grant{{Type: objects.GranteeUser, ID: "friend", Permission: objects.PermissionRead}}
	_, err := e.PutObjectTagging(e.ctx, objects.PutObjectTaggingInput{Bucket: bucket, Key: "k", Tags: tags})
	e.must(err)
	_, err = e.PutObjectACL(e.ctx, objects.PutObjectACLInput{Bucket: bucket, Key: "k", ACL: grants(acl)})
	e.must(err)
	want := before
	want.Tags, want.ACL = tags, acl
	if diff := cmp.Diff(want, e.head("k")); diff != "" {
		t.Error(diff)
	}
	_, err = e.PutObjectTagging(e.ctx, objects.PutObjectTaggingInput{Bucket: bucket, Key: "k"})
	e.must(err)
	if got := e.head("k").Tags; got != nil {
		t.Errorf("tags %v after their removal", got)
	}
	_, err = e.PutObjectTagging(e.ctx, objects.PutObjectTaggingInput{Bucket: bucket, Key: "missing"})
	if s3.CodeOf(err) != s3.NoSuchKey {
		t.Errorf("tags of nothing: %v", err)
	}
}

// Access is asked before anything else is said of a version, and of nothing
// where there is none.
func TestAccessDecidesFirst(t *testing.T) {
	e := open(t)
	e.put("k", []byte("x"))
	denied := errors.New("denied")
	var asked []*objects.Object
	deny := func(o *objects.Object) error {
		asked = append(asked, o)
		return denied
	}
	for _, key := range []s3.Key{"k", "missing"} {
		asked = nil
		calls := map[string]func() error{
			"get": func() error {
				_, err := e.GetObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: key, Access: deny, PartNumber: 7})
				return err
			},
			"attributes": func() error {
				_, err := e.GetObjectAttributes(e.ctx, objects.AttributesInput{Bucket: bucket, Key: key, Access: deny})
				return err
			},
			"tagging": func() error {
				_, err := e.PutObjectTagging(e.ctx, objects.PutObjectTaggingInput{Bucket: bucket, Key: key, Access: deny})
				return err
			},
			"acl": func() error {
				_, err := e.PutObjectACL(e.ctx, objects.PutObjectACLInput{Bucket: bucket, Key: key, Access: deny})
				return err
			},
			"copy": func() error {
				_, err := e.CopyObject(e.ctx, objects.CopyObjectInput{
					Source: objects.CopySource{Bucket: bucket, Key: key, Access: deny}, Bucket: other, Key: "copy", Owner: owner,
				})
				return err
			},
		}
		for name, call := range calls {
			if err := call(); !errors.Is(err, denied) {
				t.Errorf("%s of %q: %v, want the denial", name, key, err)
			}
		}
		if len(asked) < len(calls) || (asked[0] == nil) != (key == "missing") {
			t.Errorf("%q: asked %d times, of %+v", key, len(asked), asked)
		}
	}
}

func TestCopyTakesTagsAndNoACL(t *testing.T) {
	e := open(t)
	e.put("k", []byte("x"))
	tags := []objects.Pair{{Name: "team", Value: "blue"}}
	_, err := e.PutObjectTagging(e.ctx, objects.PutObjectTaggingInput{Bucket: bucket, Key: "k", Tags: tags})
	e.must(err)
	_, err = e.PutObjectACL(e.ctx, objects.PutObjectACLInput{Bucket: bucket, Key: "k", ACL: grants([]objects.Grant{{Type: objects.GranteeUser, ID: "f", Permission: objects.PermissionRead}})})
	e.must(err)
	in := objects.CopyObjectInput{Source: objects.CopySource{Bucket: bucket, Key: "k"}, Bucket: bucket, Key: "copy", Owner: owner}
	_, err = e.CopyObject(e.ctx, in)
	e.must(err)
	in.Key, in.ReplaceTags = "bare", true
	_, err = e.CopyObject(e.ctx, in)
	e.must(err)
	if got := e.head("copy"); !cmp.Equal(got.Tags, tags) || got.ACL != nil {
		t.Errorf("copy has tags %v and ACL %v", got.Tags, got.ACL)
	}
	if got := e.head("bare"); got.Tags != nil {
		t.Errorf("tags %v, want none", got.Tags)
	}
}

func grants(acl []objects.Grant) func(*objects.Object) []objects.Grant {
	return func(*objects.Object) []objects.Grant { return acl }
}
