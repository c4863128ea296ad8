package objects

import (
	"context"
	"strings"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/s3"
)

// ListMultipartUploads returns a page of a bucket's uploads in progress, by
// key and then by time of initiation, read at one version.
func (s *Service) ListMultipartUploads(ctx context.Context, in ListUploadsInput) (out ListUploadsOutput, err error) {
	after := metadata.UploadRange{Prefix: in.Prefix, AfterKey: in.KeyMarker, Page: in.Max + 1}
	if in.UploadMark != "" && in.KeyMarker != "" {
		if after.AfterUpload, err = parseUploadID(in.UploadMark); err != nil {
			return out, s3.InvalidArg("upload-id-marker", string(in.UploadMark), "Invalid uploadId marker")
		}
	}
	err = s.db.View(ctx, "list-uploads", func(r *metadata.Reader) error {
		b, err := s.bucketIn(ctx, r, in.Bucket)
		if err != nil || in.Max <= 0 {
			return err
		}
		l := uploadLister{in: &in}
		err = l.run(r.Uploads(b.ID, after))
		out = l.out
		return err
	})
	return out, asS3(err)
}

type uploadLister struct {
	in  *ListUploadsInput
	out ListUploadsOutput
}

func (l *uploadLister) run(it *metadata.UploadIter) error {
	defer it.Close()
	if l.in.AfterPrefix && l.in.KeyMarker != "" {
		it.SkipTo(afterAll(l.in.KeyMarker))
	}
	for it.Next() {
		u, err := it.Upload()
		if err != nil {
			return err
		}
		if len(l.out.Uploads)+len(l.out.CommonPrefixes) >= l.in.Max {
			l.out.Truncated = true
			return nil
		}
		if common := commonPrefix(u.Key, l.in.Prefix, l.in.Delimiter); common != "" {
			l.out.CommonPrefixes = append(l.out.CommonPrefixes, common)
			l.out.NextKey, l.out.NextUpload = common, ""
			it.SkipTo(afterAll(common))
			continue
		}
		up := uploadOf(u)
		l.out.Uploads = append(l.out.Uploads, up)
		l.out.NextKey, l.out.NextUpload = string(up.Key), up.ID
	}
	return it.Err()
}

// commonPrefix is what stands for a key in a listing with a delimiter: the key
// up to the first delimiter after the prefix, "" when there is none.
func commonPrefix(key, prefix, delimiter string) string {
	if delimiter == "" {
		return ""
	}
	i := strings.Index(key[len(prefix):], delimiter)
	if i < 0 {
		return ""
	}
	return key[:len(prefix)+i+len(delimiter)]
}
