package steward

import (
	"context"
	"slices"
	"time"

	"github.com/undercroft/undercroft/metadata"
)

const (
	// ledgerAge is how old the last look at all rows may be while this process knows of no
	// change: another process may have made one.
	ledgerAge = 5 * time.Minute
	// maxLedger bounds the rows that are remembered.
	maxLedger = 4096
)

// ledger is what the last look at all partitions found: how many there are of each kind, and
// those that are not whole, and what each storage class holds. While nothing changes, they need not be read again.
type ledger struct {
	at      time.Time // zero: nothing is known
	changes uint64    // of the store, before the look
	serving []metadata.DiskID
	counts  metadata.Redundancy
	classes []metadata.ClassUsage
	short   []metadata.Partition
}

// refresh brings the ledger up to date, reading all rows if it must.
func (j *repair) refresh(ctx context.Context, now time.Time, serving []metadata.DiskID) error {
	l := &j.ledger
	changes := j.store.Changes() // before the rows: what changes meanwhile is met by the next look
	if !l.at.IsZero() && l.changes == changes && now.Sub(l.at) < ledgerAge && slices.Equal(l.serving, serving) {
		return nil
	}
	next := ledger{at: now, changes: changes, serving: serving}
	var usages metadata.ClassUsages
	err := j.db.EachPartitionLive(ctx, class, func(row *metadata.Partition, live int64) error {
		usages.Count(row, live)
		j.store.Annotate(row)
		next.counts.Count(row, j.isAway)
		if len(row.Missing(j.isAway)) > 0 {
			next.short = append(next.short, *row)
		}
		return nil
	})
	if err != nil {
		return err
	}
	next.classes = usages.List()
	*l = next
	return nil
}

// forgetMany lets go of rows that are too many to be remembered: they are read
// again next time.
func (l *ledger) forgetMany() {
	if len(l.short) > maxLedger {
		*l = ledger{}
	}
}
