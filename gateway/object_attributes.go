package gateway

import (
	"strings"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// attributeSet is what x-amz-object-attributes asks for.
type attributeSet map[string]bool

// getObjectAttributes answers GetObjectAttributes.
func (g *Gateway) getObjectAttributes(x *exchange) error {
	want, err := x.wantedAttributes()
	if err != nil {
		return err
	}
	in := objects.AttributesInput{
		Bucket: x.bucket, Key: x.key, VersionID: x.version(),
		WantParts: want["ObjectParts"], WantSums: want["Checksum"] || want["ObjectParts"], MaxParts: s3.MaxListKeys, Precondition: x.readPrecondition(), Access: x.access,
	}
	if in.CustomerKey, err = x.customerKey(s3.CustomerKeyPrefix); err != nil {
		return err
	}
	if v := x.header(s3.HeaderMaxParts); v != "" {
		n, err := parseInt("x-amz-max-parts", v)
		if err != nil {
			return err
		}
		in.MaxParts = int(min(n, s3.MaxListKeys))
	}
	if v := x.header(s3.HeaderPartNumberMarker); v != "" {
		n, err := parseInt("x-amz-part-number-marker", v)
		if err != nil {
			return err
		}
		in.PartNumberMarker = int(n)
	}
	out, err := g.o.Objects.GetObjectAttributes(x.r.Context(), in)
	if err != nil {
		return err
	}
	x.set(s3.HeaderLastModified, s3.FormatHTTP(out.Object.Modified))
	x.showVersion(&out.Object)
	res := attributesResult(want, &in, &out)
	return g.withDocument(x, res.AppendXML)
}

// wantedAttributes parses x-amz-object-attributes, a list that may be spread
// over several headers.
func (x *exchange) wantedAttributes() (attributeSet, error) {
	want := make(attributeSet)
	for _, value := range x.r.Header[s3.HeaderObjectAttributes] {
		for name := range strings.SplitSeq(value, ",") {
			switch name = strings.TrimSpace(name); name {
			case "ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize":
				want[name] = true
			case "":
			default:
				return nil, s3.InvalidArg("x-amz-object-attributes", name, "Invalid attribute name specified.")
			}
		}
	}
	if len(want) == 0 {
		return nil, invalidRequest("The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty")
	}
	return want, nil
}

func attributesResult(want attributeSet, in *objects.AttributesInput, out *objects.AttributesOutput) *s3.Attributes {
	o := &out.Object
	res := &s3.Attributes{}
	if want["ETag"] {
		res.ETag = o.ETag
	}
	if want["Checksum"] {
		res.Checksums, res.ChecksumType = checksums(o.Checksums)
	}
	if want["StorageClass"] {
		res.StorageClass = s3.StorageClass(o.StorageClass)
	}
	if want["ObjectSize"] {
		res.Size = &o.Size
	}
	if want["ObjectParts"] && o.PartCount > 0 {
		res.Parts = attributeParts(in, out)
	}
	return res
}

func attributeParts(in *objects.AttributesInput, out *objects.AttributesOutput) *s3.AttributeParts {
	parts := &s3.AttributeParts{
		Total: out.Object.PartCount, PartMarker: in.PartNumberMarker,
		MaxParts: in.MaxParts, Truncated: out.Truncated,
	}
	for i := range out.Parts {
		p := &out.Parts[i]
		entry := s3.AttributePart{Number: p.Number, Size: p.Size}
		entry.Checksums, _ = checksums(p.Checksums)
		parts.Parts = append(parts.Parts, entry)
		parts.NextPartMarker = p.Number
	}
	return parts
}
