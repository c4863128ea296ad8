package objects

import (
	"context"
	"errors"
	"io"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
)

// errSourceMoved asks for another attempt: the source was replaced while its checksum was computed.
var errSourceMoved = errors.New("objects: copy source changed")

// maxCopyAttempts bounds the attempts of a copy that reads or moves the bytes of
// a source that keeps changing.
const maxCopyAttempts = 10

// maxGone bounds the attempts that do not find the source's bytes: with another source they
// are there, else they stay gone.
const maxGone = 4

// CopyObject makes a second owner of the source's bytes, in one small
// transaction; no bytes move, whatever the size, but to another storage class. Where a checksum is asked for
// that the source does not have, the bytes are read once to compute it.
func (s *Service) CopyObject(ctx context.Context, in CopyObjectInput) (CopyObjectOutput, error) {
	if err := s3.ValidateKey(in.Key); err != nil {
		return CopyObjectOutput{}, err
	}
	source, err := s.bucket(ctx, in.Source.Bucket)
	if err != nil {
		return CopyObjectOutput{}, err
	}
	target, err := s.bucket(ctx, in.Bucket)
	if err != nil {
		return CopyObjectOutput{}, err
	}
	c := &copying{svc: s, in: &in, source: source, target: target}
	c.keyed = in.Encryption.Mode != 0 || in.Source.CustomerKey != nil
	c.moves = in.StorageClass != ""
	var out CopyObjectOutput
	err = whileMoving(func() error {
		out, err = c.attempt(ctx)
		return err
	})
	return out, err
}

// whileMoving makes attempts at a copy until its source stands still.
func whileMoving(attempt func() error) error {
	var err error
	gone := 0
	for range maxCopyAttempts {
		if err = attempt(); !sourceMoved(err) {
			return asS3(err)
		}
		if errors.Is(err, partition.ErrGone) {
			gone++
		}
		if gone == maxGone {
			break
		}
	}
	if errors.Is(err, errSourceMoved) {
		return s3.NewError(s3.SlowDown).Because(err)
	}
	return asS3(err)
}

// sourceMoved reports whether a copy failed because its source was replaced meanwhile, or
// its bytes went with it.
func sourceMoved(err error) bool {
	return errors.Is(err, errSourceMoved) || errors.Is(err, partition.ErrGone)
}

type copying struct {
	svc            *Service
	in             *CopyObjectInput
	source, target *metadata.Bucket
	from           *metadata.Object // the source as the transaction saw it
	versioned      bool             // the source's bucket keeps versions
	row            *metadata.Object
	inline         []byte
	sum            *Checksum // computed ahead, of the version summed
	summed         metadata.Token
	keyed          bool // the source or the copy is encrypted: plan says how
	plan           copyPlan
	moves          bool        // the storage class may be another than the source's
	moved          *relocation // the bytes in it
}

func (c *copying) attempt(ctx context.Context) (CopyObjectOutput, error) {
	if err := c.prepare(ctx); err != nil {
		return CopyObjectOutput{}, err
	}
	err := c.relocate(ctx)
	if err == nil {
		err = c.computeSum(ctx)
	}
	if err != nil {
		c.dropMoved(ctx)
		c.dropPlan(ctx)
		return CopyObjectOutput{}, err
	}
	c.row = &metadata.Object{Key: string(c.in.Key), Owner: string(c.in.Owner)}
	err = c.svc.publishCopy(ctx, c)
	c.endMoved(ctx, err)
	c.endPlan(ctx, err)
	if err != nil {
		return CopyObjectOutput{}, err
	}
	out := CopyObjectOutput{
		Object: objectOf(c.row), SourceVersionID: versionID(c.from), SourceVersioned: c.versioned,
	}
	out.Object.Encryption = c.in.Encryption.shown(c.row.Encryption)
	return out, nil
}

// computeSum reads the source when a checksum is wanted that it does not have.
func (c *copying) computeSum(ctx context.Context) error {
	if !c.in.Checksum.Valid() || c.plan.stored != nil {
		return nil
	}
	got, err := c.svc.GetObject(ctx, c.sourceInput())
	if err != nil {
		return sourceError(err)
	}
	defer func() { _ = got.Body.Close() }() // reading: nothing is lost
	c.summed = got.token
	if hasSum(got.Object.Checksums, c.in.Checksum) {
		c.sum = nil
		return nil
	}
	h := c.svc.hashers.Get(checksum.SetOf(c.in.Checksum))
	defer c.svc.hashers.Put(h)
	if _, err := got.Body.WriteTo(io.Writer(h)); err != nil {
		return err
	}
	c.sum = &Checksum{
		Algorithm: c.in.Checksum.String(), Type: checksum.FullObject.String(),
		Value: c.in.Checksum.Encode(h.Sum(c.in.Checksum)),
	}
	return nil
}

