package steward

import (
	"context"
	"errors"
	"fmt"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
)

const (
	// class labels the steward's transactions. The metadata engine lets it write
	// when its disk is full.
	class = "collect"
	// collectScan is how many rows G a step looks at.
	collectScan = 256
	// collectBatch is how many of them one transaction decides on.
	collectBatch = 64
	// collectWrites bounds the extents and slices that one transaction frees;
	// the last row it takes may go past it.
	collectWrites = 1000
	// collectParts is how many parts of an upload are read at a time.
	collectParts = 64
)

// collect frees what rows G name and nothing owns.
type collect struct {
	base
	after metadata.DataID // where the walk over G is
	batch int             // rows of one transaction
}

// Name implements [Job].
func (*collect) Name() string { return "collect" }

// Step looks at the next rows G and frees what it can, in transactions of
// bounded size. An id that is too large for one stays under its row G and is met
// again.
func (c *collect) Step(ctx context.Context) (Progress, error) {
	var rows []metadata.Garbage
	err := c.db.View(ctx, class, func(r *metadata.Reader) (err error) {
		rows, err = r.Garbage(c.after, collectScan)
		return err
	})
	if err != nil {
		return Progress{}, fmt.Errorf("list garbage: %w", err)
	}
	p := Progress{More: len(rows) == collectScan}
	if c.after = (metadata.DataID{}); p.More {
		c.after = rows[len(rows)-1].ID
	}
	err = c.free(ctx, c.ripe(ctx, rows), &p)
	p.More = p.More || p.Done > 0
	return p, err
}

// ripe are the rows that have rested.
func (c *collect) ripe(ctx context.Context, rows []metadata.Garbage) []metadata.DataID {
	limit := c.opts.Now().Add(-c.opts.Grace)
	if c.opts.Grace > 0 && len(rows) > 0 && c.store.Short(ctx) {
		limit = limit.Add(c.opts.Grace)
	}
	var out []metadata.DataID
	for i := range rows {
		if !rows[i].Added.After(limit) {
			out = append(out, rows[i].ID)
		}
	}
	return out
}

// free works through ids. One that fails by itself is passed over, so that it
// does not stop the others; its error is returned in the end.
func (c *collect) free(ctx context.Context, ids []metadata.DataID, p *Progress) error {
	var errs []error
	for len(ids) > 0 {
		batch := ids[:min(len(ids), c.batch)]
		t, err := c.transact(ctx, batch)
		switch {
		case err == nil:
			c.count(&t)
			p.Done += t.done()
			ids = ids[t.finished:]
			c.batch = min(2*c.batch, collectBatch)
			if t.finished == 0 {
				p.More = true // the first is large: the next step goes on
				ids = ids[1:]
			}
		case !particular(err):
			return errors.Join(append(errs, err)...)
		case len(batch) > 1:
			c.batch = 1 // find out which one it is
		default:
			errs = append(errs, fmt.Errorf("free %x: %w", batch[0][:], err))
			ids = ids[1:]
		}
	}
	return errors.Join(errs...)
}

// particular reports whether an error may be that of one id of a batch.
func particular(err error) bool {
	for _, e := range []error{kv.ErrConflict, kv.ErrTooOld, kv.ErrTxTooLarge, metadata.ErrCorrupt, metadata.ErrInvalid} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// tally is what one transaction did.
type tally struct {
	finished              int // ids decided on, of the first of the batch on
	freed, kept           int64
	extents, bytes, parts int64
	slices                int64
}

func (t *tally) done() int { return int(t.freed + t.kept + t.extents + t.parts + t.slices) }

// room is what the transaction may still free.
func (t *tally) room() int { return collectWrites - int(t.extents+t.slices) }

func (c *collect) count(t *tally) {
	c.stats.collected.Add(t.freed)
	c.stats.kept.Add(t.kept)
	c.stats.extents.Add(t.extents)
	c.stats.bytes.Add(t.bytes)
	c.stats.parts.Add(t.parts)
}

func (c *collect) transact(ctx context.Context, ids []metadata.DataID) (t tally, err error) {
	err = c.db.Update(ctx, class, func(tx *metadata.Tx) error {
		t = tally{}
		for _, id := range ids {
			more, err := decide(tx, id, &t)
			if err != nil || more {
				return err
			}
			t.finished++
			if t.room() <= 0 {
				return nil
			}
		}
		return nil
	})
	return t, err
}

// decide frees an id, or as much of it as there is room for, if nothing owns
// it. Either way it clears the trigger once there is no more to free.
func decide(tx *metadata.Tx, id metadata.DataID, t *tally) (more bool, err error) {
	g, err := tx.GarbageRow(id)
	if err != nil || g == nil {
		return false, err
	}
	if g.Kind == metadata.GarbageUpload {
		return endUpload(tx, g, t)
	}
	owners, homeIsGone, err := tx.Owners(id, 1)
	if err != nil {
		return false, err
	}
	if !homeIsGone || len(owners) > 0 {
		t.kept++ // the last owner to go asks again
		return false, tx.DeleteGarbage(id)
	}
	if g.Kind == metadata.GarbageManifest {
		more, err = freeManifest(tx, id, t)
	} else {
		more, err = freeData(tx, id, t)
	}
	if err != nil || more {
		return more, err
	}
	t.freed++
	if err := tx.DeleteHomeGone(id); err != nil {
		return false, err
	}
	return false, tx.DeleteGarbage(id)
}

func freeData(tx *metadata.Tx, id metadata.DataID, t *tally) (more bool, err error) {
	freed, more, err := tx.FreeExtents(id, t.room())
	for i := range freed {
		t.extents++
		t.bytes += int64(freed[i].Length)
	}
	return more, err
}

func freeManifest(tx *metadata.Tx, id metadata.DataID, t *tally) (more bool, err error) {
	n, more, err := tx.FreeManifest(id, t.room())
	t.slices += int64(n)
	return more, err
}

// endUpload frees parts of an upload that was aborted. No part is added to it
// any more: its row is gone.
func endUpload(tx *metadata.Tx, g *metadata.Garbage, t *tally) (more bool, err error) {
	upload := metadata.UploadID(g.ID)
	parts, more, err := tx.Parts(g.Bucket, upload, 0, collectParts)
	if err != nil {
		return false, err
	}
	for i := range parts {
		if t.room() <= 0 {
			return true, nil
		}
		if err := tx.DeletePart(g.Bucket, upload, &parts[i]); err != nil {
			return false, err
		}
		t.parts++
		t.slices += int64(len(parts[i].Slices))
	}
	if more {
		return true, nil
	}
	t.freed++
	return false, tx.DeleteGarbage(g.ID)
}
