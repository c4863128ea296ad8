package objects

import (
	"context"
	"io"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sse"
)

// GetObject opens a version for reading. The caller closes Body.
func (s *Service) GetObject(ctx context.Context, in GetObjectInput) (*GetObjectOutput, error) {
	var inline []byte
	out, row, err := s.look(ctx, &in, inlineOf(&inline))
	if err == nil {
		err = s.reaches(row, out.Length)
	}
	if err != nil {
		return nil, asS3(err)
	}
	of := owner{out.bucket, row}
	key, err := s.openKeyOf(ctx, of, in.CustomerKey)
	if err != nil {
		return nil, asS3(err)
	}
	out.Body, err = s.body(ctx, of, inline, key, sse.Range{Size: row.Size, Offset: out.Offset, Length: out.Length})
	return out, asS3(err)
}

// reaches fails where so many bytes of a version are on disks of another process: before
// anything is answered.
func (s *Service) reaches(row *metadata.Object, length int64) error {
	if length == 0 || row.Data.Kind == metadata.DataInline || row.Data.Kind == metadata.DataEmpty {
		return nil
	}
	return s.store.Elsewhere()
}

// inlineOf reads the bytes of a version that are in metadata, for look.
func inlineOf(inline *[]byte) func(*metadata.Reader, metadata.BucketID, *metadata.Object) error {
	return func(r *metadata.Reader, b metadata.BucketID, row *metadata.Object) (err error) {
		if row.Data.Kind == metadata.DataInline {
			*inline, err = r.Inline(b, row.Key, row.Ord)
		}
		return err
	}
}

// HeadObject describes a version, with the range or part that is asked for.
func (s *Service) HeadObject(ctx context.Context, in GetObjectInput) (*GetObjectOutput, error) {
	out, row, err := s.look(ctx, &in, nil)
	if err == nil && in.WantSums {
		err = s.showsSums(ctx, owner{out.bucket, row})
	}
	if err != nil {
		return nil, asS3(err)
	}
	return out, nil
}

// look finds the version, asks the precondition and resolves the range, in one
// snapshot. More is read by also, when given.
func (s *Service) look(
	ctx context.Context, in *GetObjectInput,
	also func(*metadata.Reader, metadata.BucketID, *metadata.Object) error,
) (*GetObjectOutput, *metadata.Object, error) {
	out := &GetObjectOutput{}
	var row *metadata.Object
	err := s.db.ViewShared(ctx, "get", func(r *metadata.Reader) error {
		n := named{in.Key, in.VersionID, in.Access}
		s.aheadRead(r, in.Bucket, n, rowsOf(also))
		b, err := s.bucketIn(ctx, r, in.Bucket)
		if err != nil {
			return err
		}
		if row, err = readable(r, b, n); err != nil {
			return err
		}
		if err := checkReadKey(r, row, in); err != nil {
			return err
		}
		out.Object, out.token, out.bucket = readOf(row, b), row.Token, b.ID
		out.Object.Encryption = shownTo(row.Encryption, in.CustomerKey)
		if in.Precondition != nil {
			if err := in.Precondition(out.Object.ETag, row.Modified); err != nil {
				return err
			}
		}
		if err := selectBytes(r, row, in, out); err != nil {
			return err
		}
		if also == nil {
			return nil
		}
		return also(r, b.ID, row)
	})
	if err != nil {
		return nil, nil, asS3(err)
	}
	return out, row, nil
}

// checkReadKey is checkKey, unless what is asked for is a part that is not there.
func checkReadKey(r *metadata.Reader, row *metadata.Object, in *GetObjectInput) error {
	if in.Keyless {
		return nil
	}
	err := checkKey(row.Encryption, in.CustomerKey)
	if err == nil || in.PartNumber == 0 {
		return err
	}
	if missing := selectPart(r, row, in.PartNumber, &GetObjectOutput{}); missing != nil {
		return missing
	}
	return err
}

// named is a version as a request names it, and whether the request may.
type named struct {
	key     s3.Key
	version s3.VersionID // "" is the current one
	access  Access
}

func (c *CopySource) version() named { return named{c.Key, c.VersionID, c.Access} }

// readable returns the version that a read names. A delete marker is not there
// to be read: NoSuchKey for the current one, MethodNotAllowed by its id.
func readable(r rows, b *metadata.Bucket, n named) (*metadata.Object, error) {
	row, err := findVersion(r, b, n.key, n.version)
	if err != nil {
		return nil, err
	}
	if err := n.access.ask(row); err != nil {
		return nil, err
	}
	switch {
	case row == nil:
		return nil, notFound(n.key, n.version)
	case row.DeleteMarker:
		return nil, markerError(row, n)
	}
	return row, nil
}

// selectBytes resolves a range or a part number to bytes of the object.
func selectBytes(r *metadata.Reader, row *metadata.Object, in *GetObjectInput, out *GetObjectOutput) error {
	switch {
	case in.PartNumber != 0:
		return selectPart(r, row, in.PartNumber, out)
	case in.Range == nil:
		out.Length = row.Size
		return nil
	}
	var ok bool
	out.Offset, out.Length, ok = in.Range.Resolve(row.Size)
	if !ok {
		return s3.RangeError(in.RangeHeader, row.Size)
	}
	out.Partial = true
	return nil
}

func selectPart(r *metadata.Reader, row *metadata.Object, number int, out *GetObjectOutput) error {
	out.Partial = true
	if row.Data.Kind != metadata.DataManifest {
		if number != 1 {
			return s3.NewError(s3.InvalidPart).With("PartNumber", itoa(number))
		}
		out.Length = row.Size
		return nil
	}
	part, start, err := r.ManifestPart(row.Data.ID, number)
	if err != nil {
		return err
	}
	if part == nil {
		return s3.NewError(s3.InvalidPart).With("ActualPartCount", itoa(row.Parts)).With("PartNumber", itoa(number))
	}
	out.Offset, out.Length = start, part.Size
	out.Object.Checksums = partChecksums(row, part)
	return nil
}

// partChecksums are a part's checksums of the algorithm that the object has,
// said to be of the object's type, as S3 shows them.
func partChecksums(row *metadata.Object, part *metadata.ManifestPart) []Checksum {
	var out []Checksum
	for _, whole := range row.Checksums {
		if value := checksumOf(part.Checksums, whole.Algorithm); value != "" {
			out = append(out, Checksum{Algorithm: whole.Algorithm, Type: whole.Type, Value: value})
		}
	}
	return out
}

// inlineReading is an object that came with its row.
type inlineReading []byte

// WriteTo writes the bytes in one call.
func (b inlineReading) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b)
	return int64(n), err
}

// Close does nothing.
func (inlineReading) Close() error { return nil }
