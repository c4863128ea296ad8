package objects

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sse"
)

// body returns a reading of bytes of a version: inline are those that came
// with its row. key, which the reading wipes, is nil for one that is not encrypted.
func (s *Service) body(ctx context.Context, of owner, inline []byte, key *sse.ObjectKey, r sse.Range) (Reading, error) {
	row := of.row
	if row.Data.Kind != metadata.DataInline {
		if key == nil {
			return s.openVersion(ctx, of, r.Offset, r.Length), nil
		}
		return &decrypting{svc: s, ctx: ctx, owner: of, key: key, data: row.Data, rest: r}, nil
	}
	defer key.Wipe()
	if key != nil {
		data, err := key.Data(row.Data.Salt())
		if err != nil {
			return nil, err
		}
		if inline, err = data.OpenAll(inline, row.Size); err != nil {
			return nil, err
		}
	}
	if int64(len(inline)) != row.Size {
		return nil, s3.NewError(s3.InternalError)
	}
	return inlineReading(inline[r.Offset : r.Offset+r.Length]), nil
}

// decrypting reads a range of encrypted data that is on disks. It reads whole
// chunks, and those only that hold some of the range; nothing of a chunk that does
// not authenticate is handed on. Where a range crosses parts, each is data of its own.
type decrypting struct {
	svc   *Service
	ctx   context.Context //nolint:containedctx // io.WriterTo has no room for one
	owner owner
	key   *sse.ObjectKey
	data  metadata.Data
	rest  sse.Range // of the object
}

// WriteTo streams the plaintext. Where the version moves to another storage class
// meanwhile, it goes on with the data that has the same bytes.
func (d *decrypting) WriteTo(w io.Writer) (int64, error) {
	out := &counter{w: w}
	asked := d.rest
	err := d.all(out)
	for range maxFollows {
		if !errors.Is(err, partition.ErrGone) && !errors.Is(err, partition.ErrUnreadable) {
			break
		}
		now := d.svc.movedData(d.ctx, &d.owner, d.data.ID)
		if now == nil {
			break
		}
		d.data = *now
		d.rest.Offset, d.rest.Length = asked.Offset+out.n, asked.Length-out.n
		err = d.all(out)
	}
	return out.n, asS3(err)
}

func (d *decrypting) all(out *counter) error {
	switch {
	case d.rest.Length == 0:
		return nil
	case d.data.Kind != metadata.DataManifest:
		return d.run(out, &d.data, d.rest)
	}
	for d.rest.Length > 0 {
		left := d.rest.Length
		if err := d.parts(out); err != nil {
			return err
		}
		if d.rest.Length == left {
			return fmt.Errorf("%w: a manifest without bytes", metadata.ErrCorrupt)
		}
	}
	return nil
}

// parts reads from the next parts of a manifest.
func (d *decrypting) parts(out *counter) error {
	m := &manifestCursor{id: d.data.ID, offset: d.rest.Offset}
	if err := m.load(d.ctx, d.svc.db); err != nil {
		return err
	}
	start := m.start
	for i := range m.parts {
		part := &m.parts[i]
		r := sse.Range{Size: part.Size, Offset: d.rest.Offset - start}
		r.Length = min(part.Size-r.Offset, d.rest.Length)
		start += part.Size
		if r.Length <= 0 {
			continue // a part of no bytes
		}
		data, err := dataOfPart(part)
		if err != nil {
			return err
		}
		if err := d.run(out, data, r); err != nil {
			return err
		}
		if d.rest.Offset, d.rest.Length = d.rest.Offset+r.Length, d.rest.Length-r.Length; d.rest.Length == 0 {
			return nil
		}
	}
	return nil
}

// dataOfPart is the data of an encrypted part: all of one id.
func dataOfPart(p *metadata.ManifestPart) (*metadata.Data, error) {
	if len(p.Slices) != 1 || p.Slices[0].Offset != 0 || p.Slices[0].Length != sse.StoredSize(p.Size) {
		return nil, fmt.Errorf("%w: encrypted part %d", metadata.ErrCorrupt, p.Number)
	}
	return &metadata.Data{Kind: metadata.DataRows, ID: p.Slices[0].ID, Origin: p.Slices[0].Origin}, nil
}

// run reads a range of the data of one id.
func (d *decrypting) run(out io.Writer, data *metadata.Data, r sse.Range) (err error) {
	cipher, err := d.key.Data(data.Salt())
	if err != nil {
		return err
	}
	plain := sse.NewDecrypter(cipher, r, &d.svc.chunks, out)
	defer plain.Close()
	offset, length := r.Stored()
	stored := d.svc.follow(d.ctx, data, offset, length)
	defer func() { err = errors.Join(err, stored.Close()) }()
	if _, err := stored.WriteTo(plain); err != nil {
		return err
	}
	return plain.Done()
}

// Close forgets the key.
func (d *decrypting) Close() error {
	d.key.Wipe()
	return nil
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// piped reads what a Reading writes.
type piped struct {
	*io.PipeReader
	of   Reading
	done chan struct{}
}

// readerOf turns a reading into a reader, which the caller closes in its place.
func readerOf(of Reading) io.ReadCloser {
	r, w := io.Pipe()
	p := &piped{PipeReader: r, of: of, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_, err := of.WriteTo(w)
		_ = w.CloseWithError(err) // never fails
	}()
	return p
}

// Close ends the reading.
func (p *piped) Close() error {
	_ = p.PipeReader.Close() // never fails
	<-p.done
	return p.of.Close()
}
