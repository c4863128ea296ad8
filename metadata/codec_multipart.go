package metadata

import "math"

// Fields of an Upload (rows M); its attributes have the numbers of an object's.
const (
	uploadInitiated = 1
	uploadOwner     = 2
	uploadChecksum  = 3
	uploadToken     = 4
	uploadInitiator = 5
)

// Fields of a Part (rows P).
const (
	partSize     = 1
	partModified = 2
	partETag     = 3
	partChecksum = 4 // repeated
	partSlices   = 5
	partToken    = 6
)

// Fields of a ManifestPart, which is the repeated field 1 of a row Y.
const (
	manifestPart = 1

	manifestNumber   = 1
	manifestSize     = 2
	manifestChecksum = 3 // repeated
	manifestSlices   = 4
)

func encodeUpload(u *Upload) []byte {
	e := newRecord(160)
	e.time(uploadInitiated, u.Initiated)
	e.text(uploadOwner, u.Owner)
	if u.Checksum != (Checksum{}) {
		e.nested(uploadChecksum, func(in *encoder) { encodeChecksum(in, &u.Checksum) })
	}
	e.id(uploadToken, u.Token)
	e.text(uploadInitiator, u.Initiator)
	encodeAttributes(e, &u.Attributes)
	encodeTags(e, u.Tags)
	encodeGrants(e, u.ACL)
	encodeEncryption(e, u.Encryption)
	encodeRetention(e, u.Retention)
	e.uint(lockLegalHold, uint64(u.LegalHold))
	e.text(attrWebsiteRedirect, u.Attributes.WebsiteRedirect) // fields ascend: the last of all
	return e.b
}

// decodeUpload decodes the value of a row M; ID and Key are not in it.
func decodeUpload(v []byte) (*Upload, error) {
	u := &Upload{}
	d := openRecord(v)
	for d.next() {
		switch d.field {
		case uploadInitiated:
			u.Initiated = d.time()
		case uploadOwner:
			u.Owner = d.text()
		case uploadChecksum:
			u.Checksum = decodeChecksum(&d)
		case uploadToken:
			u.Token = d.id()
		case uploadInitiator:
			u.Initiator = d.text()
		case attrTag:
			u.Tags = append(u.Tags, decodePair(&d))
		case attrGrant:
			u.ACL = append(u.ACL, decodeGrant(&d))
		case attrEncryption:
			u.Encryption = decodeEncryption(&d)
		case lockRetention:
			u.Retention = decodeRetention(&d)
		case lockLegalHold:
			u.LegalHold = decodeLegalHold(&d)
		default:
			decodeAttribute(&d, &u.Attributes)
		}
	}
	return u, d.finish("upload")
}

func encodePart(p *Part) []byte {
	e := newRecord(128)
	e.uint(partSize, uint64(p.Size))
	e.time(partModified, p.Modified)
	e.text(partETag, p.ETag)
	encodeChecksums(e, partChecksum, p.Checksums)
	e.bytes(partSlices, appendSlices(nil, p.Slices))
	e.id(partToken, p.Token)
	return e.b
}

// decodePart decodes the value of a row P; Number is not in it.
func decodePart(v []byte) (*Part, error) {
	p := &Part{}
	d := openRecord(v)
	for d.next() {
		switch d.field {
		case partSize:
			p.Size = d.size()
		case partModified:
			p.Modified = d.time()
		case partETag:
			p.ETag = d.text()
		case partChecksum:
			p.Checksums = append(p.Checksums, decodeChecksum(&d))
		case partSlices:
			p.Slices = d.slices()
		case partToken:
			p.Token = d.id()
		default:
			d.unknown()
		}
	}
	return p, d.finish("part")
}

// decodePartSize is decodePart for its size alone.
func decodePartSize(v []byte) (int64, error) {
	d := openRecord(v)
	for d.next() {
		if d.field == partSize {
			size := d.size()
			return size, d.finish("part")
		}
	}
	return 0, d.finish("part")
}

func encodeManifestPart(e *encoder, p *ManifestPart) {
	e.nested(manifestPart, func(in *encoder) {
		in.uint(manifestNumber, uint64(p.Number))
		in.uint(manifestSize, uint64(p.Size))
		encodeChecksums(in, manifestChecksum, p.Checksums)
		in.bytes(manifestSlices, appendSlices(nil, p.Slices))
	})
}

func decodeManifest(v []byte) ([]ManifestPart, error) {
	var parts []ManifestPart
	d := openRecord(v)
	for d.next() {
		if d.field != manifestPart {
			d.unknown()
			continue
		}
		parts = append(parts, decodeManifestPart(&d))
	}
	return parts, d.finish("manifest")
}

func decodeManifestPart(d *decoder) ManifestPart {
	var p ManifestPart
	in := d.nested()
	for in.next() {
		switch in.field {
		case manifestNumber:
			p.Number = int(in.uint(math.MaxUint16))
		case manifestSize:
			p.Size = in.size()
		case manifestChecksum:
			p.Checksums = append(p.Checksums, decodeChecksum(&in))
		case manifestSlices:
			p.Slices = in.slices()
		default:
			in.unknown()
		}
	}
	d.join(&in)
	return p
}
