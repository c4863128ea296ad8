package partition

import (
	"context"
	"time"

	"github.com/undercroft/undercroft/blobd"
)

// Breather lets requests in between the pieces that bulk work in the background is
// cut into.
type Breather interface {
	// Busy reports whether requests move: pieces are to be small then.
	Busy() bool
	// Breathe is called after each piece with how long that took. It returns when the
	// next one may begin, or why there is none.
	Breathe(ctx context.Context, took time.Duration) error
}

type breatherKey struct{}

// WithBreather returns a context whose bulk work breathes.
func WithBreather(ctx context.Context, b Breather) context.Context {
	return context.WithValue(ctx, breatherKey{}, b)
}

// busyBlocks are the blocks of one column that a piece is made of while requests
// move: with those of the other columns a tenth of a millisecond of work. What runs that
// long delays requests no more than they delay each other.
const busyBlocks = 1

// breath cuts the work of one goroutine into pieces.
type breath struct {
	by    Breather // nil: the work is not cut
	begun time.Time
}

// breathing begins a piece.
func breathing(ctx context.Context) breath {
	by, ok := ctx.Value(breatherKey{}).(Breather)
	if !ok {
		return breath{}
	}
	return breath{by: by, begun: time.Now()}
}

// blocks is how many blocks of a column the next piece may have.
func (b *breath) blocks() uint32 {
	if b.by != nil && b.by.Busy() {
		return busyBlocks
	}
	return chunkBlocks
}

// take ends a piece and begins the next one.
func (b *breath) take(ctx context.Context) error {
	if b.by == nil {
		return ctx.Err()
	}
	err := b.by.Breathe(ctx, time.Since(b.begun))
	b.begun = time.Now()
	return err
}

// inParts writes a frame in pieces whose places are aligned, and rests between them.
func (b *breath) inParts(ctx context.Context, frame [][]byte, write func(offset int64, part [][]byte) error) error {
	for at := int64(0); len(frame) > 0; {
		size := int64(b.blocks()) * blobd.BlockSize
		var part [][]byte
		part, frame = cut(frame, size)
		if err := write(at, part); err != nil {
			return err
		}
		if err := b.take(ctx); err != nil {
			return err
		}
		at += size
	}
	return nil
}

// cut takes the first n bytes, or all where there are less, from a list of slices, which it
// leaves alone.
func cut(list [][]byte, n int64) (head, tail [][]byte) {
	for i, p := range list {
		if int64(len(p)) > n {
			return append(head, p[:n]), append([][]byte{p[n:]}, list[i+1:]...)
		}
		head, n = append(head, p), n-int64(len(p))
	}
	return head, nil
}
