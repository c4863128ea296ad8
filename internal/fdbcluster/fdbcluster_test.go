package fdbcluster

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// install makes empty files of the names.
func install(t *testing.T, names ...string) (home string) {
	t.Helper()
	home = t.TempDir()
	for _, name := range names {
		file := filepath.Join(home, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

func TestFind(t *testing.T) {
	whole := install(t, "bin/fdbserver", "bin/fdbcli", "lib/libfdb_c.so")
	half := install(t, "bin/fdbcli")
	for _, c := range []struct {
		name   string
		env    map[string]string
		server string
		errs   []string
	}{
		{"FDB_HOME", map[string]string{"FDB_HOME": whole, "PATH": half}, whole + "/bin/fdbserver", nil},
		{"half of it", map[string]string{"FDB_HOME": half, "PATH": whole + "/bin"}, "", []string{"fdbserver, libfdb_c.so in FDB_HOME=" + half}},
		{"PATH", map[string]string{"PATH": half + ":" + whole + "/bin"}, whole + "/bin/fdbserver", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := find(func(name string) string { return c.env[name] })
			if p.Server != c.server {
				t.Errorf("server %q, want %q", p.Server, c.server)
			}
			for _, want := range c.errs {
				if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%v, want a line with %q", err, want)
				}
			}
		})
	}
}

// TestSkips is what a binary without FoundationDB does; the test below runs it.
func TestSkips(t *testing.T) {
	if os.Getenv("TEST_SKIPS") == "" {
		t.Skip("run by TestTheFirstSkipSaysWhy")
	}
	for _, name := range []string{"a", "b", "c"} {
		t.Run(name, func(t *testing.T) { Shared(t, One(Redwood)) })
	}
}

func TestTheFirstSkipSaysWhy(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSkips$", "-test.v")
	cmd.Env = append(os.Environ(), "TEST_SKIPS=1", "FDB_HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for what, want := range map[string]int{"FoundationDB not found": 1, "docs/operations/foundationdb.md": 1, "--- SKIP": 3} {
		if got := strings.Count(string(out), what); got != want {
			t.Errorf("%q is said %d times, want %d:\n%s", what, got, want, out)
		}
	}
}

func TestArguments(t *testing.T) {
	if got := Three(SQLite).configure(); got != "configure new double ssd" {
		t.Errorf("%q", got)
	}
	if got := connection("abc", []string{"127.0.0.1:1", "127.0.0.1:2"}); got != "undercroft:abc@127.0.0.1:1,127.0.0.1:2\n" {
		t.Errorf("%q", got)
	}
	// Copies go to different zones.
	first, second := serverArgs("d", "f", "a", 0), serverArgs("d", "f", "a", 1)
	i := slices.Index(first, "--locality-zoneid")
	if i < 0 || len(first) <= i+1 || first[i+1] == second[i+1] {
		t.Errorf("zones: %q and %q", first, second)
	}
	want := []string{"-C", "f", "--timeout", "9", "--exec", "status; lock"}
	if got := cliArgs("f", 9, "status", "lock"); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestLockUID(t *testing.T) {
	uid := strings.Repeat("0123456789abcdef", 2)
	if got, err := lockUID("Locking database with lockUID: " + uid + "\nDatabase locked.\n"); err != nil || got != uid {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := lockUID("ERROR: Database is locked\n"); err == nil {
		t.Errorf("%q of an error", got)
	}
}

func TestFreeAddressesDiffer(t *testing.T) {
	a, err := freeAddresses(3)
	if slices.Sort(a); err != nil || len(slices.Compact(a)) != 3 {
		t.Errorf("%q, %v", a, err)
	}
}

func TestProcessesEndAndStartAgain(t *testing.T) {
	l := newLauncher()
	p := &process{program: "/bin/cat", args: []string{"/dev/zero"}, output: "/dev/null"}
	for range 2 {
		if err := p.start(l); err != nil {
			t.Fatal(err)
		}
		if err := p.start(l); !errors.Is(err, errRunning) {
			t.Errorf("a second start: %v", err)
		}
		if err := p.signal(0); err != nil {
			t.Error(err)
		}
		p.kill()
		p.kill()
		if err := p.signal(0); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("a signal to what was killed: %v", err)
		}
	}
	// Whatever runs ends with the launcher.
	if err := p.start(l); err != nil {
		t.Fatal(err)
	}
	done := p.done
	close(l)
	<-done
}

func TestTheJanitorRemovesWhatIsLeft(t *testing.T) {
	dir := install(t, "left/over")
	input, done, err := janitor(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := input.Close(); err != nil {
		t.Fatal(err)
	}
	<-done
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is there: %v", err)
	}
}

func TestFindBackup(t *testing.T) {
	whole := install(t, "bin/fdbserver", "bin/fdbcli", "bin/backup_agent", "bin/fdbbackup", "bin/fdbrestore")
	if b, err := findBackup(Programs{Server: whole + "/bin/fdbserver", CLI: whole + "/bin/fdbcli"}); err != nil || b.Restore != whole+"/bin/fdbrestore" {
		t.Errorf("%+v, %v", b, err)
	}
	half := install(t, "bin/fdbserver", "bin/backup_agent")
	if err := os.Symlink("nothing", half+"/bin/fdbbackup"); err != nil {
		t.Fatal(err)
	}
	_, err := findBackup(Programs{Server: half + "/bin/fdbserver", CLI: half + "/bin/fdbcli"})
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "fdbbackup, fdbrestore beside "+half) || strings.Contains(err.Error(), "backup_agent") {
		t.Errorf("%v", err)
	}
}
