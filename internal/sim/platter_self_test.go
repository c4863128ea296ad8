package sim

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/undercroft/undercroft/internal/vfs"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestPlatterLosesPower holds what the simulation stands on: what was synced
// survives, what was not may be there, in part or not at all.
func TestPlatterLosesPower(t *testing.T) {
	outcomes := map[string]int{}
	for seed := range uint64(200) {
		p := newPlatter()
		m := p.mount()
		must(t, vfs.MkdirAll(m, "/d/sub", 0o750))
		f, err := m.Create("/d/sub/file", vfs.Unspecified)
		must(t, err)
		must(t, vfs.SyncDir(m, "/d/sub"))
		_, err = f.WriteAt(bytes.Repeat([]byte("a"), 3000), 0)
		must(t, err)
		must(t, f.Sync())
		_, err = f.WriteAt(bytes.Repeat([]byte("b"), 3000), 3000)
		must(t, err)
		must(t, m.Rename("/d/sub/file", "/d/sub/renamed"))
		p = p.clone()
		_, err = f.WriteAt([]byte("x"), 0)
		must(t, err) // of a process that nobody sees any more
		p.losePower(rand.New(rand.NewPCG(seed, 1)))
		files := p.files("/d")
		if len(files) != 1 {
			t.Fatalf("files after the power loss: %v", files)
		}
		outcomes[files[0]]++
		got, err := vfs.ReadFile(p.mount(), files[0], 1<<20)
		must(t, err)
		if !bytes.HasPrefix(got, bytes.Repeat([]byte("a"), 3000)) {
			t.Fatal("what was synced is gone")
		}
		rest := got[3000:]
		switch bytes.Count(rest, []byte("b")) {
		case 3000:
			outcomes["all"]++
		case 0:
			outcomes["nothing"]++
		default:
			outcomes["torn"]++
		}
	}
	for _, want := range []string{"all", "nothing", "torn", "/d/sub/file", "/d/sub/renamed"} {
		if outcomes[want] == 0 {
			t.Errorf("%q never happened: %v", want, outcomes)
		}
	}
}

func TestPlatterKeepsHolesAndCopies(t *testing.T) {
	p := newPlatter()
	m := p.mount()
	must(t, m.MkdirAll("/d", 0o750))
	f, err := m.Create("/d/file", vfs.Unspecified)
	must(t, err)
	data := slices.Repeat([]byte{7}, 5*pageSize)
	_, err = f.WriteAt(data, 0)
	must(t, err)
	must(t, vfs.PunchHole(f, pageSize, 2*pageSize))
	other := p.clone()
	_, err = f.WriteAt(data, 0)
	must(t, err)
	got, err := vfs.ReadFile(other.mount(), "/d/file", 1<<20)
	must(t, err)
	if want := slices.Concat(data[:pageSize], make([]byte, 2*pageSize), data[:2*pageSize]); !bytes.Equal(got, want) {
		t.Error("the copy does not hold what was there")
	}
	if a, b := other.used("d"), p.used("d"); a != 3*pageSize || b != 5*pageSize {
		t.Errorf("the copy has %d bytes, the original %d", a, b)
	}
	must(t, f.Sync())
	s, ok := p.spoil("/d/file", 1, func(g *block) { g[9] ^= 1 })
	if !ok || !p.remains(s) {
		t.Error("nothing was spoiled")
	}
	p.mend(s)
	got, err = vfs.ReadFile(p.mount(), "/d/file", 1<<20)
	must(t, err)
	if !bytes.Equal(got, data) {
		t.Error("the page is not mended")
	}
	if _, err := m.Lock("/d/LOCK"); err != nil {
		t.Error(err)
	}
	if _, err := p.mount().Lock("/d/LOCK"); err == nil {
		t.Error("two processes hold one lock")
	}
	if _, err := p.clone().mount().Lock("/d/LOCK"); err != nil {
		t.Errorf("a killed process holds a lock: %v", err)
	}
}