func hasSum(sums []Checksum, a checksum.Algorithm) bool {
	for _, s := range sums {
		if s.Algorithm == a.String() && s.Type == checksum.FullObject.String() {
			return true
		}
	}
	return false
}

// publishCopy publishes the copy; the source is read in the same transaction.
func (s *Service) publishCopy(ctx context.Context, c *copying) error {
	return s.publishObject(ctx, publication{
		bucket: c.target, row: c.row, pre: c.in.Precondition, lock: c.in.Lock, ahead: c.sendAhead,
		data: func(tx *metadata.Tx) ([]byte, error) {
			if err := c.readSource(tx); err != nil {
				return nil, err
			}
			if st := c.plan.stored; st != nil {
				data, err := st.publish(tx, metadata.MaxRowExtents)
				c.row.Data = data
				return st.inline, err
			}
			if c.changesClass(c.from) {
				return nil, c.useMoved(tx)
			}
			err := c.shareData(tx)
			return c.inline, err
		},
	})
}

// readSource reads the source serializably and fills the row from it.
func (c *copying) readSource(tx *metadata.Tx) error {
	b, err := c.svc.requireBucket(tx, c.source)
	if err != nil {
		return err
	}
	from, err := readable(tx, b, c.in.Source.version())
	if err != nil {
		return sourceError(err)
	}
	c.versioned = b.Versioning != metadata.Unversioned
	if c.in.Checksum.Valid() && from.Token != c.summed {
		return errSourceMoved
	}
	if pre := c.in.Source.Precondition; pre != nil {
		if err := pre(s3.ETag(from.ETag), from.Modified); err != nil {
			return err
		}
	}
	c.from = from
	c.row.Size, c.row.ETag, c.row.Parts = from.Size, from.ETag, from.Parts
	c.row.Checksums = from.Checksums
	if c.sum != nil {
		c.row.Checksums = []Checksum{*c.sum}
	}
	if err := c.usePlan(from); err != nil {
		return err
	}
	c.row.Attributes = from.Attributes
	if c.in.Replace {
		c.row.Attributes = c.in.Attributes
	}
	c.row.Attributes.StorageClass = c.in.StorageClass
	c.row.Attributes.WebsiteRedirect = c.in.WebsiteRedirect
	c.row.Tags, c.row.ACL = from.Tags, c.in.ACL
	if c.in.ReplaceTags {
		c.row.Tags = c.in.Tags
	}
	return nil
}

// shareData gives the row its data: the inline bytes once more, or a pin on the source's data id.
func (c *copying) shareData(tx *metadata.Tx) (err error) {
	from := &c.from.Data
	c.inline = nil // an earlier attempt may have seen an inline source
	switch from.Kind {
	case metadata.DataEmpty:
		c.row.Data = metadata.Data{Kind: metadata.DataEmpty}
		return nil
	case metadata.DataInline:
		c.row.Data = metadata.Data{Kind: metadata.DataInline, ID: from.ID, Origin: from.Origin}
		c.inline, err = tx.Inline(c.source.ID, c.from.Key, c.from.Ord)
		return err
	case metadata.DataExtents, metadata.DataRows, metadata.DataManifest:
	}
	c.row.Data = metadata.Data{Kind: from.Kind, ID: from.ID, Origin: from.Origin, Shared: true}
	if from.Kind == metadata.DataExtents {
		c.row.Data.Kind = metadata.DataRows
	}
	if err := exposeExtents(tx, from); err != nil {
		return err
	}
	return tx.Pin(from.ID, metadata.Owner{
		Kind: metadata.OwnerVersion, Bucket: c.target.ID, Key: c.row.Key, Ord: c.row.Ord,
	})
}

// exposeExtents writes the extents of an object row as rows too, so that other
// owners of the data find them there.
func exposeExtents(tx *metadata.Tx, d *metadata.Data) error {
	if d.Kind != metadata.DataExtents {
		return nil
	}
	return tx.PutExtents(d.ID, 0, d.Extents)
}
