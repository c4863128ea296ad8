package objects

import (
	"context"
	"io"
	"strconv"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
)

// extentPage and manifestPage are how many extents of a long object, and how
// many of its parts, are read from metadata at a time.
const (
	extentPage   = 128
	manifestPage = 32
)

// open returns a reading of bytes [offset, offset+length) of some data, which
// is not inline.
func (s *Service) open(ctx context.Context, d *metadata.Data, offset, length int64) Reading {
	if length == 0 || d.Kind == metadata.DataEmpty {
		return inlineReading(nil)
	}
	return &dataReading{s.follow(ctx, d, offset, length)}
}

// openVersion is open for all of the data of a version.
func (s *Service) openVersion(ctx context.Context, of owner, offset, length int64) Reading {
	d := &of.row.Data
	if length == 0 || d.Kind == metadata.DataEmpty {
		return inlineReading(nil)
	}
	r := s.follow(ctx, d, offset, length)
	r.owner = &of
	return &dataReading{r}
}

func newSource(db *metadata.DB, d *metadata.Data, offset, length int64) *source {
	src := &source{db: db}
	if d.Kind == metadata.DataManifest {
		src.manifest = &manifestCursor{id: d.ID, offset: offset, length: length}
		return src
	}
	src.run = run{id: d.ID, offset: offset, length: length}
	if d.Kind == metadata.DataExtents {
		src.extents = d.Extents
	}
	return src
}

// dataReading is bytes on disks, verified as they come.
type dataReading struct{ r *following }

// WriteTo streams the bytes.
func (d *dataReading) WriteTo(w io.Writer) (int64, error) {
	n, err := d.r.WriteTo(w)
	return n, asS3(err)
}

// Close releases the buffers.
func (d *dataReading) Close() error { return d.r.Close() }

// run is a range of the bytes of one data id that remains to be read.
type run struct {
	id             metadata.DataID
	offset, length int64
}

// manifestCursor yields the runs of a range of a completed upload.
type manifestCursor struct {
	id             metadata.DataID
	offset, length int64
	parts          []metadata.ManifestPart
	start          int64 // offset of parts[0] in the object
	slice          int   // next slice of parts[0]
	sliceStart     int64 // its offset in the object
}

// source walks data as the segments of extents that hold it. It reads rows as it goes, each page
// in a snapshot of its own: a data id never changes its bytes.
type source struct {
	db       *metadata.DB
	run      run
	manifest *manifestCursor
	extents  []metadata.Extent // from extentsAt on
	start    int64             // offset of extents[0] in the data id
}

// next implements the callback of partition.NewReader.
func (s *source) next(ctx context.Context) (partition.Segment, bool, error) {
	for s.run.length == 0 {
		more, err := s.nextRun(ctx)
		if err != nil || !more {
			return partition.Segment{}, false, err
		}
	}
	for {
		if len(s.extents) == 0 {
			if err := s.loadExtents(ctx); err != nil {
				return partition.Segment{}, false, err
			}
		}
		e := s.extents[0]
		skip := s.run.offset - s.start
		if skip >= int64(e.Length) {
			s.start += int64(e.Length)
			s.extents = s.extents[1:]
			continue
		}
		n := min(int64(e.Length)-skip, s.run.length)
		s.run.offset += n
		s.run.length -= n
		return partition.Segment{Extent: e, Offset: skip, Length: n}, true, nil
	}
}

func (s *source) loadExtents(ctx context.Context) error {
	return s.db.View(ctx, "extents", func(r *metadata.Reader) (err error) {
		s.extents, s.start, err = r.Extents(s.run.id, s.run.offset, extentPage)
		if err == nil && (len(s.extents) == 0 || s.start > s.run.offset) {
			err = partition.ErrGone
		}
		return err
	})
}

func (s *source) nextRun(ctx context.Context) (bool, error) {
	m := s.manifest
	if m == nil || m.length == 0 {
		return false, nil
	}
	if len(m.parts) == 0 {
		if err := m.load(ctx, s.db); err != nil {
			return false, err
		}
	}
	r, ok := m.take()
	if ok {
		s.run, s.extents, s.start = r, nil, 0
	}
	return true, nil
}

// take returns the next run, or false where it only stepped over something.
func (m *manifestCursor) take() (run, bool) {
	part := &m.parts[0]
	if m.slice >= len(part.Slices) {
		m.start += part.Size
		m.parts = m.parts[1:]
		m.slice, m.sliceStart = 0, m.start
		return run{}, false
	}
	sl := &part.Slices[m.slice]
	at := m.sliceStart
	m.slice++
	m.sliceStart += sl.Length
	skip := m.offset - at
	if skip >= sl.Length {
		return run{}, false
	}
	n := min(sl.Length-skip, m.length)
	m.offset += n
	m.length -= n
	return run{id: sl.ID, offset: sl.Offset + skip, length: n}, true
}

func (m *manifestCursor) load(ctx context.Context, db *metadata.DB) error {
	return db.View(ctx, "manifest", func(r *metadata.Reader) error { return m.read(r) })
}

// read reads the parts of the manifest from the next byte on.
func (m *manifestCursor) read(r dataRows) (err error) {
	m.parts, m.start, err = r.ManifestParts(m.id, m.offset, manifestPage)
	m.slice, m.sliceStart = 0, m.start
	if err == nil && (len(m.parts) == 0 || m.start > m.offset) {
		err = partition.ErrGone
	}
	return err
}

func itoa(n int) string { return strconv.Itoa(n) }
