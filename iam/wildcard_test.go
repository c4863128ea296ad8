package iam

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestWildcards(t *testing.T) {
	tests := []struct {
		pattern, subject string
		want             bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "a/b:c", true},
		{"?", "", false},
		{"?", "é", true},
		{"??", "é", false},
		{"a*", "a", true},
		{"a*b", "ab", true},
		{"a*b", "axxb", true},
		{"a*b", "axxbc", false},
		{"*a*b*", "xxaxxbxx", true},
		{"*a*b*", "xxbxxaxx", false},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"*?", "", false},
		{"*?", "é", true},
		{"a*??", "aé", false},
		{"***", "x", true},
		{"*.jpg", "a.jpg.jpg", true},
		{"abc", "abd", false},
		{"abc", "ab", false},
		{"ab", "abc", false},
		{"*ab*abc", "abab", false},
		{"*ab*abc", "ababc", true},
		{"a*a", "a", false},
		{"*b?d", "abcdbxd", true},
		{"*b?*d", "abd", false},
		{"?*?", "é", false},
		{"?*?", "éé", true},
		{"*é", "aé", true},
	}
	for _, tt := range tests {
		if got := matchWildcards(compileWildcards(tt.pattern), tt.subject); got != tt.want {
			t.Errorf("match(%q, %q) = %v", tt.pattern, tt.subject, got)
		}
	}
}

func TestActionsMatchWithoutCase(t *testing.T) {
	tests := []struct {
		pattern, action string
		want            bool
	}{
		{"s3:GetObject", "s3:GetObject", true},
		{"S3:getOBJECT", "s3:GetObject", true},
		{"s3:Get*", "s3:GetObjectAcl", true},
		{"s3:Get*", "s3:PutObject", false},
		{"s3:*Acl", "s3:GetObjectAcl", true},
		{"s3:?etObject", "s3:GetObject", true},
		{"s3:GetObject", "s3:GetObjectAcl", false},
		{"*", "s3:GetObject", true},
		{"*:*Object*", "s3:GetObjectAcl", true},
		{"s3:*Object", "s3:GetObjectAcl", false},
	}
	for _, tt := range tests {
		if got := matchAction(compileWildcards(strings.ToLower(tt.pattern)), tt.action); got != tt.want {
			t.Errorf("match(%q, %q) = %v", tt.pattern, tt.action, got)
		}
	}
}

func TestARNsMatchByComponent(t *testing.T) {
	tests := []struct {
		pattern, arn string
		want         bool
	}{
		{"arn:aws:iam::111111111111:root", "arn:aws:iam::111111111111:root", true},
		{"arn:aws:iam::*:root", "arn:aws:iam::111111111111:root", true},
		{"arn:aws:iam::*:user/*", "arn:aws:iam::111111111111:user/a/b", true},
		{"arn:aws:*:root", "arn:aws:iam::111111111111:root", true},
		{"arn:*:*:*:*:*", "arn:aws:iam::111111111111:root", true},
		{"arn:aws:sns:*:*:a:*", "arn:aws:sns:r:1:a:b", true},
		{"arn:aws:iam::1*:root", "arn:aws:iam::2:root", false},
		{"arn:aws:iam::?:root", "arn:aws:iam:::root", false},
		{"*", "arn:aws:iam::111111111111:root", true},
		{"arn:aws:iam::1:root", "not an ARN", false},
	}
	for _, tt := range tests {
		if got := matchARN(compileWildcards(tt.pattern), tt.arn); got != tt.want {
			t.Errorf("match(%q, %q) = %v", tt.pattern, tt.arn, got)
		}
	}
}

// Patterns that a matcher which tries again would not finish in a lifetime,
// against the longest header that is accepted.
func TestHostilePatternsEnd(t *testing.T) {
	for _, pattern := range []string{
		strings.Repeat("*a", 5000) + "b*",
		"*" + strings.Repeat("a", 10000) + "b*",
		"*" + strings.Repeat("a", 10000) + "?b*",
		"*" + strings.Repeat("a?", maxSought) + "b*",
		strings.Repeat("*a?", maxSought) + "b",
		strings.Repeat("*", 10000) + "b",
	} {
		if matchWildcards(compileWildcards(pattern), strings.Repeat("a", 64<<10)) {
			t.Errorf("%.20q… matched", pattern)
		}
	}
}

// matchSimply is what wildcards mean, over characters, with a table.
func matchSimply(pattern, subject string) bool {
	s := []rune(subject)
	row := make([]bool, len(s)+1) // row[j]: the pattern so far matches s[:j]
	row[0] = true
	for _, c := range pattern {
		next := make([]bool, len(s)+1)
		for j := range next {
			switch {
			case c == '*':
				next[j] = row[j] || j > 0 && next[j-1]
			case j > 0:
				next[j] = row[j-1] && (c == '?' || c == s[j-1])
			}
		}
		row = next
	}
	return row[len(s)]
}

func FuzzWildcards(f *testing.F) {
	for _, seed := range [][2]string{
		{"a*b?c", "axxbyc"},
		{"*", ""},
		{"?é*", "xéy"},
		{"**a**", "bab"},
		{"*aab", "aaaab"},
		{"arn:aws:s3:::*/x?", "arn:aws:s3:::b/k/xy"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, subject string) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(subject) || len(pattern)*len(subject) > 1<<16 {
			t.Skip()
		}
		if got, want := matchWildcards(compileWildcards(pattern), subject), matchSimply(pattern, subject); got != want {
			t.Errorf("match(%q, %q) = %v, want %v", pattern, subject, got, want)
		}
		pattern, subject = asciiLower(pattern), asciiLower(subject)
		if isASCII(pattern) && isASCII(subject) && matchAction(compileWildcards(pattern), strings.ToUpper(subject)) != matchSimply(pattern, subject) {
			t.Errorf("actions: match(%q, %q) differs", pattern, subject)
		}
	})
}

func asciiLower(s string) string {
	return strings.Map(lowerASCII, s)
}

func lowerASCII(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}
