//go:build fdb

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

// defaultInFlight is how many transactions one engine runs at once. Each holds
// memory of the client library, which no limit of Go's memory sees.
const defaultInFlight = 2048

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
