package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestHelpNamesEverySetting(t *testing.T) {
	var b strings.Builder
	if err := WriteHelp(&b); err != nil {
		t.Fatal(err)
	}
	for _, o := range options(new(Config)) {
		if !strings.Contains(b.String(), "  --"+o.name) || !strings.Contains(b.String(), envName(o.name)) {
			t.Errorf("the help does not name %s and %s", o.name, envName(o.name))
		}
		if o.help == "" || !strings.HasSuffix(o.help, ".") {
			t.Errorf("%s: help %q is not a sentence", o.name, o.help)
		}
	}
	for line := range strings.Lines(b.String()) {
		if len(line) > helpWidth+1 {
			t.Errorf("line of %d bytes: %q", len(line), line)
		}
	}
}

var update = flag.Bool("update", false, "write the generated files")

func TestReadmeShowsTheTable(t *testing.T) {
	const file = "../../README.md"
	readme, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- settings: begin -->\n", "<!-- settings: end -->"
	before, after, foundBegin := strings.Cut(string(readme), begin)
	shown, after, foundEnd := strings.Cut(after, end)
	if !foundBegin || !foundEnd {
		t.Fatal("README.md has no settings markers")
	}
	if *update {
		shown = markdownTable()
		if err := os.WriteFile(file, []byte(before+begin+shown+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if shown != markdownTable() {
		t.Error("README.md shows another table than the code holds; run: make docs")
	}
}

// markdownTable returns the settings as the table that README.md shows.
func markdownTable() string {
	var b strings.Builder
	b.WriteString("| Setting | Environment | Default | Meaning |\n|---|---|---|---|\n")
	for _, o := range options(new(Config)) {
		fallback := ""
		if o.fallback != "" {
			fallback = "`" + o.fallback + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", o.name, envName(o.name), fallback, strings.ReplaceAll(o.help, "|", `\|`))
	}
	return b.String()
}
