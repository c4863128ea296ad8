package objects

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
)

const (
	// relocateParts is how many parts of a multipart object one transaction writes
	// ahead, relocateExtents after how many extents it takes no more, and relocateBytes after how
	// many bytes: what was announced alone must not wait for too long, and a crash does little again.
	relocateParts   = 64
	relocateExtents = 512
	relocateBytes   = 4 << 30
)

// errSplit is an encrypted slice that is not all of its data: nobody writes one.
var errSplit = errors.New("objects: an encrypted slice of a part of some data")

// relocation writes the stored bytes of a version again in a storage class: those of
// an encrypted object as they are. Nobody sees them until publish. What it writes
// ahead is announced, so that a crash leaves garbage at most.
type relocation struct {
	svc    *Service
	bucket *metadata.Bucket // of the key that the bytes are for
	key    string
	class  string           // "" is STANDARD
	from   *metadata.Object // whose bytes they are
	// pace is called before each piece but the first; its error ends the move. Nil: others need not go first.
	pace  func(ctx context.Context) error
	begun bool

	single   *stored         // unless they are those of a manifest
	manifest metadata.DataID // whose intent is written
	offset   int64           // in the object, of the next part
	batch    []relocatedPart // not written ahead yet
	extents  int             // of batch
	bytes    int64           // of batch
}

// relocatedPart is a part whose bytes are durable.
type relocatedPart struct {
	part  metadata.ManifestPart
	bytes []*stored // of its slices
}

// hasBytes says whether the bytes of a version are in partitions.
func hasBytes(d *metadata.Data) bool {
	return d.Kind == metadata.DataExtents || d.Kind == metadata.DataRows || d.Kind == metadata.DataManifest
}

// run makes the bytes durable. After an error nothing is left to do.
func (r *relocation) run(ctx context.Context) (err error) {
	if r.from.Data.Kind == metadata.DataManifest {
		err = r.moveManifest(ctx)
	} else {
		err = r.moveData(ctx)
	}
	if err != nil {
		r.abandon(ctx, err)
	}
	return err
}

// moveData moves the bytes of a data id.
func (r *relocation) moveData(ctx context.Context) (err error) {
	d := &r.from.Data
	var length int64
	if d.Kind == metadata.DataExtents {
		for i := range d.Extents {
			length += int64(d.Extents[i].Length)
		}
	} else {
		err = r.svc.db.View(ctx, "relocate", func(v *metadata.Reader) (err error) {
			length, err = v.StoredLength(d.ID)
			return err
		})
	}
	if err == nil && length == 0 {
		err = partition.ErrGone // the version has gone, and its data after it
	}
	if err != nil {
		return err
	}
	body := r.svc.follow(ctx, d, 0, length)
	defer func() { _ = body.Close() }() // reading: nothing is lost
	r.single, err = r.store(ctx, body, length, r.version(0))
	return err
}

// version is what the stripe's directory says of the bytes.
func (r *relocation) version(part int) string {
	text := "moved version"
	if r.from.Key == r.key {
		text = "version " + string(versionID(r.from))
	}
	if part > 0 {
		text += " part " + itoa(part)
	}
	return text
}

// store writes n bytes under an id of their own.
func (r *relocation) store(ctx context.Context, body io.Reader, n int64, version string) (*stored, error) {
	in := &intake{svc: r.svc, bucket: r.bucket, version: version, class: r.class}
	in.id, in.size = r.svc.db.NewDataID(), n
	err := in.relocate(ctx, body, blobKey(r.bucket.ID, s3.Key(r.key)), r.wait)
	for len(in.waiting) > 0 {
		if e := in.collect(ctx); err == nil {
			err = e
		}
	}
	if err != nil {
		r.svc.abandon(ctx, &in.stored)
		return nil, err
	}
	return &in.stored, nil
}

// wait lets others go before the next piece.
func (r *relocation) wait(ctx context.Context) error {
	if first := !r.begun; first || r.pace == nil {
		r.begun = true
		return nil
	}
	return r.pace(ctx)
}

