package metadata

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/undercroft/undercroft/metadata/kv"
)

// A claim is what a row says it owns: a kind byte, the id, and for some kinds
// what makes it particular. Data ids do not name their owners, so Check
// gathers all claims on a range of ids and holds the ids against them.
type claim string

const (
	claimData     = 'd' // the home of a data id
	claimManifest = 'm' // the home of a manifest
	claimExtent   = 'x' // + partition8 stripe8: the home carries this extent itself
	claimPin      = 'p' // + owner: a slice of a part pins the id
)

func newClaim(kind byte, id DataID, particular []byte) claim {
	b := make([]byte, 0, 17+len(particular))
	b = append(append(b, kind), id[:]...)
	return claim(append(b, particular...))
}

func (c claim) id() DataID { return DataID([]byte(c[1:17])) }

func extentClaim(id DataID, at place) claim {
	return newClaim(claimExtent, id, u64(u64(nil, uint64(at.partition)), uint64(at.stripe)))
}

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

// lack is a claim that some row needs and nobody made.
type lack struct {
	claim   claim
	problem ProblemKind
	key     []byte
	detail  string
}

func (p *homePass) run(ctx context.Context) error {
	if err := p.gather(ctx, p.ids.has, p.claims); err != nil {
		return err
	}
	for tag, check := range map[byte]rowCheck{
		tagExtents: p.needsHome(claimData, "no row is the home of this data"), tagManifest: p.needsHome(claimManifest, "no object is the home of this manifest"),
		tagOwner: p.needsPin,
	} {
		if err := p.walk(ctx, p.ids.rows(p.db.keys, tag), check); err != nil {
			return err
		}
	}
	if err := p.walk(ctx, p.db.keys.all(tagRef), p.needsExtent); err != nil {
		return err
	}
	if err := p.confirmLacks(ctx); err != nil {
		return err
	}
	return p.duplicates(ctx)
}

// gather collects the claims on ids that want accepts. Tables are walked in
// the order in which claims move: from parts to manifests, from current to
// noncurrent versions.
func (p *homePass) gather(ctx context.Context, want func(DataID) bool, into map[claim]int) error {
	return p.eachClaim(ctx, func(_ []byte, made []claim) {
		for _, m := range made {
			if want(m.id()) {
				into[m]++
			}
		}
	})
}

func (p *homePass) eachClaim(ctx context.Context, fn func(key []byte, made []claim)) error {
	for _, tag := range []byte{tagPart, tagManifest, tagObject, tagVersion} {
		err := p.walk(ctx, p.db.keys.all(tag), func(c *pageCheck, row kv.Pair) error {
			unfinished, err := c.unfinished(tag, row.Key)
			if err != nil || unfinished {
				return err
			}
			key, made := bytes.Clone(row.Key), claimsOf(tag, row.Value)
			c.then(func() { fn(key, made) })
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unfinished says that a row is one of a manifest under an intent: it claims
// nothing, its slices belong to parts still. A released one keeps its claims
// until the collector has released its slices.
func (c *pageCheck) unfinished(tag byte, key []byte) (bool, error) {
	if tag != tagManifest {
		return false, nil
	}
	id, _, err := c.idKey(key)
	if err != nil {
		return false, err
	}
	v, err := c.get(c.keys.intent(id))
	return v != nil, err
}

// claimsOf are the claims of a row; a corrupt one claims nothing.
func claimsOf(tag byte, value []byte) []claim {
	switch tag {
	case tagPart:
		part, err := decodePart(value)
		if err != nil {
			return nil
		}
		return sliceClaims(nil, part.Slices)
	case tagManifest:
		parts, err := decodeManifest(value)
		if err != nil {
			return nil
		}
		var out []claim
		for i := range parts {
			out = sliceClaims(out, parts[i].Slices)
		}
		return out
	default:
		o, err := decodeObject(value)
		if err != nil || o.Data.Shared {
			return nil
		}
		return dataClaims(&o.Data)
	}
}

func sliceClaims(out []claim, of []Slice) []claim {
	for i := range of {
		if o := of[i].Owner; o != nil {
			out = append(out, newClaim(claimPin, of[i].ID, appendOwner(nil, o)))
			continue
		}
		out = append(out, newClaim(claimData, of[i].ID, nil))
	}
	return out
}

func dataClaims(d *Data) []claim {
	switch d.Kind {
	case DataEmpty, DataInline:
		return nil
	case DataRows:
		return []claim{newClaim(claimData, d.ID, nil)}
	case DataManifest:
		return []claim{newClaim(claimManifest, d.ID, nil)}
	case DataExtents:
	}
	out := []claim{newClaim(claimData, d.ID, nil)}
	for i := range d.Extents {
		out = append(out, extentClaim(d.ID, place{d.Extents[i].Partition, d.Extents[i].Stripe}))
	}
	return out
}

func (p *homePass) need(c *pageCheck, l lack) {
	if p.claims[l.claim] == 0 {
		l.key = bytes.Clone(l.key)
		c.then(func() { p.lacks = append(p.lacks, l) })
	}
}

// needsHome checks ids in E or Y, at the first of their rows.
func (p *homePass) needsHome(kind byte, detail string) rowCheck {
	return func(c *pageCheck, row kv.Pair) error {
		id, _, err := c.idKey(row.Key)
		if err != nil {
			return nil //nolint:nilerr // rows reports it
		}
		before, err := c.endOf(row.Key[len(c.keys.root)], id, bytes.Clone(row.Key))
		if err != nil || before >= 0 {
			return err
		}
		accounted, err := c.accounted(id)
		if err == nil && !accounted {
			p.need(c, lack{newClaim(kind, id, nil), OrphanData, row.Key, detail})
		}
		return err
	}
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
	p.need(c, lack{newClaim(claimPin, id, suffix), OrphanPin, row.Key, "no part has a slice with this owner"})
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
		p.need(c, lack{extentClaim(id, at), OrphanRef, row.Key, "no row names an extent of the id in this stripe"})
	}
	return err
}

// confirmLacks reports what is still lacking when the claims are gathered
// again, twice: a claim that moved against the order of the walk is found then.
func (p *homePass) confirmLacks(ctx context.Context) error {
	for range 2 {
		if len(p.lacks) == 0 {
			return nil
		}
		suspects := make(map[DataID]struct{}, len(p.lacks))
		for _, l := range p.lacks {
			suspects[l.claim.id()] = struct{}{}
		}
		found := make(map[claim]int)
		err := p.gather(ctx, func(id DataID) bool { _, ok := suspects[id]; return ok }, found)
		if err != nil {
			return err
		}
		if p.lacks, err = p.remaining(ctx, found); err != nil {
			return err
		}
	}
	for _, l := range p.lacks {
		p.tell(Problem{Kind: l.problem, Key: readableKey(p.db.keys, l.key), Detail: l.detail})
	}
	return nil
}

// remaining are the lacks that nobody claimed and whose row is still there,
// not accounted for otherwise.
func (p *homePass) remaining(ctx context.Context, found map[claim]int) ([]lack, error) {
	var out []lack
	for _, l := range p.lacks {
		if found[l.claim] > 0 {
			continue
		}
		keep := false
		err := p.view(ctx, func(r *Reader) error {
			v, err := r.get(l.key)
			if err != nil {
				return err
			}
			accounted := false
			if l.claim[0] == claimData || l.claim[0] == claimManifest {
				accounted, err = p.newPage(r).accounted(l.claim.id())
			}
			keep = v != nil && !accounted
			return err
		})
		if err != nil {
			return nil, err
		}
		if keep {
			out = append(out, l)
		}
	}
	return out, nil
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
