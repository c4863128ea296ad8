package partition

import (
	"cmp"
	"slices"
)

// storageClass is the open partitions of a storage class, whose rows name it. One
// that nothing is written to has none.
type storageClass struct {
	store   *Store
	name    string // "" is STANDARD
	retired bool   // it has partitions, and is not configured
	batches *batcher
	batch   *lane // partitions of batches
	large   *lane // partitions of large pieces
	// spare is of what compaction writes when the others have no room: it may use
	// space that is kept free of new partitions, for it gives back more.
	spare *lane
}

func newStorageClass(s *Store, name string) *storageClass {
	c := &storageClass{store: s, name: name}
	c.batch = &lane{name: "batch", class: c, store: s, leaves: 1}
	c.large = &lane{name: "large", class: c, store: s, leaves: 1}
	c.spare = &lane{name: "spare", class: c, store: s, leaves: lastDivisor}
	c.batches = newBatcher(c)
	return c
}

// scheme is that of new partitions of the class while no disk is out of service.
func (c *storageClass) scheme() Scheme { return c.store.plan.Load().of(c.name) }

// inUse is the scheme on the disks that take new partitions now.
func (c *storageClass) inUse() Scheme {
	return c.scheme().on(c.store.disks.placeable(c.store.opts.Now()))
}

// lanes are those of the class that requests are written to.
func (c *storageClass) lanes() []*lane { return []*lane{c.batch, c.large} }

// classes are the storage classes of a store: STANDARD, those that are
// configured, and those that have partitions all the same. They do not change once
// the store is open.
type classes struct {
	standard *storageClass
	others   map[string]*storageClass
	all      []*storageClass // STANDARD first, then by name
}

func newClasses(s *Store, configured map[string]Scheme) classes {
	out := classes{standard: newStorageClass(s, ""), others: map[string]*storageClass{}}
	out.all = []*storageClass{out.standard}
	for name := range configured {
		out.add(s, name)
	}
	return out
}

func (x *classes) add(s *Store, name string) *storageClass {
	c := newStorageClass(s, name)
	x.others[name] = c
	x.all = append(x.all, c)
	slices.SortFunc(x.all, func(a, b *storageClass) int { return cmp.Compare(a.name, b.name) })
	return c
}

// meet adds the class of a partition that nobody configures any more: what
// compaction writes anew of it has the scheme of STANDARD.
func (x *classes) meet(s *Store, name string) {
	if name != "" && x.others[name] == nil {
		x.add(s, name).retired = true
	}
}

// of is the class of a name, STANDARD where there is none: what an upload began
// that a configuration since forgot is kept like anything.
func (x *classes) of(name string) *storageClass {
	if name == "" {
		return x.standard
	}
	if c := x.others[name]; c != nil {
		return c
	}
	return x.standard
}

// lanes are those of all classes.
func (s *Store) lanes() []*lane {
	out := make([]*lane, 0, 3*len(s.classes.all))
	for _, c := range s.classes.all {
		out = append(out, c.batch, c.large, c.spare)
	}
	return out
}

// ClassStatus describes a storage class.
type ClassStatus struct {
	Name   string // "" is STANDARD
	Wanted Scheme // for all disks of the inventory
	InUse  Scheme // for the disks in service now; zero where they are too few
	// Retired says that the class has partitions and is not configured: nothing
	// new is written to it.
	Retired bool
}

// Classes describes the storage classes, STANDARD first.
func (s *Store) Classes() []ClassStatus {
	out := make([]ClassStatus, len(s.classes.all))
	for i, c := range s.classes.all {
		out[i] = ClassStatus{Name: c.name, Wanted: c.scheme(), InUse: c.inUse(), Retired: c.retired}
	}
	return out
}