// relocate submits the bytes piece by piece.
func (in *intake) relocate(ctx context.Context, body io.Reader, key string, pace func(context.Context) error) error {
	for rest := in.size; rest > 0; in.piece++ {
		if err := pace(ctx); err != nil {
			return err
		}
		buf, err := in.svc.store.Buffer(ctx, rest)
		if err != nil {
			return err
		}
		space := buf.Bytes()
		space = space[:min(int64(len(space)), rest)]
		_, err = io.ReadFull(body, space)
		if err == nil && len(in.waiting) >= maxPending {
			err = in.collect(ctx)
		}
		if err != nil {
			buf.Free()
			return err
		}
		blob := partition.Blob{ID: in.id, Piece: in.piece, Key: key, Version: in.version, Class: in.class}
		in.waiting = append(in.waiting, in.svc.store.Submit(ctx, blob, buf, len(space)))
		rest -= int64(len(space))
	}
	return nil
}

// moveManifest moves the bytes of a completed upload, part by part. The new
// manifest owns them from the transaction on that writes the part ahead. It holds the parts
// of one row at a time: those of a manifest may have millions of slices.
func (r *relocation) moveManifest(ctx context.Context) error {
	var place []byte
	for done := false; !done; {
		var parts []metadata.ManifestPart
		var next []byte
		err := r.svc.db.View(ctx, "relocate", func(v *metadata.Reader) (err error) {
			parts, next, err = v.ManifestRow(r.from.Data.ID, place)
			return err
		})
		if err == nil {
			err = r.moveParts(ctx, parts)
		}
		if err != nil {
			return err
		}
		place, done = next, len(parts) == 0
	}
	if len(r.batch) > 0 {
		if err := r.writeAhead(ctx); err != nil {
			return err
		}
	}
	if r.offset != r.from.Size || r.manifest == (metadata.DataID{}) {
		return partition.ErrGone // the version has gone, and its parts after it
	}
	return nil
}

