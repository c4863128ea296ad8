package objects

import (
	"context"
	"errors"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
)

// errorCode says what a client is told of a failure below S3.
type errorCode struct {
	cause   error
	code    s3.Code
	message string // empty: the code's own
}

// errorCodes are those of storage and metadata.
//
//nolint:gochecknoglobals // a constant table
var errorCodes = []errorCode{
	{metadata.ErrLocked, s3.AccessDenied, "Access Denied because object protected by object lock."},
	{partition.ErrOverloaded, s3.SlowDown, ""},
	{partition.ErrNoSpace, s3.StorageFull, ""},
	{kv.ErrNoSpace, s3.StorageFull, ""},
	{partition.ErrNoDisks, s3.ServiceUnavailable, "Too few disks are in service to store data safely. Try again later."},
	{partition.ErrElsewhere, s3.ServiceUnavailable, "This gateway has no data directories, and serves only objects that are kept with their metadata. Trying again here does not help: send the request to the server that has them."},
	{partition.ErrClosed, s3.ServiceUnavailable, ""},
	{metadata.ErrFenced, s3.SlowDown, "The write lost its place while storage was being reorganised. Please try again."},
	{kv.ErrUnknownCommit, s3.ServiceUnavailable, "It is unknown whether the request took effect. Please look before you try again."},
	{kv.ErrConflict, s3.SlowDown, ""},
	{kv.ErrTooOld, s3.SlowDown, ""},
	{kv.ErrTimeout, s3.SlowDown, ""},
	{kv.ErrLocked, s3.ServiceUnavailable, "The metadata store is locked by its administrator. Try again later."},
	{kv.ErrUnavailable, s3.ServiceUnavailable, ""},
	{kv.ErrClosed, s3.ServiceUnavailable, ""},
}

// codeOf is what the first entry that an error matches makes of it, or nil.
func codeOf(codes []errorCode, err error) error {
	for _, e := range codes {
		if !errors.Is(err, e.cause) {
			continue
		}
		out := s3.NewError(e.code)
		if e.message != "" {
			out = out.WithMessage(e.message)
		}
		return out.Because(err)
	}
	return nil
}

// asS3 turns a failure of the layers below into what a client is told. Errors
// that are S3's already, and a context's end, pass unchanged.
func asS3(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*bodyError](err); ok {
		return e.err
	}
	if _, ok := errors.AsType[*s3.Error](err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if e := codeOf(errorCodes, err); e != nil {
		return e
	}
	return s3.NewError(s3.InternalError).Because(err)
}
