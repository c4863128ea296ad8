package sim

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// reader is a download that goes on over many steps.
type reader struct {
	key    string
	v      version
	want   []byte
	cancel context.CancelFunc
	tokens chan int // how many bytes may be taken
	done   chan struct{}

	mu       sync.Mutex // guards what follows
	got      int
	wrong    bool
	err      error
	released bool // the version was deleted meanwhile
}

// Write implements [io.Writer] for the download.
func (r *reader) Write(b []byte) (int, error) {
	for at := 0; at < len(b); {
		n, ok := <-r.tokens
		if !ok {
			return at, context.Canceled
		}
		n = min(n, len(b)-at)
		r.mu.Lock()
		r.wrong = r.wrong || !bytes.HasPrefix(r.want[min(r.got, len(r.want)):], b[at:at+n])
		r.got += n
		r.mu.Unlock()
		at += n
	}
	return len(b), nil
}

// openReader begins a slow download.
func (m *machine) openReader() {
	key, v, ok := m.existing()
	if !ok || len(m.readers) >= 3 || m.lib.size(v.tag) < 64*kib {
		return
	}
	bucket, name := nameOf(key)
	ctx, cancel := context.WithCancel(m.proc.ctx)
	out, err := m.proc.Objects.GetObject(ctx, objects.GetObjectInput{Bucket: bucket, Key: name, VersionID: s3.VersionID(v.id)})
	if err != nil {
		cancel()
		if !m.troubled() {
			m.t.Errorf("begin to read %s: %v", key, err)
		}
		return
	}
	r := &reader{key: key, v: v, cancel: cancel, tokens: make(chan int), done: make(chan struct{})}
	r.want, _ = m.lib.content(v.tag)
	m.readers = append(m.readers, r)
	m.did("slow-reader", "%s %v, %d bytes", key, v, len(r.want))
	go func() {
		defer close(r.done)
		_, err := out.Body.WriteTo(r)
		_ = out.Body.Close() // reading
		r.mu.Lock()
		r.err = err
		r.mu.Unlock()
	}()
}

// readOn lets the downloads take some more.
func (m *machine) readOn() {
	m.t.Helper()
	for _, r := range slices.Clone(m.readers) {
		if i := slices.IndexFunc(m.world.keys[r.key], r.v.is); i < 0 || m.world.keys[r.key][i].id != r.v.id {
			r.released = true
		}
		for range 1 + m.rng.IntN(3) {
			select {
			case r.tokens <- 1 + m.rng.IntN(400*kib):
				continue
			case <-r.done:
				m.judge(r)
			}
			break
		}
	}
}

// judge holds that a download that ended got the right bytes, all of them
// unless its version was deleted.
func (m *machine) judge(r *reader) {
	m.t.Helper()
	m.readers = slices.DeleteFunc(m.readers, func(x *reader) bool { return x == r })
	r.cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	m.note("slow reader of %s ended after %d of %d bytes, deleted=%t: %v", r.key, r.got, len(r.want), r.released, r.err)
	switch {
	case r.wrong:
		m.t.Errorf("the slow reader of %s %v got wrong bytes", r.key, r.v)
	case r.err == nil && r.got != len(r.want):
		m.t.Errorf("the slow reader of %s %v got %d of %d bytes and no error", r.key, r.v, r.got, len(r.want))
	case r.err != nil && !r.released && !m.proc.killed.Load() && (!m.restless() || !passes(r.err)):
		m.t.Errorf("the slow reader of %s %v was cut after %d of %d bytes: %v", r.key, r.v, r.got, len(r.want), r.err)
	case r.err != nil:
		m.count("slow-reader-cut")
	default:
		m.count("slow-reader-whole")
	}
}

// finishReaders lets all downloads end.
func (m *machine) finishReaders() {
	m.t.Helper()
	for len(m.readers) > 0 {
		m.readOn()
	}
}

// stopReaders ends the downloads of a process that was killed.
func (m *machine) stopReaders() {
	for _, r := range m.readers {
		r.cancel()
		close(r.tokens)
		<-r.done
	}
	m.readers = nil
}
