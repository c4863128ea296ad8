package gateway

import (
	"cmp"
	"time"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// copyObject answers CopyObject.
func (g *Gateway) copyObject(x *exchange) error {
	in, err := g.copyInput(x)
	if err != nil {
		return err
	}
	out, err := g.o.Objects.CopyObject(x.r.Context(), in)
	if err != nil {
		return err
	}
	o := &out.Object
	res := s3.CopyResult{LastModified: o.Modified, ETag: o.ETag}
	res.Checksums, res.ChecksumType = checksums(o.Checksums)
	x.showVersion(o)
	x.showExpiration(o)
	x.showEncryption(&o.Encryption)
	if out.SourceVersioned {
		x.set(s3.HeaderCopySourceVersionID, string(out.SourceVersionID))
	}
	return g.withDocument(x, res.AppendObjectXML)
}

func (g *Gateway) copyInput(x *exchange) (in objects.CopyObjectInput, err error) {
	own, err := g.newObject(x)
	if err != nil {
		return in, err
	}
	in = objects.CopyObjectInput{Bucket: x.bucket, Key: x.key, Owner: own.owner, ACL: own.acl}
	if in.Source, err = g.copySource(x); err != nil {
		return in, err
	}
	if in.Checksum, err = x.checksumAlgorithm(); err != nil {
		return in, err
	}
	directive, err := s3.ParseDirective(s3.HeaderMetadataDirective, x.header(s3.HeaderMetadataDirective))
	if err != nil {
		return in, err
	}
	if in.Replace = directive == s3.DirectiveReplace; in.Replace {
		if in.Attributes, err = x.attributes(); err != nil {
			return in, err
		}
	}
	if in.ReplaceTags = !x.copiesTags(); in.ReplaceTags {
		if in.Tags, err = x.headerTags(); err != nil {
			return in, err
		}
	}
	if in.Encryption, err = g.newEncryption(x); err != nil {
		return in, err
	}
	if in.Lock, err = x.headerLock(); err != nil {
		return in, err
	}
	in.Precondition, err = x.writePrecondition()
	if err != nil {
		return in, err
	}
	if in.WebsiteRedirect, err = x.websiteRedirect(); err != nil {
		return in, err
	}
	in.StorageClass = x.storageClass()
	if !in.Replace && in.Checksum == 0 && x.header(s3.HeaderStorageClass) == "" && !x.asksEncryption() && in.WebsiteRedirect == "" && in.Source.VersionID == "" &&
		in.Source.Bucket == in.Bucket && in.Source.Key == in.Key {
		return in, invalidRequest("This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	return in, nil
}

// copySource finds the source of a copy. Whether the caller may read it is
// asked with the version that is found.
func (g *Gateway) copySource(x *exchange) (objects.CopySource, error) {
	src, err := s3.ParseCopySource(x.header(s3.HeaderCopySource))
	if err != nil {
		return objects.CopySource{}, err
	}
	from := &x.place
	if src.Bucket != x.bucket {
		other, err := g.locate(x, src.Bucket)
		if err != nil {
			return objects.CopySource{}, err
		}
		from = &other
	}
	if err := g.checkOwner(x, s3.HeaderExpectedSourceOwner, from); err != nil {
		return objects.CopySource{}, err
	}
	if err := x.checkPayer(from); err != nil {
		return objects.CopySource{}, err
	}
	key, err := x.customerKey(s3.CopySourceKeyPrefix)
	if err != nil {
		return objects.CopySource{}, err
	}
	return objects.CopySource{
		Bucket: src.Bucket, Key: src.Key, VersionID: src.Version, CustomerKey: key, Precondition: x.copyPrecondition(),
		Access: x.accessToSource(from, &src),
	}, nil
}

// copyPrecondition returns the precondition on the source, nil for none.
func (x *exchange) copyPrecondition() objects.Precondition {
	c := s3.Conditions{
		IfMatch:           x.header(s3.HeaderCopySourceIfMatch),
		IfNoneMatch:       x.header(s3.HeaderCopySourceIfNoneMatch),
		IfModifiedSince:   x.date(s3.HeaderCopySourceIfModified),
		IfUnmodifiedSince: x.date(s3.HeaderCopySourceIfUnmod),
	}
	if !c.Any() {
		return nil
	}
	return func(tag s3.ETag, modified time.Time) error { return c.CheckCopySource(tag, modified) }
}

// checksumAlgorithm returns what x-amz-checksum-algorithm asks for, zero for none.
func (x *exchange) checksumAlgorithm() (checksum.Algorithm, error) {
	// boto3 sends the name of CreateMultipartUpload's and CopyObject's
	// algorithm under the SDK's own header too.
	name := cmp.Or(x.header(s3.HeaderChecksumAlgorithm), x.header(s3.HeaderSDKChecksumAlgorithm))
	if name == "" {
		return 0, nil
	}
	a, ok := checksum.Parse(name)
	if !ok {
		return 0, invalidRequest("Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, MD5, SHA1, SHA256, SHA512]")
	}
	return a, nil
}
