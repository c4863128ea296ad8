//go:build fdb

package fdb

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/apple/foundationdb/bindings/go/src/fdb"

	"github.com/undercroft/undercroft/metadata/kv"
)

// apiVersion is the client interface that the engine was written for. It works
// with every later library; with an earlier one Open fails.
const apiVersion = 730

// What the library itself refuses lies just behind kv's limits, which are the
// engine's to enforce: a key is longer by the prefix, and the size of a
// transaction counts each write's own record too.
const (
	clientKeySize = kv.MaxKey + MaxPrefix + 1
	clientTxSize  = 2 * kv.MaxTx
)

// clients is all that a process has of the client library: one network thread,
// which can be neither started twice nor stopped and started, and one handle for
// each cluster file. The binding's own map of handles has no lock.
type clients struct {
	mu      sync.Mutex // guards what follows, and the binding's map
	began   bool
	handles map[string]*handle
}

// handle is a database that several engines use.
type handle struct {
	db    fdb.Database
	file  string
	users int
}

//nolint:gochecknoglobals // the client library is one in a process
var process = clients{handles: map[string]*handle{}}

// open returns the handle of a cluster file. It does not wait for the cluster.
func (c *clients) open(file string) (*handle, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("cluster file: %w", err)
	}
	if err := checkClusterFile(file); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.begin(); err != nil {
		return nil, err
	}
	h := c.handles[file]
	if h == nil {
		db, err := fdb.OpenDatabase(file)
		if err != nil {
			return nil, fmt.Errorf("cluster file %s: %w", file, err)
		}
		h = &handle{db: db, file: file}
		c.handles[file] = h
	}
	h.users++
	return h, nil
}

// begin selects the interface and its options; the first handle then starts the
// network thread. More options come from the library's own environment variables,
// FDB_NETWORK_OPTION_*.
func (c *clients) begin() error {
	if c.began {
		return nil
	}
	if err := fdb.APIVersion(apiVersion); err != nil {
		return fmt.Errorf("FoundationDB's client library: %w", err)
	}
	err := errors.Join(
		fdb.Options().SetKnob(fmt.Sprintf("key_size_limit=%d", clientKeySize)),
		fdb.Options().SetKnob(fmt.Sprintf("transaction_size_limit=%d", clientTxSize)),
	)
	if err != nil {
		return fmt.Errorf("FoundationDB's client library: %w", err)
	}
	c.began = true
	return nil
}

// release closes the handle after its last user, exactly once. Transactions that
// the collector has not freed yet hold the library's part of it.
func (c *clients) release(h *handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.users--; h.users > 0 {
		return
	}
	delete(c.handles, h.file)
	h.db.Close()
}
