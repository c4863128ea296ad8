package objects

import (
	"context"
	"errors"
	"io"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
)

// maxFollows bounds how often a reading looks for the same byte anew.
const maxFollows = 8

// following reads a range of some data, and goes on where the bytes are when
// compaction has moved them meanwhile: the rows of the same data id name the new
// place, which a deletion after that does not change before the data is freed. Where the
// version that they were read for has moved to another storage class, its row names the
// data that has the same bytes.
type following struct {
	svc            *Service
	ctx            context.Context //nolint:containedctx // io.Reader and io.WriterTo have no room for one
	data           metadata.Data
	owner          *owner // whose data it is; nil: it is read for nobody
	offset, length int64  // what remains
	r              *partition.Reader
	tried          metadata.Extent // where the next byte was looked for last
	follows        int             // since a byte was read
}

// owner is a version whose data is read.
type owner struct {
	bucket metadata.BucketID
	row    *metadata.Object // as it was seen
}

func (s *Service) follow(ctx context.Context, d *metadata.Data, offset, length int64) *following {
	return &following{
		svc: s, ctx: ctx, data: *d, offset: offset, length: length,
		r: s.store.NewReader(ctx, newSource(s.db, d, offset, length).next),
	}
}

// WriteTo implements [io.WriterTo].
func (f *following) WriteTo(w io.Writer) (total int64, err error) {
	for {
		n, err := f.r.WriteTo(w)
		total += n
		f.passed(n)
		if err == nil || !f.again(err) {
			return total, err
		}
	}
}

// Read implements [io.Reader].
func (f *following) Read(p []byte) (int, error) {
	for {
		n, err := f.r.Read(p)
		f.passed(int64(n))
		if err == nil || !f.again(err) {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

// Close gives back what the reading holds.
func (f *following) Close() error { return f.r.Close() }

func (f *following) passed(n int64) {
	if n > 0 {
		f.offset += n
		f.length -= n
		f.tried, f.follows = metadata.Extent{}, 0
	}
}

// again opens the rest where the rows say that it is by now. It returns false
// where nothing has moved.
func (f *following) again(err error) bool {
	if !errors.Is(err, partition.ErrGone) && !errors.Is(err, partition.ErrUnreadable) || f.length <= 0 || f.follows >= maxFollows {
		return false
	}
	if f.data.Kind == metadata.DataExtents { // what moves is in rows afterwards
		f.data.Kind, f.data.Extents = metadata.DataRows, nil
	}
	src := newSource(f.svc.db, &f.data, f.offset, f.length)
	first, ok, e := src.next(f.ctx)
	if errors.Is(e, partition.ErrGone) && f.hasMoved() {
		src = newSource(f.svc.db, &f.data, f.offset, f.length)
		first, ok, e = src.next(f.ctx)
	}
	if e != nil || !ok || first.Extent == f.tried {
		return false
	}
	f.tried = first.Extent
	f.follows++
	_ = f.r.Close() // reading: nothing is lost
	f.r = f.svc.store.NewReader(f.ctx, func(ctx context.Context) (partition.Segment, bool, error) {
		if first.Length > 0 {
			g := first
			first.Length = 0
			return g, true, nil
		}
		return src.next(ctx)
	})
	return true
}

// hasMoved takes the data that the version has by now, where that is other data.
func (f *following) hasMoved() bool {
	if f.owner == nil {
		return false
	}
	now := f.svc.movedData(f.ctx, f.owner, f.data.ID)
	if now != nil {
		f.data = *now
	}
	return now != nil
}

// movedData is the data that a version has in place of another one, nil where it has none.
func (s *Service) movedData(ctx context.Context, of *owner, id metadata.DataID) *metadata.Data {
	var now *metadata.Object
	err := s.db.View(ctx, "follow", func(r *metadata.Reader) (err error) {
		now, err = sameVersion(r, of.bucket, of.row)
		return err
	})
	if err != nil || now == nil || !hasBytes(&now.Data) || now.Data.ID == id {
		return nil
	}
	return &now.Data
}
