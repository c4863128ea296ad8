package undercroft_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestInterleavingsAreProven: each line of docs/interleavings.md names tests, or
// faults of the simulation, that exist.
func TestInterleavingsAreProven(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("docs", "interleavings.md"))
	if err != nil {
		t.Fatal(err)
	}
	proof := regexp.MustCompile("`([a-z0-9/-]+)[.:]([A-Za-z0-9_-]+)`")
	proven := map[int]bool{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(cells[1]))
		if err != nil {
			continue
		}
		for _, m := range proof.FindAllStringSubmatch(cells[4], -1) {
			proven[n] = true
			if !isDefined(t, m[1], m[2]) {
				t.Errorf("%d: there is no %s in %s", n, m[2], m[1])
			}
		}
	}
	for n := 1; n <= 50; n++ {
		if (n <= 27 || n >= 42) && !proven[n] {
			t.Errorf("nothing proves %d", n)
		}
	}
}

// isDefined looks for a test of a package, or for the name of a fault in the
// simulation's sources.
func isDefined(t *testing.T, pkg, name string) bool {
	t.Helper()
	pattern, want := filepath.Join(pkg, "*_test.go"), "\nfunc "+name+"(t "
	if pkg == "sim" {
		pattern, want = filepath.Join("internal", "sim", "*.go"), strconv.Quote(name)
	}
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), want) {
			return true
		}
	}
	return false
}
