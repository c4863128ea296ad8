package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/internal/vfs/mirror"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
)

// store is the embedded engine on mirrors: a set of so many data directories
// /d1, /d2 and so on, with commits of one counter in many rows.
type store struct {
	set    *mirror.Set
	engine *pebble.Engine
}

// setup says how a store is opened.
type setup struct {
	dirs, members int
	options       func(*mirror.Options)
	edit          func(*pebble.Options)
}

func (u setup) all(fs vfs.FS) mirror.Options {
	o := mirror.Options{FS: fs}
	for i := range u.dirs {
		d := mirror.Dir{Disk: fmt.Sprintf("disk-%d", i+1), Path: fmt.Sprintf("/d%d", i+1)}
		if _, err := fs.Stat(d.Path); err == nil {
			o.Dirs = append(o.Dirs, d)
		}
	}
	if u.options != nil {
		u.options(&o)
	}
	return o
}

// start opens the store, which it creates where there is none.
func (u setup) start(fs vfs.FS) (*store, error) {
	o := u.all(fs)
	if _, err := mirror.Find(o); errors.Is(err, mirror.ErrNoRecord) {
		for i := range u.dirs {
			if err := vfs.MkdirAll(fs, fmt.Sprintf("/d%d", i+1), 0o750); err != nil {
				return nil, err
			}
		}
		o = u.all(fs)
		if err := mirror.Create(o, u.members); err != nil {
			return nil, err
		}
	}
	set, err := mirror.Open(o)
	if err != nil {
		return nil, err
	}
	e := pebble.Options{FS: set, MemTableBytes: 256 << 10, ReserveBytes: -1, BallastBytes: -1, MustExist: set.Initialised()}
	if u.edit != nil {
		u.edit(&e)
	}
	engine, err := pebble.Open(mirror.Virtual, e)
	if err == nil {
		err = set.SetInitialised()
	}
	if err != nil {
		return nil, errors.Join(err, set.Close())
	}
	return &store{set: set, engine: engine}, nil
}

func (s *store) close() error { return errors.Join(s.engine.Close(), s.set.Close()) }

func mustStart(t *testing.T, u setup, fs vfs.FS) *store {
	t.Helper()
	s, err := u.start(fs)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustClose(t *testing.T, s *store) {
	t.Helper()
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}

// patience is for writes inside which a test looks at what a crash leaves: that
// takes as long as it takes.
const patience = time.Hour

// commit writes number n: into a row of its own, and into the counter's.
func (s *store) commit(ctx context.Context, n int) error {
	_, err := s.engine.Update(ctx, kv.TxOptions{Timeout: patience}, func(tx kv.Tx) error {
		tx.Set([]byte("count"), []byte(strconv.Itoa(n)))
		tx.Set(fmt.Appendf(nil, "row-%06d", n), append(make([]byte, 1500), byte(n)))
		return nil
	})
	return err
}

// read is the counter, after checking that every row up to it is there.
func (s *store) read(ctx context.Context) (n int, err error) {
	err = s.engine.View(ctx, kv.TxOptions{Timeout: patience}, func(r kv.Reader) error {
		v, err := r.Get([]byte("count")).Wait()
		if err != nil || v == nil {
			return err
		}
		if n, err = strconv.Atoi(string(v)); err != nil {
			return err
		}
		for i := 1; i <= n; i++ {
			row, err := r.Get(fmt.Appendf(nil, "row-%06d", i)).Wait()
			if err != nil {
				return err
			}
			if len(row) != 1501 || row[1500] != byte(i) {
				return fmt.Errorf("row %d of %d is wrong or missing", i, n)
			}
		}
		return nil
	})
	return n, err
}

// mustCommit makes commits from to to.
func (s *store) mustCommit(t *testing.T, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		if err := s.commit(t.Context(), i); err != nil {
			t.Fatalf("commit %d: %v", i, err)
		}
	}
}

func (s *store) mustRead(t *testing.T, want int) {
	t.Helper()
	got, err := s.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Fatalf("the counter is %d, want %d", got, want)
	}
}

// members are the directories' numbers, as text.
func (s *store) members() string {
	text := ""
	for _, d := range s.set.Status().Members {
		text += d.Path[2:]
	}
	return text
}

// listener is a logger's handler that passes messages on.
type listener struct {
	slog.Handler
	messages chan string
}

func (l listener) Enabled(context.Context, slog.Level) bool { return true }

func (l listener) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "directory" {
			text += " " + a.Value.String()
		}
		return true
	})
	select {
	case l.messages <- text:
	default:
	}
	return nil
}

func listen() listener {
	return listener{slog.DiscardHandler, make(chan string, 10_000)}
}

// await returns when a message was logged.
func (l listener) await(t *testing.T, text string) {
	t.Helper()
	for {
		select {
		case got := <-l.messages:
			if got == text {
				return
			}
		case <-t.Context().Done():
			t.Fatalf("nobody said %q", text)
		}
	}
}

func newFaults(t *testing.T) (*faultfs.FS, *faultfs.Mem) {
	t.Helper()
	mem := faultfs.NewMem(vfs.NewCrashableMem())
	return faultfs.New(mem), mem
}

// copyTree copies a directory, to roll it back later.
func copyTree(t *testing.T, fs vfs.FS, from, to string) {
	t.Helper()
	if err := fs.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := fs.MkdirAll(to, 0o750); err != nil {
		t.Fatal(err)
	}
	names, err := fs.List(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		src, dst := fs.PathJoin(from, name), fs.PathJoin(to, name)
		info, err := fs.Stat(src)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			copyTree(t, fs, src, dst)
			continue
		}
		data, err := vfs.ReadFile(fs, src, 64<<20)
		if err != nil {
			t.Fatal(err)
		}
		if err := vfs.WriteFile(fs, dst, data, 0o640); err != nil {
			t.Fatal(err)
		}
	}
}

type openOption = pebblevfs.OpenOption

// openEngine opens the engine on a set.
func openEngine(t *testing.T, set *mirror.Set) *store {
	t.Helper()
	e, err := pebble.Open(mirror.Virtual, pebble.Options{FS: set, MustExist: set.Initialised(), ReserveBytes: -1, BallastBytes: -1})
	must(t, err)
	must(t, set.SetInitialised())
	return &store{set: set, engine: e}
}
