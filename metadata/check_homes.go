package metadata

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/undercroft/undercroft/metadata/kv"
)

// idRange are the ids whose first 8 bytes are in [from, to].
type idRange struct{ from, to uint64 }

func (r idRange) has(id DataID) bool {
	n := binary.BigEndian.Uint64(id[:])
	return n >= r.from && n <= r.to
}

// rows are the rows of a table that is keyed by id.
func (r idRange) rows(s keyspace, tag byte) kv.Range {
	rng := s.all(tag)
	rng.Begin = u64(s.tag(tag, 8), r.from)
	if r.to != 1<<64-1 {
		rng.End = u64(s.tag(tag, 8), r.to+1)
	}
	return rng
}

// homes checks that every id has an owner, in passes over ranges of ids that
// fit into memory.
func (c *checker) homes(ctx context.Context) error {
	for _, ids := range passesOf(c.claims, c.maxHomes) {
		p := &homePass{checker: c, ids: ids, claims: make(map[claim]int)}
		if err := p.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// passesOf cuts all ids into ranges with about most of the claims each.
func passesOf(claims, most int64) []idRange {
	out := make([]idRange, claims/most+1)
	width := (1<<64-1)/uint64(len(out)) + 1 // 0, all ids, for one pass
	for i := range out {
		out[i] = idRange{from: uint64(i) * width, to: uint64(i+1)*width - 1}
	}
	out[len(out)-1].to = 1<<64 - 1
	return out
}

// homePass holds one range of ids against the claims on them.
type homePass struct {
	*checker
	ids    idRange
	claims map[claim]int // how often each was made
	lacks  []lack
}

// lack is a claim that some row needs and nobody made; check is what looks at
// the row again.
type lack struct {
	problem ProblemKind
	id      DataID
	key     []byte
	detail  string
	check   func(*homePass, *pageCheck, kv.Pair) error
}

func (p *homePass) run(ctx context.Context) error {
	if err := p.gather(ctx, p.ids.has, p.claims); err != nil {
		return err
	}
	keys := p.db.keys
	for _, table := range []struct {
		rows  kv.Range
		check rowCheck
	}{
		{p.ids.rows(keys, tagExtents), p.needsHome},
		{p.ids.rows(keys, tagManifest), p.needsHome},
		{p.ids.rows(keys, tagOwner), p.needsPin},
		{keys.all(tagRef), p.needsExtent},
	} {
		if err := p.walkApart(ctx, table.rows, table.check); err != nil {
			return err
		}
	}
	if err := p.confirmLacks(ctx); err != nil {
		return err
	}
	return p.duplicates(ctx)
}

func (p *homePass) need(c *pageCheck, made claim, l lack) {
	if p.claims[made] == 0 {
		l.id, l.key = made.id(), bytes.Clone(l.key)
		c.then(func() { p.lacks = append(p.lacks, l) })
	}
}

// needsHome checks ids in E or Y, at the first of their rows.
func (p *homePass) needsHome(c *pageCheck, row kv.Pair) error {
	id, _, err := c.idKey(row.Key)
	if err != nil {
		return nil //nolint:nilerr // rows reports it
	}
	tag := row.Key[len(c.keys.root)]
	before, err := c.endOf(tag, id, bytes.Clone(row.Key))
	if err != nil || before >= 0 {
		return err
	}
	accounted, err := c.accounted(id)
	if err != nil || accounted {
		return err
	}
	home, detail := newClaim(claimData, id, nil), "no row is the home of this data"
	if tag == tagManifest {
		home, detail = newClaim(claimManifest, id, nil), "no object is the home of this manifest"
	}
	p.need(c, home, lack{problem: OrphanData, key: row.Key, detail: detail, check: (*homePass).needsHome})
	return nil
}

// accounted says that an id needs no home: it is being written, or its home is
// known to be gone.
func (c *pageCheck) accounted(id DataID) (bool, error) {
	for _, key := range [][]byte{c.keys.intent(id), c.keys.homeGone(id)} {
		v, err := c.get(key)
		if err != nil || v != nil {
			return v != nil, err
		}
	}
	return false, nil
}

// needsPin checks rows K of parts.
func (p *homePass) needsPin(c *pageCheck, row kv.Pair) error {
	id, suffix, err := c.idKey(row.Key)
	if err != nil {
		return nil //nolint:nilerr // rows reports it
	}
	if o, err := parseOwner(suffix); err != nil || o.Kind != OwnerPart {
		return nil //nolint:nilerr // rows reports it
	}
	p.need(c, newClaim(claimPin, id, suffix), lack{problem: OrphanPin, key: row.Key, detail: "no part has a slice with this owner", check: (*homePass).needsPin})
	return nil
}

// needsExtent checks references of ids without rows E.
func (p *homePass) needsExtent(c *pageCheck, row kv.Pair) error {
	at, id, err := c.keys.parseRef(row.Key)
	if err != nil || !p.ids.has(id) {
		return nil //nolint:nilerr // rows reports it
	}
	end, err := c.endOf(tagExtents, id, nil)
	if err == nil && end < 0 {
		p.need(c, extentClaim(id, at), lack{
			problem: OrphanRef, key: row.Key, detail: "no row names an extent of the id in this stripe", check: (*homePass).needsExtentOrRow,
		})
	}
	return err
}

// needsExtentOrRow checks such a reference again: meanwhile the extents may
// have moved from the row of an object to rows E, after checkRef looked there.
func (p *homePass) needsExtentOrRow(c *pageCheck, row kv.Pair) error {
	at, id, err := c.keys.parseRef(row.Key)
	if err == nil {
		err = c.refInRows(at, id, row.Key)
	}
	if err != nil {
		return err
	}
	return p.needsExtent(c, row)
}

// confirmLacks gathers the claims again and then checks the rows that lacked
// one, each at one version, and reports what is still lacking. A claim that was
// there during all of the gathering has been found; for one that was given up,
// the row says so by now, or has gone.
func (p *homePass) confirmLacks(ctx context.Context) error {
	if len(p.lacks) == 0 {
		return nil
	}
	suspects := make(map[DataID]struct{}, len(p.lacks))
	for _, l := range p.lacks {
		suspects[l.id] = struct{}{}
	}
	again := &homePass{checker: p.checker, ids: p.ids, claims: make(map[claim]int)}
	err := again.gather(ctx, func(id DataID) bool { _, ok := suspects[id]; return ok }, again.claims)
	if err != nil {
		return err
	}
	for i := range p.lacks {
		if err := again.confirm(ctx, &p.lacks[i]); err != nil {
			return err
		}
	}
	for _, l := range again.lacks {
		p.tell(Problem{Kind: l.problem, Key: readableKey(p.db.keys, l.key), Detail: l.detail})
	}
	return nil
}

// confirm checks the row of a lack again, if that is still there.
func (p *homePass) confirm(ctx context.Context, l *lack) error {
	var page *pageCheck
	err := p.view(ctx, func(r *Reader) error {
		page = p.newPage(r)
		v, err := r.get(l.key)
		if err == nil && v != nil {
			err = l.check(p, page, kv.Pair{Key: l.key, Value: v})
		}
		if err != nil {
			err = page.corrupt(l.key, err)
		}
		return err
	})
	if err == nil {
		p.merge(page)
	}
	return err
}

// duplicates reports ids with two homes. Claims that were seen twice because
// they moved are told apart by reading both rows at one version.
func (p *homePass) duplicates(ctx context.Context) error {
	suspects := make(map[claim][][]byte)
	for c, n := range p.claims {
		if n > 1 && (c[0] == claimData || c[0] == claimManifest) {
			suspects[c] = nil
		}
	}
	if len(suspects) == 0 {
		return nil
	}
	err := p.eachClaim(ctx, func(key []byte, made []claim) {
		for _, m := range made {
			if keys, ok := suspects[m]; ok && !slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) }) {
				suspects[m] = append(keys, key)
			}
		}
	})
	if err != nil {
		return err
	}
	for c, keys := range suspects {
		if err := p.duplicate(ctx, c, keys); err != nil {
			return err
		}
	}
	return nil
}

func (p *homePass) duplicate(ctx context.Context, c claim, keys [][]byte) error {
	var claimants [][]byte
	err := p.view(ctx, func(r *Reader) error {
		claimants = nil
		for _, key := range keys {
			v, err := r.get(key)
			if err != nil {
				return err
			}
			if v != nil && slices.Contains(claimsOf(key[len(p.db.keys.root)], v), c) {
				claimants = append(claimants, key)
			}
		}
		return nil
	})
	if err == nil && len(claimants) > 1 {
		id := c.id()
		p.tell(Problem{
			Kind: DuplicateHome, Key: readableKey(p.db.keys, claimants[0]),
			Detail: fmt.Sprintf("id %x has another home in %s", id[:], readableKey(p.db.keys, claimants[1])),
		})
	}
	return err
}
