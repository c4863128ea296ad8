package disk

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/vfs"
)

const (
	// directMin is the smallest frame that is written past the page cache.
	// Those below are many to a sync and likely to be read soon.
	directMin = 128 << 10
	// directBuffer holds the frame of a column of 1 MiB.
	directBuffer = 1<<20 + 64<<10
	// directWrites is how many frames of a disk are in such buffers at a time.
	directWrites = 4
)

// direct writes large frames past the page cache: bytes that nobody reads soon
// would push out what is read, and a page that is new to the cache costs more
// than all else that a large write does (docs/adr/0005-direct-writes.md).
type direct struct {
	slots   chan struct{}
	buffers sync.Pool   // of *[]byte
	none    atomic.Bool // the file system has no direct writes
}

func newDirect() *direct {
	return &direct{
		slots: make(chan struct{}, directWrites),
		buffers: sync.Pool{New: func() any {
			b := vfs.AlignedBuffer(directBuffer)
			return &b
		}},
	}
}

// put writes the pieces of a frame at a multiple of [blobd.Align]. The rest of
// the last block is zeros, as the file has there: the next frame begins behind.
func (s *shard) put(w vfs.File, a blobd.Append, length int64) error {
	d := s.disk.direct
	if length >= directMin && roundUp(a.Offset+length) <= s.capacity && !d.none.Load() {
		f, err := s.openDirect(w)
		if err == nil {
			err = d.write(f, a.Data, dataStart+a.Offset)
		}
		if !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.EINVAL) {
			return err
		}
		d.none.Store(true)
	}
	return vfs.WritevAt(w, a.Data, dataStart+a.Offset)
}

// openDirect opens the file for direct writing, once.
func (s *shard) openDirect(w vfs.File) (vfs.DirectFile, error) {
	if f := s.direct.Load(); f != nil {
		return *f, nil
	}
	s.life.Lock()
	defer s.life.Unlock()
	if f := s.direct.Load(); f != nil {
		return *f, nil
	}
	f, err := vfs.OpenDirect(w)
	if err != nil {
		return nil, err
	}
	s.direct.Store(&f)
	return f, nil
}

// write copies the pieces together, because the checksums between the blocks
// keep them from being aligned, and writes them.
func (d *direct) write(f vfs.DirectFile, pieces [][]byte, offset int64) error {
	d.slots <- struct{}{}
	defer func() { <-d.slots }()
	p, _ := d.buffers.Get().(*[]byte) // the pool holds nothing else
	defer d.buffers.Put(p)
	buf, n := *p, 0
	for _, piece := range pieces {
		for len(piece) > 0 {
			m := copy(buf[n:], piece)
			piece = piece[m:]
			if n += m; n < len(buf) {
				continue
			}
			if _, err := f.WriteAt(buf, offset); err != nil {
				return err
			}
			offset, n = offset+int64(n), 0
		}
	}
	if n == 0 {
		return nil
	}
	end := int(roundUp(int64(n)))
	clear(buf[n:end])
	_, err := f.WriteAt(buf[:end], offset)
	return err
}
