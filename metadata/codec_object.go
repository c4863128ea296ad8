package metadata

import "math"

// Fields of an Object (rows O and V).
const (
	objectOrd      = 1
	objectSuffix   = 2
	objectFlags    = 3
	objectSize     = 4
	objectModified = 5
	objectETag     = 6
	objectChecksum = 7 // repeated
	objectOwner    = 8
	objectData     = 9
	objectToken    = 10
	objectParts    = 11
)

// Fields of Attributes, the same in every record that has them.
const (
	attrContentType        = 12
	attrUser               = 13 // repeated
	attrStorageClass       = 14
	attrCacheControl       = 16
	attrContentDisposition = 17
	attrContentEncoding    = 18
	attrContentLanguage    = 19
	attrExpires            = 20
	attrTag                = 21 // repeated
	attrGrant              = 22 // repeated
	attrWebsiteRedirect    = 26
)

// Fields of a Grant.
const (
	grantType       = 1
	grantID         = 2
	grantPermission = 3
)

// Bits of objectFlags.
const (
	flagNull         = 1
	flagDeleteMarker = 2
	flagsKnown       = flagNull | flagDeleteMarker
)

// Fields of a Checksum.
const (
	checksumCode  = 1 // one of checksumNames
	checksumName  = 2 // any other algorithm
	checksumType  = 3 // one of checksumTypes
	checksumOther = 4 // any other type
	checksumValue = 5
)

// checksumNames and checksumTypes are stored by their index, which never
// changes; 0 says that the name is written out.
func checksumNames() [6]string {
	return [...]string{"", "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"}
}

func checksumTypes() [3]string { return [...]string{"", "FULL_OBJECT", "COMPOSITE"} }

func codeOf(names []string, name string) uint64 {
	for i, n := range names {
		if n == name {
			return uint64(i)
		}
	}
	return 0
}

func encodeChecksum(e *encoder, c *Checksum) {
	names, types := checksumNames(), checksumTypes()
	code, kind := codeOf(names[:], c.Algorithm), codeOf(types[:], c.Type)
	e.uint(checksumCode, code)
	if code == 0 {
		e.text(checksumName, c.Algorithm)
	}
	e.uint(checksumType, kind)
	if kind == 0 {
		e.text(checksumOther, c.Type)
	}
	e.text(checksumValue, c.Value)
}

func decodeChecksum(d *decoder) Checksum {
	var c Checksum
	in := d.nested()
	for in.next() {
		if in.field == checksumValue {
			c.Value = in.text()
			continue
		}
		decodeChecksumField(&in, &c)
	}
	d.join(&in)
	return c
}

// decodeChecksumKind is decodeChecksum without the value.
func decodeChecksumKind(d *decoder) Checksum {
	var c Checksum
	in := d.nested()
	for in.next() && in.field < checksumValue {
		decodeChecksumField(&in, &c)
	}
	d.join(&in)
	return c
}

func decodeChecksumField(d *decoder, c *Checksum) {
	switch d.field {
	case checksumCode:
		names := checksumNames()
		c.Algorithm = names[d.uint(uint64(len(names)-1))]
	case checksumName:
		c.Algorithm = d.text()
	case checksumType:
		types := checksumTypes()
		c.Type = types[d.uint(uint64(len(types)-1))]
	case checksumOther:
		c.Type = d.text()
	default:
		d.unknown()
	}
}

func encodeChecksums(e *encoder, field uint64, sums []Checksum) {
	for i := range sums {
		e.nested(field, func(in *encoder) { encodeChecksum(in, &sums[i]) })
	}
}

func encodeObject(o *Object) []byte {
	e := newRecord(256)
	e.uint(objectOrd, uint64(o.Ord))
	e.fixed(objectSuffix, o.Suffix)
	flags := uint64(0)
	if o.Null {
		flags |= flagNull
	}
	if o.DeleteMarker {
		flags |= flagDeleteMarker
	}
	e.uint(objectFlags, flags)
	e.uint(objectSize, uint64(o.Size))
	e.time(objectModified, o.Modified)
	e.text(objectETag, o.ETag)
	encodeChecksums(e, objectChecksum, o.Checksums)
	e.text(objectOwner, o.Owner)
	if !o.Data.isZero() {
		e.nested(objectData, func(in *encoder) { encodeData(in, &o.Data) })
	}
	e.id(objectToken, o.Token)
	e.uint(objectParts, uint64(o.Parts))
	encodeAttributes(e, &o.Attributes)
	encodeTags(e, o.Tags)
	encodeGrants(e, o.ACL)
	encodeEncryption(e, o.Encryption)
	encodeRetention(e, o.Retention)
	e.uint(lockLegalHold, uint64(o.LegalHold))
	e.text(attrWebsiteRedirect, o.Attributes.WebsiteRedirect) // fields ascend: the last of all
	return e.b
}

