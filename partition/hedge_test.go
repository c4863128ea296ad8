package partition

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// A disk that hangs is overtaken at once while the budget for that lasts, and
// passed over as soon as it is known.
func TestHungDiskIsOvertakenAndThenPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, Scheme{4, 2}, 600_000)
		b.must(t, 20*time.Millisecond)
		victim := b.on(1)
		victim.hang()
		b.must(t, 60*time.Millisecond)
		st := b.s.Status().Counters
		if st.Hedged == 0 || st.HedgesWon != st.Hedged || st.HedgesRefused != 0 {
			t.Errorf("counters %+v", st)
		}
		<-time.After(readPatience) // it has not answered since
		before := victim.reads.Load()
		for range 100 {
			b.must(t, 20*time.Millisecond)
		}
		if n := victim.reads.Load() - before; n != 0 {
			t.Errorf("asked %d times while it hangs", n)
		}
		if n := b.s.damages.len(); n != 0 {
			t.Errorf("%d shards reported as damaged", n)
		}
		// Asked again after a while, by one reader.
		<-time.After(minQuiet)
		for range 10 {
			b.must(t, 20*time.Millisecond)
		}
		if n := victim.reads.Load() - before; n != 1 {
			t.Errorf("asked %d times when its time had come", n)
		}
		victim.wake()
		<-time.After(time.Second)
		before = victim.reads.Load()
		b.must(t, 20*time.Millisecond)
		if victim.reads.Load() == before {
			t.Error("not asked after it woke up")
		}
		b.end(t)
	})
}

// However many readers meet a disk that hangs, so many reads of it are under way
// at most, and everybody is served.
func TestReadsOfAHungDiskAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, Scheme{4, 2}, 600_000)
		victim := b.on(0)
		victim.hang()
		var wg sync.WaitGroup
		for range 3 * readSlots {
			wg.Go(func() { b.must(t, 3*readPatience) })
		}
		wg.Wait()
		if n := victim.most.Load(); n == 0 || n > readSlots {
			t.Errorf("%d reads at a time", n)
		}
		if st := b.s.Status().Counters; st.Hedged > hedgeBurst+3*readSlots/hedgeShare || st.HedgesRefused == 0 {
			t.Errorf("counters %+v", st)
		}
		b.end(t)
	})
}

func TestMoreThanParityHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, Scheme{4, 2}, 600_000)
		for column := range 3 {
			b.on(column).hang()
		}
		for range 5 {
			took, err := b.try(t)
			if !errors.Is(err, ErrOverloaded) || took > readTimeout+time.Second {
				t.Errorf("after %s: %v", took, err)
			}
		}
		if n := b.s.damages.len(); n != 0 {
			t.Errorf("%d shards reported as damaged", n)
		}
		b.on(2).wake()
		<-time.After(maxQuiet)
		b.must(t, readTimeout)
		b.end(t)
	})
}

func TestHungDiskWithoutParity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, Scheme{1, 0}, 50_000)
		b.on(0).hang()
		if took, err := b.try(t); !errors.Is(err, ErrOverloaded) || took != readTimeout {
			t.Errorf("after %s: %v", took, err)
		}
		b.on(0).wake()
		b.must(t, 10*time.Millisecond)
		b.end(t)
	})
}

// What reads found, writers and jobs heed.
func TestDiskThatDoesNotAnswerReadsIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, Scheme{2, 1}, 600_000)
		victim := b.on(0)
		d := b.s.disks.get(metadata.DiskID(victim.ID()))
		victim.hang()
		for !d.reads.hangs(time.Now()) {
			b.must(t, readTimeout)
			<-time.After(time.Second)
		}
		if !d.hangs(time.Now()) || !errors.Is(d.usable(time.Now()), errSlow) {
			t.Error("still in use")
		}
		if err := b.s.attend(d, func() error { return nil }); !errors.Is(err, errSlow) {
			t.Errorf("asked: %v", err)
		}
		victim.wake()
		<-time.After(time.Second)
		if err := d.usable(time.Now()); err != nil {
			t.Errorf("after it woke up: %v", err)
		}
		b.end(t)
	})
}

func TestSlowDiskIsHedged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, Scheme{4, 2}, 600_000)
		for range 100 {
			b.must(t, 20*time.Millisecond)
		}
		b.on(2).set(400*time.Millisecond, nil)
		for range hedgeBurst {
			b.must(t, 70*time.Millisecond)
		}
		st := b.s.Status().Counters
		if st.Hedged < hedgeBurst || st.HedgesWon != st.Hedged || st.ReadsGivenUp != 0 {
			t.Errorf("counters %+v", st)
		}
		if st.Missing+st.Corrupt != 0 || b.s.damages.len() != 0 {
			t.Error("slowness is taken for damage")
		}
		b.end(t)
	})
}

