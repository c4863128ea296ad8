package metadata

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// Errors of imports. They are compared with errors.Is.
var (
	// ErrImporting says that an import into the state began and did not end.
	ErrImporting = errors.New("metadata: an import did not end: run it again with the same file")
	// ErrNotEmpty says that there is a state where one should be imported.
	ErrNotEmpty = errors.New("metadata: the store is not empty")
	// ErrNoExport says that a stream is no export, or a damaged one.
	ErrNoExport = errors.New("metadata: not a whole export")
	// ErrProblems says that the checker found problems in what was imported.
	ErrProblems = errors.New("metadata: the imported state does not fit together")
)

// importing is the format that the row Z has during an import. No program knows
// it, those that know nothing of imports neither.
const importing = math.MaxUint64

// ImportOptions shape an Import. Now is required.
type ImportOptions struct {
	// Root is the prefix of every key, as in Options.
	Root []byte
	Now  func() time.Time
	// Replace deletes a state that is there, or the beginning of another import.
	Replace bool
	// AcceptProblems opens the state even where the checker finds problems.
	AcceptProblems bool
	// Progress, if set, is called after each chunk, and Report with each
	// problem that the checker finds.
	Progress func(ExportTotals)
	Report   func(Problem)
	// Checked, if set, is called now and then with how many rows the checker has looked
	// at; one of some tables it looks at several times.
	Checked func(rows int64)
}

// Import writes the rows of an export into an empty state. It can be run again with
// the same export after it was cut off, and goes on where it was. Until it
// returned without an error [Open] refuses the state with ErrImporting: a stream
// that ends early, or is damaged, never becomes a state that is served. The
// checker goes through everything before that.
func Import(ctx context.Context, engine kv.Engine, r io.Reader, o ImportOptions) (ExportTotals, Summary, error) {
	if o.Now == nil || len(o.Root) > maxRoot {
		return ExportTotals{}, Summary{}, errors.New("metadata: ImportOptions are not valid")
	}
	if o.Progress == nil {
		o.Progress = func(ExportTotals) {}
	}
	if o.Report == nil {
		o.Report = func(Problem) {}
	}
	db := &DB{engine: engine, keys: keyspace{root: bytes.Clone(o.Root)}, now: o.Now}
	m := &importer{db: db, o: o, in: chunkReader{r: bufio.NewReaderSize(r, 1<<20), sum: sha256.New()}}
	if err := m.run(ctx); err != nil {
		return m.totals, Summary{}, fmt.Errorf("import: %w", err)
	}
	summary, err := m.verify(ctx)
	if err != nil {
		return m.totals, summary, fmt.Errorf("import: %w", err)
	}
	return m.totals, summary, nil
}

type importer struct {
	db     *DB
	o      ImportOptions
	in     chunkReader
	totals ExportTotals
	id     DataID // of the export
	done   uint64 // chunks of rows that are written already
	seen   uint64 // chunks of rows that were read
	last   []byte // key that was read last
	format []byte // row Z of the export
}

// run reads the whole stream and writes its rows.
func (m *importer) run(ctx context.Context) error {
	if err := m.readHeader(); err != nil {
		return err
	}
	if err := m.begin(ctx); err != nil {
		return err
	}
	err := m.readRows(func(rows []row) error {
		if m.seen++; m.seen > m.done {
			if err := m.write(ctx, rows); err != nil {
				return err
			}
		}
		m.o.Progress(m.totals)
		return nil
	})
	if err != nil {
		return err
	}
	return m.update(ctx, func(tx *Tx) error {
		tx.set(tx.keys.format(), m.format)
		return nil
	})
}

