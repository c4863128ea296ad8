package steward_test

import (
	"bytes"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/steward"
)

// restore puts the metadata back that were saved.
func (e *env) restore(backup string) {
	e.t.Helper()
	first := ""
	for _, dir := range e.Dirs() {
		if _, err := e.FS.Stat(dir); err != nil {
			continue
		}
		if first == "" {
			first = dir
		}
		e.must(e.FS.RemoveAll(e.FS.PathJoin(dir, "metadata")))
		e.must(e.FS.RemoveAll(e.FS.PathJoin(dir, "metadata-sums")))
	}
	e.must(e.FS.Rename(backup, e.FS.PathJoin(first, "metadata")))
}

// uncompacted runs all jobs but the one that moves objects: what it has moved since, the saved
// metadata look for in vain.
func (e *env) uncompacted() steward.Counters {
	e.t.Helper()
	for again := true; again; {
		again = false
		for _, job := range e.Steward.Jobs() {
			for more := job.Name() != "compact"; more; {
				p, err := job.Step(e.t.Context())
				e.must(err)
				more, again = p.More, again || p.Done > 0
			}
		}
	}
	return e.Steward.Counters()
}

// wantSaved reads what the saved metadata name: what has not changed since must be
// right, what has may be an error, and nothing may be wrong.
func (e *env) wantSaved(when string, saved shelf, changed func(key string) bool) {
	e.t.Helper()
	for key, data := range saved {
		got, err := e.tryGet(key)
		if err == nil && !bytes.Equal(got, data) {
			e.t.Fatalf("%s: %s reads back wrong", when, key)
		}
		if err != nil && !changed(key) {
			e.t.Fatalf("%s: %s, which nobody touched, is lost: %v", when, key, err)
		}
	}
}

// TestInterleaving18MetadataFromABackup saves the metadata, goes on, with deletes,
// overwrites, new objects, and disks that are lost and whose shards are rebuilt elsewhere,
// and restores them: what was not touched since is all there, whatever else is named gives
// the right bytes or an error, and nothing that is written afterwards is written over it.
func TestInterleaving18MetadataFromABackup(t *testing.T) {
	for name, lose := range map[string]int{"disks stay": 0, "a disk is replaced": 1, "two disks are replaced": 2} {
		t.Run(name, func(t *testing.T) {
			o := scheme(7, partition.Scheme{K: 2, M: 1})
			edit := o.Edit
			o.Edit = func(o *single.Options) { edit(o); o.Steward.CompactEvery = 1 << 62 } // what it moves, an older backup does not find
			e := newEnv(t, o)
			saved := e.fillShelf(6)
			e.uncompacted()
			e.must(e.BackupMetadata(t.Context(), "/backup"))

			changed := func(key string) bool { return strings.HasPrefix(key, "1-") || strings.HasPrefix(key, "2-") }
			now := maps.Clone(saved)
			for key := range saved {
				switch {
				case strings.HasPrefix(key, "1-"):
					e.remove(key)
					delete(now, key)
				case strings.HasPrefix(key, "2-"):
					now[key] = content(99, len(saved[key])+1)
					e.put(key, now[key])
				}
			}
			for range lose {
				e.uncompacted()
				dir := e.busiest()
				e.Stop()
				e.must(e.FS.RemoveAll(dir))
				e.SetDirs(without(e.Dirs(), dir)...)
				e.Start()
				e.uncompacted()
				e.Advance(time.Hour)
				if c := e.uncompacted(); c.Repaired == 0 {
					t.Fatalf("nothing was rebuilt: %+v", c)
				}
				e.holdsShelf(now)
			}
			later := content(7, 3*mib)
			e.put("later", later)
			e.Restart()
			e.put("latest", later)
			e.uncompacted()
			e.Stop()

			e.restore("/backup")
			e.Start()
			if lose < 2 { // with more it takes a repair
				e.wantSaved("restored", saved, changed)
			}
			if _, err := e.tryGet("later"); err == nil {
				t.Error("an object younger than the backup is there: this test shows nothing")
			}
			e.put("new", later)
			for range 3 {
				if _, err := e.Steward.Drain(t.Context()); err != nil {
					t.Log(err)
				}
				e.Advance(time.Hour)
				e.put("newer", later)
				if lose < 2 {
					e.wantSaved("after the jobs", saved, changed)
				}
			}
			e.wantSaved("in the end", saved, changed)
			e.holds("new", later)
			e.Restart()
			if _, err := e.Steward.Drain(t.Context()); err != nil {
				t.Log(err)
			}
			e.wantSaved("after a restart", saved, changed)
			e.holds("new", later)
			e.holds("newer", later)
			e.MustCheck()
		})
	}
}

func without(dirs []string, dir string) (out []string) {
	for _, d := range dirs {
		if d != dir {
			out = append(out, d)
		}
	}
	return out
}
