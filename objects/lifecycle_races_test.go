package objects_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// TestLifecycleAgainstWriters: while rules for what is tagged take what is due, clients write the same keys again without
// the tag. Nothing of what they were told is stored is taken.
func TestLifecycleAgainstWriters(t *testing.T) {
	for _, status := range []s3.VersioningStatus{"", s3.VersioningEnabled, s3.VersioningSuspended} {
		t.Run("versioning "+string(status), func(t *testing.T) {
			e := open(t)
			if status != "" {
				e.keep(status)
			}
			const keys, rounds = 20, 15
			key := func(i int) s3.Key { return s3.Key(fmt.Sprint("key", i)) }
			write := func(i int, content string, tags ...objects.Pair) error {
				_, err := e.PutObject(e.ctx, objects.PutObjectInput{Bucket: bucket, Key: key(i), Owner: owner, Body: bodyOf([]byte(content)), Tags: tags})
				return err
			}
			due := objects.Pair{Name: "due", Value: "yes"}
			e.govern(lifecycleRule("<Tag><Key>due</Key><Value>yes</Value></Tag>", expireIn(1)+noncurrentIn(1, 0)))
			taken := int64(0)
			for round := range rounds {
				for i := range keys {
					e.must(write(i, "due", due))
				}
				kept := fmt.Sprint("kept in round ", round)
				written := make([]error, keys/2)
				var work sync.WaitGroup
				for i := range keys / 2 {
					work.Go(func() { written[i] = write(2*i, kept) })
				}
				tally, err := e.tryAge(3*day, 3, func() {})
				work.Wait()
				e.must(errors.Join(append(written, err)...))
				taken += tally.Acted()
				for i := range keys / 2 {
					_, data, err := e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: key(2 * i)})
					e.must(err)
					if string(data) != kept {
						t.Fatalf("%s is %q, and %q was acknowledged", key(2*i), data, kept)
					}
					_, _, err = e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: key(2*i + 1)})
					if got := s3.CodeOf(err); got != s3.NoSuchKey {
						t.Fatalf("%s is left: %v", key(2*i+1), err)
					}
				}
			}
			if taken < rounds*keys/2 {
				t.Errorf("%d were taken", taken)
			}
		})
	}
}

// TestLifecycleTwice: two processes at the same rules do each thing once.
func TestLifecycleTwice(t *testing.T) {
	e := open(t)
	e.keep(s3.VersioningEnabled)
	const keys, versions = 10, 6
	for i := range keys {
		for range versions {
			e.put(s3.Key(fmt.Sprint(i)), []byte("x"))
		}
	}
	e.govern(lifecycleRule("", expireIn(1)+noncurrentIn(1, 2)))
	tallies, errs := make([]objects.LifecycleTally, 3), make([]error, 3)
	var work sync.WaitGroup
	for i := range tallies {
		work.Go(func() { tallies[i], errs[i] = e.tryAge(3*day, 7, func() {}) })
	}
	work.Wait()
	e.must(errors.Join(errs...))
	var total objects.LifecycleTally
	for i := range tallies {
		total.Add(&tallies[i])
	}
	if total.Expired != keys || total.Failed != 0 {
		t.Errorf("%+v", total)
	}
	// A marker on top makes one more version noncurrent; two stay.
	e.age(3*day, 1000)
	if got := e.versions(); len(got) != keys*3 || strings.Count(strings.Join(got, " "), "marker *") != keys {
		t.Errorf("%d are left: %v", len(got), got)
	}
}

// unknownCommits commits and says that it does not know, once, after a rival did something.
type unknownCommits struct {
	kv.Engine
	classes []string
	rival   func()
}

// Update implements [kv.Engine].
func (u *unknownCommits) Update(ctx context.Context, o kv.TxOptions, fn func(kv.Tx) error) (kv.Commit, error) {
	out, err := u.Engine.Update(ctx, o, fn)
	if err != nil || u.rival == nil || !slices.Contains(u.classes, o.Class) {
		return out, err
	}
	rival := u.rival
	u.rival = nil
	rival()
	return out, kv.ErrUnknownCommit
}

// TestLifecycleUnknownCommit: after an unknown outcome nothing is applied again: what came meanwhile stays.
func TestLifecycleUnknownCommit(t *testing.T) {
	u := &unknownCommits{classes: []string{"delete", "mark", "abort"}}
	e := open(t, func(o *single.Options) {
		o.Wrap = func(engine kv.Engine) kv.Engine {
			u.Engine = engine
			return u
		}
	})
	for i := range 5 {
		e.put(s3.Key(fmt.Sprint(i)), []byte("old"))
	}
	e.govern(lifecycleRule("", expireIn(1)))
	u.rival = func() { e.put("3", []byte("new")) }
	_, err := e.tryAge(3*day, 100, func() {})
	e.must(err)
	e.shows("3:new null *")
}
