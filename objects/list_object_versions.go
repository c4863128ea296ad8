package objects

import (
	"context"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/s3"
)

// ListVersionsInput selects a page of a listing of versions.
type ListVersionsInput struct {
	Bucket    s3.BucketName
	Prefix    string
	Delimiter string
	// KeyMarker is exclusive: the page starts at the first key above it, or with
	// VersionMarker at the versions of the key itself that are older than that.
	KeyMarker     string
	VersionMarker s3.VersionID
	// AfterPrefix says that KeyMarker is a common prefix already listed.
	AfterPrefix bool
	Max         int // 0..1000; 0 gives an empty page
}

// ListedVersion is a version or delete marker of a listing.
type ListedVersion struct {
	ListedObject
	VersionID    s3.VersionID
	Latest       bool
	DeleteMarker bool
}

// ListVersionsOutput is a page, read at one version. Versions are in strict
// byte order of their keys, those of one key newest first.
type ListVersionsOutput struct {
	Versions       []ListedVersion
	CommonPrefixes []string
	Truncated      bool
	// NextKey and NextVersion continue the listing as KeyMarker and
	// VersionMarker; without NextVersion, NextKey is a common prefix.
	NextKey     string
	NextVersion s3.VersionID
}

// ListObjectVersions returns a page of all versions and delete markers of a
// bucket, all of it read at one version.
func (s *Service) ListObjectVersions(ctx context.Context, in ListVersionsInput) (out ListVersionsOutput, err error) {
	err = s.db.ViewShared(ctx, "list-versions", func(r *metadata.Reader) error {
		b, err := s.bucketIn(ctx, r, in.Bucket)
		if err != nil {
			return err
		}
		from, err := firstVersion(r, b, &in)
		if err != nil || in.Max <= 0 {
			return err
		}
		from.Expect = in.Max + 1
		it, err := r.VersionsIn(b.ID, from)
		if err != nil {
			return err
		}
		l := &versionLister{in: &in}
		l.out.Versions = make([]ListedVersion, 0, min(in.Max, s3.MaxListKeys))
		err = l.run(it)
		out = l.out
		return err
	})
	return out, asS3(err)
}

// firstVersion is where a page begins.
func firstVersion(r rows, b *metadata.Bucket, in *ListVersionsInput) (metadata.VersionRange, error) {
	from := metadata.VersionRange{Prefix: in.Prefix}
	switch {
	case in.KeyMarker == "":
		return from, nil
	case in.VersionMarker == "" && in.AfterPrefix:
		from.From = afterAll(in.KeyMarker)
		return from, nil
	case in.VersionMarker == "":
		from.From = in.KeyMarker + "\x00"
		return from, nil
	}
	from.From = in.KeyMarker
	if in.VersionMarker != s3.NullVersion {
		var err error
		if from.Below, _, err = parseVersionID(in.VersionMarker); err != nil {
			err = s3.InvalidArg("version-id-marker", string(in.VersionMarker), "Invalid version id specified")
		}
		return from, err
	}
	// Where the null version is gone, the key is listed from its newest version
	// on: rather some twice than one not at all.
	null, err := nullVersion(r, b, in.KeyMarker)
	if null != nil {
		from.Below = null.Ord
	}
	return from, err
}

// versionLister fills one page.
type versionLister struct {
	in  *ListVersionsInput
	out ListVersionsOutput
}

func (l *versionLister) run(it *metadata.VersionIter) error {
	defer it.Close()
	for it.Next() {
		if len(l.out.Versions)+len(l.out.CommonPrefixes) >= l.in.Max {
			l.out.Truncated = true
			return it.Err()
		}
		if common := l.commonPrefix(it.KeyBytes()); common != "" {
			l.out.CommonPrefixes = append(l.out.CommonPrefixes, common)
			l.out.NextKey, l.out.NextVersion = common, ""
			if it.Spent() {
				l.out.Truncated = true // S3 may answer fewer than it is asked for
				return nil
			}
			it.SkipTo(afterAll(common))
			continue
		}
		v, err := it.Summary()
		if err != nil {
			return err
		}
		l.take(&v)
	}
	return it.Err()
}

func (l *versionLister) commonPrefix(key []byte) string {
	if l.in.Delimiter == "" {
		return ""
	}
	return commonPrefix(string(key), l.in.Prefix, l.in.Delimiter)
}

func (l *versionLister) take(v *metadata.VersionSummary) {
	id := encodeVersionID(v.Ord, v.Suffix)
	l.out.NextKey, l.out.NextVersion = v.Key, id
	if v.Null {
		id = s3.NullVersion // as a marker it could be gone by the next page
	}
	l.out.Versions = append(l.out.Versions, ListedVersion{
		ListedObject: listedObject(&v.ObjectSummary),
		VersionID:    id, Latest: v.Latest, DeleteMarker: v.DeleteMarker,
	})
}
