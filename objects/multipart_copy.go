package objects

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sse"
)

// maxCopySlices is how fragmented a copied part may be; past it the bytes are
// rewritten.
const maxCopySlices = min(1500, metadata.MaxSlices)

// UploadPartCopy makes a part of a range of an object by pinning the source's
// data; no bytes move. Where the upload keeps checksums the range is read once to compute the
// part's. Otherwise the part's entity tag is the source's when all of it is
// copied, and else derived from it and the range.
func (s *Service) UploadPartCopy(ctx context.Context, in UploadPartCopyInput) (UploadPartCopyOutput, error) {
	if err := checkPartNumber(in.Number); err != nil {
		return UploadPartCopyOutput{}, err
	}
	t, err := s.target(ctx, in.Bucket, in.Key, in.Upload)
	if err != nil {
		return UploadPartCopyOutput{}, err
	}
	u, err := t.view(ctx, s)
	if err != nil {
		return UploadPartCopyOutput{}, asS3(err)
	}
	var out UploadPartCopyOutput
	err = whileMoving(func() error {
		p := &partCopy{svc: s, in: &in, target: &t, upload: u}
		out, err = p.run(ctx)
		return err
	})
	return out, err
}

type partCopy struct {
	svc            *Service
	in             *UploadPartCopyInput
	target         *target
	upload         *metadata.Upload
	source         *metadata.Bucket
	from           *metadata.Object
	versioned      bool // the source's bucket keeps versions
	offset, length int64
	row            *metadata.Part
	md5            []byte     // of the range, where it was read
	sums           []Checksum // of the range, where known
}

func (p *partCopy) run(ctx context.Context) (UploadPartCopyOutput, error) {
	var rewrite bool
	err := p.svc.db.View(ctx, "copy-part", func(r *metadata.Reader) (err error) {
		if p.source, err = p.svc.bucketIn(ctx, r, p.in.Source.Bucket); err != nil {
			return err
		}
		if err = p.find(r, p.source); err != nil {
			return err
		}
		if p.from.Data.Kind == metadata.DataInline || p.from.Encryption != nil || p.upload.Encryption != nil || p.changesClass() {
			rewrite = true
			return nil
		}
		slices, err := p.slices(r)
		rewrite = len(slices) > maxCopySlices
		return err
	})
	if err != nil {
		return UploadPartCopyOutput{}, err
	}
	if rewrite {
		return p.rewrite(ctx)
	}
	if err := p.sum(ctx); err != nil {
		return UploadPartCopyOutput{}, err
	}
	return p.pin(ctx)
}

// changesClass reports whether the bytes are kept in another storage class than the upload's.
func (p *partCopy) changesClass() bool {
	return p.length > 0 && p.from.Attributes.StorageClass != p.upload.Attributes.StorageClass
}

// find reads the source and resolves the range.
func (p *partCopy) find(r rows, b *metadata.Bucket) error {
	from, err := readable(r, b, p.in.Source.version())
	if err != nil {
		return sourceError(err)
	}
	if err := checkKey(from.Encryption, p.in.Source.CustomerKey); err != nil {
		return err
	}
	p.versioned = b.Versioning != metadata.Unversioned
	if pre := p.in.Source.Precondition; pre != nil {
		if err := pre(s3.ETag(from.ETag), from.Modified); err != nil {
			return err
		}
	}
	p.from, p.offset, p.length = from, 0, from.Size
	if p.in.Range != nil {
		if p.offset, p.length, err = p.in.Range.ResolveCopySource(from.Size); err != nil {
			return err
		}
	}
	if p.length > s3.MaxPartSize {
		return s3.NewError(s3.InvalidRequest).WithMessage(
			"The specified copy source is larger than the maximum allowable size for a copy source: 5368709120")
	}
	return nil
}

// dataRows reads what copies need of rows.
type dataRows interface {
	ManifestParts(id metadata.DataID, from int64, limit int) ([]metadata.ManifestPart, int64, error)
}

// slices are the runs of data ids that hold the range.
func (p *partCopy) slices(r dataRows) ([]metadata.Slice, error) {
	d := &p.from.Data
	if p.length == 0 || d.Kind == metadata.DataEmpty {
		return nil, nil
	}
	if d.Kind != metadata.DataManifest {
		return []metadata.Slice{{ID: d.ID, Offset: p.offset, Length: p.length}}, nil
	}
	m := &manifestCursor{id: d.ID, offset: p.offset, length: p.length}
	var out []metadata.Slice
	for m.length > 0 {
		if len(m.parts) == 0 {
			if err := m.read(r); err != nil {
				return nil, err
			}
		}
		if run, ok := m.take(); ok {
			out = append(out, metadata.Slice{ID: run.id, Offset: run.offset, Length: run.length})
		}
		if len(out) > maxCopySlices {
			return out, nil
		}
	}
	return out, nil
}

