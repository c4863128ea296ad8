//go:build fdb

package fdb

import (
	"context"
	"fmt"
	"time"

	"github.com/apple/foundationdb/bindings/go/src/fdb"

	"github.com/undercroft/undercroft/metadata/kv"
)

var _ kv.Reporter = (*Engine)(nil)

// The documents that the client library makes where a key would be.
const (
	statusKey = "\xff\xff/status/json"
	healthKey = "\xff\xff/metrics/health/aggregate"
)

// reportTimeout bounds the making of a document, in which the library asks many
// processes.
const reportTimeout = 10 * time.Second

// Report asks the cluster about itself. Without a cluster the document says what
// the client library knows.
func (e *Engine) Report(ctx context.Context) (kv.Report, error) {
	if err := e.enter(); err != nil {
		return kv.Report{}, err
	}
	defer e.calls.Done()
	document, err := e.document(ctx, statusKey)
	if err != nil {
		return kv.Report{}, err
	}
	r, err := ParseStatus(document)
	if err != nil {
		return r, err
	}
	if document, err = e.document(ctx, healthKey); err == nil {
		health, _ := ParseHealth(document) // absent during a recovery
		r.Gauges = append(r.Gauges, health...)
	}
	return r, nil
}

// document reads a key of the library's own.
func (e *Engine) document(ctx context.Context, key string) ([]byte, error) {
	tr, err := e.handle.db.CreateTransaction()
	if err != nil {
		return nil, readError(ctx, err)
	}
	if err := tr.Options().SetTimeout(reportTimeout.Milliseconds()); err != nil {
		return nil, fmt.Errorf("set timeout: %w", err)
	}
	defer context.AfterFunc(ctx, tr.Cancel)()
	v, err := tr.Get(fdb.Key(key)).Get()
	if err != nil {
		return nil, readError(ctx, err)
	}
	return v, nil
}
