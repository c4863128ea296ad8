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

// hasWildcard reports whether a compiled pattern holds a wildcard.
func hasWildcard(pattern string) bool {
	return strings.IndexByte(pattern, anyRun) >= 0 || strings.IndexByte(pattern, anyOne) >= 0
}

// matchWildcards reports whether subject matches a compiled pattern. Only the
// last "*" is ever retried, so that it takes at most the product of both
// lengths, whatever the pattern.
func matchWildcards(pattern, subject string) bool {
	p, s := 0, 0
	retry, from := -1, 0 // pattern behind the last "*"; where its run ended
	for s < len(subject) {
		switch {
		case p < len(pattern) && pattern[p] < anyOne && pattern[p] == subject[s]:
			p++
			s++
		case p < len(pattern) && pattern[p] == anyRun:
			p++
			if p == len(pattern) {
				return true
			}
			retry, from = p, nextStart(pattern[p], subject, s)
			s = from
		case p < len(pattern) && pattern[p] == anyOne:
			p++
			s += runeLength(subject[s:])
		case retry >= 0:
			from = nextStart(pattern[retry], subject, from+runeLength(subject[from:]))
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

// nextStart returns the first place at or behind from where what follows a "*"
// can begin, the end of the subject when there is none.
func nextStart(begins byte, subject string, from int) int {
	if begins >= anyOne {
		return from
	}
	if i := strings.IndexByte(subject[from:], begins); i >= 0 {
		return from + i
	}
	return len(subject)
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
