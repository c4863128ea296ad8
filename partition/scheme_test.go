package partition

import "testing"

func TestSchemeFor(t *testing.T) {
	for disks, want := range map[int]string{
		0: "1+0", 1: "1+0", 2: "1+1", 3: "2+1", 4: "2+2", 5: "2+2", 6: "4+2", 8: "4+2", 9: "6+3", 11: "6+3", 12: "8+4", 100: "8+4",
	} {
		if got := SchemeFor(disks).String(); got != want {
			t.Errorf("%d disks: %s, want %s", disks, got, want)
		}
	}
}

func TestSchemeKeepsParityOnFewerDisks(t *testing.T) {
	s := Scheme{4, 2}
	for usable, want := range map[int]Scheme{7: {4, 2}, 6: {4, 2}, 5: {3, 2}, 3: {1, 2}, 2: {}, 0: {}} {
		if got := s.on(usable); got != want {
			t.Errorf("%d disks: %s, want %s", usable, got, want)
		}
	}
}
