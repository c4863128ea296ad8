package gateway

import (
	"time"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// readConditions returns the conditions of a GET or HEAD. A date that is none
// is ignored.
func (x *exchange) readConditions() s3.Conditions {
	return s3.Conditions{
		IfMatch:           x.header(s3.HeaderIfMatch),
		IfNoneMatch:       x.header(s3.HeaderIfNoneMatch),
		IfModifiedSince:   x.date(s3.HeaderIfModifiedSince),
		IfUnmodifiedSince: x.date(s3.HeaderIfUnmodifiedSince),
	}
}

func (x *exchange) date(header string) time.Time {
	if v := x.header(header); v != "" {
		if t, ok := s3.ParseHTTP(v); ok {
			return t
		}
	}
	return time.Time{}
}

// readPrecondition returns the precondition of a read, nil for none. A 304
// carries what the client needs to refresh what it has.
func (x *exchange) readPrecondition() objects.Precondition {
	c := x.readConditions()
	if !c.Any() {
		return nil
	}
	return func(tag s3.ETag, modified time.Time) error {
		err := c.CheckRead(tag, modified)
		if s3.CodeOf(err) == s3.NotModified {
			x.set(s3.HeaderETag, tag.Quoted())
			x.set(s3.HeaderLastModified, s3.FormatHTTP(modified))
		}
		return err
	}
}

// writePrecondition returns the precondition of a PutObject, CopyObject or
// CompleteMultipartUpload, nil for none. Beside what AWS takes, an entity tag
// in If-None-Match and * in If-Match mean what they mean in HTTP.
func (x *exchange) writePrecondition() (objects.WritePrecondition, error) {
	if err := x.refuseConditions(s3.HeaderIfModifiedSince, s3.HeaderIfUnmodifiedSince); err != nil {
		return nil, err
	}
	match, none := x.header(s3.HeaderIfMatch), x.header(s3.HeaderIfNoneMatch)
	switch {
	case match == "" && none == "":
		return nil, nil
	case match != "" && none != "":
		return nil, s3.NewError(s3.NotImplemented).With("Header", "If-Match,If-None-Match").
			With("additionalMessage", "Multiple conditional request headers present in the request")
	}
	c := s3.Conditions{IfMatch: match, IfNoneMatch: none}
	key := x.key
	pre := func(current *objects.Object) error {
		switch {
		case current != nil:
			err := c.CheckRead(current.ETag, current.Modified)
			if s3.CodeOf(err) == s3.NotModified {
				return s3.NewError(s3.PreconditionFailed).With("Condition", "If-None-Match")
			}
			return err
		case match != "":
			return s3.NewError(s3.NoSuchKey).With("Key", string(key))
		}
		return nil
	}
	if match+none == "*" {
		return pre, nil // it compares with nothing
	}
	return x.comparing(&question{action: "s3:GetObject", place: &x.place, bucket: x.bucket, key: x.key}, pre), nil
}

// refuseConditions refuses the headers of conditions that the operation does
// not have: to pass over them would be to act against them.
func (x *exchange) refuseConditions(headers ...string) error {
	for _, h := range headers {
		if x.header(h) != "" {
			return s3.NotImplementedHeader(h).
				With("additionalMessage", "The request has a condition that this operation does not take")
		}
	}
	return nil
}

// deleteCondition is what a deletion asks of what it deletes, as the headers of
// DeleteObject or an entry of DeleteObjects have it.
type deleteCondition struct {
	tag            string
	modified, size string
	at             time.Time
	bytes          int64
}

// deletePrecondition returns the precondition of a deletion, nil for none.
// What is not there passes: deleting it changes nothing.
func deletePrecondition(tag, modified, size string) (objects.WritePrecondition, error) {
	if tag == "" && modified == "" && size == "" {
		return nil, nil
	}
	c := deleteCondition{tag: tag, modified: modified, size: size}
	if modified != "" {
		t, ok := s3.ParseHTTP(modified)
		if !ok {
			return nil, s3.InvalidArg("x-amz-if-match-last-modified-time", modified, "Invalid time")
		}
		c.at = t.Truncate(time.Second)
	}
	if size != "" {
		n, err := parseSize("x-amz-if-match-size", size)
		if err != nil {
			return nil, err
		}
		c.bytes = n
	}
	return c.check, nil
}

// check holds the condition against the version named, or the newest. A delete
// marker has a time, and neither an entity tag nor a size that could match.
func (c *deleteCondition) check(current *objects.Object) error {
	failed := s3.NewError(s3.PreconditionFailed)
	switch {
	case current == nil:
		return nil
	case c.size != "" && (current.DeleteMarker || current.Size != c.bytes):
		return failed.With("Condition", "If-Match-Size")
	case c.modified != "" && !current.Modified.Truncate(time.Second).Equal(c.at):
		return failed.With("Condition", "If-Match-Last-Modified-Time")
	}
	read := s3.Conditions{IfMatch: c.tag}
	return read.CheckRead(current.ETag, current.Modified)
}
