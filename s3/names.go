package s3

import (
	"strings"
	"unicode/utf8"
)

// BucketName is the name of a bucket.
type BucketName string

// Key is the name of an object inside its bucket.
type Key string

// VersionID names one version of an object; "null" is the version written
// while versioning is off, and empty means the current one.
type VersionID string

// UploadID names one multipart upload of a key.
type UploadID string

// OwnerID is the canonical user id of an account.
type OwnerID string

// NullVersion is the version id of what was written without versioning.
const NullVersion VersionID = "null"

// Owner is an account as responses show it.
type Owner struct {
	ID          OwnerID
	DisplayName string
}

// ValidateBucketName applies AWS's rules for general purpose buckets. The error
// is InvalidBucketName.
func ValidateBucketName(name BucketName) error {
	if !validBucketName(string(name)) {
		return NewError(InvalidBucketName).With("BucketName", string(name))
	}
	return nil
}

func validBucketName(s string) bool {
	if len(s) < MinBucketName || len(s) > MaxBucketName {
		return false
	}
	if !isLowerAlnum(s[0]) || !isLowerAlnum(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !isLowerAlnum(c) && c != '-' && c != '.' {
			return false
		}
		if c == '.' && (s[i-1] == '.' || s[i-1] == '-' || s[i+1] == '-') {
			return false
		}
	}
	return !looksLikeIPv4(s) && !hasReservedAffix(s)
}

// looksLikeIPv4 reports whether s has the shape of a dotted quad, in range or not.
func looksLikeIPv4(s string) bool {
	if s[0] > '9' || strings.Count(s, ".") != 3 {
		return false
	}
	for p := range strings.SplitSeq(s, ".") {
		if p == "" || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}

func hasReservedAffix(s string) bool {
	for _, p := range [...]string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	for _, p := range [...]string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if strings.HasSuffix(s, p) {
			return true
		}
	}
	return false
}

func isLowerAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
}

// ValidateKey accepts 1 to 1024 bytes of valid UTF-8. Control characters and
// NUL are allowed, as at AWS; they are escaped where XML shows them.
func ValidateKey(key Key) error {
	switch {
	case key == "":
		return NewError(InvalidRequest).WithMessage("A key must be specified.")
	case len(key) > MaxKeyBytes:
		return NewError(KeyTooLongError).
			WithInt("Size", int64(len(key))).WithInt("MaxSizeAllowed", MaxKeyBytes)
	case !utf8.ValidString(string(key)):
		return NewError(InvalidURI)
	}
	return nil
}
