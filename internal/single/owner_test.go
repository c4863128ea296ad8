package single_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// owning is a server of a store with shared metadata, opened in a test whose time is
// synctest's.
func owning(t *testing.T, e *mem.Engine, fs vfs.FS, dirs ...string) (*single.System, error) {
	t.Helper()
	o := single.Options{
		FS: fs, Dirs: dirs, Now: time.Now, DiskInterval: -1, Capacity: 8 << 20, BufferMemory: 32 << 20,
	}
	o.Disk.Reserve, o.Disk.Preallocate, o.Steward.Interval = -1, 256<<10, -1
	sharing(e)(&o)
	return single.Open(t.Context(), o)
}

// ownerRow is the row of who has the data directories, changed if change says so.
func ownerRow(t *testing.T, s *single.System, change func(map[string]any)) {
	t.Helper()
	err := s.DB.Update(context.WithoutCancel(t.Context()), "test", func(tx *metadata.Tx) error {
		row, err := tx.Job("data-directories")
		if err != nil {
			return err
		}
		var c map[string]any
		if err := json.Unmarshal(row.Cursor, &c); err != nil {
			return err
		}
		change(c)
		if row.Cursor, err = json.Marshal(c); err != nil {
			return err
		}
		return tx.PutJob(row)
	})
	if err != nil {
		t.Error(err)
	}
}

// TestOneServerHasTheDirectories: a second one, of other directories, is refused while the
// first lives.
func TestOneServerHasTheDirectories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, fs := mem.New(mem.Options{Now: time.Now}), vfs.NewMem()
		first, err := owning(t, e, fs, "/d1", "/d2")
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * time.Second) // it names its disks
		if err := first.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Two of its disks at one server each.
		one, err := owning(t, e, fs, "/d1")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = owning(t, e, fs, "/d2")
		if !errors.Is(err, single.ErrOwned) || !strings.Contains(err.Error(), "process of /d1") {
			t.Errorf("%v", err)
		}
		if waited := time.Since(began); waited > 15*time.Second {
			t.Errorf("refused after %s", waited)
		}
		if err := one.Err(); err != nil {
			t.Error(err)
		}
		if err := one.Close(t.Context()); err != nil {
			t.Error(err)
		}
		began = time.Now()
		two, err := owning(t, e, fs, "/d2")
		if err != nil || time.Since(began) > time.Second {
			t.Fatalf("after a server that ended: %v, in %s", err, time.Since(began))
		}
		if err := two.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestTheDirectoriesOfAKilledServer are served at once by who has all of them, and else when
// it is known to be dead; it stops when it was not.
func TestTheDirectoriesOfAKilledServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, fs := mem.New(mem.Options{Now: time.Now}), vfs.NewMem()
		first, err := owning(t, e, fs, "/d1", "/d2")
		if err != nil {
			t.Fatal(err)
		}
		var disks []any
		<-time.After(6 * time.Second)
		ownerRow(t, first, func(c map[string]any) { disks, _ = c["disks"].([]any) })
		if len(disks) != 2 {
			t.Fatalf("the owner names %v", disks)
		}
		if err := first.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		claimed := func(c map[string]any) {
			clear(c)
			c["token"], c["stamp"], c["process"], c["disks"] = "dead", 7, "a dead process", disks
		}
		g := func(change func(map[string]any)) {
			o := single.Options{FS: fs, Now: time.Now, BufferMemory: 32 << 20}
			o.Steward.Interval = -1
			sharing(e)(&o)
			s, err := single.Open(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			ownerRow(t, s, change)
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		g(claimed)
		began := time.Now()
		again, err := owning(t, e, fs, "/d1", "/d2")
		if err != nil || time.Since(began) > time.Second {
			t.Fatalf("with its directories: %v in %s", err, time.Since(began))
		}
		if err := again.Close(t.Context()); err != nil {
			t.Error(err)
		}
		g(claimed)
		began = time.Now()
		half, err := owning(t, e, fs, "/d1")
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited < 15*time.Second || waited > 30*time.Second {
			t.Errorf("taken over after %s", waited)
		}
		// Somebody took it for dead.
		ownerRow(t, half, claimed)
		<-half.Failed()
		if err := half.Err(); !errors.Is(err, single.ErrOwned) || !strings.Contains(err.Error(), "a dead process") {
			t.Error(err)
		}
		if err := half.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestTheDeadIsSeenOnceMore: who raises his stamp right before he is taken for dead, or came in
// place of the dead, keeps the directories.
func TestTheDeadIsSeenOnceMore(t *testing.T) {
	for name, sign := range map[string]func(map[string]any){
		"a late stamp":    func(c map[string]any) { c["stamp"] = 8 },
		"another process": func(c map[string]any) { c["token"], c["stamp"] = "other", 0 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, fs := mem.New(mem.Options{Now: time.Now}), vfs.NewMem()
				first, err := owning(t, e, fs, "/d1", "/d2")
				if err != nil {
					t.Fatal(err)
				}
				if err := first.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				o := single.Options{FS: fs, Now: time.Now, BufferMemory: 32 << 20}
				o.Steward.Interval = -1
				sharing(e)(&o)
				beside, err := single.Open(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				ownerRow(t, beside, func(c map[string]any) {
					clear(c)
					c["token"], c["stamp"], c["process"], c["disks"] = "slow", 7, "a slow process", []string{"elsewhere"}
				})
				go func() { // between the look that tells, at 15 s, and the claim
					<-time.After(18 * time.Second)
					ownerRow(t, beside, sign)
					if name == "another process" {
						<-time.After(4 * time.Second) // it shows that it lives
						ownerRow(t, beside, func(c map[string]any) { c["stamp"] = 1 })
					}
				}()
				s, err := owning(t, e, fs, "/d1")
				if !errors.Is(err, single.ErrOwned) {
					t.Errorf("served beside one that lives: %v", err)
				}
				if s != nil {
					if err := s.Close(t.Context()); err != nil {
						t.Error(err)
					}
				}
				if err := beside.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
