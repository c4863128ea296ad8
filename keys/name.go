package keys

import (
	"fmt"
	"strings"
)

// MaxName bounds the name of a key, in bytes.
const MaxName = 128

// Name is the name in what a client calls a key: the name itself, alias/NAME, or
// the ARN of either (arn:aws:kms:REGION:ACCOUNT:key/NAME), whose region and
// account are not looked at. A text that can name no key is [ErrNoKey].
func Name(id string) (string, error) {
	name := id
	if strings.HasPrefix(id, "arn:") {
		parts := strings.SplitN(id, ":", 6)
		if len(parts) < 6 || parts[2] != "kms" {
			return "", fmt.Errorf("%w: %q is not the ARN of a key", ErrNoKey, shorten(id))
		}
		name = strings.TrimPrefix(parts[5], "key/")
	}
	name = strings.TrimPrefix(name, "alias/")
	if !valid(name) {
		return "", fmt.Errorf("%w: %q names no key", ErrNoKey, shorten(id))
	}
	return name, nil
}

// valid accepts letters, digits and ._- after a letter or digit: names that are one
// segment of every path.
func valid(name string) bool {
	if name == "" || len(name) > MaxName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case i > 0 && (c == '-' || c == '_' || c == '.'):
		default:
			return false
		}
	}
	return true
}

// shorten bounds a client's text in an error.
func shorten(text string) string { return text[:min(len(text), MaxName)] }
