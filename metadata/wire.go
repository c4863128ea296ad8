package metadata

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrCorrupt says that a row does not decode.
var ErrCorrupt = errors.New("metadata: corrupt row")

// recordVersion is the first byte of every value that is not a bare counter or
// empty.
const recordVersion = 1

// A field starts with uvarint(number<<3 | ignorable<<2 | wire type).
const (
	wireVarint = 0 // uvarint
	wireBytes  = 1 // uvarint length, bytes
	wireHex    = 2 // as wireBytes; the text is the bytes in lower-case hexadecimal
	wireFixed  = 3 // 8 bytes, big-endian

	ignorable = 4 // a reader that does not know the field may skip it
)

// minHex is the shortest text that is worth packing as hexadecimal.
const minHex = 16

// encoder appends fields in ascending order. Zero values are left out.
type encoder struct{ b []byte }

func newRecord(size int) *encoder {
	e := &encoder{b: make([]byte, 1, size)}
	e.b[0] = recordVersion
	return e
}

func (e *encoder) key(field, wire uint64) {
	e.b = binary.AppendUvarint(e.b, field<<3|wire)
}

func (e *encoder) uint(field, v uint64) {
	if v == 0 {
		return
	}
	e.key(field, wireVarint)
	e.b = binary.AppendUvarint(e.b, v)
}

func (e *encoder) fixed(field, v uint64) {
	if v == 0 {
		return
	}
	e.key(field, wireFixed)
	e.b = binary.BigEndian.AppendUint64(e.b, v)
}

func (e *encoder) bytes(field uint64, v []byte) {
	if len(v) == 0 {
		return
	}
	e.key(field, wireBytes)
	e.b = binary.AppendUvarint(e.b, uint64(len(v)))
	e.b = append(e.b, v...)
}

// bytesOrSkip is bytes for a field that older readers may skip.
func (e *encoder) bytesOrSkip(field uint64, v []byte) {
	if len(v) == 0 {
		return
	}
	e.key(field, wireBytes|ignorable)
	e.b = binary.AppendUvarint(e.b, uint64(len(v)))
	e.b = append(e.b, v...)
}

func (e *encoder) id(field uint64, v [16]byte) {
	if v != ([16]byte{}) {
		e.bytes(field, v[:])
	}
}

func (e *encoder) text(field uint64, s string) {
	if s == "" {
		return
	}
	if isHex(s) {
		e.key(field, wireHex)
		e.b = binary.AppendUvarint(e.b, uint64(len(s)/2))
		for i := 0; i < len(s); i += 2 {
			e.b = append(e.b, nibble(s[i])<<4|nibble(s[i+1]))
		}
		return
	}
	e.key(field, wireBytes)
	e.b = binary.AppendUvarint(e.b, uint64(len(s)))
	e.b = append(e.b, s...)
}

// time keeps milliseconds; the zero time is left out.
func (e *encoder) time(field uint64, t time.Time) {
	if t.IsZero() {
		return
	}
	ms := t.UnixMilli()
	e.key(field, wireVarint)
	e.b = binary.AppendUvarint(e.b, uint64(ms)<<1^uint64(ms>>63))
}

// nested writes a field that is a sequence of fields, even when it is empty.
func (e *encoder) nested(field uint64, fill func(*encoder)) {
	inner := encoder{b: make([]byte, 0, 96)}
	fill(&inner)
	e.key(field, wireBytes)
	e.b = binary.AppendUvarint(e.b, uint64(len(inner.b)))
	e.b = append(e.b, inner.b...)
}

func isHex(s string) bool {
	if len(s) < minHex || len(s)%2 != 0 {
		return false
	}
	for i := range len(s) {
		if (s[i] < '0' || s[i] > '9') && (s[i] < 'a' || s[i] > 'f') {
			return false
		}
	}
	return true
}

func nibble(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c - 'a' + 10
}

// decoder walks the fields of a record. The first error ends the walk and is
// kept; accessors of a field of another wire type set it.
type decoder struct {
	rest   []byte
	field  uint64
	wire   uint64
	skip   bool
	number uint64
	data   []byte
	err    error
}

