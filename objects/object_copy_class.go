package objects

import (
	"context"
	"errors"
	"fmt"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
)

// changesClass reports whether the bytes of a source are kept in another storage class than
// the copy's.
func (c *copying) changesClass(from *metadata.Object) bool {
	return hasBytes(&from.Data) && from.Attributes.StorageClass != c.in.StorageClass
}

// relocate writes the bytes of the source, as they are, in the storage class of
// the copy, where that may have another and they are not encrypted anew.
func (c *copying) relocate(ctx context.Context) error {
	c.dropMoved(ctx)
	if !c.moves || c.plan.stored != nil {
		return nil
	}
	in := c.sourceInput()
	_, row, err := c.svc.look(ctx, &in, nil)
	if err != nil {
		return sourceError(err)
	}
	if !c.changesClass(row) {
		return nil
	}
	moved := &relocation{svc: c.svc, bucket: c.target, key: string(c.in.Key), class: c.in.StorageClass, from: row}
	if err := moved.run(ctx); err != nil {
		if errors.Is(err, partition.ErrGone) {
			err = fmt.Errorf("%w: %w", errSourceMoved, err)
		}
		return err
	}
	c.moved = moved
	return nil
}

// useMoved gives the row of the copy the bytes that were written for it, in the
// transaction. A source that is another than theirs, or that shows to need such
// bytes, is tried again.
func (c *copying) useMoved(tx *metadata.Tx) (err error) {
	c.inline = nil // an earlier attempt may have seen an inline source
	if c.moved == nil {
		c.moves = true
		return errSourceMoved
	}
	if seen := c.moved.from; seen.Token != c.from.Token || seen.Data.ID != c.from.Data.ID {
		return errSourceMoved
	}
	c.row.Data, err = c.moved.publish(tx)
	return err
}

// dropMoved gives up bytes that were not published.
func (c *copying) dropMoved(ctx context.Context) {
	if c.moved != nil {
		c.moved.abandon(ctx, nil)
		c.moved = nil
	}
}

// endMoved gives up, or lets go of, the bytes of a copy that ended so, or that did not
// need them after all.
func (c *copying) endMoved(ctx context.Context, err error) {
	switch {
	case c.moved == nil:
	case err == nil && c.row.Data.ID == c.moved.id():
		c.moved.release()
	default:
		c.moved.abandon(ctx, err)
	}
	c.moved = nil
}
