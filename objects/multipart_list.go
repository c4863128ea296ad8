package objects

import (
	"context"

	"github.com/undercroft/undercroft/metadata"
)

// ListParts returns a page of an upload's parts.
func (s *Service) ListParts(ctx context.Context, in ListPartsInput) (out ListPartsOutput, err error) {
	t, err := s.target(ctx, in.Bucket, in.Key, in.Upload)
	if err != nil {
		return out, err
	}
	err = s.db.View(ctx, "list-parts", func(r *metadata.Reader) error {
		u, err := t.upload(r)
		if err != nil {
			return err
		}
		out = ListPartsOutput{Upload: uploadOf(u)}
		if in.Max <= 0 {
			return nil
		}
		parts, more, err := r.Parts(t.bucket.ID, t.id, in.After, in.Max)
		out.Truncated = more
		out.Parts = make([]Part, 0, len(parts))
		for i := range parts {
			out.Parts = append(out.Parts, partOf(&parts[i]))
		}
		return err
	})
	return out, asS3(err)
}
