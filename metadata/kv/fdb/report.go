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

// healthKey is where it answers with what the cluster makes its throttling of. It is
// absent while the cluster recovers.
const healthKey = "\xff\xff/metrics/health/aggregate"

// reportTimeout bounds the wait for processes that do not answer.
const reportTimeout = 10 * time.Second

var _ kv.Reporter = (*Engine)(nil)

// Report asks the cluster about itself. It also answers while the cluster takes
// no transactions, and costs it more than one: every 15 seconds is often.
func (e *Engine) Report(ctx context.Context) (kv.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	var report kv.Report
	err := e.run(ctx, &kv.TxOptions{MaxRetries: -1}, func(a *attempt) error {
		defer a.finish()
		tr, err := a.native()
		if err != nil {
			return err
		}
		status := tr.Get(fdb.Key(statusKey))
		// The library gathers it outside the transaction, whose end does not end that.
		defer context.AfterFunc(ctx, status.Cancel)()
		document, err := status.Get()
		if err != nil {
			return readError(ctx, err)
		}
		if report, err = ParseStatus(document); err != nil || !report.Available {
			return err
		}
		health := tr.Get(fdb.Key(healthKey))
		defer context.AfterFunc(ctx, health.Cancel)()
		if document, err = health.Get(); err != nil || document == nil {
			return nil // what the cluster does not tell is absent
		}
		gauges, err := ParseHealth(document)
		report.Gauges = append(report.Gauges, gauges...)
		return err
	})
	if err != nil {
		return kv.Report{}, err
	}
	return report, nil
}
