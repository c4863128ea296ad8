package s3

import "time"

// Conditions are the preconditions of a read, or those that a copy sets for
// its source. Zero values mean that the header was absent.
type Conditions struct {
	// IfMatch and IfNoneMatch are lists of entity tags, or *.
	IfMatch     string
	IfNoneMatch string
	// IfModifiedSince and IfUnmodifiedSince have whole seconds.
	IfModifiedSince   time.Time
	IfUnmodifiedSince time.Time
}

// Any reports whether there is a condition at all.
func (c *Conditions) Any() bool {
	return c.IfMatch != "" || c.IfNoneMatch != "" ||
		!c.IfModifiedSince.IsZero() || !c.IfUnmodifiedSince.IsZero()
}

// CheckRead decides a GET or HEAD of what has this entity tag and time. It
// returns nil, NotModified or PreconditionFailed. A matching If-Match makes
// If-Unmodified-Since of no account, and a present If-None-Match makes
// If-Modified-Since so.
func (c *Conditions) CheckRead(tag ETag, modified time.Time) error {
	failed, notModified := c.evaluate(tag, modified)
	switch {
	case failed != "":
		return NewError(PreconditionFailed).With("Condition", failed)
	case notModified != "":
		return NewError(NotModified)
	}
	return nil
}

// CheckCopySource decides a copy from what has this entity tag and time. It
// returns nil or PreconditionFailed: there is nothing like 304 for a copy.
func (c *Conditions) CheckCopySource(tag ETag, modified time.Time) error {
	failed, notModified := c.evaluate(tag, modified)
	if failed == "" {
		failed = notModified
	}
	if failed != "" {
		return NewError(PreconditionFailed).With("Condition", copySourcePrefix+failed)
	}
	return nil
}

const copySourcePrefix = "x-amz-copy-source-"

// evaluate names the condition that failed, and apart from it the one that
// says that the client has it already.
func (c *Conditions) evaluate(tag ETag, modified time.Time) (failed, notModified string) {
	modified = modified.Truncate(time.Second)
	switch {
	case c.IfMatch != "":
		if !tag.matchList(c.IfMatch) {
			return "If-Match", ""
		}
	case !c.IfUnmodifiedSince.IsZero():
		if modified.After(c.IfUnmodifiedSince) {
			return "If-Unmodified-Since", ""
		}
	}
	switch {
	case c.IfNoneMatch != "":
		if tag.matchList(c.IfNoneMatch) {
			return "", "If-None-Match"
		}
	case !c.IfModifiedSince.IsZero():
		if !modified.After(c.IfModifiedSince) {
			return "", "If-Modified-Since"
		}
	}
	return "", ""
}
