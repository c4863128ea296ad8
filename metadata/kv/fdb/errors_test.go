//go:build fdb

package fdb

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/apple/foundationdb/bindings/go/src/fdb"

	"github.com/undercroft/undercroft/metadata/kv"
)

// Every error that the client library may give to a transaction, and what the
// engine makes of it. What is not in the list is as the last rows are.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		name         string
		code         int
		read, commit error
		again        again
	}{
		{"transaction_too_old", 1007, kv.ErrTooOld, kv.ErrTooOld, soon},
		{"not_committed", 1020, kv.ErrConflict, kv.ErrConflict, soon},
		{"future_version", 1009, kv.ErrUnavailable, kv.ErrUnavailable, byClient},
		{"process_behind", 1037, kv.ErrUnavailable, kv.ErrUnavailable, byClient},
		{"commit_proxy_memory_limit_exceeded", 1042, kv.ErrUnavailable, kv.ErrUnavailable, byClient},
		{"batch_transaction_throttled", 1051, kv.ErrThrottled, kv.ErrThrottled, byClient},
		{"grv_proxy_memory_limit_exceeded", 1078, kv.ErrUnavailable, kv.ErrUnavailable, byClient},
		{"tag_throttled", 1213, kv.ErrThrottled, kv.ErrThrottled, byClient},
		{"proxy_tag_throttled", 1223, kv.ErrUnavailable, kv.ErrUnavailable, byClient},

		{"commit_unknown_result", 1021, kv.ErrUnknownCommit, kv.ErrUnknownCommit, never},
		{"commit_unknown_result_fatal", 1022, kv.ErrUnknownCommit, kv.ErrUnknownCommit, never},
		{"transaction_cancelled", 1025, kv.ErrUnavailable, kv.ErrUnknownCommit, never},
		{"transaction_timed_out", 1031, kv.ErrTimeout, kv.ErrUnknownCommit, never},
		{"cluster_version_changed", 1039, kv.ErrUnavailable, kv.ErrUnknownCommit, soon},

		{"database_locked", 1038, kv.ErrLocked, kv.ErrLocked, never},
		{"accessed_unreadable", 1036, kv.ErrUnreadable, kv.ErrUnreadable, never},
		{"transaction_too_large", 2101, kv.ErrTxTooLarge, kv.ErrTxTooLarge, never},
		{"key_too_large", 2102, kv.ErrKeyTooLarge, kv.ErrKeyTooLarge, never},
		{"value_too_large", 2103, kv.ErrValueTooLarge, kv.ErrValueTooLarge, never},
		{"key_outside_legal_range", 2004, kv.ErrKeyReserved, kv.ErrKeyReserved, never},
		{"client_invalid_operation", 2000, errRefused, errRefused, never},
		{"commit_read_incomplete", 2002, errRefused, errRefused, never},
		{"used_during_commit", 2017, errRefused, errRefused, never},

		{"coordinators_changed", 1027, kv.ErrUnavailable, kv.ErrUnknownCommit, never},
		{"wrong_connection_file", 1054, kv.ErrUnavailable, kv.ErrUnknownCommit, never},
		{"broken_promise", 1100, kv.ErrUnavailable, kv.ErrUnknownCommit, never},
		{"no_cluster_file_found", 1515, kv.ErrUnavailable, kv.ErrUnknownCommit, never},
		{"internal_error", 4100, kv.ErrUnavailable, kv.ErrUnknownCommit, never},
		{"an error of a later library", 9999, kv.ErrUnavailable, kv.ErrUnknownCommit, never},
	} {
		t.Run(fmt.Sprintf("%d %s", c.code, c.name), func(t *testing.T) {
			cause := fdb.Error{Code: c.code}
			read, commit := readError(t.Context(), cause), commitError(t.Context(), cause)
			if !errors.Is(read, c.read) || !errors.Is(commit, c.commit) {
				t.Errorf("read %v, want %v; commit %v, want %v", read, c.read, commit, c.commit)
			}
			wrapped := fmt.Errorf("what the function was doing: %w", read)
			if when, from := repetition(wrapped); when != c.again || when != never && from != cause {
				t.Errorf("read runs again %d because of %v, want %d", when, from, c.again)
			}
			want := c.again
			if errors.Is(c.commit, kv.ErrUnknownCommit) {
				want = never
			}
			if when, _ := repetition(commit); when != want {
				t.Errorf("commit runs again %d, want %d", when, want)
			}
		})
	}
}

// The end of the caller's context is the read's error, whatever the library says,
// and it does not hide that a commit was sent.
func TestErrorsAfterTheEndOfTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, code := range []int{codeCanceled, codeTimedOut, codeTooOld} {
		err := readError(ctx, fdb.Error{Code: code})
		if !errors.Is(err, context.Canceled) || errors.Is(err, kv.ErrUnavailable) {
			t.Errorf("read, %d: %v", code, err)
		}
	}
	err := commitError(ctx, fdb.Error{Code: codeCanceled})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, kv.ErrUnknownCommit) {
		t.Errorf("commit: %v", err)
	}
	if err := commitError(ctx, fdb.Error{Code: codeNotCommitted}); errors.Is(err, kv.ErrUnknownCommit) || !errors.Is(err, kv.ErrConflict) {
		t.Errorf("commit with a conflict: %v", err)
	}
	if readError(ctx, nil) != nil {
		t.Error("a read that succeeded failed")
	}
}

// An error that did not come from the library is the function's own, unless it is
// one that every engine repeats.
func TestRepetitionWithoutTheLibrary(t *testing.T) {
	for _, c := range []struct {
		err  error
		want again
	}{
		{nil, never},
		{kv.ErrConflict, soon},
		{kv.ErrTooOld, soon},
		{kv.ErrTimeout, never},
		{kv.ErrUnavailable, never},
		{context.Canceled, never},
		{fmt.Errorf("%w: %w", kv.ErrUnknownCommit, kv.ErrConflict), never},
		{commitError(t.Context(), errors.New("not of the library")), never},
		{readError(t.Context(), errors.New("not of the library")), never},
	} {
		if when, _ := repetition(c.err); when != c.want {
			t.Errorf("%v runs again %d, want %d", c.err, when, c.want)
		}
	}
}
