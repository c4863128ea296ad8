package sim

import (
	"errors"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
)

// classes are the storage classes besides STANDARD, of as much parity; none in most shapes.
func (s *shape) classes() map[string]partition.Scheme {
	if !s.classed {
		return nil
	}
	return map[string]partition.Scheme{
		"NARROW": {K: 1, M: s.scheme.M},
		"WIDE":   {K: s.disks - s.scheme.M, M: s.scheme.M},
	}
}

// class is one that follows from a number.
func (m *machine) class(n uint64) string {
	if !m.shape.classed {
		return ""
	}
	return []string{"", "NARROW", "WIDE"}[n%3]
}

// move moves some of the versions that calls read to another storage class, which changes
// nothing that the world knows.
func (m *machine) move(p *process, c *call) error {
	if !m.shape.classed || c.action == aGet && m.at.Load()%2 == 0 {
		return nil
	}
	bucket, key := nameOf(c.key)
	class := s3.StorageClass(m.class(uint64(m.at.Load())))
	_, err := p.Objects.Transition(p.ctx, objects.TransitionInput{Bucket: bucket, Key: key, VersionID: s3.VersionID(c.version), Class: class})
	if errors.Is(err, objects.ErrVersionChanged) || isAnswer(s3.CodeOf(err)) {
		return nil
	}
	return err
}

// attributes are those of a number, with a class.
func (m *machine) attributes(n uint64) objects.Attributes {
	a := attributes(n)
	a.StorageClass = m.class(n)
	return a
}
