package fdb

import (
	"errors"
	"log/slog"
	"time"
)

// MaxPrefix is the longest prefix of an engine's keys, in bytes.
const MaxPrefix = 32

// ErrUnavailableHere is what Open returns in a binary without FoundationDB.
var ErrUnavailableHere = errors.New("this binary cannot use FoundationDB: build one with `make build-fdb`, which needs FoundationDB's client library (docs/operations/foundationdb.md)")

// Options shape an engine. ClusterFile is required.
type Options struct {
	// ClusterFile is the path of the file that says where the cluster's
	// coordinators are. The client rewrites it when they move, so that it and its
	// directory have to be writable.
	ClusterFile string
	// Prefix begins every key of the engine in FoundationDB, so that several
	// stores share one cluster. At most MaxPrefix bytes, the first of which is not
	// 0xff. It cannot change later.
	Prefix []byte
	// Logger gets what the engine has to tell; nil discards it.
	Logger *slog.Logger
	// Now is the clock of transaction age and timeouts; nil is the system's.
	Now func() time.Time
	// InFlight is how many transactions run at once; others wait for their turn
	// within their own timeout. 0 means 2048.
	InFlight int
	// Background says which transaction classes FoundationDB may hold back when
	// it is busy; nil means none.
	Background func(class string) bool
}
