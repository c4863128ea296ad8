//go:build fdb

package fdb_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/fdb"
)

// away opens an engine on a cluster that nobody serves.
func away(t *testing.T, o fdb.Options) *fdb.Engine {
	t.Helper()
	o.ClusterFile = filepath.Join(t.TempDir(), "fdb.cluster")
	if err := os.WriteFile(o.ClusterFile, []byte("nobody:nobody@127.0.0.1:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := fdb.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil && !errors.Is(err, kv.ErrClosed) {
			t.Error(err)
		}
	})
	return e
}

func get(r kv.Reader) error {
	_, err := r.Get([]byte("k")).Wait()
	return err
}

func TestReadsEndWhileTheClusterIsAway(t *testing.T) {
	e := away(t, fdb.Options{})
	soon := kv.TxOptions{Class: "a class with a long name", Timeout: 50 * time.Millisecond}
	reads := map[string]func(r kv.Reader) error{
		"Get": get,
		"GetRange": func(r kv.Reader) error {
			it := r.GetRange(kv.PrefixRange(nil), kv.RangeOptions{})
			defer it.Close()
			if it.Next() {
				t.Error("a pair came from nowhere")
			}
			return it.Err()
		},
		"ReadVersion": func(r kv.Reader) error { _, err := r.ReadVersion(); return err },
		"Generation":  func(r kv.Reader) error { _, err := r.Generation().Wait(); return err },
	}
	for name, read := range reads {
		if err := e.View(t.Context(), soon, read); !errors.Is(err, kv.ErrTimeout) {
			t.Errorf("view, %s: %v", name, err)
		}
		if _, err := e.Update(t.Context(), soon, func(tx kv.Tx) error { return read(tx) }); !errors.Is(err, kv.ErrTimeout) {
			t.Errorf("update, %s: %v", name, err)
		}
	}
	if n := e.Stats(); n.Timeouts != uint64(2*len(reads)) || n.InFlight != 0 {
		t.Errorf("%+v", n)
	}
}

// A function that goes on after its read failed must not turn what is known into
// an unknown commit.
func TestTimeoutsOfReadsAreNoUnknownCommits(t *testing.T) {
	e := away(t, fdb.Options{})
	_, err := e.Update(t.Context(), kv.TxOptions{Timeout: 30 * time.Millisecond}, func(tx kv.Tx) error {
		if err := get(tx); !errors.Is(err, kv.ErrTimeout) {
			t.Errorf("read: %v", err)
		}
		tx.Set([]byte("k"), nil)
		return nil
	})
	if !errors.Is(err, kv.ErrTimeout) || errors.Is(err, kv.ErrUnknownCommit) {
		t.Errorf("update: %v", err)
	}
}

func TestCommitsThatNobodyAnswersAreUnknown(t *testing.T) {
	e := away(t, fdb.Options{})
	runs := 0
	write := func(tx kv.Tx) error {
		runs++
		tx.Set([]byte("k"), nil)
		return nil
	}
	_, err := e.Update(t.Context(), kv.TxOptions{Timeout: 30 * time.Millisecond}, write)
	if !errors.Is(err, kv.ErrUnknownCommit) || runs != 1 {
		t.Errorf("%v after %d runs", err, runs)
	}
	if n := e.Stats(); n.Unknown != 1 || n.Commits != 0 {
		t.Errorf("%+v", n)
	}
}

func TestCancellationEndsWaiting(t *testing.T) {
	e := away(t, fdb.Options{})
	long := kv.TxOptions{Timeout: time.Hour}
	ctx, cancel := context.WithCancel(t.Context())
	err := e.View(ctx, long, func(r kv.Reader) error {
		pending := r.Get([]byte("k"))
		cancel()
		_, err := pending.Wait()
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("view: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	_, err = e.Update(ctx, long, func(tx kv.Tx) error {
		tx.Set([]byte("k"), nil)
		time.AfterFunc(20*time.Millisecond, cancel) // while the commit is under way, on most machines
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("update: %v", err)
	}
}

func TestReportsEndWhileTheClusterIsAway(t *testing.T) {
	e := away(t, fdb.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if r, err := e.Report(ctx); !errors.Is(err, context.DeadlineExceeded) && r.Available {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestTransactionsInFlightAreBounded(t *testing.T) {
	e := away(t, fdb.Options{InFlight: 1})
	long := kv.TxOptions{Timeout: time.Hour}
	soon := kv.TxOptions{Timeout: 10 * time.Millisecond}
	err := e.View(t.Context(), long, func(kv.Reader) error {
		if err := e.View(t.Context(), soon, get); !errors.Is(err, kv.ErrTimeout) {
			t.Errorf("second transaction: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		if err := e.View(ctx, long, get); !errors.Is(err, context.Canceled) {
			t.Errorf("second transaction, canceled: %v", err)
		}
		if n := e.Stats(); n.InFlight != 1 || n.Waited != 2 || n.Reads != 0 {
			t.Errorf("%+v", n)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestCloseWaitsForTransactions(t *testing.T) {
	e := away(t, fdb.Options{})
	inside, leave, closed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		<-inside
		closed <- e.Close()
	}()
	err := e.View(t.Context(), kv.TxOptions{}, func(kv.Reader) error {
		close(inside)
		go func() {
			// Close has begun once nothing new is let in.
			for e.View(t.Context(), kv.TxOptions{}, func(kv.Reader) error { return nil }) == nil {
			}
			close(leave)
		}()
		<-leave
		select {
		case err := <-closed:
			t.Errorf("Close returned %v before the transaction did", err)
		default:
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := e.Close(); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
	if err := e.View(t.Context(), kv.TxOptions{}, get); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("View: %v", err)
	}
}

// Engines of one cluster file share the client's handle, and the last to close
// closes it: the others go on.
func TestEnginesShareAHandle(t *testing.T) {
	one := away(t, fdb.Options{})
	file := filepath.Join(t.TempDir(), "other.cluster")
	if err := os.WriteFile(file, []byte("nobody:nobody@127.0.0.1:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var engines []*fdb.Engine
	for _, prefix := range []string{"a", "b"} {
		e, err := fdb.Open(fdb.Options{ClusterFile: file, Prefix: []byte(prefix)})
		if err != nil {
			t.Fatal(err)
		}
		engines = append(engines, e)
	}
	soon := kv.TxOptions{Timeout: 20 * time.Millisecond}
	for _, e := range engines {
		if err := e.View(t.Context(), soon, get); !errors.Is(err, kv.ErrTimeout) {
			t.Error(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := one.View(t.Context(), soon, get); !errors.Is(err, kv.ErrTimeout) {
		t.Error(err)
	}
	again, err := fdb.Open(fdb.Options{ClusterFile: file})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.View(t.Context(), soon, get); !errors.Is(err, kv.ErrTimeout) {
		t.Error(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.cluster")
	if err := os.WriteFile(bad, []byte("no connection string\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]fdb.Options{
		"no cluster file given": {},
		"prefix of 33 bytes":    {ClusterFile: bad, Prefix: []byte(strings.Repeat("p", fdb.MaxPrefix+1))},
		"key is reserved":       {ClusterFile: bad, Prefix: []byte("\xffx")},
		"bad.cluster":           {ClusterFile: bad},
		"absent.cluster":        {ClusterFile: filepath.Join(dir, "absent.cluster")},
	} {
		if e, err := fdb.Open(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
}
