package partition

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/undercroft/undercroft/metadata"
)

const (
	// locateNear is how many rows E are looked through where an extent is
	// expected, and locatePage at a time where it is not.
	locateNear = 4
	locatePage = 512
	// maxCarriers bounds the keys of which it is known which noncurrent versions
	// carry their extents themselves.
	maxCarriers = 256
	// carriedPage is how many versions one transaction looks through: a key may have
	// any number of them.
	carriedPage = 4096
)

// locate finds out which row names each blob of a stripe that refs name, and
// what the directory says of it. What has gone meanwhile, and what the
// collector is about to free, is left out.
func (c *compaction) locate(ctx context.Context, stripe int64, refs []metadata.Ref, entries map[metadata.DataID][]Entry) (out []*moving, err error) {
	for _, ref := range refs {
		found, err := c.extents(ctx, stripe, ref.ID, entries[ref.ID])
		if err != nil {
			return nil, fmt.Errorf("locate data in the stripe at %d: %w", stripe, err)
		}
		out = append(out, found...)
	}
	return out, nil
}

// extents locates those of a data id in a stripe.
func (c *compaction) extents(ctx context.Context, stripe int64, id metadata.DataID, entries []Entry) (out []*moving, err error) {
	if len(entries) == 0 {
		return nil, nil // no writer of ours: it stays
	}
	home, ok := homeOf(entries[0].Key)
	if !ok {
		return nil, nil
	}
	found, err := c.inRows(ctx, stripe, id, entries)
	if err != nil {
		return nil, err
	}
	home.Ord, err = c.store.moves.carriers.ord(ctx, c.store.db, home, id)
	if err == nil && len(found) == 0 {
		found, err = c.carried(ctx, stripe, id, home)
	}
	if err != nil {
		return nil, err
	}
	for _, l := range found {
		e := entries[max(slices.IndexFunc(entries, func(e Entry) bool { return e.Start == l.Extent.Start }), 0)]
		out = append(out, &moving{
			id: id, home: home, offset: l.Offset, extent: l.Extent,
			blob: Blob{ID: id, Piece: e.Piece, Key: e.Key, Version: e.Version},
		})
	}
	return out, nil
}

// homeOf is the key that a blob was written for, as objects names it in the
// directory: the bucket in 16 hexadecimal digits, a slash, the key.
func homeOf(key string) (metadata.Home, bool) {
	if len(key) < 17 || key[16] != '/' {
		return metadata.Home{}, false
	}
	bucket, err := strconv.ParseUint(key[:16], 16, 64)
	return metadata.Home{Bucket: metadata.BucketID(bucket), Key: key[17:]}, err == nil
}

// inRows looks for extents in rows E: first where pieces of the usual sizes
// would be, then everywhere. It goes on until it has as many as the directory lists,
// or has seen all rows: pieces that were moved together may be in different ones, and the stripe
// has one reference for all. It finds none of an id that nothing owns any more.
func (c *compaction) inRows(ctx context.Context, stripe int64, id metadata.DataID, entries []Entry) (found []metadata.Located, err error) {
	released := false
	look := func(from int64, rows int) (next int64, err error) {
		err = c.store.db.View(ctx, class, func(r *metadata.Reader) error {
			page, n, err := r.FindExtents(id, c.view.id, stripe, from, rows)
			if err != nil {
				return err
			}
			owners, gone, err := r.Owners(id, 1)
			if err == nil {
				found, next, released = append(found, page...), n, gone && len(owners) == 0
			}
			return err
		})
		return next, err
	}
	walk := func(from int64, rows, pages int) error {
		found = nil
		for ; from >= 0 && pages > 0 && len(found) < len(entries) && !released && err == nil; pages-- {
			from, err = look(from, rows)
		}
		return err
	}
	if first := firstPiece(entries); first > 0 {
		for _, size := range []int64{largeBuffer, mediumBuffer} {
			if err := walk(first*size, locateNear, len(entries)); err != nil || len(found) == len(entries) && !released {
				return found, err
			}
		}
	}
	if err := walk(0, locatePage, math.MaxInt); err != nil || released {
		return nil, err
	}
	return found, nil
}

// firstPiece is the lowest number of the pieces.
func firstPiece(entries []Entry) int64 {
	return int64(slices.MinFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Piece, b.Piece) }).Piece)
}

// carried looks for extents in the row of a version.
func (c *compaction) carried(ctx context.Context, stripe int64, id metadata.DataID, home metadata.Home) (found []metadata.Located, err error) {
	var o *metadata.Object
	err = c.store.db.View(ctx, class, func(r *metadata.Reader) (err error) {
		o, err = r.Object(home.Bucket, home.Key)
		if err == nil && home.Ord != 0 && (o == nil || o.Data.ID != id) {
			o, err = r.Version(home.Bucket, home.Key, home.Ord)
		}
		return err
	})
	if err != nil || o == nil || o.Data.ID != id || o.Data.Kind != metadata.DataExtents {
		return nil, err
	}
	at := int64(0)
	for _, e := range o.Data.Extents {
		if e.Partition == c.view.id && e.Stripe == stripe {
			found = append(found, metadata.Located{Offset: at, Extent: e})
		}
		at += int64(e.Length)
	}
	return found, nil
}

// carriers remembers of some keys which noncurrent versions carry their
// extents themselves. No data id is ever added to those of a key, so what
// was read stays true enough: that a version is gone, the transaction finds. The
// zero value is ready. It is used by one goroutine at a time.
type carriers struct {
	keys map[metadata.Home]map[metadata.DataID]metadata.Ord
}

// ord is the order of the noncurrent version of a key that carries the extents
// of a data id, 0 where none does.
func (c *carriers) ord(ctx context.Context, db *metadata.DB, home metadata.Home, id metadata.DataID) (metadata.Ord, error) {
	known, ok := c.keys[home]
	if ok {
		return known[id], nil
	}
	known = map[metadata.DataID]metadata.Ord{}
	for below, more := metadata.Ord(0), true; more; more = below != 0 {
		err := db.View(ctx, class, func(r *metadata.Reader) error {
			page, next, err := r.Carried(home.Bucket, home.Key, below, carriedPage)
			maps.Copy(known, page)
			below = next
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	if c.keys == nil || len(c.keys) >= maxCarriers {
		c.keys = map[metadata.Home]map[metadata.DataID]metadata.Ord{}
	}
	c.keys[home] = known
	return known[id], nil
}