// readRows reads the chunks after the first, and hands their rows to each. It ends
// without an error only where the stream is whole.
func (m *importer) readRows(each func([]row) error) error {
	for {
		kind, payload, err := m.in.next()
		switch {
		case err != nil:
			return err
		case kind == chunkEnd:
			return m.readEnd(payload)
		case kind != chunkRows:
			return fmt.Errorf("%w: chunk of an unknown kind %q", ErrNoExport, kind)
		}
		rows, err := m.parse(payload)
		if err == nil {
			err = each(rows)
		}
		if err != nil {
			return err
		}
	}
}

// ExportContents say what an export is of.
type ExportContents struct {
	Cluster [16]byte // see DB.ClusterID
	Disks   []DiskID // of the inventory
}

// InspectExport reads a whole export, and writes nothing: whoever deletes a state for it knows
// first that it is not damaged, and what it is of.
func InspectExport(r io.Reader) (ExportContents, error) {
	m := &importer{in: chunkReader{r: bufio.NewReaderSize(r, 1<<20), sum: sha256.New()}}
	var out ExportContents
	if err := m.readHeader(); err != nil {
		return out, err
	}
	err := m.readRows(func(rows []row) error {
		for _, x := range rows {
			if len(x.key) == 1+len(DiskID{}) && x.key[0] == tagDisk {
				out.Disks = append(out.Disks, DiskID(x.key[1:]))
			}
		}
		return nil
	})
	if err != nil {
		return out, err
	}
	c, err := decodeCluster(m.format)
	out.Cluster = c.id
	return out, err
}

func (m *importer) readHeader() (err error) {
	m.id, err = m.in.header()
	return err
}

// begin marks the state as one that is being imported, or finds out how far an
// earlier run of the same import came.
func (m *importer) begin(ctx context.Context) error {
	return m.update(ctx, func(tx *Tx) error {
		now, err := tx.importState()
		if err != nil {
			return err
		}
		m.done = 0
		if now != nil && now.id == m.id {
			m.done = now.chunks
			return nil
		}
		all := tx.keys.everything()
		empty, err := tx.empty(all)
		switch {
		case err != nil:
			return err
		case now != nil && !m.o.Replace:
			return fmt.Errorf("%w: it holds the beginning of another import", ErrNotEmpty)
		case !empty && !m.o.Replace:
			return ErrNotEmpty
		}
		tx.kv.DeleteRange(all)
		tx.set(tx.keys.format(), encodeCluster(cluster{format: importing}))
		tx.putImportState(importState{id: m.id})
		return nil
	})
}

// update is Update, run again where its outcome is not known: what the functions
// here do can be done twice.
func (m *importer) update(ctx context.Context, fn func(*Tx) error) error {
	const attempts = 10
	for i := 0; ; i++ {
		err := m.db.Update(ctx, "import", fn)
		if i == attempts || !errors.Is(err, kv.ErrUnknownCommit) && !errors.Is(err, kv.ErrConflict) {
			return err
		}
	}
}

// row is a row of the export; key has no root.
type row struct{ key, value []byte }

// parse reads the rows of a chunk.
func (m *importer) parse(payload []byte) ([]row, error) {
	var rows []row
	m.totals.Bytes += int64(len(payload))
	for len(payload) > 0 {
		var x row
		var ok bool
		if x.key, payload, ok = cutField(payload); ok {
			x.value, payload, ok = cutField(payload)
		}
		if !ok || len(x.key) == 0 || m.last != nil && bytes.Compare(x.key, m.last) <= 0 {
			return nil, fmt.Errorf("%w: rows that do not follow each other", ErrNoExport)
		}
		m.last = append(m.last[:0], x.key...)
		m.totals.Rows++
		if x.key[0] == tagFormat && string(x.key[1:]) != lockClockName {
			if err := m.takeFormat(x); err != nil {
				return nil, err
			}
			continue
		}
		rows = append(rows, x)
	}
	return rows, nil
}

