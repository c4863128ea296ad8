package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExpandBraces(t *testing.T) {
	tests := []struct {
		pattern string
		want    string // separated by spaces
	}{
		{"/d", "/d"},
		{"/mnt/d{1...3}", "/mnt/d1 /mnt/d2 /mnt/d3"},
		{"/d{9...11}x", "/d9x /d10x /d11x"},
		{"/d{08...10}", "/d08 /d09 /d10"},
		{"/d{0...2}", "/d0 /d1 /d2"},
		{"/d{5...5}", "/d5"},
		{"{a...c}", "a b c"},
		{"{X...Z}", "X Y Z"},
		{"/r{1...2}/d{1...2}", "/r1/d1 /r1/d2 /r2/d1 /r2/d2"},
		{"/{ssd,hdd}", "/ssd /hdd"},
		{"/{ssd{1...2},hdd}", "/ssd1 /ssd2 /hdd"},
		{"/{a{x,y{1...2}},b}/z", "/ax/z /ay1/z /ay2/z /b/z"},
		{"/{a,}", "/a /"},
		{"/{{1...2},{5...6}}", "/1 /2 /5 /6"},
	}
	for _, tt := range tests {
		got, err := ExpandBraces(tt.pattern)
		if err != nil {
			t.Errorf("%s: %v", tt.pattern, err)
			continue
		}
		if diff := cmp.Diff(strings.Split(tt.want, " "), got); diff != "" {
			t.Errorf("%s:\n%s", tt.pattern, diff)
		}
	}
}

func TestExpandBracesRefuses(t *testing.T) {
	for pattern, want := range map[string]string{
		"/d{1...3":                     "a { without its }",
		"/d{1...3}}":                   "a } without its {",
		"/d}":                          "a } without its {",
		"/d{}":                         "not {}",
		"/d{x}":                        "not {x}",
		"/d{{1...2}}":                  "braces hold a range {1...6} or alternatives {a,b}",
		"/d{3...1}":                    "the range {3...1} runs backwards",
		"/d{c...a}":                    "the range {c...a} runs backwards",
		"/d{a...3}":                    "neither of numbers nor of letters",
		"/d{-1...3}":                   "neither of numbers nor of letters",
		"/d{1...99999}":                "more than 1024 names",
		"/d{0...4294967295}":           "more than 1024 names",
		"{1...100}{1...100}":           "more than 1024 names",
		"{{1...900},{1...900}}":        "more than 1024 names",
		"{1...32}{1...32}{1...2}":      "more than 1024 names",
		"{1...2}{1...4294967296}":      "neither of numbers nor of letters",
		strings.Repeat("{a,", 3) + "b": "a { without its }",
	} {
		got, err := ExpandBraces(pattern)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want an error with %q", pattern, got, err, want)
		}
	}
}

func FuzzExpandBraces(f *testing.F) {
	for _, seed := range []string{"/d{1...6}", "{a,b{01...03}}{x...z}", "{{,}}", "}{", "{1...2}{1...2}{1...2}", "plain"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		got, err := ExpandBraces(pattern)
		if err != nil {
			return
		}
		if len(got) == 0 || len(got) > maxExpansion {
			t.Fatalf("%q expands to %d names", pattern, len(got))
		}
		if !strings.ContainsAny(pattern, "{}") && !slices.Equal(got, []string{pattern}) {
			t.Errorf("%q without braces became %q", pattern, got)
		}
		for _, name := range got {
			if strings.ContainsAny(name, "{}") {
				t.Errorf("%q left braces in %q", pattern, name)
			}
			if head := pattern[:max(0, strings.IndexByte(pattern, '{'))]; !strings.HasPrefix(name, head) {
				t.Errorf("%q lost its beginning in %q", pattern, name)
			}
		}
	})
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "4096": 4096, "8KiB": 8192, "192MiB": 192 << 20, "1 GiB": 1 << 30, "2TiB": 2 << 40,
		"5kB": 5000, "5KB": 5000, "3MB": 3e6, "1GB": 1e9, "7B": 7, "8191PiB": -1,
		"": -1, "-1": -1, "+1": -1, "1.5GiB": -1, "KiB": -1, "1k": -1, "99999999999TiB": -1, "9223372036854775808": -1,
	} {
		got, err := ParseSize(text)
		if want < 0 {
			if err == nil {
				t.Errorf("%q accepted as %d", text, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%q = %d, %v; want %d", text, got, err, want)
		}
	}
}

func FuzzParseSizeRoundTrip(f *testing.F) {
	f.Add("192MiB")
	f.Add("9223372036854775807")
	f.Add("8388607TiB")
	f.Fuzz(func(t *testing.T, text string) {
		size, err := ParseSize(text)
		if err != nil {
			return
		}
		if size < 0 {
			t.Fatalf("%q is negative: %d", text, size)
		}
		if again, err := ParseSize(size.String()); err != nil || again != size {
			t.Errorf("%q is %d, printed %q, read back %d, %v", text, size, size, again, err)
		}
	})
}
