package objects

import (
	"context"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/s3"
)

// ListObjects returns a page of a bucket's current objects, all of it read at
// one version.
func (s *Service) ListObjects(ctx context.Context, in ListObjectsInput) (out ListObjectsOutput, err error) {
	err = s.db.ViewShared(ctx, "list", func(r *metadata.Reader) error {
		b, err := s.bucketIn(ctx, r, in.Bucket)
		if err != nil {
			return err
		}
		if in.Max <= 0 {
			return nil
		}
		l := &lister{in: &in}
		l.out.Objects = make([]ListedObject, 0, min(in.Max, s3.MaxListKeys))
		err = l.run(r.Objects(b.ID, firstKey(&in), in.Prefix))
		out = l.out
		return err
	})
	return out, asS3(err)
}

// lister fills one page.
type lister struct {
	in  *ListObjectsInput
	out ListObjectsOutput
}

// firstKey is the smallest key that a page may hold.
func firstKey(in *ListObjectsInput) string {
	switch {
	case in.After == "":
		return in.Prefix
	case in.AfterPrefix:
		return max(in.Prefix, afterAll(in.After))
	default:
		return max(in.Prefix, in.After+"\x00")
	}
}

func (l *lister) run(it *metadata.ObjectIter) error {
	defer it.Close()
	it.Expect(l.in.Max + 1)
	for it.Next() {
		if len(l.out.Objects)+len(l.out.CommonPrefixes) >= l.in.Max {
			l.out.Truncated = true
			return it.Err()
		}
		if common := commonPrefix(it.Key(), l.in.Prefix, l.in.Delimiter); common != "" {
			l.out.CommonPrefixes = append(l.out.CommonPrefixes, common)
			l.out.Next, l.out.NextIsPrefix = common, true
			if it.Spent() {
				l.out.Truncated = true // S3 may answer fewer than it is asked for
				return nil
			}
			it.SkipTo(afterAll(common))
			continue
		}
		if err := l.take(it); err != nil {
			return err
		}
	}
	return it.Err()
}

func (l *lister) take(it *metadata.ObjectIter) error {
	o, err := it.Summary()
	if err != nil {
		return err
	}
	l.out.Objects = append(l.out.Objects, listedObject(&o))
	l.out.Next, l.out.NextIsPrefix = o.Key, false
	return nil
}

func listedObject(o *metadata.ObjectSummary) ListedObject {
	listed := ListedObject{
		Key: o.Key, Size: o.Size, ETag: s3.ETag(o.ETag), Modified: o.Modified,
		StorageClass: o.StorageClass, Owner: s3.OwnerID(o.Owner),
		ChecksumAlgorithm: o.ChecksumAlgorithm, ChecksumType: o.ChecksumType,
	}
	if listed.StorageClass == "" {
		listed.StorageClass = "STANDARD"
	}
	return listed
}

// afterAll is the smallest string above all that start with prefix, or "" when there is none.
func afterAll(prefix string) string { return string(kv.Strinc([]byte(prefix))) }