// Where all disks are slow, reads are not made more.
func TestSlowMachineIsNotHedgedMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, Scheme{4, 2}, 600_000)
		for range 50 {
			b.must(t, 20*time.Millisecond)
		}
		for _, d := range b.devices {
			d.set(300*time.Millisecond, nil)
		}
		const reads = 400
		for range reads {
			b.must(t, 10*time.Second)
		}
		chunks := int64(reads * 4)
		if st := b.s.Status().Counters; st.Hedged > hedgeBurst+chunks/hedgeShare {
			t.Errorf("%d of %d hedged", st.Hedged, chunks)
		}
		settled := b.s.Status().Counters.Hedged
		for range 20 {
			b.must(t, 10*time.Second)
		}
		if st := b.s.Status().Counters; st.Hedged != settled {
			t.Errorf("%d more hedged though this is usual by now", st.Hedged-settled)
		}
		b.end(t)
	})
}

// Where more reads come than a disk can do, they are refused, and not done from
// other disks instead.
func TestReadsOfABusyDiskAreNotMultiplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, Scheme{4, 2}, 9000)
		for _, d := range b.devices {
			d.set(time.Second, nil)
		}
		const readers = 12 * readSlots
		var served, refused atomic.Int64
		var wg sync.WaitGroup
		for range readers {
			wg.Go(func() {
				switch took, err := b.try(t); {
				case err == nil:
					served.Add(1)
				case errors.Is(err, ErrOverloaded) && took < readTimeout:
					refused.Add(1)
				default:
					t.Errorf("after %s: %v", took, err)
				}
			})
		}
		wg.Wait()
		if served.Load() < 4*readSlots || refused.Load() == 0 {
			t.Errorf("%d served, %d refused", served.Load(), refused.Load())
		}
		other := int64(0)
		for column := 1; column < 6; column++ {
			other += b.on(column).reads.Load()
		}
		if limit := int64(hedgeBurst + readers/hedgeShare); other > 2*limit {
			t.Errorf("%d reads of other disks, %d may be hedged", other, limit)
		}
		b.end(t)
	})
}

// A reader of a whole stripe reads each survivor once, and parity.
func TestSurvivorsAreReadOnce(t *testing.T) {
	for lost := range 4 {
		synctest.Test(t, func(t *testing.T) {
			b := newRig(t, Scheme{4, 2}, 4<<20-1000)
			b.must(t, time.Second)
			b.disk(metadata.DiskID(b.on(lost).ID())).Lose(shardID(b.row.ID, shardOf(lost, b.extent.Stripe, 4)))
			b.must(t, time.Second)
			var before [6]int64
			for c := range before {
				before[c] = b.on(c).reads.Load()
			}
			b.must(t, time.Second)
			chunks := int64(blobd.BlockCount(b.extent.Height)+chunkBlocks-1) / chunkBlocks
			for c := range before {
				n, want := b.on(c).reads.Load()-before[c], chunks
				switch {
				case c == lost, c == 5:
					want = 0
				case c < lost:
					want = 2 * chunks // they were handed out before
				}
				if n != want {
					t.Errorf("without column %d: column %d was read %d times", lost, c, n)
				}
			}
			b.end(t)
		})
	}
}

func TestBackgroundReadsAreNotHedged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, Scheme{4, 2}, 600_000)
		b.must(t, 20*time.Millisecond)
		before := b.reads(1).usual[largeRead].Load() + b.reads(1).usual[smallRead].Load()
		b.on(1).set(readPatience+time.Second, nil)
		start := time.Now()
		r := b.s.NewReader(t.Context(), segments(whole1(b.extent))).inBackground()
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, b.data) || time.Since(start) < readPatience+time.Second {
			t.Errorf("%d bytes in %s, %v", len(got), time.Since(start), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		v := b.s.readView(b.row)
		if err := b.s.verifyStripe(t.Context(), v, b.extent.Stripe, map[int]bool{}); err != nil {
			t.Error(err)
		}
		if st := b.s.Status().Counters; st.Hedged+st.HedgesRefused+st.Reconstructed != 0 {
			t.Errorf("counters %+v", st)
		}
		if after := b.reads(1).usual[largeRead].Load() + b.reads(1).usual[smallRead].Load(); after != before {
			t.Errorf("what is usual went from %d to %d", before, after)
		}
		b.end(t)
	})
}

