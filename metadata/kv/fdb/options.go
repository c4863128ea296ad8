package fdb

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// MaxPrefix is the longest prefix of an engine's keys, in bytes.
const MaxPrefix = 32

// defaultInFlight is how many transactions one engine runs at once. Each holds
// memory of the client library, which no limit of Go's memory sees.
const defaultInFlight = 2048

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

func (o Options) withDefaults() (Options, error) {
	if o.ClusterFile == "" {
		return o, errors.New("fdb: no cluster file given")
	}
	if len(o.Prefix) > MaxPrefix {
		return o, fmt.Errorf("fdb: prefix of %d bytes, at most %d are allowed", len(o.Prefix), MaxPrefix)
	}
	if len(o.Prefix) > 0 && o.Prefix[0] == 0xff {
		return o, fmt.Errorf("fdb: prefix %q: %w", o.Prefix, kv.ErrKeyReserved)
	}
	o.Prefix = bytes.Clone(o.Prefix)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the one place that a default clock comes from
	}
	if o.InFlight <= 0 {
		o.InFlight = defaultInFlight
	}
	if o.Background == nil {
		o.Background = func(string) bool { return false }
	}
	return o, nil
}

func jitter(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return time.Duration(rand.Int64N(int64(limit)))
}
