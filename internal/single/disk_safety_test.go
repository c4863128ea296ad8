package single_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/partition"
)

// TestPlaceOfARemovedDiskIsNotFormatted: interleaving 47. The disk was taken out, and its
// mount point is still among the directories at the next start.
func TestPlaceOfARemovedDiskIsNotFormatted(t *testing.T) {
	s := newHouse(t, 5, func(o *single.Options) { o.Scheme = partition.Scheme{K: 2, M: 2} })
	_, err := s.DrainDisk(t.Context(), "/d5")
	s.must(err)
	s.RunSteward()
	s.must(s.AwaitMirrors(t.Context()))
	_, err = s.RemoveDisk(t.Context(), "/d5")
	s.must(err)
	s.Stop()
	s.unmount("/d5")
	s.mkdir("/d5")
	s.Start()
	s.untouched("/d5")
	st, err := s.Status(t.Context())
	if err != nil || !strings.Contains(st.LeftAlone["/d5"], "disk add") || len(s.disks()) != 4 {
		t.Errorf("%+v, %v", st, err)
	}
	s.fill("after")
	s.untouched("/d5")
	s.add("/d5")
	if d := s.disks()["/d5"]; d.State != "active" {
		t.Errorf("%+v", d)
	}
	s.holds("before", "after")
}

// TestLossIsNotDecidedOnDisksThatWereNotLookedAt: what comes back may be an old copy, and
// then the disk that is to be given up has what that lacks.
func TestLossIsNotDecidedOnDisksThatWereNotLookedAt(t *testing.T) {
	s := newHouse(t, 4, nil)
	s.RunSteward()
	dir := s.someShards()
	s.Stop()
	mount := s.unmount(dir)
	s.Start()
	_, err := s.RemoveLostDisk(t.Context(), dir)
	refusedChange(t, err, "not looked at yet")
	mount()
	s.look()
	s.RunSteward()
	s.degraded("")
	mount = s.unmount(dir)
	s.look()
	_, err = s.RemoveLostDisk(t.Context(), dir)
	s.must(err)
	s.holds("before")
	mount()
}

// TestCloseLeavesADiskThatHangs to itself when its time is over.
func TestCloseLeavesADiskThatHangs(t *testing.T) {
	s := newShop(t)
	sys, err := s.Open(t.Context())
	s.must(err)
	stalled, end := make(chan struct{}, 1), make(chan struct{})
	s.Faults.Add(faultfs.Rule{Kinds: faultfs.Read, Path: "/shards/", Stall: end, Stalled: stalled})
	read := make(chan struct{})
	go func() {
		defer close(read)
		got, err := sys.Objects.GetObject(context.WithoutCancel(t.Context()), objects.GetObjectInput{Bucket: "bucket", Key: key("before", 3)})
		if err == nil {
			_, _ = got.Body.WriteTo(discard{}) // it may end or not
			_ = got.Body.Close()
		}
	}()
	<-stalled
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cancel()
	if err := sys.Close(ctx); err == nil || !strings.Contains(err.Error(), "does not end") {
		t.Errorf("closed with a read under way: %v", err)
	}
	close(end)
	<-read
}

// TestAHangingDiskHoldsNoChangeUp: it failed, can be looked at, and does not answer writes.
func TestAHangingDiskHoldsNoChangeUp(t *testing.T) {
	s := newHouse(t, 4, nil)
	failing := s.Faults.Add(faultfs.Rule{Kinds: faultfs.Write, Path: "/d2/shards/", Err: syscall.EIO})
	for i := 0; s.disks()["/d2"].State != "failed"; i++ {
		if i > 100 {
			t.Fatal("no write met the disk")
		}
		s.must(s.putOne(fmt.Sprint("failing", i), shopData("x", 300_000)))
	}
	failing()
	stalled, end := make(chan struct{}, 1), make(chan struct{})
	remove := s.Faults.Add(faultfs.Rule{Kinds: faultfs.Create, Path: "/d2/tmp/", Stall: end, Stalled: stalled})
	ctx, cancel := context.WithCancel(t.Context())
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		s.LookAtDisks(ctx)
	}()
	<-stalled
	cancel()
	<-looked
	s.degraded("", "/d2")
	_, err := s.AddDisk(t.Context(), "/d2")
	if err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("added: %v", err)
	}
	remove()
	close(end)
	for s.disks()["/d2"].State == "failed" && !t.Failed() {
		s.Advance(time.Hour)
		s.look()
	}
	s.RunSteward()
	s.degraded("")
	s.holds("before")
}

// TestWhoWaitsForAnotherChangeMayGiveUp, and none waits for a store that is closed.
func TestWhoWaitsForAnotherChangeMayGiveUp(t *testing.T) {
	s := newHouse(t, 4, nil)
	s.mkdir("/new")
	stalled, end := make(chan struct{}, 1), make(chan struct{})
	s.Faults.Add(faultfs.Rule{Kinds: faultfs.Create, Path: "/new/", Stall: end, Stalled: stalled})
	first := make(chan error, 1)
	go func() {
		_, err := s.AddDisk(t.Context(), "/new")
		first <- err
	}()
	<-stalled
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() {
		_, err := s.DrainDisk(ctx, "/d1")
		second <- err
	}()
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("a change that was given up: %v", err)
	}
	if d := s.disks()["/d1"]; d.State != "active" {
		t.Errorf("%+v", d)
	}
	close(end)
	if err := <-first; err != nil && !strings.Contains(err.Error(), "does not answer") { // on a machine that stood still
		t.Error(err)
	}
	sys := s.System
	s.Stop()
	if _, err := sys.DrainDisk(t.Context(), "/d1"); !errors.Is(err, single.ErrClosed) {
		t.Errorf("a change of a closed store: %v", err)
	}
	s.Start()
	s.holds("before")
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