// decodeObject decodes the value of a row O or V; Key is not in it.
func decodeObject(v []byte) (*Object, error) {
	o := &Object{}
	d := openRecord(v)
	for d.next() {
		switch d.field {
		case objectOrd:
			o.Ord = Ord(d.uint(math.MaxUint64))
		case objectSuffix:
			o.Suffix = d.fixed()
		case objectFlags:
			flags := d.uint(flagsKnown)
			o.Null, o.DeleteMarker = flags&flagNull != 0, flags&flagDeleteMarker != 0
		case objectSize:
			o.Size = d.size()
		case objectModified:
			o.Modified = d.time()
		case objectETag:
			o.ETag = d.text()
		case objectChecksum:
			o.Checksums = append(o.Checksums, decodeChecksum(&d))
		case objectOwner:
			o.Owner = d.text()
		case objectData:
			o.Data = decodeData(&d)
		case objectToken:
			o.Token = d.id()
		case objectParts:
			o.Parts = int(d.uint(math.MaxUint16))
		case attrTag:
			o.Tags = append(o.Tags, decodePair(&d))
		case attrGrant:
			o.ACL = append(o.ACL, decodeGrant(&d))
		case attrEncryption:
			o.Encryption = decodeEncryption(&d)
		case lockRetention:
			o.Retention = decodeRetention(&d)
		case lockLegalHold:
			o.LegalHold = decodeLegalHold(&d)
		default:
			decodeAttribute(&d, &o.Attributes)
		}
	}
	return o, d.finish("object")
}

func encodeAttributes(e *encoder, a *Attributes) {
	e.text(attrContentType, a.ContentType)
	encodePairs(e, attrUser, a.User)
	e.text(attrStorageClass, a.StorageClass)
	e.text(attrCacheControl, a.CacheControl)
	e.text(attrContentDisposition, a.ContentDisposition)
	e.text(attrContentEncoding, a.ContentEncoding)
	e.text(attrContentLanguage, a.ContentLanguage)
	e.text(attrExpires, a.Expires)
}

func decodeAttribute(d *decoder, a *Attributes) {
	switch d.field {
	case attrContentType:
		a.ContentType = d.text()
	case attrUser:
		a.User = append(a.User, decodePair(d))
	case attrStorageClass:
		a.StorageClass = d.text()
	case attrCacheControl:
		a.CacheControl = d.text()
	case attrContentDisposition:
		a.ContentDisposition = d.text()
	case attrContentEncoding:
		a.ContentEncoding = d.text()
	case attrContentLanguage:
		a.ContentLanguage = d.text()
	case attrExpires:
		a.Expires = d.text()
	case attrWebsiteRedirect:
		a.WebsiteRedirect = d.text()
	default:
		d.unknown()
	}
}

func encodePairs(e *encoder, field uint64, pairs []Pair) {
	for i := range pairs {
		e.nested(field, func(in *encoder) {
			in.text(1, pairs[i].Name)
			in.text(2, pairs[i].Value)
		})
	}
}

func encodeTags(e *encoder, tags []Pair) { encodePairs(e, attrTag, tags) }

func encodeGrants(e *encoder, grants []Grant) {
	for i := range grants {
		e.nested(attrGrant, func(in *encoder) {
			in.uint(grantType, uint64(grants[i].Type))
			in.text(grantID, grants[i].ID)
			in.uint(grantPermission, uint64(grants[i].Permission))
		})
	}
}

func decodeGrant(d *decoder) Grant {
	var g Grant
	in := d.nested()
	for in.next() {
		switch in.field {
		case grantType:
			g.Type = GranteeType(in.uint(uint64(GranteeGroup)))
		case grantID:
			g.ID = in.text()
		case grantPermission:
			g.Permission = Permission(in.uint(uint64(PermissionFullControl)))
		default:
			in.unknown()
		}
	}
	d.join(&in)
	return g
}

func decodePair(d *decoder) Pair {
	var p Pair
	in := d.nested()
	for in.next() {
		switch in.field {
		case 1:
			p.Name = in.text()
		case 2:
			p.Value = in.text()
		default:
			in.unknown()
		}
	}
	d.join(&in)
	return p
}