// takeFormat keeps the row Z for the end: it makes a state of the rows.
func (m *importer) takeFormat(x row) error {
	if string(x.key[1:]) != "format" {
		return fmt.Errorf("%w: it is of a state that was not whole itself", ErrNoExport)
	}
	c, err := decodeCluster(x.value)
	switch {
	case err != nil:
		return err
	case c.format == 0 || c.format > Format:
		return fmt.Errorf("%w: %d, this program knows up to %d", ErrFormat, c.format, Format)
	}
	_, _ = rand.Read(c.copy[:]) // never fails
	m.format = encodeCluster(c)
	return nil
}

func cutField(b []byte) (field, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, false
	}
	return b[size : size+int(n)], b[size+int(n):], true //nolint:gosec // at most the length of b
}

// write writes a chunk in one transaction, with how far the import is.
func (m *importer) write(ctx context.Context, rows []row) error {
	return m.update(ctx, func(tx *Tx) error {
		now, err := tx.importState()
		switch {
		case err != nil:
			return err
		case now == nil || now.id != m.id || now.chunks > m.seen || now.chunks+1 < m.seen:
			return errors.New("another import has begun")
		case now.chunks == m.seen:
			return nil // by an attempt of which the outcome was not known
		}
		for i := range rows {
			tx.set(append(bytes.Clone(tx.keys.root), rows[i].key...), rows[i].value)
		}
		tx.putImportState(importState{id: m.id, chunks: m.seen})
		return nil
	})
}

// readEnd holds the stream against what it says of itself.
func (m *importer) readEnd(payload []byte) error {
	want := binary.BigEndian.AppendUint64(nil, uint64(m.totals.Rows))
	want = binary.BigEndian.AppendUint64(want, uint64(m.totals.Bytes))
	want = append(want, m.in.before...)
	switch {
	case !bytes.Equal(payload, want):
		return fmt.Errorf("%w: its end does not fit the rest", ErrNoExport)
	case m.format == nil:
		return fmt.Errorf("%w: the row of the format is missing", ErrNoExport)
	}
	if _, err := m.in.r.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows its end", ErrNoExport)
	}
	return nil
}

// verify runs the checker and ends the import.
func (m *importer) verify(ctx context.Context) (Summary, error) {
	c, err := decodeCluster(m.format)
	if err != nil {
		return Summary{}, err
	}
	m.db.cluster = c
	checker := newChecker(m.db, m.o.Report)
	checker.looked = m.o.Checked
	summary, err := checker.run(ctx)
	switch {
	case err != nil:
		return summary, err
	case !summary.Clean() && !m.o.AcceptProblems:
		return summary, fmt.Errorf("%w: %d problems", ErrProblems, summary.Problems)
	}
	return summary, m.update(ctx, func(tx *Tx) error {
		tx.kv.Delete(tx.keys.imported())
		tx.kv.BumpGeneration()
		return nil
	})
}

// importState is how far an import is: a row Z that is there until its end.
type importState struct {
	id     DataID
	chunks uint64 // chunks of rows that are written
}

// Fields of an importState.
const (
	importID     = 1
	importChunks = 2
)

// everything is the range of all rows: each has a tag behind the root.
func (s keyspace) everything() kv.Range {
	r := kv.PrefixRange(s.root)
	r.Begin = append(bytes.Clone(s.root), 0)
	return r
}

func (s keyspace) imported() []byte { return append(s.tag(tagFormat, 6), "import"...) }

func (r *Reader) importState() (*importState, error) {
	return decode(r, r.keys.imported(), func(v []byte) (*importState, error) {
		s := &importState{}
		d := openRecord(v)
		for d.next() {
			switch d.field {
			case importID:
				s.id = d.id()
			case importChunks:
				s.chunks = d.uint(math.MaxUint64)
			default:
				d.unknown()
			}
		}
		return s, d.finish("import")
	})
}

func (t *Tx) putImportState(s importState) {
	e := newRecord(32)
	e.id(importID, s.id)
	e.uint(importChunks, s.chunks)
	t.set(t.keys.imported(), e.b)
}