// moveParts moves parts, and writes them ahead as soon as there are enough.
func (r *relocation) moveParts(ctx context.Context, parts []metadata.ManifestPart) error {
	for i := range parts {
		moved, err := r.movePart(ctx, &parts[i])
		if err != nil {
			return err
		}
		r.batch = append(r.batch, moved)
		for _, st := range moved.bytes {
			r.extents += len(st.placed)
			r.bytes += st.size
		}
		if len(r.batch) == relocateParts || r.extents >= relocateExtents || r.bytes >= relocateBytes {
			if err := r.writeAhead(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// movePart moves the slices of a part: encrypted ones each by itself, since their
// keys derive from their ids, others as one.
func (r *relocation) movePart(ctx context.Context, p *metadata.ManifestPart) (out relocatedPart, err error) {
	out.part = *p
	out.part.Slices = nil
	groups := make([][]metadata.Slice, 0, 1)
	for i := range p.Slices {
		one := p.Slices[i : i+1]
		switch {
		case r.from.Encryption != nil && one[0].Offset != 0:
			err = errSplit
		case r.from.Encryption != nil || len(groups) == 0:
			groups = append(groups, one)
		default:
			groups[0] = p.Slices[:i+1]
		}
	}
	for _, slices := range groups {
		if err != nil {
			break
		}
		body := &slicesReader{svc: r.svc, ctx: ctx, rest: slices}
		var st *stored
		if st, err = r.store(ctx, body, lengthOf(slices), r.version(p.Number)); err == nil {
			out.bytes = append(out.bytes, st)
			moved := metadata.Slice{ID: st.id, Length: st.size}
			if r.from.Encryption != nil {
				moved.Origin = slices[0].Salt()
			}
			out.part.Slices = append(out.part.Slices, moved)
		}
		body.Close()
	}
	if err != nil {
		for _, st := range out.bytes {
			r.svc.abandon(ctx, st)
		}
	}
	return out, err
}

func lengthOf(slices []metadata.Slice) (n int64) {
	for i := range slices {
		n += slices[i].Length
	}
	return n
}

// writeAhead writes the parts that are durable under the intent of the manifest.
func (r *relocation) writeAhead(ctx context.Context) error {
	first := r.manifest == metadata.DataID{}
	if first {
		r.manifest = r.svc.db.NewDataID()
	}
	parts, bytes, size := make([]metadata.ManifestPart, len(r.batch)), []*stored(nil), int64(0)
	for i := range r.batch {
		parts[i] = r.batch[i].part
		size += parts[i].Size
		bytes = append(bytes, r.batch[i].bytes...)
	}
	err := r.svc.db.Update(ctx, "relocate", func(tx *metadata.Tx) error {
		if !first {
			if err := tx.RequireIntent(r.manifest); err != nil {
				return err
			}
		}
		// Again with each batch: it is not old while there is progress.
		err := tx.PutIntent(&metadata.Intent{ID: r.manifest, Created: r.svc.opts.Now(), Bucket: r.bucket.ID, Owns: true})
		if err != nil {
			return err
		}
		for _, st := range bytes {
			if _, err := st.publish(tx, 0); err != nil {
				return err
			}
		}
		return tx.PutManifest(r.manifest, r.offset, parts)
	})
	if err != nil {
		return err // what it may have written is the manifest's, and goes with it
	}
	r.offset += size
	for _, st := range bytes {
		st.release()
	}
	r.batch, r.extents, r.bytes = nil, 0, 0
	return nil
}

// publish makes the bytes those of a row, and returns what that says of them.
func (r *relocation) publish(tx *metadata.Tx) (metadata.Data, error) {
	if r.single == nil {
		return metadata.Data{Kind: metadata.DataManifest, ID: r.manifest}, tx.FinishIntent(r.manifest)
	}
	data, err := r.single.publish(tx, metadata.MaxRowExtents)
	if r.from.Encryption != nil {
		data.Origin = r.from.Data.Salt()
	}
	return data, err
}

// id is that of the bytes.
func (r *relocation) id() metadata.DataID {
	if r.single == nil {
		return r.manifest
	}
	return r.single.id
}

// release is for after the bytes were published.
func (r *relocation) release() {
	if r.single != nil {
		r.single.release()
	}
}

// abandon gives the bytes up. What may have been published after all is not touched.
func (r *relocation) abandon(ctx context.Context, cause error) {
	if r.single != nil {
		r.svc.abandonUnlessUnknown(ctx, r.single, cause)
	}
	for i := range r.batch {
		for _, st := range r.batch[i].bytes {
			r.svc.abandonUnlessUnknown(ctx, st, cause)
		}
	}
	if r.manifest == (metadata.DataID{}) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTimeout)
	defer cancel()
	err := r.svc.db.Update(ctx, "abandon", func(tx *metadata.Tx) error {
		in, err := tx.Intent(r.manifest)
		if err != nil || in == nil {
			return err // published after all, or collected
		}
		if err := tx.DeleteIntent(r.manifest); err != nil {
			return err
		}
		return tx.ReleaseHome(r.manifest, metadata.GarbageManifest)
	})
	if err != nil && !errors.Is(err, kv.ErrUnknownCommit) {
		r.svc.opts.Logger.WarnContext(ctx, "abandoned manifest is left to the collector", slog.Any("error", err))
	}
}

// slicesReader reads slices one after another.
type slicesReader struct {
	svc  *Service
	ctx  context.Context //nolint:containedctx // io.Reader has no room for one
	rest []metadata.Slice
	open *following
	left int64 // of the one that is open
}

// Read implements [io.Reader].
func (s *slicesReader) Read(p []byte) (int, error) {
	for s.left == 0 {
		s.Close()
		if len(s.rest) == 0 {
			return 0, io.EOF
		}
		next := &s.rest[0]
		s.rest, s.left = s.rest[1:], next.Length
		s.open = s.svc.follow(s.ctx, &metadata.Data{Kind: metadata.DataRows, ID: next.ID}, next.Offset, next.Length)
	}
	n, err := s.open.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	if s.left > 0 && errors.Is(err, io.EOF) {
		return n, io.ErrUnexpectedEOF
	}
	if s.left == 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// Close gives back what the reading holds.
func (s *slicesReader) Close() {
	if s.open != nil {
		_ = s.open.Close() // reading: nothing is lost
		s.open = nil
	}
}
