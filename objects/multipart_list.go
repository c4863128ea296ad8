package objects

import (
	"context"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/sse"
)

// ListParts returns a page of an upload's parts.
func (s *Service) ListParts(ctx context.Context, in ListPartsInput) (out ListPartsOutput, err error) {
	t, err := s.target(ctx, in.Bucket, in.Key, in.Upload)
	if err != nil {
		return out, err
	}
	var u *metadata.Upload
	err = s.db.ViewShared(ctx, "list-parts", func(r *metadata.Reader) (err error) {
		r.AheadUpload(t.bucket.ID, string(t.key), t.id, 0)
		r.AheadParts(t.bucket.ID, t.id, in.After, in.Max)
		if u, err = t.upload(r); err != nil {
			return err
		}
		out = ListPartsOutput{Upload: uploadOf(u)}
		if in.Max <= 0 {
			return nil
		}
		if err := checkListKey(u, in.CustomerKey); err != nil {
			return err
		}
		parts, more, err := r.Parts(t.bucket.ID, t.id, in.After, in.Max)
		out.Truncated = more
		out.Parts = make([]Part, 0, len(parts))
		for i := range parts {
			out.Parts = append(out.Parts, partOf(&parts[i]))
			if hidesSums(u.Encryption, in.CustomerKey) {
				out.Parts[i].Checksums = nil
			}
		}
		return err
	})
	if err == nil && in.Max > 0 && u.Encryption != nil && u.Encryption.Mode == EncryptedKMS {
		var seal *sealing // as AWS has it, who lists parts may decrypt them
		seal, err = s.partKey(ctx, &t, u, nil)
		seal.wipe()
	}
	return out, asS3(err)
}

// checkListKey holds the client's key against the upload's. As in a completion,
// it may be left out, but not where the upload was begun with a checksum.
func checkListKey(u *metadata.Upload, customer *sse.CustomerKey) error {
	if customer == nil && u.Checksum.Algorithm == "" {
		return nil
	}
	return checkKey(u.Encryption, customer)
}

// hidesSums reports whether checksums of what is encrypted so are not for who
// came with this key: they tell of the plaintext.
func hidesSums(x *metadata.Encryption, customer *sse.CustomerKey) bool {
	return x != nil && x.Mode == EncryptedC && customer == nil
}