func openRecord(v []byte) decoder {
	if len(v) == 0 {
		return decoder{err: fmt.Errorf("%w: no format byte", ErrCorrupt)}
	}
	if v[0] != recordVersion {
		return decoder{err: fmt.Errorf("%w: record format %d", ErrCorrupt, v[0])}
	}
	return decoder{rest: v[1:]}
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: field %d: %s", ErrCorrupt, d.field, what)
	}
}

func (d *decoder) next() bool {
	if d.err != nil || len(d.rest) == 0 {
		return false
	}
	key, ok := d.uvarint()
	if !ok {
		return false
	}
	field := key >> 3
	if field < d.field || field == 0 {
		d.fail("fields out of order")
		return false
	}
	d.field, d.wire, d.skip = field, key&3, key&ignorable != 0
	return d.value()
}

func (d *decoder) value() bool {
	switch d.wire {
	case wireVarint:
		d.number, _ = d.uvarint()
	case wireFixed:
		if len(d.rest) < 8 {
			d.fail("cut short")
			return false
		}
		d.number = binary.BigEndian.Uint64(d.rest)
		d.rest = d.rest[8:]
	default:
		n, ok := d.uvarint()
		if !ok || n > uint64(len(d.rest)) {
			d.fail("cut short")
			return false
		}
		d.data, d.rest = d.rest[:n:n], d.rest[n:]
	}
	return d.err == nil
}

func (d *decoder) uvarint() (uint64, bool) {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail("bad varint")
		return 0, false
	}
	d.rest = d.rest[n:]
	return v, true
}

// unknown accepts a field that its writer marked as ignorable.
func (d *decoder) unknown() {
	if !d.skip {
		d.fail("unknown field")
	}
}

func (d *decoder) want(wire uint64) bool {
	if d.wire != wire {
		d.fail("wrong wire type")
		return false
	}
	return true
}

func (d *decoder) uint(limit uint64) uint64 {
	if !d.want(wireVarint) {
		return 0
	}
	if d.number > limit {
		d.fail("number too large")
		return 0
	}
	return d.number
}

func (d *decoder) size() int64 { return int64(d.uint(math.MaxInt64)) }

func (d *decoder) fixed() uint64 {
	if !d.want(wireFixed) {
		return 0
	}
	return d.number
}

func (d *decoder) bytes() []byte {
	if !d.want(wireBytes) {
		return nil
	}
	return d.data
}

func (d *decoder) id() (id [16]byte) {
	b := d.bytes()
	if d.err == nil && len(b) != len(id) {
		d.fail("not 16 bytes")
	}
	copy(id[:], b)
	return id
}

func (d *decoder) text() string { return d.textLike("") }

// textLike is text; it returns known itself when that is what the field says,
// so that rows with equal texts share one.
func (d *decoder) textLike(known string) string {
	if d.wire == wireHex {
		if hexEqual(known, d.data) {
			return known
		}
		return hex.EncodeToString(d.data)
	}
	b := d.bytes()
	if string(b) == known {
		return known
	}
	return string(b)
}

func hexEqual(s string, b []byte) bool {
	if len(s) != 2*len(b) {
		return false
	}
	const digits = "0123456789abcdef"
	for i, c := range b {
		if s[2*i] != digits[c>>4] || s[2*i+1] != digits[c&15] {
			return false
		}
	}
	return true
}

func (d *decoder) time() time.Time {
	u := d.uint(math.MaxUint64)
	ms := int64(u>>1) ^ -int64(u&1)
	// Years 1 to 9999: what can be printed, and never the zero time.
	if ms <= -62135596800000 || ms > 253402300799999 {
		d.fail("time out of range")
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// nested is a decoder of the field's own fields; its error is passed up by
// join.
func (d *decoder) nested() decoder { return decoder{rest: d.bytes(), err: d.err} }

func (d *decoder) join(inner *decoder) {
	if d.err == nil {
		d.err = inner.err
	}
}

// finish is the error of the walk, naming the record.
func (d *decoder) finish(record string) error {
	if d.err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", record, d.err)
}
