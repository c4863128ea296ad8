package objects

import (
	"context"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/s3"
)

// What an operation is going to read is sent before any of it is waited for, where
// the metadata are across a network: docs/format/rounds.md has the table. It is
// a guess from what was known of the bucket before: what turns out not to be
// needed costs a read and no conflict, what was not guessed a round trip.

// aheadRead sends what a read of a version takes, with the rows of rows besides.
func (s *Service) aheadRead(r *metadata.Reader, name s3.BucketName, n named, rows metadata.Rows) {
	if !r.SendsAhead() {
		return
	}
	if known := s.buckets.last(name); known != nil {
		aheadVersion(r, known.row, n, rows)
	}
}

// aheadVersion sends what findVersion takes, with the rows of rows besides.
func aheadVersion(r *metadata.Reader, b *metadata.Bucket, n named, rows metadata.Rows) {
	if !r.SendsAhead() {
		return
	}
	rows |= metadata.RowCurrent
	switch n.version {
	case "":
		if b.Versioning != metadata.Unversioned {
			rows |= metadata.RowNewest
		}
	case s3.NullVersion:
		rows |= metadata.RowNewest | metadata.RowNull
	default:
		ord, _, err := parseVersionID(n.version)
		if err != nil {
			return
		}
		r.AheadVersion(b.ID, string(n.key), ord)
		if rows&metadata.RowInline != 0 {
			r.AheadInline(b.ID, string(n.key), ord)
			rows &^= metadata.RowInline
		}
	}
	r.Ahead(b.ID, string(n.key), rows)
}

// aheadSlot sends what a write of a key takes.
func aheadSlot(tx *metadata.Tx, b *metadata.Bucket, key string) {
	rows := metadata.RowCurrent
	switch b.Versioning {
	case metadata.VersioningEnabled:
		rows |= metadata.RowNewest
	case metadata.VersioningSuspended:
		rows |= metadata.RowNewest | metadata.RowNull
	case metadata.Unversioned:
	}
	tx.Ahead(b.ID, key, rows)
}

// aheadKey sends what mayPublish reads.
func (s *Service) aheadKey(tx *metadata.Tx, row *metadata.Encryption) {
	if row == nil || row.Mode == EncryptedC || !tx.SendsAhead() {
		return
	}
	if provider, id, err := s.provider(row); err == nil {
		if _, ok := provider.(publisher); ok {
			tx.AheadEncryptionKey(id)
		}
	}
}

// sendAhead sends what publishing takes.
func (p *publication) sendAhead(tx *metadata.Tx, s *Service) {
	if !tx.SendsAhead() {
		return
	}
	aheadSlot(tx, p.bucket, p.row.Key)
	s.aheadKey(tx, p.row.Encryption)
	tx.AheadPublish(p.placed)
	if p.ahead != nil {
		p.ahead(tx)
	}
}

// rowsOf is what a read of an object takes besides its row: also reads it.
func rowsOf(also func(*metadata.Reader, metadata.BucketID, *metadata.Object) error) metadata.Rows {
	if also == nil {
		return 0
	}
	return metadata.RowInline
}

// sendAhead sends what reading the source takes.
func (c *copying) sendAhead(tx *metadata.Tx) {
	aheadVersion(&tx.Reader, c.source, c.in.Source.version(), metadata.RowInline)
	if st := c.plan.stored; st != nil {
		tx.AheadPublish(st.placed)
	}
}

// BeginRequest returns the context of a request that begins now. What is called with it
// reads the metadata as they are, or were at some time since the request began and
// after its last write: where they are across a network, one look at the present
// does for several calls.
func (s *Service) BeginRequest(ctx context.Context) context.Context { return s.db.BeginRequest(ctx) }
