package partition

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/undercroft/undercroft/metadata"
)

// Entry is a blob in a stripe's directory: enough to tell, without metadata,
// which bytes of which object lie where.
type Entry struct {
	ID      metadata.DataID
	Piece   uint32 // index of the blob in its data id
	Key     string // with the bucket's id
	Version string
	Start   uint32 // in the stripe's content
	Length  uint32
}

// A directory is the last bytes of a stripe's used content. Numbers are
// big-endian.
//
//	format (1)     1
//	zero           1
//	entries        2
//	each entry:
//	  data id     16
//	  piece        4
//	  start        4
//	  length       4
//	  key length   2
//	  version length 1
//	  key, version
const (
	directoryFormat = 1
	directoryHeader = 4
	entryHeader     = 31

	maxKey     = 2048
	maxVersion = math.MaxUint8
	maxEntries = math.MaxUint16
)

// directorySize is the length of a blob's entry. It does not depend on where
// the blob lies, so that a layout is computed once.
func (b *Blob) directorySize() int { return entryHeader + len(b.Key) + len(b.Version) }

func (b *Blob) valid() error {
	if len(b.Key) > maxKey || len(b.Version) > maxVersion {
		return fmt.Errorf("%w: key of %d bytes, version of %d bytes", ErrInvalid, len(b.Key), len(b.Version))
	}
	return nil
}

func appendDirectoryHeader(dst []byte, entries int) []byte {
	return binary.BigEndian.AppendUint16(append(dst, directoryFormat, 0), uint16(entries))
}

func appendEntry(dst []byte, b *Blob, start, length uint32) []byte {
	dst = append(dst, b.ID[:]...)
	dst = binary.BigEndian.AppendUint32(dst, b.Piece)
	dst = binary.BigEndian.AppendUint32(dst, start)
	dst = binary.BigEndian.AppendUint32(dst, length)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(b.Key)))
	dst = append(dst, byte(len(b.Version)))
	dst = append(dst, b.Key...)
	return append(dst, b.Version...)
}

// ParseDirectory decodes the directory of a stripe: the last bytes of its used
// content, as the frame header says. It accepts any input and answers
// [ErrDirectory] for what no writer wrote, also for entries that lie outside
// content, the bytes before the directory.
func ParseDirectory(d []byte, content uint32) ([]Entry, error) {
	if len(d) < directoryHeader {
		return nil, fmt.Errorf("%w: %d bytes", ErrDirectory, len(d))
	}
	if d[0] != directoryFormat || d[1] != 0 {
		return nil, fmt.Errorf("%w: format %d", ErrDirectory, d[0])
	}
	count := int(binary.BigEndian.Uint16(d[2:]))
	d = d[directoryHeader:]
	if count*entryHeader > len(d) {
		return nil, fmt.Errorf("%w: %d entries in %d bytes", ErrDirectory, count, len(d))
	}
	entries := make([]Entry, 0, count)
	for range count {
		e, rest, err := parseEntry(d, content)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", len(entries), err)
		}
		entries, d = append(entries, e), rest
	}
	if len(d) != 0 {
		return nil, fmt.Errorf("%w: %d bytes left over", ErrDirectory, len(d))
	}
	return entries, nil
}

func parseEntry(d []byte, content uint32) (Entry, []byte, error) {
	if len(d) < entryHeader {
		return Entry{}, nil, fmt.Errorf("%w: cut short", ErrDirectory)
	}
	e := Entry{
		ID:     metadata.DataID(d[:16]),
		Piece:  binary.BigEndian.Uint32(d[16:]),
		Start:  binary.BigEndian.Uint32(d[20:]),
		Length: binary.BigEndian.Uint32(d[24:]),
	}
	key, version := int(binary.BigEndian.Uint16(d[28:])), int(d[30])
	d = d[entryHeader:]
	if key > maxKey || key+version > len(d) {
		return Entry{}, nil, fmt.Errorf("%w: key of %d bytes, version of %d bytes", ErrDirectory, key, version)
	}
	if uint64(e.Start)+uint64(e.Length) > uint64(content) {
		return Entry{}, nil, fmt.Errorf("%w: bytes %d+%d of %d", ErrDirectory, e.Start, e.Length, content)
	}
	e.Key, e.Version = string(d[:key]), string(d[key:key+version])
	return e, d[key+version:], nil
}
