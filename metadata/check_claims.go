package metadata

import (
	"bytes"
	"context"

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

// gather collects the claims on ids that want accepts. A claim that is there
// from before to after is found, wherever it moves meanwhile; one that moves
// may be found twice.
func (p *homePass) gather(ctx context.Context, want func(DataID) bool, into map[claim]int) error {
	return p.eachClaim(ctx, func(_ []byte, made []claim) {
		for _, m := range made {
			if want(m.id()) {
				into[m]++
			}
		}
	})
}

// eachClaim visits parts before manifests, because claims move from those to
// these, and both tables of versions together, because claims move either way
// between them.
func (p *homePass) eachClaim(ctx context.Context, fn func(key []byte, made []claim)) error {
	check := func(c *pageCheck, row kv.Pair) error {
		tag := row.Key[len(c.keys.root)]
		unfinished, err := c.unfinished(tag, row.Key)
		if err != nil || unfinished {
			return err
		}
		key, made := bytes.Clone(row.Key), claimsOf(tag, row.Value)
		c.then(func() { fn(key, made) })
		return nil
	}
	for _, tag := range []byte{tagPart, tagManifest} {
		if err := p.walk(ctx, p.db.keys.all(tag), check); err != nil {
			return err
		}
	}
	return p.walkVersions(ctx, check)
}

// unfinished says that a row is one of a manifest under an intent: it claims
// nothing, its slices belong to parts still, unless the intent says that it owns
// them. A released one keeps its claims
// until the collector has released its slices.
func (c *pageCheck) unfinished(tag byte, key []byte) (bool, error) {
	if tag != tagManifest {
		return false, nil
	}
	id, _, err := c.idKey(key)
	if err != nil {
		return false, err
	}
	in, err := c.Intent(id)
	return in != nil && !in.Owns, err
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
