package observability

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"sync/atomic"
)

// RequestIDs makes the ids of responses: one for each request and one for the
// process. Ids do not repeat within a process, and between processes only by a
// chance of 2^-64 for each pair.
type RequestIDs struct {
	host string
	next atomic.Uint64
}

// NewRequestIDs returns a generator that is told apart from others by 56 bytes
// of random.
func NewRequestIDs(random io.Reader) (*RequestIDs, error) {
	var seed [48 + 8]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, fmt.Errorf("seeding request ids: %w", err)
	}
	g := &RequestIDs{host: base64.StdEncoding.EncodeToString(seed[:48])}
	g.next.Store(binary.LittleEndian.Uint64(seed[48:]))
	return g, nil
}

// NewID returns the value of x-amz-request-id: 16 uppercase hexadecimal digits.
func (g *RequestIDs) NewID() string { return hex16(scramble(g.next.Add(1))) }

// HostID returns the value of x-amz-id-2: 64 characters of base64 that name
// this process.
func (g *RequestIDs) HostID() string { return g.host }

// hex16 writes n as 16 uppercase digits, with one allocation.
func hex16(n uint64) string {
	const digits = "0123456789ABCDEF"
	var out [16]byte
	for i := range out {
		out[i] = digits[n>>(60-4*i)&15]
	}
	return string(out[:])
}

// scramble is the finalizer of SplitMix64: a bijection, so that consecutive
// numbers look unlike each other and still never meet.
func scramble(n uint64) uint64 {
	n += 0x9E3779B97F4A7C15
	n = (n ^ n>>30) * 0xBF58476D1CE4E5B9
	n = (n ^ n>>27) * 0x94D049BB133111EB
	return n ^ n>>31
}
