package mirror

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"strings"

	"github.com/undercroft/undercroft/internal/vfs"
)

const (
	sumChunk  = 16 << 10
	sumsMagic = "UCSUMS1\n"
	sumsLimit = 16 << 20
)

// summed reports whether a file never changes once it is closed, and gets
// checksums.
func summed(name string) bool {
	return strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob") ||
		strings.HasSuffix(name, ".dbtmp") || strings.HasPrefix(name, "OPTIONS-")
}

// sums are the checksums of a file's chunks.
type sums struct {
	size   int64
	chunks []uint32
}

// summer makes sums of what is written in order.
type summer struct {
	table  *crc32.Table
	sums   sums
	crc    uint32
	filled int // of the chunk
}

func newSummer(name string) *summer {
	if !summed(name) {
		return nil
	}
	return &summer{table: crc32.MakeTable(crc32.Castagnoli)}
}

func (s *summer) add(p []byte) {
	s.sums.size += int64(len(p))
	for len(p) > 0 {
		n := min(len(p), sumChunk-s.filled)
		s.crc = crc32.Update(s.crc, s.table, p[:n])
		s.filled += n
		p = p[n:]
		if s.filled == sumChunk {
			s.next()
		}
	}
}

func (s *summer) next() {
	s.sums.chunks = append(s.sums.chunks, s.crc)
	s.crc, s.filled = 0, 0
}

func (s *summer) finish() *sums {
	if s.filled > 0 {
		s.next()
	}
	return &s.sums
}

func (s *sums) encode() []byte {
	b := binary.LittleEndian.AppendUint64([]byte(sumsMagic), uint64(s.size))
	for _, c := range s.chunks {
		b = binary.LittleEndian.AppendUint32(b, c)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

var errSums = errors.New("mirror: the checksums are damaged")

func decodeSums(b []byte) (*sums, error) {
	const head = len(sumsMagic) + 8
	if len(b) < head+4 || string(b[:len(sumsMagic)]) != sumsMagic {
		return nil, errSums
	}
	body, crc := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != crc {
		return nil, errSums
	}
	s := &sums{size: int64(binary.LittleEndian.Uint64(b[len(sumsMagic):]))}
	for at := head; at+4 <= len(body); at += 4 {
		s.chunks = append(s.chunks, binary.LittleEndian.Uint32(body[at:]))
	}
	if s.size < 0 || int64(len(s.chunks)) != (s.size+sumChunk-1)/sumChunk {
		return nil, errSums
	}
	return s, nil
}

// verify checks whole chunks from offset on, which is a multiple of sumChunk.
func (s *sums) verify(p []byte, offset int64) error {
	table := crc32.MakeTable(crc32.Castagnoli)
	for i := int(offset / sumChunk); len(p) > 0; i++ {
		n := min(len(p), sumChunk)
		if i >= len(s.chunks) || crc32.Checksum(p[:n], table) != s.chunks[i] {
			return fmt.Errorf("%w: chunk %d", ErrCorrupt, i)
		}
		p = p[n:]
	}
	return nil
}

// writeSums keeps the checksums of a file beside its copies. A copy without
// is read without being verified here, so that errors lose nothing but that.
func (s *Set) writeSums(nodes []*node, name string, c *sums) {
	data := c.encode()
	errs := s.fanOut(nodes, func(i int) error {
		n := nodes[i]
		return vfs.WriteFile(s.base, s.base.PathJoin(n.sums, name), data, 0o640)
	})
	for i, n := range nodes {
		if errors.Is(errs[i], ErrStalled) {
			s.eject(n, ErrStalled) // or each table waits for it
		}
	}
}

// renameSums has a file's checksums go where it goes: before it and durably, or a
// loss of power leaves it without, and which of two copies is good nobody knows.
func (s *Set) renameSums(n *node, from, to string) {
	if s.base.Rename(s.base.PathJoin(n.sums, from), s.base.PathJoin(n.sums, to)) == nil {
		_ = vfs.SyncDir(s.base, n.sums) // one that is read without is not verified: no more is lost
	}
}

func (s *Set) removeSums(n *node, name string) {
	if summed(name) {
		_ = s.base.Remove(s.base.PathJoin(n.sums, name)) // what is left is overwritten with the next file of the name
	}
}

// sumsOf are a file's checksums from any member that has them, nil if none.
func (s *Set) sumsOf(name string) *sums {
	if !summed(name) {
		return nil
	}
	for _, n := range s.members() {
		if c, err := s.sumsAt(n, name); err == nil {
			return c
		}
	}
	return nil
}

func (s *Set) sumsAt(n *node, name string) (*sums, error) {
	data, err := on(s, n, func() ([]byte, error) {
		return vfs.ReadFile(s.base, s.base.PathJoin(n.sums, name), sumsLimit)
	})
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("checksums of %s: %w", name, err)
		}
		return nil, err
	}
	return decodeSums(data)
}
