//go:build fdb

package fdb

import (
	"context"
	"errors"
	"fmt"

	"github.com/apple/foundationdb/bindings/go/src/fdb"

	"github.com/undercroft/undercroft/metadata/kv"
)

// again says who knows when a transaction may run again after an error.
type again uint8

const (
	never    again = iota
	soon           // after a short pause of the engine's own
	byClient       // when the client library's OnError returns
)

// meaning is what one error of the client library says about a transaction. A
// commit that fails was not applied, except where its error is ErrUnknownCommit:
// such a transaction never runs again.
type meaning struct {
	read   error // when a read fails with it, or a transaction begins
	commit error // when a commit does
	again  again
}

// Errors that are no sentinel of kv: nothing was applied.
var (
	errRefused = errors.New("fdb: the client library refuses the call")
)

// The numbers of the client library's errors that mean something of their own.
const (
	codeTooOld            = 1007
	codeFutureVersion     = 1009
	codeNotCommitted      = 1020
	codeUnknownResult     = 1021
	codeUnknownFatal      = 1022
	codeCanceled          = 1025
	codeTimedOut          = 1031
	codeUnreadable        = 1036
	codeProcessBehind     = 1037
	codeLocked            = 1038
	codeVersionChanged    = 1039
	codeCommitProxyMemory = 1042
	codeBatchThrottled    = 1051
	codeGRVProxyMemory    = 1078
	codeTagThrottled      = 1213
	codeProxyTagThrottled = 1223
	codeOutsideLegalRange = 2004
	codeTxTooLarge        = 2101
	codeKeyTooLarge       = 2102
	codeValueTooLarge     = 2103

	// Errors of these hundreds are the client library's own answers to a call.
	refusedFrom, refusedBefore = 2000, 2300
)

// meaningOf never takes an error that it does not know for one after which
// nothing was applied.
func meaningOf(code int) meaning {
	switch code {
	case codeTooOld:
		return meaning{kv.ErrTooOld, kv.ErrTooOld, soon}
	case codeNotCommitted:
		return meaning{kv.ErrConflict, kv.ErrConflict, soon}
	case codeFutureVersion, codeProcessBehind, codeCommitProxyMemory, codeGRVProxyMemory,
		codeBatchThrottled, codeTagThrottled, codeProxyTagThrottled:
		return meaning{kv.ErrThrottled, kv.ErrThrottled, byClient}
	case codeUnknownResult, codeUnknownFatal:
		return meaning{kv.ErrUnknownCommit, kv.ErrUnknownCommit, never}
	case codeVersionChanged:
		return meaning{kv.ErrUnavailable, kv.ErrUnknownCommit, soon}
	case codeTimedOut:
		return meaning{kv.ErrTimeout, kv.ErrUnknownCommit, never}
	case codeCanceled:
		return meaning{kv.ErrUnavailable, kv.ErrUnknownCommit, never}
	case codeLocked:
		return meaning{kv.ErrLocked, kv.ErrLocked, never}
	default:
		return meaningOfRefusal(code)
	}
}

func meaningOfRefusal(code int) meaning {
	switch code {
	case codeUnreadable:
		return meaning{kv.ErrUnreadable, kv.ErrUnreadable, never}
	case codeTxTooLarge:
		return meaning{kv.ErrTxTooLarge, kv.ErrTxTooLarge, never}
	case codeKeyTooLarge:
		return meaning{kv.ErrKeyTooLarge, kv.ErrKeyTooLarge, never}
	case codeValueTooLarge:
		return meaning{kv.ErrValueTooLarge, kv.ErrValueTooLarge, never}
	case codeOutsideLegalRange:
		return meaning{kv.ErrKeyReserved, kv.ErrKeyReserved, never}
	}
	if code >= refusedFrom && code < refusedBefore {
		return meaning{errRefused, errRefused, never}
	}
	return meaning{kv.ErrUnavailable, kv.ErrUnknownCommit, never}
}

// readError is what a read, or the begin of a transaction, failed with.
func readError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if canceled := ctx.Err(); canceled != nil {
		return fmt.Errorf("transaction: %w", canceled)
	}
	var e fdb.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%w: %w", kv.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w", meaningOf(e.Code).read, err)
}

// commitError is what a commit failed with.
func commitError(ctx context.Context, err error) error {
	var e fdb.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%w: %w", kv.ErrUnknownCommit, err)
	}
	m := meaningOf(e.Code)
	if canceled := ctx.Err(); canceled != nil && errors.Is(m.commit, kv.ErrUnknownCommit) {
		return fmt.Errorf("%w: %w: %w", m.commit, canceled, err)
	}
	return fmt.Errorf("%w: %w", m.commit, err)
}

// repetition says whether and when the transaction that failed with err may run
// again. The error is also the one of a function that wrapped what it got.
func repetition(err error) (again, fdb.Error) {
	var e fdb.Error
	switch {
	case err == nil, errors.Is(err, kv.ErrUnknownCommit):
		return never, e
	case errors.As(err, &e):
		return meaningOf(e.Code).again, e
	case errors.Is(err, kv.ErrConflict), errors.Is(err, kv.ErrTooOld):
		return soon, e
	default:
		return never, e
	}
}
