package sim

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/objects"
)

// piece is a range of the bytes that a seed makes.
type piece struct {
	seed           uint64
	offset, length int64
}

// library knows the bytes behind every entity tag. No two contents are the
// same, but for empty ones.
type library struct {
	mu   sync.Mutex // guards everything
	next uint64
	tags map[string][]piece
	// uploads are the descriptions of what uploads will make.
	uploads map[string]uint64
}

func newLibrary() *library { return &library{tags: map[string][]piece{}, uploads: map[string]uint64{}} }

func (l *library) nameUpload(id string, n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uploads[id] = n
}

func (l *library) uploadNumber(id string) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.uploads[id]
}

// bytesOf is what a seed makes.
func bytesOf(seed uint64, n int64) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	out := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(out)
	return out
}

// fresh makes a content of n bytes, and its tag.
func (l *library) fresh(n int64) (data []byte, tag string) {
	l.mu.Lock()
	l.next++
	p := piece{seed: l.next, length: n}
	l.mu.Unlock()
	data = bytesOf(p.seed, n)
	sum := md5.Sum(data)
	tag = hex.EncodeToString(sum[:])
	l.learn(tag, []piece{p})
	return data, tag
}

// number is one that no other content or description has.
func (l *library) number() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	return l.next
}

func (l *library) learn(tag string, pieces []piece) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tags[tag] = pieces
}

func (l *library) pieces(tag string) ([]piece, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.tags[tag]
	return p, ok
}

func (l *library) size(tag string) (n int64) {
	p, _ := l.pieces(tag)
	for _, x := range p {
		n += x.length
	}
	return n
}

// content is the bytes behind a tag.
func (l *library) content(tag string) ([]byte, bool) {
	pieces, ok := l.pieces(tag)
	if !ok {
		return nil, false
	}
	out := make([]byte, 0, l.size(tag))
	for _, p := range pieces {
		out = append(out, bytesOf(p.seed, p.offset+p.length)[p.offset:]...)
	}
	return out, true
}

// cut is a range of pieces.
func cut(pieces []piece, offset, length int64) (out []piece) {
	for _, p := range pieces {
		skip := min(offset, p.length)
		offset -= skip
		n := min(p.length-skip, length)
		length -= n
		if n > 0 {
			out = append(out, piece{p.seed, p.offset + skip, n})
		}
	}
	return out
}

// composite is the tag of an object made of parts, which it learns.
func (l *library) composite(tags []string) string {
	var all []piece
	for _, t := range tags {
		p, _ := l.pieces(t)
		all = append(all, p...)
	}
	tag := checksum.MultipartETag(func(yield func([md5.Size]byte) bool) {
		for _, t := range tags {
			var sum [md5.Size]byte
			_, _ = hex.Decode(sum[:], []byte(t))
			if !yield(sum) {
				return
			}
		}
	})
	l.learn(tag, all)
	return tag
}

// attributes describe an object by a number.
func attributes(n uint64) objects.Attributes {
	return objects.Attributes{
		ContentType: fmt.Sprintf("simulated/%d", n),
		User:        []objects.Pair{{Name: "n", Value: fmt.Sprint(n)}, {Name: "twice", Value: fmt.Sprint(2 * n)}},
	}
}

// described reads the number back.
func described(a objects.Attributes) (n uint64, err error) {
	if _, err := fmt.Sscanf(a.ContentType, "simulated/%d", &n); err != nil {
		return 0, fmt.Errorf("content type %q: %w", a.ContentType, err)
	}
	want := attributes(n)
	if len(a.User) != 2 || a.User[0] != want.User[0] || a.User[1] != want.User[1] {
		return 0, fmt.Errorf("object %d is described by %v", n, a.User)
	}
	return n, nil
}