// rewrite uploads the range as a body: the source is inline, or in too many
// small runs, or the one is encrypted or the other.
func (p *partCopy) rewrite(ctx context.Context) (UploadPartCopyOutput, error) {
	algorithm, err := partChecksum(p.upload, 0)
	if err != nil {
		return UploadPartCopyOutput{}, err
	}
	body, err := p.open(ctx)
	if err != nil {
		return UploadPartCopyOutput{}, err
	}
	defer func() { _ = body.Close() }() // reading: nothing is lost
	part, err := p.svc.storePart(ctx, p.target, p.upload, UploadPartInput{
		Number: p.in.Number, CustomerKey: p.in.CustomerKey,
		Body: Body{Reader: body, Size: p.length, Checksum: algorithm},
	})
	return p.output(part), err
}

// open reads the range as one body.
func (p *partCopy) open(ctx context.Context) (io.ReadCloser, error) {
	var inline []byte
	if p.from.Data.Kind == metadata.DataInline {
		var err error
		if inline, err = p.inline(ctx); err != nil {
			return nil, err
		}
	}
	of := owner{p.source.ID, p.from}
	key, err := p.svc.openKeyOf(ctx, of, p.in.Source.CustomerKey)
	if err != nil {
		return nil, err
	}
	body, err := p.svc.body(ctx, of, inline, key, sse.Range{Size: p.from.Size, Offset: p.offset, Length: p.length})
	if err != nil {
		return nil, err
	}
	return readerOf(body), nil
}

// inline reads the bytes of a source that are in metadata.
func (p *partCopy) inline(ctx context.Context) (inline []byte, err error) {
	err = p.svc.db.View(ctx, "copy-part", func(r *metadata.Reader) (err error) {
		inline, err = r.Inline(p.source.ID, p.from.Key, p.from.Ord)
		if err != nil {
			return err
		}
		same, err := wrote(r, p.source.ID, p.from)
		if err == nil && !same {
			err = errSourceMoved // replaced meanwhile: its bytes went with it
		}
		return err
	})
	return inline, err
}

// sum computes the checksums of the range where the upload keeps them.
func (p *partCopy) sum(ctx context.Context) error {
	whole := p.length == p.from.Size && p.from.Parts == 0
	if whole {
		p.md5, _ = hex.DecodeString(p.from.ETag)
		p.sums = p.from.Checksums
	}
	algorithm, err := partChecksum(p.upload, 0)
	if err != nil || !algorithm.Valid() || whole && hasSum(p.sums, algorithm) {
		return err
	}
	h := p.svc.hashers.Get(checksum.SetOf(checksum.MD5, algorithm))
	defer p.svc.hashers.Put(h)
	body := p.svc.open(ctx, &p.from.Data, p.offset, p.length)
	defer func() { _ = body.Close() }() // reading: nothing is lost
	if _, err := body.WriteTo(h); err != nil {
		return err
	}
	p.md5 = h.Sum(checksum.MD5)
	p.sums = []Checksum{{
		Algorithm: algorithm.String(), Type: checksum.FullObject.String(),
		Value: algorithm.Encode(h.Sum(algorithm)),
	}}
	return nil
}

// pin publishes the part; the source is read again in the same transaction.
func (p *partCopy) pin(ctx context.Context) (UploadPartCopyOutput, error) {
	seen := p.from.Token
	p.row = &metadata.Part{
		Number: p.in.Number, Size: p.length, ETag: p.etag(),
		Checksums: p.sums, Token: p.svc.db.NewToken(),
	}
	err := p.svc.publishPart(ctx, p.target, p.row, nil, func(tx *metadata.Tx) error {
		b, err := p.svc.requireBucket(tx, p.source)
		if err != nil {
			return err
		}
		if err := p.find(tx, b); err != nil {
			return err
		}
		if p.from.Token != seen {
			return errSourceMoved
		}
		return p.pinSlices(tx)
	})
	return p.output(partOf(p.row)), err
}

func (p *partCopy) pinSlices(tx *metadata.Tx) error {
	slices, err := p.slices(tx)
	if err != nil {
		return err
	}
	if len(slices) > maxCopySlices {
		return partition.ErrGone
	}
	if err := exposeExtents(tx, &p.from.Data); err != nil {
		return err
	}
	owner := metadata.Owner{
		Kind: metadata.OwnerPart, Bucket: p.target.bucket.ID, Upload: p.target.id,
		Part: p.in.Number, Token: p.row.Token,
	}
	for i := range slices {
		slices[i].Owner = &owner
		if err := tx.Pin(slices[i].ID, owner); err != nil {
			return err
		}
	}
	p.row.Slices = slices
	return nil
}

// etag is the MD5 digest of the bytes where it is known, else a digest of what names
// them.
func (p *partCopy) etag() string {
	if len(p.md5) == md5.Size {
		return hex.EncodeToString(p.md5)
	}
	named := fmt.Appendf(nil, "%s %d %d %d", p.from.ETag, p.from.Ord, p.offset, p.length)
	sum := md5.Sum(named)
	return hex.EncodeToString(sum[:])
}

func (p *partCopy) output(part Part) UploadPartCopyOutput {
	return UploadPartCopyOutput{
		Part: part, SourceVersionID: versionID(p.from), SourceVersioned: p.versioned,
	}
}
