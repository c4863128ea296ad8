package partition

import (
	"fmt"
	"sync/atomic"

	"github.com/undercroft/undercroft/blobd"
)

// group is the blobs of one stripe. Their buffers are freed once the writer
// and every append that reads them are done.
type group struct {
	blobs []*Pending
	slack bool // the room behind a lone blob holds its directory and zeros
	refs  atomic.Int32
}

func newGroup(blobs []*Pending) *group {
	g := &group{blobs: blobs}
	g.refs.Store(1)
	return g
}

func (g *group) release() {
	if g.refs.Add(-1) > 0 {
		return
	}
	for _, p := range g.blobs {
		p.buf.Free()
	}
}

// stripe is a group laid out and encoded for k+m shards. It holds its group
// and its memory until the writer and every append released it.
type stripe struct {
	scheme
	shape
	group     *group
	starts    []uint32
	directory int
	content   []byte // columns one after another, padded with zeros
	body      *slab  // of content, nil where that is a blob's buffer
	parity    []*slab
	refs      atomic.Int32
}

func (t *stripe) release() {
	if t.refs.Add(-1) > 0 {
		return
	}
	slabs := t.group.blobs[0].buf.pool.slabs
	slabs.put(t.body)
	for _, p := range t.parity {
		slabs.put(p)
	}
	t.group.release()
}

// column returns the payload of column i: of the data columns present, then of
// the parity columns.
func (t *stripe) column(i int) []byte {
	h := int(t.height)
	if i < t.columns {
		return t.content[i*h : (i+1)*h : (i+1)*h]
	}
	return t.parity[i-t.columns].b[:h:h]
}

// frames is how many frames the stripe has.
func (t *stripe) frames() int { return t.columns + t.m }

// header is the header of frame i of the stripe at offset of a partition.
func (t *stripe) header(i int, p *openPartition, offset int64, id uint64) blobd.FrameHeader {
	column := i
	if i >= t.columns {
		column = i - t.columns + t.k
	}
	return blobd.FrameHeader{
		Shard:     p.shard(shardOf(column, offset, t.k)),
		Column:    uint8(column),
		Columns:   uint8(t.columns),
		K:         uint8(t.k),
		M:         uint8(t.m),
		Epoch:     blobd.Epoch(p.row.Epoch),
		Offset:    offset,
		StripeID:  id,
		Height:    t.height,
		Used:      t.used,
		Directory: uint32(t.directory),
	}
}

// build lays out and encodes a group for a scheme.
func (s *Store) build(g *group, sc scheme) (*stripe, error) {
	t := &stripe{scheme: sc, group: g, starts: make([]uint32, len(g.blobs)), directory: directoryHeader}
	lengths := make([]int, len(g.blobs))
	for i, p := range g.blobs {
		lengths[i] = p.n
		t.directory += p.blob.directorySize()
	}
	t.shape = place(t.starts, lengths, t.directory, t.k, s.opts.MinColumn)
	g.refs.Add(1)
	t.refs.Store(1)
	if len(g.blobs) > 1 || !t.encodeInPlace() {
		t.gather(s.slabs)
	}
	if t.m == 0 {
		return t, nil
	}
	code, err := s.codes.get(codeShape{t.k, t.m, t.columns})
	if err != nil {
		t.release()
		return nil, err
	}
	shards := make([][]byte, t.frames())
	for range t.m {
		t.parity = append(t.parity, s.slabs.get(int(t.height)))
	}
	for i := range shards {
		shards[i] = t.column(i)
	}
	if err := code.Encode(shards); err != nil {
		t.release()
		return nil, fmt.Errorf("encode stripe: %w", err)
	}
	return t, nil
}

// encodeInPlace makes the buffer of a lone blob the content, directory and
// padding in the room behind the bytes. That is written once: an earlier
// attempt may still be reading it.
func (t *stripe) encodeInPlace() bool {
	p := t.group.blobs[0]
	room := p.buf.slab.b
	if t.size() > len(room) {
		return false
	}
	if !t.group.slack {
		d := appendDirectoryHeader(room[:p.n], 1)
		d = appendEntry(d, &p.blob, 0, uint32(p.n))
		tail := room[len(d):]
		clear(tail[:min(len(tail), slack)])
		t.group.slack = true
	}
	if t.size()-int(t.used) > slack {
		return false
	}
	t.content = room[:t.size()]
	return true
}

// gather copies the blobs into memory of the stripe's own.
func (t *stripe) gather(slabs *slabs) {
	t.body = slabs.get(t.size())
	t.content = t.body.b[:t.size()]
	at := 0
	for i, p := range t.group.blobs {
		start := int(t.starts[i])
		clear(t.content[at:start])
		at = start + copy(t.content[start:], p.buf.slab.b[:p.n])
	}
	d := appendDirectoryHeader(t.content[:at], len(t.group.blobs))
	for i, p := range t.group.blobs {
		d = appendEntry(d, &p.blob, t.starts[i], uint32(p.n))
	}
	clear(t.content[len(d):])
}
