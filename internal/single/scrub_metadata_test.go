package single

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/mirror"
)

// TestScrubOfMetadata: the copies are verified some time after the start and once
// in an interval, at a rate, or when it is asked for, and what is bad is replaced.
func TestScrubOfMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		o := mirror.Options{FS: fs}
		for _, p := range []string{"/d1", "/d2"} {
			must(t, vfs.MkdirAll(fs, p, 0o750))
			o.Dirs = append(o.Dirs, mirror.Dir{Disk: p, Path: p})
		}
		must(t, mirror.Create(o, 2))
		set, err := mirror.Open(o)
		must(t, err)
		f, err := set.Create(mirror.Virtual+"/000001.sst", vfs.Unspecified)
		must(t, err)
		_, err = f.Write(make([]byte, 8<<20))
		must(t, err)
		must(t, f.Sync())
		must(t, f.Close())

		j := newScrubMetadata(set, 24*time.Hour, time.Now)
		rounds := func() (found MetadataScrub, steps int) {
			t.Helper()
			for {
				p, err := j.Step(t.Context())
				must(t, err)
				if !p.More {
					return *orNone(j.status()), steps
				}
				steps++
			}
		}
		if _, steps := rounds(); steps > 0 || j.status() != nil {
			t.Error("a round at once")
		}
		time.Sleep(scrubRest) //nolint:forbidigo // the bubble's clock
		begun := time.Now()
		r, steps := rounds()
		if steps != 1 || r.Bytes != 16<<20 || r.Total != 16<<20 || r.Bad != 0 || r.Ended == nil || time.Since(begun) < 3*time.Second {
			t.Errorf("the first round: %+v in %v", r, time.Since(begun))
		}
		must(t, vfs.WriteFile(fs, "/d2/metadata/000001.sst", []byte("short"), 0o640))
		if _, steps := rounds(); steps > 0 {
			t.Error("a second round before its time")
		}
		j.RunNow()
		if r, _ := rounds(); r.Bad != 1 || r.Healed != 1 || r.Undecided != 0 {
			t.Errorf("the round that was asked for: %+v", r)
		}
		time.Sleep(24 * time.Hour) //nolint:forbidigo // the bubble's clock
		if r, steps := rounds(); steps != 1 || r.Bad != 0 {
			t.Errorf("the round a day later: %+v", r)
		}
		must(t, set.Close())
	})
}

func orNone(s *MetadataScrub) *MetadataScrub {
	if s == nil {
		return &MetadataScrub{}
	}
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