// Verification, as seal, repair and scrub use it, does not wait for ever.
func TestVerificationGivesAHungDiskUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, Scheme{4, 2}, 3<<20)
		b.on(3).hang()
		bad := map[int]bool{}
		start := time.Now()
		err := b.s.verifyStripe(t.Context(), b.s.readView(b.row), b.extent.Stripe, bad)
		if took := time.Since(start); took > 2*readTimeout {
			t.Errorf("took %s", took)
		}
		if !errors.Is(err, errSlow) || errors.Is(err, ErrUnreadable) || len(bad) > 0 {
			t.Errorf("%v are bad, %v", bad, err)
		}
		f, err := b.s.rebuildFrame(t.Context(), b.s.readView(b.row), shardOf(3, b.extent.Stripe, 4), b.extent.Stripe,
			func(context.Context, int64) error { return nil })
		if err != nil || f == nil || !bytes.HasPrefix(f.payload.b, b.data[3*b.extent.Height:]) {
			t.Errorf("rebuilt %v, %v", f, err)
		}
		// Nothing is lost because disks do not answer: repair must not believe it.
		b.on(0).hang()
		b.on(1).hang()
		_, err = b.s.rebuildFrame(t.Context(), b.s.readView(b.row), shardOf(3, b.extent.Stripe, 4), b.extent.Stripe,
			func(context.Context, int64) error { return nil })
		if !errors.Is(err, errSlow) || errors.Is(err, ErrUnreadable) {
			t.Errorf("rebuilt without half of the disks: %v", err)
		}
		b.end(t)
	})
}

func TestCloseWhileReadsHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, Scheme{4, 2}, 4<<20)
		for _, d := range b.devices {
			d.hang()
		}
		ctx, cancel := context.WithCancel(t.Context())
		r := b.s.NewReader(ctx, segments(whole1(b.extent)))
		failed := make(chan error)
		go func() {
			_, err := r.WriteTo(io.Discard)
			failed <- err
		}()
		synctest.Wait()
		start := time.Now()
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		closeStore(t, b.s)
		if took := time.Since(start); took != 0 {
			t.Errorf("took %s", took)
		}
		b.end(t)
	})
}

func TestCloseWhileAheadHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, Scheme{4, 2}, 4<<20)
		r := b.s.NewReader(t.Context(), segments(whole1(b.extent)))
		if _, err := r.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		for _, d := range b.devices {
			d.hang()
		}
		if _, err := io.CopyN(io.Discard, r, 600<<10); err != nil {
			t.Fatal(err) // the chunk that was read before
		}
		synctest.Wait()
		start := time.Now()
		if err := r.Close(); err != nil || time.Since(start) != 0 {
			t.Errorf("closed after %s: %v", time.Since(start), err)
		}
		b.end(t)
	})
}

func TestWhatIsUsualIsTheNinetyFifth(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var r diskReads
	for range 5000 {
		r.note(smallRead, time.Duration(rng.IntN(100_000))*time.Microsecond)
	}
	sum := time.Duration(0)
	for range 5000 {
		r.note(smallRead, time.Duration(rng.IntN(100_000))*time.Microsecond)
		sum += time.Duration(r.usual[smallRead].Load())
	}
	if p95 := sum / 5000; p95 < 85*time.Millisecond || p95 > 100*time.Millisecond {
		t.Errorf("of up to 100 ms: %s", p95)
	}
	for range 400 {
		r.note(smallRead, 0)
	}
	if u := time.Duration(r.usual[smallRead].Load()); u > time.Millisecond || u <= 0 {
		t.Errorf("after the disk became fast: %s", u)
	}
}

func TestHedgesAreAShare(t *testing.T) {
	var h hedges
	n := 0
	for h.take() {
		n++
	}
	if n != hedgeBurst {
		t.Errorf("%d at once", n)
	}
	n = 0
	for range 1000 {
		h.earn()
		if h.take() {
			n++
		}
	}
	if n != 1000/hedgeShare {
		t.Errorf("%d of 1000", n)
	}
}

// Any mixture of faults on at most m disks: the right bytes. On more: these or
// an error, in a bounded time.
func TestReadsUnderRandomFaults(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			sc := []Scheme{{1, 1}, {1, 2}, {2, 2}, {4, 2}, {6, 3}}[rng.IntN(5)]
			b := newRig(t, sc, []int{9000, 70_000, 600_000, 4<<20 - 1000}[rng.IntN(4)])
			victims := rng.Perm(sc.K + sc.M)[:rng.IntN(sc.M+2)]
			for _, i := range victims {
				b.fault(t, rng, i)
			}
			for range 4 {
				r := rng.Int64N(int64(b.extent.Length))
				n := 1 + rng.Int64N(int64(b.extent.Length)-r)
				start := time.Now()
				got, err := read(t, b.s, Segment{b.extent, r, n})
				took := time.Since(start)
				if err == nil && !bytes.Equal(got, b.data[r:r+n]) {
					t.Errorf("seed %d: wrong bytes", seed)
				}
				if err != nil && len(victims) <= sc.M {
					t.Errorf("seed %d: %s without %v: %v", seed, sc, victims, err)
				}
				if took > readTimeout+readPatience+time.Second {
					t.Errorf("seed %d: took %s", seed, took)
				}
			}
			b.end(t)
		})
	}
}
