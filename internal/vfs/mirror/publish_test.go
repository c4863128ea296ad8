package mirror_test

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/internal/vfs/mirror"
)

// TestNothingIsAcknowledgedBeforeTheRecord: while one file's writer publishes
// that a member is out, another file's sync, which went to the others only, waits
// for that record too.
func TestNothingIsAcknowledgedBeforeTheRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, _ := newFaults(t)
		u := setup{dirs: 3, members: 2}
		for _, d := range []string{"/d1", "/d2", "/d3"} {
			must(t, vfs.MkdirAll(fs, d, 0o750))
		}
		must(t, mirror.Create(u.all(fs), 2))
		o := u.all(fs)
		o.Stall = 24 * time.Hour
		set, err := mirror.Open(o)
		must(t, err)
		table, err := set.Create(mirror.Virtual+"/000005.sst", vfs.Unspecified)
		must(t, err)
		log, err := set.Create(mirror.Virtual+"/000004.log", vfs.Unspecified)
		must(t, err)
		fs.Add(faultfs.Rule{Kinds: faultfs.Write, Path: "/d2/metadata/000005.sst", Err: syscall.EIO})
		release := make(chan struct{})
		fs.Add(faultfs.Rule{Kinds: faultfs.Write, Path: "membership.json", Stall: release})
		written := make(chan error, 1)
		go func() { _, err := table.Write([]byte("table")); written <- err }()
		synctest.Wait()
		synced := make(chan error, 1)
		go func() {
			if _, err := log.Write([]byte("commit")); err != nil {
				synced <- err
				return
			}
			synced <- log.Sync()
		}()
		synctest.Wait()
		select {
		case err := <-synced:
			t.Error("acknowledged by one member, and the record names two")
			synced <- err
		default:
		}
		close(release)
		must(t, <-written)
		must(t, <-synced)
		r, err := mirror.Find(o)
		must(t, err)
		if len(r.Members) != 1 || !r.Confirmed {
			t.Errorf("the record: %+v", r)
		}
		must(t, table.Close())
		must(t, log.Close())
		must(t, set.Close())
	})
}
