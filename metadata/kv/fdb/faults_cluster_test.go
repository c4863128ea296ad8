//go:build fdb

package fdb_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/fdbcluster"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/fdb"
)

// engineOn opens an engine under a prefix of the test's own.
func engineOn(t *testing.T, c *fdbcluster.Cluster) *fdb.Engine {
	t.Helper()
	e := openUnder(t, c, clearing(t, c, fdbcluster.Prefix()), nil)
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Any one of three processes may end, stop answering and come back, and the
// database may be given another form, beside writers: nothing is lost, and
// nothing is done twice.
func TestNothingIsLostOrDoneTwiceBesideFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("three processes and a dozen recoveries")
	}
	c := fdbcluster.Shared(t, fdbcluster.Three(fdbcluster.Redwood))
	l := begin(t, engineOn(t, c), 12)
	const some = 50 // updates between two faults
	for i := range c.Processes {
		c.Kill(i)
		l.await(t, some, done)
		must(t, c.Restart(i))
		l.await(t, some, done)
		must(t, c.Pause(i))
		l.await(t, some, done)
		must(t, c.Resume(i))
		l.await(t, some, done)
	}
	for _, form := range []string{"commit_proxies=2", "grv_proxies=2", "logs=2", "resolvers=2", "single", "double"} {
		c.Must(t, "configure "+form)
		l.await(t, some, done)
	}
	for i := range c.Processes {
		c.Kill(i)
	}
	l.await(t, 5, refused, unknown)
	for i := range c.Processes {
		must(t, c.Restart(i))
	}
	l.await(t, some, done)
	l.end(t)
}

// A database that loses its only process in the middle of commits leaves them
// unknown, and goes on when it is back, without the engine being opened again.
func TestKilledBesideCommits(t *testing.T) {
	c := fdbcluster.Shared(t, shapes()[0])
	l := begin(t, engineOn(t, c), 8)
	rounds := 4
	if testing.Short() {
		rounds = 1
	}
	for range rounds {
		l.await(t, 100, done)
		c.Kill(0)
		l.await(t, 2, refused, unknown)
		must(t, c.Restart(0))
		l.await(t, 100, done)
	}
	l.end(t)
}

// While the database does not answer, calls end within their time, canceled ones
// at once, and none of them was applied later that was refused.
func TestPausedDatabase(t *testing.T) {
	c := fdbcluster.Shared(t, shapes()[0])
	e := engineOn(t, c)
	write := func(ctx context.Context, key string, o kv.TxOptions) error {
		_, err := e.Update(ctx, o, func(tx kv.Tx) error {
			if _, err := tx.Get([]byte(key)).Wait(); err != nil {
				return err
			}
			tx.Set([]byte(key), []byte("x"))
			return nil
		})
		return err
	}
	if err := write(t.Context(), "before", kv.TxOptions{}); err != nil {
		t.Fatal(err)
	}
	must(t, c.Pause(0))
	// This one is under way until it is canceled, and reads when it is.
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- e.View(ctx, kv.TxOptions{Timeout: time.Hour}, func(r kv.Reader) error {
			f := r.Get([]byte("before"))
			close(waiting)
			_, err := f.Wait()
			return err
		})
	}()
	<-waiting
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled view: %v", err)
	}
	brief := kv.TxOptions{Timeout: 200 * time.Millisecond}
	if err := write(t.Context(), "during", brief); !errors.Is(err, kv.ErrTimeout) && !errors.Is(err, kv.ErrUnavailable) || errors.Is(err, kv.ErrUnknownCommit) {
		t.Errorf("an update that could not read: %v", err)
	}
	// What writes blindly cannot know.
	_, err := e.Update(t.Context(), brief, func(tx kv.Tx) error { tx.Set([]byte("blind"), []byte("x")); return nil })
	if !errors.Is(err, kv.ErrUnknownCommit) && !errors.Is(err, kv.ErrTimeout) && !errors.Is(err, kv.ErrUnavailable) {
		t.Errorf("an update that could not commit: %v", err)
	}
	must(t, c.Resume(0))
	c.MustAwait(t)
	if err := write(t.Context(), "after", kv.TxOptions{Timeout: time.Minute}); err != nil {
		t.Errorf("after it goes on: %v", err)
	}
	err = e.View(t.Context(), kv.TxOptions{Timeout: time.Minute}, func(r kv.Reader) error {
		for key, want := range map[string]bool{"before": true, "during": false, "after": true} {
			v, err := r.Get([]byte(key)).Wait()
			if err != nil {
				return err
			}
			if got := v != nil; got != want {
				t.Errorf("%s is there: %v, want %v", key, got, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestLockedDatabase(t *testing.T) {
	c := fdbcluster.Shared(t, shapes()[0])
	e := engineOn(t, c)
	write := func() error {
		_, err := e.Update(t.Context(), kv.TxOptions{Timeout: time.Minute}, func(tx kv.Tx) error {
			tx.Add([]byte("n"), 1)
			return nil
		})
		return err
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	uid := c.Lock(t)
	if err := write(); !errors.Is(err, kv.ErrLocked) || !errors.Is(err, kv.ErrUnavailable) || errors.Is(err, kv.ErrUnknownCommit) {
		t.Errorf("a write while it is locked: %v", err)
	}
	// FoundationDB gives no read version either: what a restore has written so far is
	// no state that anybody should see.
	read := func(r kv.Reader) error { _, err := r.Get([]byte("n")).Wait(); return err }
	if err := e.View(t.Context(), kv.TxOptions{Timeout: time.Minute}, read); !errors.Is(err, kv.ErrLocked) {
		t.Errorf("a read while it is locked: %v", err)
	}
	c.Unlock(t, uid)
	if err := write(); err != nil {
		t.Errorf("a write after that: %v", err)
	}
	var n []byte
	err := e.View(t.Context(), kv.TxOptions{}, func(r kv.Reader) (err error) {
		n, err = r.Get([]byte("n")).Wait()
		return err
	})
	if err != nil || len(n) != 8 || n[0] != 2 {
		t.Errorf("%x, %v", n, err)
	}
}

// The coordinators move, and the engine goes on without being opened again.
func TestCoordinatorsMove(t *testing.T) {
	if testing.Short() {
		t.Skip("three processes")
	}
	c := fdbcluster.Start(t, fdbcluster.Three(fdbcluster.Redwood))
	e := openUnder(t, c, fdbcluster.Prefix(), nil)
	l := begin(t, e, 4)
	l.await(t, 20, done)
	for i := range c.Processes {
		c.Must(t, "coordinators "+c.Address(i))
		l.await(t, 20, done)
	}
	c.Kill(0) // that the first file named
	l.await(t, 20, done)
	l.end(t)
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	again := openUnder(t, c, fdbcluster.Prefix(), nil)
	defer func() {
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := again.View(t.Context(), kv.TxOptions{Timeout: time.Minute}, func(r kv.Reader) error {
		_, err := r.Get([]byte("x")).Wait()
		return err
	}); err != nil {
		t.Errorf("with the file that was rewritten: %v", err)
	}
}
