package objects

import (
	"context"

	"github.com/undercroft/undercroft/metadata"
)

// GetObjectAttributes describes a version and a page of the parts it was
// uploaded in.
func (s *Service) GetObjectAttributes(ctx context.Context, in AttributesInput) (out AttributesOutput, err error) {
	var found owner
	n := named{in.Key, in.VersionID, in.Access}
	err = s.db.ViewShared(ctx, "attributes", func(r *metadata.Reader) error {
		s.aheadRead(r, in.Bucket, n, 0)
		b, err := s.bucketIn(ctx, r, in.Bucket)
		if err != nil {
			return err
		}
		row, err := readable(r, b, n)
		if err != nil {
			return err
		}
		found = owner{b.ID, row}
		if err := checkKey(row.Encryption, in.CustomerKey); err != nil {
			return err
		}
		out = AttributesOutput{Object: readOf(row, b)}
		out.Object.Encryption = shownTo(row.Encryption, in.CustomerKey)
		if in.Precondition != nil {
			if err := in.Precondition(out.Object.ETag, row.Modified); err != nil {
				return err
			}
		}
		if !in.WantParts || row.Data.Kind != metadata.DataManifest {
			return nil
		}
		return pageOfParts(r, row, &in, &out)
	})
	if err == nil && in.WantSums {
		err = s.showsSums(ctx, found)
	}
	return out, asS3(err)
}

// pageOfParts walks the manifest up to the end of the page.
func pageOfParts(r *metadata.Reader, row *metadata.Object, in *AttributesInput, out *AttributesOutput) error {
	return r.EachManifestPart(row.Data.ID, func(p *metadata.ManifestPart) bool {
		if p.Number <= in.PartNumberMarker {
			return true
		}
		if len(out.Parts) >= in.MaxParts {
			out.Truncated = true
			return false
		}
		out.Parts = append(out.Parts, ObjectPart{Number: p.Number, Size: p.Size, Checksums: p.Checksums})
		return true
	})
}
