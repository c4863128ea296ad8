package iam

import (
	"strings"
	"unicode/utf8"
)

// A compiled pattern is a string in which these two bytes stand for the
// wildcards. They occur in no UTF-8 text, so an asterisk that a policy variable
// brought in stays an asterisk.
const (
	anyRun byte = 0xFF // "*": any characters, none included
	anyOne byte = 0xFE // "?": one character

	run = "\xFF" // anyRun as text
	one = "\xFE"
)

// compileWildcards turns text with "*" and "?" into a pattern.
func compileWildcards(text string) string {
	if !strings.ContainsAny(text, "*?") {
		return text
	}
	pattern := []byte(text)
	for i, c := range pattern {
		switch c {
		case '*':
			pattern[i] = anyRun
		case '?':
			pattern[i] = anyOne
		}
	}
	return string(pattern)
}

// maxSought bounds the "?" of a policy that stand between two "*". They make it
// costly to find where the text around them fits.
const maxSought = 128

// sought counts the "?" of a text between two "*".
func sought(text string) int {
	first, last := strings.IndexByte(text, '*'), strings.LastIndexByte(text, '*')
	if first < 0 {
		return 0
	}
	return strings.Count(text[first:last], "?")
}

// hasWildcard reports whether a compiled pattern holds a wildcard.
func hasWildcard(pattern string) bool {
	return strings.IndexByte(pattern, anyRun) >= 0 || strings.IndexByte(pattern, anyOne) >= 0
}

// matchWildcards reports whether subject matches a compiled pattern. What lies
// between two "*" is sought once and taken where it first fits, so that no
// pattern makes it try again what it has tried.
func matchWildcards(pattern, subject string) bool {
	piece, rest, starred := strings.Cut(pattern, run)
	n, ok := matchHere(piece, subject)
	if !ok {
		return false
	}
	subject = subject[n:]
	if !starred {
		return subject == ""
	}
	for {
		if piece, rest, starred = strings.Cut(rest, run); !starred {
			return matchEnd(piece, subject)
		}
		if n, ok = find(piece, subject); !ok {
			return false
		}
		subject = subject[n:]
	}
}

// literal returns what a piece without "*" begins with before its first "?".
func literal(piece string) string {
	text, _, _ := strings.Cut(piece, one)
	return text
}

// matchHere reports whether the subject begins with a piece, and how many bytes
// of it the piece takes.
func matchHere(piece, subject string) (int, bool) {
	rest := subject
	for {
		text := literal(piece)
		if !strings.HasPrefix(rest, text) {
			return 0, false
		}
		piece, rest = piece[len(text):], rest[len(text):]
		switch {
		case piece == "":
			return len(subject) - len(rest), true
		case rest == "":
			return 0, false
		}
		piece, rest = piece[1:], rest[runeLength(rest):]
	}
}

// matchEnd reports whether the subject ends with a piece.
func matchEnd(piece, subject string) bool {
	for piece != "" {
		i := strings.LastIndexByte(piece, anyOne)
		text := piece[i+1:]
		if !strings.HasSuffix(subject, text) {
			return false
		}
		subject = subject[:len(subject)-len(text)]
		if i < 0 {
			return true
		}
		_, n := utf8.DecodeLastRuneInString(subject)
		if n == 0 {
			return false
		}
		piece, subject = piece[:i], subject[:len(subject)-n]
	}
	return true
}

// find returns where the first match of a piece ends.
func find(piece, subject string) (end int, ok bool) {
	text := literal(piece)
	for from := 0; ; from += runeLength(subject[from:]) {
		i := strings.Index(subject[from:], text)
		if i < 0 {
			return 0, false
		}
		from += i
		if n, ok := matchHere(piece, subject[from:]); ok {
			return from + n, true
		}
		if from == len(subject) {
			return 0, false
		}
	}
}

// matchAction is matchWildcards for the names of actions, whose case does not
// count. The pattern is in lower case.
func matchAction(pattern, action string) bool {
	p, s := 0, 0
	retry, from := -1, 0
	for s < len(action) {
		switch {
		case p < len(pattern) && pattern[p] == anyRun:
			p++
			if p == len(pattern) {
				return true
			}
			retry, from = p, s
		case p < len(pattern) && (pattern[p] == anyOne || pattern[p] == lower(action[s])):
			p++
			s++
		case retry >= 0:
			from++
			p, s = retry, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == anyRun {
		p++
	}
	return p == len(pattern)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

func runeLength(s string) int {
	if s[0] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRuneInString(s)
	return n
}

// matchARN compares the six components of ARNs one by one, so that a wildcard
// does not reach across a colon; the last component takes the rest. A pattern
// of fewer components, such as "*", is compared as a whole.
func matchARN(pattern, arn string) bool {
	if strings.Count(pattern, ":") < 5 {
		return matchWildcards(pattern, arn)
	}
	for range 5 {
		p, restOfPattern, _ := strings.Cut(pattern, ":")
		a, restOfARN, ok := strings.Cut(arn, ":")
		if !ok || !matchWildcards(p, a) {
			return false
		}
		pattern, arn = restOfPattern, restOfARN
	}
	return matchWildcards(pattern, arn)
}
