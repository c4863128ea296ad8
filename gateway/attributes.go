package gateway

import (
	"cmp"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// attributes takes from the request what is kept with the object: system
// headers and user metadata.
func (x *exchange) attributes() (objects.Attributes, error) {
	a := objects.Attributes{
		ContentType:        cmp.Or(x.header(s3.HeaderContentType), s3.DefaultContentType),
		CacheControl:       x.header(s3.HeaderCacheControl),
		ContentDisposition: x.header(s3.HeaderContentDispo),
		ContentEncoding:    withoutChunked(x.r.Header[s3.HeaderContentEncoding]),
		ContentLanguage:    x.header(s3.HeaderContentLanguage),
		Expires:            x.header(s3.HeaderExpires),
		StorageClass:       x.storageClass(),
	}
	var err error
	if a.WebsiteRedirect, err = x.websiteRedirect(); err != nil {
		return a, err
	}
	user, err := userMetadata(x.r.Header)
	a.User = user
	return a, err
}

// websiteRedirect is where the request wants who visits the object sent.
func (x *exchange) websiteRedirect() (string, error) {
	return s3.ParseWebsiteRedirect(x.header(s3.HeaderWebsiteRedirect))
}

// storageClass is the class that the request asks for, empty for STANDARD.
func (x *exchange) storageClass() string {
	if class := x.header(s3.HeaderStorageClass); class != string(s3.StorageStandard) {
		return class
	}
	return ""
}

// withoutChunked returns a content encoding without aws-chunked, which tells
// how the request is framed and says nothing of the object.
func withoutChunked(values []string) string {
	if len(values) == 0 {
		return ""
	}
	joined := strings.Join(values, ",")
	if !strings.Contains(joined, "aws-chunked") {
		return joined
	}
	var kept []string
	for item := range strings.SplitSeq(joined, ",") {
		if item = strings.TrimSpace(item); item != "" && item != "aws-chunked" {
			kept = append(kept, item)
		}
	}
	return strings.Join(kept, ",")
}

// userMetadata collects x-amz-meta-*: names in lower case without the prefix,
// sorted. Headers that come twice are joined with a comma.
func userMetadata(h http.Header) ([]objects.Pair, error) {
	var pairs []objects.Pair
	size := 0
	for name, values := range h {
		rest, ok := strings.CutPrefix(name, s3.UserMetadataPrefix)
		if !ok || rest == "" {
			continue
		}
		p := objects.Pair{Name: strings.ToLower(rest), Value: strings.Join(values, ",")}
		size += len(p.Name) + len(p.Value)
		pairs = append(pairs, p)
	}
	if size > s3.MaxUserMetadata {
		return nil, s3.NewError(s3.MetadataTooLarge).
			WithInt("Size", int64(size)).WithInt("MaxSizeAllowed", s3.MaxUserMetadata)
	}
	slices.SortFunc(pairs, func(a, b objects.Pair) int { return cmp.Compare(a.Name, b.Name) })
	return pairs, nil
}

// showObject sets the headers that describe an object.
func (x *exchange) showObject(o *objects.Object) {
	a := &o.Attributes
	x.set(s3.HeaderETag, o.ETag.Quoted())
	x.set(s3.HeaderLastModified, s3.FormatHTTP(o.Modified))
	x.set(s3.HeaderAcceptRanges, "bytes")
	x.set(s3.HeaderContentType, cmp.Or(a.ContentType, s3.DefaultContentType))
	x.setOptional(s3.HeaderCacheControl, a.CacheControl)
	x.setOptional(s3.HeaderContentDispo, a.ContentDisposition)
	x.setOptional(s3.HeaderContentEncoding, a.ContentEncoding)
	x.setOptional(s3.HeaderContentLanguage, a.ContentLanguage)
	x.setOptional(s3.HeaderExpires, a.Expires)
	x.setOptional(s3.HeaderWebsiteRedirect, a.WebsiteRedirect)
	for i := range a.User {
		x.set("x-amz-meta-"+a.User[i].Name, mailSafe(a.User[i].Value))
	}
	if o.StorageClass != "" && o.StorageClass != string(s3.StorageStandard) {
		x.set(s3.HeaderStorageClass, o.StorageClass)
	}
	x.showEncryption(&o.Encryption)
	x.showVersion(o)
}

// mailSafe returns what a header may hold: ASCII as it is, and anything else
// encoded by RFC 2047, as S3 documents it.
func mailSafe(value string) string {
	for i := range len(value) {
		if value[i] >= utf8.RuneSelf {
			return mime.BEncoding.Encode("UTF-8", value)
		}
	}
	return value
}

// showVersion names the version where S3 does: not for what was written while
// versioning was never on.
func (x *exchange) showVersion(o *objects.Object) {
	if o.Versioned {
		x.set(s3.HeaderVersionID, string(o.VersionID))
	}
}

// showChecksums sets the headers of an object's checksums.
func (x *exchange) showChecksums(sums []objects.Checksum) {
	for i := range sums {
		x.set(s3.ChecksumPrefix+sums[i].Algorithm, sums[i].Value)
	}
	if len(sums) > 0 {
		x.setOptional(s3.HeaderChecksumType, sums[0].Type)
	}
}

// checksums converts an object's checksums to those of a document.
func checksums(sums []objects.Checksum) (c s3.Checksums, t s3.ChecksumType) {
	for i := range sums {
		c.Set(s3.ChecksumAlgorithm(sums[i].Algorithm), sums[i].Value)
		t = s3.ChecksumType(sums[i].Type)
	}
	return c, t
}
