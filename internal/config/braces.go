package config

import (
	"fmt"
	"strconv"
	"strings"
)

// maxExpansion bounds what one pattern may become, so that a slip of the
// keyboard is an error and not a million directories.
const maxExpansion = 1024

// ExpandBraces expands the ranges {1...6}, {01...12} and {a...f} and the
// alternatives {red,blue} of a pattern, several of them and nested ones too.
// The rightmost brace varies fastest. A pattern without braces is returned as
// it is; one whose braces do not match or say nothing is an error.
func ExpandBraces(pattern string) ([]string, error) {
	results, rest, err := expand(pattern, "")
	if err != nil {
		return nil, fmt.Errorf("%q: %w", pattern, err)
	}
	if rest != "" {
		return nil, fmt.Errorf("%q: a } without its {", pattern)
	}
	return results, nil
}

// expand reads s up to the end or to a byte of stop that is not inside braces,
// and returns every expansion of what it read and the unread rest.
func expand(s, stop string) (results []string, rest string, err error) {
	results = []string{""}
	for s != "" {
		i := strings.IndexAny(s, "{}"+stop)
		if i < 0 {
			i = len(s)
		}
		results, s = appendEach(results, []string{s[:i]}), s[i:]
		if s == "" || s[0] != '{' {
			break
		}
		var inner []string
		if inner, s, err = expandBrace(s[1:]); err != nil {
			return nil, "", err
		}
		if len(inner)*len(results) > maxExpansion {
			return nil, "", fmt.Errorf("it stands for more than %d names", maxExpansion)
		}
		results = appendEach(results, inner)
	}
	return results, s, nil
}

// expandBrace reads what follows a {, its } included.
func expandBrace(s string) (results []string, rest string, err error) {
	if end := strings.IndexAny(s, "{},"); end >= 0 && s[end] == '}' {
		results, err = expandRange(s[:end])
		return results, s[end+1:], err
	}
	for alternatives := 1; ; alternatives++ {
		part, after, err := expand(s, ",")
		if err != nil {
			return nil, "", err
		}
		results = append(results, part...)
		switch {
		case len(results) > maxExpansion:
			return nil, "", fmt.Errorf("it stands for more than %d names", maxExpansion)
		case after == "":
			return nil, "", fmt.Errorf("a { without its }")
		case after[0] == ',':
			s = after[1:]
		case alternatives == 1:
			return nil, "", fmt.Errorf("braces hold a range {1...6} or alternatives {a,b}")
		default:
			return results, after[1:], nil
		}
	}
}

// expandRange expands first...last, both numbers or both single letters.
func expandRange(s string) ([]string, error) {
	first, last, found := strings.Cut(s, "...")
	if !found {
		return nil, fmt.Errorf("braces hold a range {1...6} or alternatives {a,b}, not {%s}", s)
	}
	if isLetter(first) && isLetter(last) {
		if first[0] > last[0] {
			return nil, fmt.Errorf("the range {%s} runs backwards", s)
		}
		var results []string
		for c := first[0]; c <= last[0]; c++ {
			results = append(results, string(rune(c)))
		}
		return results, nil
	}
	from, errFrom := strconv.ParseUint(first, 10, 32)
	to, errTo := strconv.ParseUint(last, 10, 32)
	switch {
	case errFrom != nil || errTo != nil:
		return nil, fmt.Errorf("the range {%s} is neither of numbers nor of letters", s)
	case from > to:
		return nil, fmt.Errorf("the range {%s} runs backwards", s)
	case to-from >= maxExpansion:
		return nil, fmt.Errorf("the range {%s} stands for more than %d names", s, maxExpansion)
	}
	width := 0 // {01...12} keeps its leading zeros
	if len(first) > 1 && first[0] == '0' {
		width = len(first)
	}
	var results []string
	for n := from; n <= to; n++ {
		results = append(results, fmt.Sprintf("%0*d", width, n))
	}
	return results, nil
}

// isLetter reports whether s is one ASCII letter.
func isLetter(s string) bool {
	return len(s) == 1 && (s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z')
}

// appendEach returns every head followed by every tail.
func appendEach(heads, tails []string) []string {
	results := make([]string, 0, len(heads)*len(tails))
	for _, head := range heads {
		for _, tail := range tails {
			results = append(results, head+tail)
		}
	}
	return results
}

// splitList cuts a text at the commas that are not inside braces, and drops
// the spaces around the items.
func splitList(s string) []string {
	var items []string
	depth, start := 0, 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			depth--
		case ',':
			if depth == 0 {
				items, start = append(items, strings.TrimSpace(s[start:i])), i+1
			}
		}
	}
	return append(items, strings.TrimSpace(s[start:]))
}
