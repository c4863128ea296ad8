package metadata

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Fields of a Data.
const (
	dataKind    = 1
	dataID      = 2
	dataShared  = 3
	dataExtents = 4
	dataOrigin  = 5
)

func (d *Data) isZero() bool {
	return d.Kind == DataEmpty && d.ID == (DataID{}) && !d.Shared && len(d.Extents) == 0 && d.Origin == (DataID{})
}

func encodeData(e *encoder, d *Data) {
	e.uint(dataKind, uint64(d.Kind))
	e.id(dataID, d.ID)
	if d.Shared {
		e.uint(dataShared, 1)
	}
	e.bytes(dataExtents, appendExtents(nil, d.Extents))
	e.id(dataOrigin, d.Origin)
}

func decodeData(d *decoder) Data {
	var out Data
	in := d.nested()
	for in.next() {
		switch in.field {
		case dataKind:
			out.Kind = DataKind(in.uint(uint64(DataManifest)))
		case dataID:
			out.ID = in.id()
		case dataShared:
			out.Shared = in.uint(1) == 1
		case dataExtents:
			out.Extents = in.extents()
		case dataOrigin:
			out.Origin = in.id()
		default:
			in.unknown()
		}
	}
	d.join(&in)
	return out
}

// appendExtents packs extents one after another: a byte that is 1 where the
// partition follows (8 bytes) and 0 where it is that of the extent before, then
// stripe, height, start and length as uvarints.
func appendExtents(b []byte, extents []Extent) []byte {
	for i := range extents {
		x := &extents[i]
		if i > 0 && extents[i-1].Partition == x.Partition {
			b = append(b, 0)
		} else {
			b = u64(append(b, 1), uint64(x.Partition))
		}
		b = binary.AppendUvarint(b, uint64(x.Stripe))
		b = binary.AppendUvarint(b, uint64(x.Height))
		b = binary.AppendUvarint(b, uint64(x.Start))
		b = binary.AppendUvarint(b, uint64(x.Length))
	}
	return b
}

// packed reads what the append functions of this file wrote; the first error
// stays.
type packed struct {
	b   []byte
	bad bool
}

func (p *packed) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(p.b)
	if n <= 0 || v > limit {
		p.bad = true
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *packed) take(n int) []byte {
	if n > len(p.b) {
		p.bad = true
		return nil
	}
	out := p.b[:n:n]
	p.b = p.b[n:]
	return out
}

func (p *packed) byte() byte {
	if b := p.take(1); b != nil {
		return b[0]
	}
	return 0xff
}

func (p *packed) u64() uint64 {
	if b := p.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (p *packed) id() (id [16]byte) {
	copy(id[:], p.take(16))
	return id
}

func (d *decoder) extents() []Extent {
	p := packed{b: d.bytes()}
	out := make([]Extent, 0, min(len(p.b)/8+1, extentsPerRow))
	for len(p.b) > 0 && !p.bad {
		var x Extent
		switch mark := p.byte(); {
		case mark == 1:
			x.Partition = PartitionID(p.u64())
		case mark == 0 && len(out) > 0:
			x.Partition = out[len(out)-1].Partition
		default:
			p.bad = true
		}
		x.Stripe = int64(p.uvarint(math.MaxInt64))
		x.Height = uint32(p.uvarint(math.MaxUint32))
		x.Start = uint32(p.uvarint(math.MaxUint32))
		x.Length = uint32(p.uvarint(math.MaxUint32))
		out = append(out, x)
	}
	if p.bad {
		d.fail("bad extents")
	}
	if d.err != nil || len(out) == 0 {
		return nil
	}
	return out
}

// Owners of slices, as appendSlices marks them.
const (
	sliceHome   = 0 // no owner: the part is the home
	sliceAgain  = 1 // the owner of the slice before
	slicePinned = 2 // the owner follows, with its length as a uvarint

	sliceMoved = 0x10 // added where the origin follows the length
)

// appendSlices packs slices one after another: owner mark, id, offset and
// length as uvarints, then the origin where the mark says so, then the owner.
func appendSlices(b []byte, slices []Slice) []byte {
	var last *Owner
	for i := range slices {
		s := &slices[i]
		var owner []byte
		at := len(b)
		switch {
		case s.Owner == nil:
			b = append(b, sliceHome)
		case last != nil && *last == *s.Owner:
			b = append(b, sliceAgain)
		default:
			b = append(b, slicePinned)
			owner = appendOwner(nil, s.Owner)
		}
		if s.Owner != nil {
			last = s.Owner
		}
		b = append(b, s.ID[:]...)
		b = binary.AppendUvarint(b, uint64(s.Offset))
		b = binary.AppendUvarint(b, uint64(s.Length))
		if s.Origin != (DataID{}) {
			b[at] |= sliceMoved
			b = append(b, s.Origin[:]...)
		}
		if owner != nil {
			b = binary.AppendUvarint(b, uint64(len(owner)))
			b = append(b, owner...)
		}
	}
	return b
}

func (d *decoder) slices() []Slice {
	p := packed{b: d.bytes()}
	var out []Slice
	var last *Owner
	for len(p.b) > 0 && !p.bad {
		mark := p.byte()
		s := Slice{ID: p.id()}
		s.Offset = int64(p.uvarint(math.MaxInt64))
		s.Length = int64(p.uvarint(math.MaxInt64))
		if mark&sliceMoved != 0 {
			s.Origin, mark = p.id(), mark&^sliceMoved
		}
		switch {
		case mark == sliceHome:
		case mark == sliceAgain && last != nil:
			s.Owner = last
		case mark == slicePinned:
			owner, err := parseOwner(p.take(int(p.uvarint(uint64(len(p.b))))))
			p.bad = p.bad || err != nil
			s.Owner, last = &owner, &owner
		default:
			p.bad = true
		}
		out = append(out, s)
	}
	if p.bad {
		d.fail("bad slices")
		return nil
	}
	return out
}

// appendOwner writes the suffix of a row K: the kind, then the fields that
// name the owner.
func appendOwner(b []byte, o *Owner) []byte {
	b = u64(append(b, byte(o.Kind)), uint64(o.Bucket))
	if o.Kind == OwnerVersion {
		return u64(esc(b, o.Key), ^uint64(o.Ord))
	}
	b = append(b, o.Upload[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(o.Part))
	return append(b, o.Token[:]...)
}

func parseOwner(b []byte) (Owner, error) {
	bad := fmt.Errorf("%w: owner %x", ErrCorrupt, b)
	if len(b) < 9 {
		return Owner{}, bad
	}
	o := Owner{Kind: OwnerKind(b[0]), Bucket: BucketID(binary.BigEndian.Uint64(b[1:]))}
	b = b[9:]
	switch o.Kind {
	case OwnerVersion:
		key, rest, err := unesc(b)
		if err != nil || len(rest) != 8 {
			return Owner{}, bad
		}
		o.Key, o.Ord = key, Ord(^binary.BigEndian.Uint64(rest))
	case OwnerPart:
		if len(b) != 16+2+16 {
			return Owner{}, bad
		}
		o.Upload, o.Token = UploadID(b[:16]), Token(b[18:])
		o.Part = int(binary.BigEndian.Uint16(b[16:]))
	default:
		return Owner{}, bad
	}
	return o, nil
}
