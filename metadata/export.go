package metadata

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// The stream of an export; docs/format/metadata-export.md draws it.
const (
	exportMagic   = "undercroft metadata export\n"
	exportVersion = 1

	chunkHeader = 'H' // ExportHeader as JSON
	chunkRows   = 'R' // rows in ascending order of their keys
	chunkEnd    = 'E' // what all of it must add up to

	// chunkSize is how many bytes of rows a chunk has before it ends, and maxChunk what
	// none exceeds: one row more.
	chunkSize = 512 << 10
	maxChunk  = chunkSize + kv.MaxKey + kv.MaxValue + 2*binary.MaxVarintLen64
	// exportPage is how many rows one transaction reads at most.
	exportPage = 4096
)

// ErrUnsteady says that the state changed while it was read, so that what was
// written is the state of no moment.
var ErrUnsteady = errors.New("metadata: the state changed during the export, which this engine can only make while nobody writes")

// ExportHeader says what an export is of.
type ExportHeader struct {
	Version int       `json:"version"` // of the stream
	Format  uint64    `json:"format"`  // of the key space
	ID      string    `json:"id"`      // of this export
	Cluster string    `json:"cluster"`
	Engine  string    `json:"engine"` // where it comes from; for people
	Created time.Time `json:"created"`
}

// ExportTotals count what an export holds.
type ExportTotals struct {
	Rows  int64 `json:"rows"`
	Bytes int64 `json:"bytes"` // of keys and values
}

// Export writes all rows, at one version, to w: a stream that [Import] reads into
// any engine. It may run while the state is in use where the engine is a
// kv.Pinner. On another it reads everything twice and fails with ErrUnsteady unless
// both times are the same, in which case that was the state between them. A
// stream without its end is refused by Import. progress, if set, is called
// after each chunk.
func (db *DB) Export(ctx context.Context, w io.Writer, progress func(ExportTotals)) (ExportTotals, error) {
	id := db.randomID()
	x := &exporter{db: db, out: newChunkWriter(w), progress: progress}
	header := ExportHeader{
		Version: exportVersion, Format: db.cluster.format, ID: hex.EncodeToString(id[:]),
		Cluster: hex.EncodeToString(db.cluster.id[:]), Engine: db.engine.Name(), Created: db.now().UTC(),
	}
	text, err := json.Marshal(header)
	if err != nil {
		return x.totals, fmt.Errorf("export: %w", err)
	}
	if pinner, ok := kv.Find[kv.Pinner](db.engine); ok {
		pin, err := pinner.Pin()
		if err != nil {
			return x.totals, fmt.Errorf("export: %w", err)
		}
		defer pin.Close()
		err = x.once(ctx, text, pin.View)
		return x.totals, err
	}
	err = x.twice(ctx, text, func(ctx context.Context, fn func(kv.Reader) error) error {
		return db.engine.View(ctx, kv.TxOptions{Class: "export", MaxRetries: -1}, fn)
	})
	return x.totals, err
}

type exporter struct {
	db       *DB
	out      chunkWriter
	totals   ExportTotals
	progress func(ExportTotals)
}

// viewer runs a read transaction.
type viewer func(ctx context.Context, fn func(kv.Reader) error) error

// once writes the stream of one version.
func (x *exporter) once(ctx context.Context, header []byte, view viewer) error {
	if err := x.out.begin(header); err != nil {
		return err
	}
	if err := x.scan(ctx, view, x.write); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return x.out.end(x.totals)
}

// twice writes the stream of what two walks saw alike: what every row was in
// both, it was between them.
func (x *exporter) twice(ctx context.Context, header []byte, view viewer) error {
	if err := x.out.begin(header); err != nil {
		return err
	}
	first, second := sha256.New(), sha256.New()
	err := x.scan(ctx, view, func(rows []byte, count int) error {
		first.Write(rows)
		return x.write(rows, count)
	})
	if err == nil {
		err = x.scan(ctx, view, func(rows []byte, _ int) error {
			second.Write(rows)
			return nil
		})
	}
	if err == nil && !bytes.Equal(first.Sum(nil), second.Sum(nil)) {
		err = ErrUnsteady
	}
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return x.out.end(x.totals)
}

func (x *exporter) write(rows []byte, count int) error {
	x.totals.Rows += int64(count)
	x.totals.Bytes += int64(len(rows))
	if err := x.out.chunk(chunkRows, rows); err != nil {
		return err
	}
	if x.progress != nil {
		x.progress(x.totals)
	}
	return nil
}

// scan calls take with all rows, encoded, in pages that are read in a transaction
// each. A page that takes too long is read again with fewer rows.
func (x *exporter) scan(ctx context.Context, view viewer, take func(rows []byte, count int) error) error {
	root := x.db.keys.root
	left := x.db.keys.everything()
	page := exportPage
	var rows []byte
	for bytes.Compare(left.Begin, left.End) < 0 {
		var last []byte
		var count int
		err := view(ctx, func(r kv.Reader) error {
			rows, last, count = rows[:0], nil, 0
			it := r.GetRange(left, kv.RangeOptions{Limit: page})
			defer it.Close()
			for len(rows) < chunkSize && it.Next() {
				p := it.Pair()
				rows = appendRow(rows, p.Key[len(root):], p.Value)
				last = append(last[:0], p.Key...)
				count++
			}
			return it.Err()
		})
		switch {
		case tooLong(err) && page > 1:
			page /= 2
			continue
		case err != nil:
			return err
		case count == 0:
			return nil
		}
		if err := take(rows, count); err != nil {
			return err
		}
		left.Begin = kv.KeyAfter(last)
	}
	return nil
}

// appendRow appends a row as a chunk has it.
func appendRow(dst, key, value []byte) []byte {
	dst = append(binary.AppendUvarint(dst, uint64(len(key))), key...)
	return append(binary.AppendUvarint(dst, uint64(len(value))), value...)
}

// castagnoli is the polynomial of the checksums of chunks.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// chunkWriter writes the stream: the magic, then chunks, each with a checksum
// of its own, the last with one of all before it.
type chunkWriter struct {
	w   io.Writer
	sum hash.Hash
	buf []byte
}

func newChunkWriter(w io.Writer) chunkWriter { return chunkWriter{w: w, sum: sha256.New()} }

func (c *chunkWriter) begin(header []byte) error {
	if err := c.write([]byte(exportMagic)); err != nil {
		return err
	}
	return c.chunk(chunkHeader, header)
}

func (c *chunkWriter) chunk(kind byte, payload []byte) error {
	c.buf = append(c.buf[:0], kind)
	c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(len(payload))) //nolint:gosec // at most maxChunk
	c.buf = append(c.buf, payload...)
	c.buf = binary.BigEndian.AppendUint32(c.buf, crc32.Checksum(c.buf, castagnoli()))
	return c.write(c.buf)
}

func (c *chunkWriter) end(t ExportTotals) error {
	payload := binary.BigEndian.AppendUint64(nil, uint64(t.Rows))
	payload = binary.BigEndian.AppendUint64(payload, uint64(t.Bytes))
	return c.chunk(chunkEnd, c.sum.Sum(payload))
}

func (c *chunkWriter) write(p []byte) error {
	c.sum.Write(p)
	if _, err := c.w.Write(p); err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	return nil
}
