package objects

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sse"
)

const (
	// readChunk is read and hashed at a time, so that a hash finds in the cache
	// what the socket left there.
	readChunk = 128 << 10
	// maxPending pieces of one body are on their way to the disks while the
	// next is received.
	maxPending = 2
	// flushExtents is how many extents of one body wait for its end; more are
	// written under an intent.
	flushExtents = 64
	// abandonTimeout bounds the clean-up after a body that failed.
	abandonTimeout = 10 * time.Second
)

// stored is a body that is durable and verified, and not yet published.
type stored struct {
	id       metadata.DataID
	size     int64
	md5      []byte
	sums     []Checksum // FULL_OBJECT; the client's first
	inline   []byte
	isInline bool
	placed   []metadata.Placed // not yet in rows
	flushed  int64             // bytes whose extents are in rows E already
	intent   bool
	pending  []*partition.Pending // hold their partitions until published
	seal     *sealing             // nil: not encrypted
}

func (st *stored) etag() string { return st.seal.etag(st.md5) }

// intake receives one body.
type intake struct {
	svc     *Service
	bucket  *metadata.Bucket
	key     s3.Key
	version string // for the stripe's directory
	class   string // the storage class that partitions are of; "" is STANDARD
	body    Body
	limit   int64              // largest inline size, negative for none
	also    checksum.Algorithm // computed besides the client's; zero for none
	hasher  *checksum.Hasher
	waiting []*partition.Pending // oldest first
	piece   uint32
	data    *sse.Data // of an encrypted body
	chunk   int64     // next of data
	peeked  []byte    // of the body, read ahead
	stored
}

// receive reads a body to its verified end and makes its bytes durable, or
// holds them for the metadata when they are few. The caller publishes what it
// returns, then calls release; after an error nothing is left to do.
func (s *Service) receive(ctx context.Context, in *intake) (*stored, error) {
	if in.body.Size > s3.MaxPutSize {
		return nil, s3.NewError(s3.EntityTooLarge).
			WithInt("ProposedSize", in.body.Size).WithInt("MaxSizeAllowed", s3.MaxPutSize)
	}
	in.svc, in.id = s, s.db.NewDataID()
	if err := in.encrypt(); err != nil {
		return nil, err
	}
	algorithm := in.body.Checksum
	if !algorithm.Valid() {
		algorithm = checksum.CRC64NVME
	}
	in.body.Checksum = algorithm
	in.hasher = s.hashers.Get(checksum.SetOf(checksum.MD5, algorithm, in.also))
	defer s.hashers.Put(in.hasher)
	var err error
	if in.body.Size >= 0 && in.body.Size <= in.limit || in.body.Size == 0 {
		err = in.receiveInline()
	} else {
		err = in.receivePieces(ctx)
	}
	if err != nil {
		s.abandon(ctx, &in.stored)
		return nil, err
	}
	return &in.stored, nil
}

// release lets the partitions of a published or abandoned body be sealed.
func (st *stored) release() {
	for _, p := range st.pending {
		p.Done()
	}
	st.pending = nil
}

// abandon gives up what a failed body left: extents already in rows become
// garbage to collect; stripes without rows are garbage by themselves.
func (s *Service) abandon(ctx context.Context, st *stored) {
	defer st.release()
	if !st.intent {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTimeout)
	defer cancel()
	err := s.db.Update(ctx, "abandon", func(tx *metadata.Tx) error {
		in, err := tx.Intent(st.id)
		if err != nil || in == nil {
			return err
		}
		if err := tx.DeleteIntent(st.id); err != nil {
			return err
		}
		return tx.ReleaseHome(st.id, metadata.GarbageData)
	})
	if err != nil {
		s.opts.Logger.WarnContext(ctx, "abandoned upload is left to the collector", slog.Any("error", err))
	}
}

func (in *intake) receiveInline() error {
	if in.body.Size == 0 {
		return in.verify()
	}
	in.isInline = true
	in.inline = make([]byte, in.body.Size)
	if _, err := in.fill(in.inline); err != nil {
		return err
	}
	if in.data != nil {
		in.inline = in.data.SealAll(in.inline)
	}
	return in.verify()
}

