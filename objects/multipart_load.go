package objects

import (
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/s3"
)

// allParts reads the parts of the upload. It holds no more slices than an
// object can have, and of parts that the client does not list no more than
// are released in place: how many there are is the client's to choose.
func (c *completion) allParts(r *metadata.Reader) (all []metadata.Part, err error) {
	next, size, unused := 0, int64(0), 0 // of the list; of the parts listed; slices of the others
	for after := 0; ; {
		page, more, err := r.Parts(c.target.bucket.ID, c.target.id, after, partsPage)
		if err != nil {
			return nil, err
		}
		for i := range page {
			p := &page[i]
			for next < len(c.list) && c.list[next].Number < p.Number {
				next++
			}
			switch {
			case next < len(c.list) && c.list[next].Number == p.Number:
				size += p.Size
			case unused > releaseInPlace:
				p.Slices = nil // left to the collector with all others
			default:
				unused += len(p.Slices)
			}
			if size > s3.MaxObjectSize {
				return nil, tooLarge(size)
			}
		}
		all = append(all, page...)
		if !more || len(page) == 0 {
			return all, nil
		}
		after = page[len(page)-1].Number
	}
}

func tooLarge(size int64) error {
	return s3.NewError(s3.EntityTooLarge).WithInt("ProposedSize", size).WithInt("MaxSizeAllowed", s3.MaxObjectSize)
}
