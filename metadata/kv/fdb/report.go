//go:build fdb

package fdb

import (
	"context"
	"time"

	"github.com/apple/foundationdb/bindings/go/src/fdb"

	"github.com/undercroft/undercroft/metadata/kv"
)

// statusKey is where the client library answers with the status of the cluster,
// which it gathers from its processes for each read.
const statusKey = "\xff\xff/status/json"

// reportTimeout bounds the wait for processes that do not answer.
const reportTimeout = 10 * time.Second

var _ kv.Reporter = (*Engine)(nil)

// Report asks the cluster about itself. It also answers while the cluster takes
// no transactions, and costs it more than one: every 15 seconds is often.
func (e *Engine) Report(ctx context.Context) (kv.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	var document []byte
	err := e.run(ctx, &kv.TxOptions{MaxRetries: -1}, func(a *attempt) error {
		defer a.finish()
		tr, err := a.native()
		if err != nil {
			return err
		}
		status := tr.Get(fdb.Key(statusKey))
		// The library gathers it outside the transaction, whose end does not end that.
		defer context.AfterFunc(ctx, status.Cancel)()
		document, err = status.Get()
		return readError(ctx, err)
	})
	if err != nil {
		return kv.Report{}, err
	}
	return ParseStatus(document)
}
