package partition

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/undercroft/undercroft/metadata"
)

// written is a blob with where it lies.
type stored struct {
	data   []byte
	placed metadata.Placed
}

// mix writes blobs of many sizes at once.
func mix(tb testing.TB, s *Store, rng *rand.Rand, blobs int) []stored {
	tb.Helper()
	pending := make([]*Pending, blobs)
	out := make([]stored, blobs)
	for i := range out {
		top := []int{300, 9000, 70 << 10, 400 << 10, 4 << 20}[rng.IntN(5)]
		out[i].data = pattern(1+rng.IntN(top), rng.Uint64())
		pending[i] = submit(tb, s, out[i].data)
		if i%16 == 15 {
			if _, err := pending[i].Wait(tb.Context()); err != nil {
				tb.Fatal(err)
			}
		}
	}
	for i, p := range pending {
		placed, err := p.Wait(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		p.Done()
		out[i].placed = placed
	}
	return out
}

func TestRoundTripOnAllSchemes(t *testing.T) {
	for _, disks := range []int{1, 2, 3, 4, 6, 9, 12} {
		for _, smallest := range []int{4096, 0} {
			t.Run(fmt.Sprintf("%s/%d", SchemeFor(disks), smallest), func(t *testing.T) {
				w := newWorld(t, disks)
				s := w.open(t, Options{MinColumn: smallest})
				rng := rand.New(rand.NewPCG(uint64(disks), 3))
				blobs := mix(t, s, rng, 30)
				for _, b := range blobs {
					mustRead(t, s, b.placed.Extent, b.data)
					e := b.placed.Extent
					if e.Length <= unsplit && e.Start/e.Height != (e.Start+e.Length-1)/e.Height {
						t.Errorf("blob of %d bytes is split: %+v", e.Length, e)
					}
				}
				degraded := s.Status().Degraded
				closeStore(t, s) // a buffer is freed after its write is acknowledged
				if st := s.Status(); degraded || st.BufferMemory != 0 || st.ReadMemory != 0 {
					t.Errorf("degraded %v, status %+v", degraded, st)
				}
			})
		}
	}
}

func TestRangesAgainstModel(t *testing.T) {
	w := newWorld(t, 6)
	s := w.open(t, Options{})
	defer closeStore(t, s)
	rng := rand.New(rand.NewPCG(4, 4))
	blobs := mix(t, s, rng, 40)
	for range 150 {
		var list []Segment
		var want []byte
		for range 1 + rng.IntN(4) {
			b := blobs[rng.IntN(len(blobs))]
			from := rng.IntN(len(b.data))
			n := rng.IntN(len(b.data) - from + 1)
			list = append(list, Segment{b.placed.Extent, int64(from), int64(n)})
			want = append(want, b.data[from:from+n]...)
		}
		got, err := read(t, s, list...)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%+v: wrong bytes or %v", list, err)
		}
		r := s.NewReader(t.Context(), segments(list...))
		got, err = io.ReadAll(io.MultiReader(io.LimitReader(onlyReader{r}, 100), onlyReader{r}))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("Read of %+v: wrong bytes or %v", list, err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if st := s.Status(); st.ReadMemory != 0 {
		t.Errorf("%d bytes of read memory leaked", st.ReadMemory)
	}
}

type onlyReader struct{ io.Reader }

func TestReaderStopsEarly(t *testing.T) {
	w := newWorld(t, 6)
	s := w.open(t, Options{})
	defer closeStore(t, s)
	data := pattern(4<<20, 1)
	e := put(t, s, data).Extent
	boom := errors.New("boom")
	r := s.NewReader(t.Context(), segments(whole1(e)))
	if _, err := r.WriteTo(failingWriter{boom}); !errors.Is(err, boom) {
		t.Errorf("WriteTo: %v", err)
	}
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		t.Error(err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
	if st := s.Status(); st.ReadMemory != 0 {
		t.Errorf("%d bytes of read memory leaked", st.ReadMemory)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestReaderRefusesNonsense(t *testing.T) {
	w := newWorld(t, 3)
	s := w.open(t, Options{})
	defer closeStore(t, s)
	good := put(t, s, pattern(1000, 1)).Extent
	edit := func(f func(*metadata.Extent)) Segment {
		e := good
		f(&e)
		return whole1(e)
	}
	for name, c := range map[string]struct {
		Segment
		want error
	}{
		"past the end":      {Segment{good, 1, 1000}, ErrInvalid},
		"negative":          {Segment{good, -1, 1}, ErrInvalid},
		"no height":         {edit(func(e *metadata.Extent) { e.Height = 0 }), ErrInvalid},
		"not aligned":       {edit(func(e *metadata.Extent) { e.Stripe++ }), ErrInvalid},
		"too many columns":  {edit(func(e *metadata.Extent) { e.Start = 9 * e.Height }), ErrInvalid},
		"unknown partition": {edit(func(e *metadata.Extent) { e.Partition++ }), ErrGone},
		"nothing there":     {edit(func(e *metadata.Extent) { e.Stripe += 1 << 20 }), ErrUnreadable},
		"other height":      {edit(func(e *metadata.Extent) { e.Height += 64 }), ErrUnreadable},
	} {
		if got, err := read(t, s, c.Segment); !errors.Is(err, c.want) || len(got) > 0 {
			t.Errorf("%s: %d bytes and %v", name, len(got), err)
		}
	}
}

func TestBatchesShareStripes(t *testing.T) {
	w := newWorld(t, 6)
	s := w.open(t, Options{})
	defer closeStore(t, s)
	put(t, s, pattern(100, 0)) // opens the partition
	hold := make(chan struct{})
	for _, d := range w.disks {
		d.Delay(hold)
	}
	var pending []*Pending
	for i := range 200 {
		pending = append(pending, submit(t, s, pattern(4096, uint64(i))))
	}
	before := s.Status().Counters.Stripes
	close(hold)
	var wg sync.WaitGroup
	for i, p := range pending {
		wg.Go(func() {
			placed, err := p.Wait(t.Context())
			p.Done()
			if err != nil {
				t.Error(err)
				return
			}
			mustRead(t, s, placed.Extent, pattern(4096, uint64(i)))
		})
	}
	wg.Wait()
	if n := s.Status().Counters.Stripes - before; n > 5 {
		t.Errorf("200 blobs that came at once took %d stripes", n)
	}
}

func TestDirectoryLiesInTheStripe(t *testing.T) {
	w := newWorld(t, 4)
	s := w.open(t, Options{MinColumn: 4096})
	defer closeStore(t, s)
	for _, size := range []int{10, 5000, 66000, 1 << 20} {
		p := put(t, s, pattern(size, 9))
		v, err := s.views.get(t.Context(), p.Extent.Partition)
		if err != nil {
			t.Fatal(err)
		}
		h, err := v.header(t.Context(), shardOf(0, p.Extent.Stripe, v.k), p.Extent.Stripe)
		if err != nil {
			t.Fatal(err)
		}
		content := metadata.Extent{
			Partition: p.Extent.Partition, Stripe: p.Extent.Stripe, Height: h.Height,
			Start: h.Used - h.Directory, Length: h.Directory,
		}
		d, err := read(t, s, whole1(content))
		if err != nil {
			t.Fatal(err)
		}
		entries, err := ParseDirectory(d, h.Used-h.Directory)
		if err != nil || len(entries) != 1 {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
		if e := entries[0]; e.Start != p.Extent.Start || e.Length != p.Extent.Length || e.Key != "0000000000000001/some/key" {
			t.Errorf("entry %+v for extent %+v", e, p.Extent)
		}
	}
}

func TestConcurrentWritersAndReaders(t *testing.T) {
	w := newWorld(t, 6)
	s := w.open(t, Options{BufferMemory: 24 << 20})
	defer closeStore(t, s)
	var wg sync.WaitGroup
	for g := range 12 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 7))
			for range 8 {
				data := pattern(1+rng.IntN([]int{5000, 90 << 10, 900 << 10}[rng.IntN(3)]), rng.Uint64())
				mustRead(t, s, put(t, s, data).Extent, data)
			}
		})
	}
	wg.Wait()
	for _, p := range s.Status().Partitions {
		if p.Held != 0 {
			t.Errorf("%d blobs held after Done", p.Held)
		}
	}
}

func TestSubmitRefuses(t *testing.T) {
	w := newWorld(t, 1)
	s := w.open(t, Options{})
	for name, c := range map[string]struct {
		blob Blob
		n    int
	}{
		"no bytes":       {Blob{}, 0},
		"too many bytes": {Blob{}, smallBuffer + 1},
		"long key":       {Blob{Key: string(make([]byte, maxKey+1))}, 1},
		"long version":   {Blob{Version: string(make([]byte, maxVersion+1))}, 1},
	} {
		buf, err := s.Buffer(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		p := s.Submit(t.Context(), c.blob, buf, c.n)
		if _, err := p.Wait(t.Context()); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		p.Done()
	}
	closeStore(t, s)
	buf, err := s.Buffer(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Submit(t.Context(), Blob{}, buf, 1).Wait(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if st := s.Status(); st.BufferMemory != 0 {
		t.Errorf("%d bytes of buffers leaked", st.BufferMemory)
	}
}