// receivePieces cuts the body into pieces, each a blob of one stripe. The last
// piece is submitted only once the digests of the whole are right.
func (in *intake) receivePieces(ctx context.Context) error {
	err := in.pieces(ctx)
	for len(in.waiting) > 0 {
		if e := in.collect(ctx); err == nil {
			err = e
		}
	}
	return err
}

func (in *intake) pieces(ctx context.Context) error {
	for last := false; !last; {
		remaining := int64(-1)
		if in.body.Size >= 0 {
			remaining = in.body.Size - in.hasher.Size()
		}
		if err := in.svc.db.Answers(); err != nil {
			return err // nobody could publish what would be written
		}
		buf, err := in.svc.store.Buffer(ctx, in.storedSize(remaining))
		if err != nil {
			return err
		}
		if last, err = in.onePiece(ctx, buf, remaining); err != nil {
			return err
		}
	}
	return nil
}

// onePiece fills buf and submits it. It owns buf.
func (in *intake) onePiece(ctx context.Context, buf *partition.Buffer, remaining int64) (last bool, err error) {
	n, last, err := in.fillPiece(buf.Bytes(), remaining)
	if err == nil && in.hasher.Size() > s3.MaxPutSize {
		err = s3.NewError(s3.EntityTooLarge).WithInt("MaxSizeAllowed", s3.MaxPutSize)
	}
	if err == nil && last {
		err = in.verify()
	}
	if err == nil && len(in.waiting) >= maxPending {
		err = in.collect(ctx)
	}
	if err != nil || n == 0 {
		buf.Free()
		return last, err
	}
	blob := partition.Blob{ID: in.id, Piece: in.piece, Key: blobKey(in.bucket.ID, in.key), Version: in.version, Class: in.class}
	in.piece++
	in.waiting = append(in.waiting, in.svc.store.Submit(ctx, blob, buf, n))
	return last, nil
}

// fillPiece fills as much of a buffer as there is of the body.
func (in *intake) fillPiece(space []byte, remaining int64) (n int, last bool, err error) {
	if in.data != nil {
		return in.fillSealed(space, remaining)
	}
	if remaining >= 0 {
		space = space[:min(int64(len(space)), remaining)]
	}
	n, err = in.fill(space)
	return n, n < len(space) || int64(n) == remaining, err
}

// fill reads until p is full or the body ends, hashing as it goes.
func (in *intake) fill(p []byte) (n int, err error) {
	for n < len(p) {
		chunk := p[n:min(len(p), n+readChunk)]
		m, err := in.read(chunk)
		if m > 0 {
			_, _ = in.hasher.Write(chunk[:m]) // never fails
			n += m
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, &bodyError{err}
		}
	}
	return n, nil
}

// verify holds the body against what the client said of it. It reads the
// body's end first: that is where a signature or a trailer is checked.
func (in *intake) verify() error {
	var probe [1]byte
	if n, err := io.ReadFull(in.body.Reader, probe[:]); n != 0 || !errors.Is(err, io.EOF) {
		if n == 0 {
			return &bodyError{err}
		}
		return s3.NewError(s3.IncompleteBody).WithMessage("The request body is longer than declared.")
	}
	in.size = in.hasher.Size()
	if in.body.Size >= 0 && in.size != in.body.Size {
		return s3.NewError(s3.IncompleteBody)
	}
	in.md5 = in.hasher.Sum(checksum.MD5)
	if in.body.MD5 != nil && !bytes.Equal(in.md5, in.body.MD5) {
		return s3.NewError(s3.BadDigest)
	}
	return in.verifyChecksum()
}

func (in *intake) verifyChecksum() error {
	a := in.body.Checksum
	in.sums = []Checksum{in.sum(a)}
	if in.also.Valid() && in.also != a {
		in.sums = append(in.sums, in.sum(in.also))
	}
	if in.body.Expected == nil {
		return nil
	}
	want, err := in.body.Expected()
	if err != nil {
		return &bodyError{err}
	}
	if want != "" && want != in.sums[0].Value {
		return s3.NewError(s3.BadDigest).
			WithMessage("The " + a.String() + " you specified did not match the calculated checksum.")
	}
	return nil
}

