package objects

import (
	"errors"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/s3"
)

// Refusal is what a client is told where storage or metadata failed while
// something else was asked of them than an operation of this package, such as who
// the client is. It is nil for other errors.
func Refusal(err error) *s3.Error {
	e, ok := errors.AsType[*s3.Error](codeOf(errorCodes, err))
	if !ok {
		return nil
	}
	return e
}

// Passes says of an error that the metadata did not answer in time, or did not
// say how a write ended: that passes, and a client may come back.
func Passes(err error) bool {
	if errors.Is(err, kv.ErrConflict) {
		return false // of other clients, who are quicker gone than anybody can say
	}
	return errors.Is(err, kv.ErrUnavailable) || errors.Is(err, kv.ErrTimeout) || errors.Is(err, kv.ErrUnknownCommit)
}

// IsAway says of an error that the metadata was not asked, because it has not
// answered for a while, or answers nothing, because it is locked. Who keeps watch over
// that has told already.
func IsAway(err error) bool { return errors.Is(err, kv.ErrAway) || errors.Is(err, kv.ErrLocked) }
