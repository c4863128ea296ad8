package s3

import (
	"strconv"
	"strings"
)

// CreateBucketConfiguration is the body of CreateBucket.
type CreateBucketConfiguration struct {
	// LocationConstraint is the region; empty for us-east-1.
	LocationConstraint string
	// Tags are those that the bucket has from its beginning, sorted by key.
	Tags []Tag
	// Unsupported names an element that AWS knows and that is not built here,
	// such as Location; empty when there is none.
	Unsupported string
}

// DecodeCreateBucket decodes the body of CreateBucket.
func DecodeCreateBucket(body []byte) (CreateBucketConfiguration, error) {
	var c CreateBucketConfiguration
	var tagged bool
	err := decodeDocument(body, "CreateBucketConfiguration", func(x *xmlReader) error {
		return x.children(func(name string) error {
			switch name {
			case "LocationConstraint":
				return x.into(&c.LocationConstraint)
			case "Tags":
				if tagged {
					return malformed("element occurs twice")
				}
				tagged = true
				return x.tags(&c.Tags)
			case "Bucket", "Location":
				c.Unsupported = name
				return x.skip()
			}
			return unknownElement(name)
		})
	})
	if err == nil {
		err = bucketTagRules().check(c.Tags)
	}
	return c, err
}

// skip consumes the current element and all that is in it.
func (x *xmlReader) skip() error {
	x.depth--
	return x.dec.Skip()
}

// DeleteRequest is the body of DeleteObjects.
type DeleteRequest struct {
	Objects []ObjectToDelete
	// Quiet asks for errors only.
	Quiet bool
}

// ObjectToDelete is one key of DeleteObjects. The conditions are empty or nil
// when the client set none.
type ObjectToDelete struct {
	Key              Key
	Version          VersionID
	ETag             string
	LastModifiedTime string
	Size             string
}

// DecodeDelete decodes the body of DeleteObjects, of 1 to MaxDeleteKeys keys.
func DecodeDelete(body []byte) (DeleteRequest, error) {
	var d DeleteRequest
	err := decodeDocument(body, "Delete", func(x *xmlReader) error {
		return x.children(func(name string) error {
			switch name {
			case "Object":
				if len(d.Objects) == MaxDeleteKeys {
					return malformed("too many keys")
				}
				o, err := x.objectToDelete()
				d.Objects = append(d.Objects, o)
				return err
			case "Quiet":
				return x.boolean(&d.Quiet)
			}
			return unknownElement(name)
		})
	})
	if err == nil && len(d.Objects) == 0 {
		err = malformed("no key")
	}
	return d, err
}

func (x *xmlReader) objectToDelete() (ObjectToDelete, error) {
	var o ObjectToDelete
	var key string
	var seen bool
	err := x.children(func(name string) error {
		switch name {
		case "Key":
			return x.once(&seen, &key)
		case "VersionId":
			return x.into((*string)(&o.Version))
		case "ETag":
			return x.into(&o.ETag)
		case "LastModifiedTime":
			return x.into(&o.LastModifiedTime)
		case "Size":
			return x.into(&o.Size)
		}
		return unknownElement(name)
	})
	if err == nil && key == "" {
		err = malformed("no key")
	}
	o.Key = Key(key)
	return o, err
}

func (x *xmlReader) boolean(dst *bool) error {
	var s string
	if err := x.into(&s); err != nil {
		return err
	}
	switch strings.ToLower(s) {
	case "true", "1":
		*dst = true
	case "false", "0", "":
		*dst = false
	default:
		return malformed("not a boolean")
	}
	return nil
}

// CompletedPart is one part of CompleteMultipartUpload.
type CompletedPart struct {
	Number    int
	ETag      ETag
	Checksums Checksums
}

// DecodeComplete decodes the body of CompleteMultipartUpload: 1 to MaxParts
// parts with their numbers and entity tags. The order is not checked.
func DecodeComplete(body []byte) ([]CompletedPart, error) {
	var parts []CompletedPart
	err := decodeDocument(body, "CompleteMultipartUpload", func(x *xmlReader) error {
		return x.children(func(name string) error {
			if name != "Part" || len(parts) == MaxParts {
				return unknownElement(name)
			}
			p, err := x.completedPart()
			parts = append(parts, p)
			return err
		})
	})
	if err == nil && len(parts) == 0 {
		err = malformed("no part")
	}
	return parts, err
}

func (x *xmlReader) completedPart() (CompletedPart, error) {
	var p CompletedPart
	var number, tag string
	var seenNumber, seenTag bool
	err := x.children(func(name string) error {
		switch name {
		case "PartNumber":
			return x.once(&seenNumber, &number)
		case "ETag":
			return x.once(&seenTag, &tag)
		}
		algorithm, ok := strings.CutPrefix(name, "Checksum")
		slot := p.Checksums.slot(ChecksumAlgorithm(algorithm))
		if !ok || slot == nil {
			return unknownElement(name)
		}
		return x.into(slot)
	})
	if err != nil {
		return p, err
	}
	if !seenNumber || !seenTag {
		return p, malformed("part without number or entity tag")
	}
	n, perr := strconv.ParseInt(strings.TrimSpace(number), 10, 32)
	if perr != nil {
		return p, malformed("part number " + number)
	}
	if n < 1 || n > MaxParts {
		return p, InvalidArg("PartNumber", number, "PartNumber must be >= 1")
	}
	p.Number, p.ETag = int(n), ParseETag(tag)
	return p, nil
}
