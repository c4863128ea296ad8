package partition

import (
	"errors"
	"testing"
)

func TestOneClaimOfAPartitionAtATime(t *testing.T) {
	var s Store
	release, ok := s.claim(1)
	if !ok {
		t.Fatal("a partition that nobody has was refused")
	}
	if _, ok := s.claim(1); ok {
		t.Error("claimed twice")
	}
	other, ok := s.claim(2)
	if !ok {
		t.Error("another partition was refused")
	}
	release()
	again, ok := s.claim(1)
	if !ok {
		t.Fatal("refused after its release")
	}
	release() // of the first claim: it gives up nothing of the second
	if _, ok := s.claim(1); ok {
		t.Error("a second release took another job's claim away")
	}
	again()
	other()
	if n := len(s.claims.held); n != 0 {
		t.Errorf("%d claims are left", n)
	}
}

// What another job has is left alone, and said so.
func TestJobsLeaveAClaimedPartitionAlone(t *testing.T) {
	sc := Scheme{2, 1}
	w := newSealedWorld(t, newWorld(t, 4), sc)
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity, Disks: w.attached(w.index(t, w.id, 1))})
	defer closeStore(t, s)
	release, ok := s.claim(w.id)
	if !ok {
		t.Fatal("not claimed")
	}
	if _, err := s.Repair(t.Context(), w.id, 1, nil); !errors.Is(err, ErrBusy) {
		t.Errorf("repair: %v, want ErrBusy", err)
	}
	if _, _, err := s.Sweep(t.Context(), w.id, 0, 10); !errors.Is(err, ErrBusy) {
		t.Errorf("sweep: %v, want ErrBusy", err)
	}
	if gone, err := s.Drop(t.Context(), w.id); err != nil || gone {
		t.Errorf("drop: %v, %v", gone, err)
	}
	release()
	if r, err := s.Repair(t.Context(), w.id, 1, nil); err != nil || !r.Done {
		t.Errorf("repair after the release: %+v, %v", r, err)
	}
}