func (in *intake) sum(a checksum.Algorithm) Checksum {
	return Checksum{
		Algorithm: a.String(), Type: checksum.FullObject.String(),
		Value: a.Encode(in.hasher.Sum(a)),
	}
}

// collect waits for the oldest piece and writes extents early where there are many.
func (in *intake) collect(ctx context.Context) error {
	oldest := in.waiting[0]
	in.waiting = in.waiting[1:]
	in.pending = append(in.pending, oldest)
	placed, err := oldest.Wait(ctx)
	if err != nil {
		return err
	}
	in.placed = append(in.placed, placed)
	if len(in.placed) < flushExtents {
		return nil
	}
	return in.svc.flush(ctx, in.bucket.ID, &in.stored)
}

// flush writes the extents so far in a transaction of their own, announced by an intent.
func (s *Service) flush(ctx context.Context, b metadata.BucketID, st *stored) error {
	first := !st.intent
	err := s.db.Update(ctx, "extents", func(tx *metadata.Tx) error {
		if err := s.announce(tx, st.id, b, first); err != nil {
			return err
		}
		return st.putExtents(tx)
	})
	st.intent = true // also when it failed: then it may be there
	if err != nil {
		return err
	}
	st.flushed += st.placedBytes()
	st.placed = st.placed[:0]
	st.release()
	return nil
}

// announce writes the intent of an id with the first rows of it, and requires
// it with all later ones.
func (s *Service) announce(tx *metadata.Tx, id metadata.DataID, b metadata.BucketID, first bool) error { //nolint:revive // said by the caller's loop
	if first {
		return tx.PutIntent(&metadata.Intent{ID: id, Created: s.opts.Now(), Bucket: b})
	}
	return tx.RequireIntent(id)
}

func (st *stored) placedBytes() (n int64) {
	for _, p := range st.placed {
		n += int64(p.Extent.Length)
	}
	return n
}

func (st *stored) extents() []metadata.Extent {
	out := make([]metadata.Extent, len(st.placed))
	for i, p := range st.placed {
		out[i] = p.Extent
	}
	return out
}

func (st *stored) putExtents(tx *metadata.Tx) error {
	if err := tx.PutExtents(st.id, st.flushed, st.extents()); err != nil {
		return err
	}
	return tx.Publish(st.id, st.placed)
}

// publish writes what makes the bytes reachable and returns what their row says of
// them. inRow allows few extents to be in the row itself.
func (st *stored) publish(tx *metadata.Tx, maxInRow int) (metadata.Data, error) {
	switch {
	case st.size == 0:
		return metadata.Data{Kind: metadata.DataEmpty}, nil
	case st.isInline && st.seal == nil:
		return metadata.Data{Kind: metadata.DataInline}, nil
	case st.isInline:
		return metadata.Data{Kind: metadata.DataInline, ID: st.id}, nil // the id is what the bytes are bound to
	case !st.intent && len(st.placed) <= maxInRow:
		data := metadata.Data{Kind: metadata.DataExtents, ID: st.id, Extents: st.extents()}
		return data, tx.Publish(st.id, st.placed)
	}
	if st.intent {
		if err := tx.FinishIntent(st.id); err != nil {
			return metadata.Data{}, err
		}
	}
	return metadata.Data{Kind: metadata.DataRows, ID: st.id}, st.putExtents(tx)
}

// blobKey is the key that a stripe's directory keeps for salvage.
func blobKey(b metadata.BucketID, key s3.Key) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 17+len(key))
	for shift := 60; shift >= 0; shift -= 4 {
		out = append(out, digits[uint64(b)>>shift&15])
	}
	out = append(out, '/')
	return string(append(out, key...))
}

// bodyError is an error of the client's body; it reaches the gateway as it is.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }
