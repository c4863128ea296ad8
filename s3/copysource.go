package s3

import (
	"net/url"
	"strings"
)

// CopySource is what x-amz-copy-source names.
type CopySource struct {
	Bucket  BucketName
	Key     Key
	Version VersionID
}

// ParseCopySource parses [/]bucket/key[?versionId=id]. Bucket and key are
// percent-encoded; a plus sign is itself, as in a path. The names are
// validated; errors are InvalidArgument.
func ParseCopySource(header string) (CopySource, error) {
	path, version, err := cutVersion(header)
	if err != nil {
		return CopySource{}, err
	}
	path, uerr := url.PathUnescape(path)
	if uerr != nil {
		return CopySource{}, copySourceError(header, "Invalid copy source encoding")
	}
	bucket, key, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch {
	case !ok || ValidateKey(Key(key)) != nil:
		return CopySource{}, copySourceError(header, "Invalid copy source object key")
	case ValidateBucketName(BucketName(bucket)) != nil:
		return CopySource{}, copySourceError(header, "Invalid copy source bucket name")
	}
	return CopySource{Bucket: BucketName(bucket), Key: Key(key), Version: version}, nil
}

// cutVersion splits the version off. A question mark that is part of the key
// is encoded; one that is not followed by versionId is taken for the key's,
// since some clients encode nothing.
func cutVersion(header string) (path string, version VersionID, err error) {
	i := strings.LastIndex(header, "?versionId=")
	if i < 0 {
		return header, "", nil
	}
	id, uerr := url.QueryUnescape(header[i+len("?versionId="):])
	if uerr != nil || id == "" {
		return "", "", InvalidArg("x-amz-copy-source", header, "Invalid version id specified")
	}
	return header[:i], VersionID(id), nil
}

func copySourceError(header, message string) error {
	return InvalidArg("x-amz-copy-source", header, message)
}
