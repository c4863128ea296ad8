package sim

import (
	"maps"
	"math/rand/v2"
	"path"
	"slices"
)

// sector is what a disk writes whole or not at all.
const sector = 512

// clone copies the platter as it is, for a second system to start on. What is
// not synced is not synced in the copy either.
func (p *platter) clone() *platter {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := &platter{next: p.next, locks: map[*node]*mount{}, sizes: maps.Clone(p.sizes)}
	out.root = (&copier{map[*node]*node{}}).node(p.root)
	return out
}

type copier struct{ done map[*node]*node }

func (c *copier) node(n *node) *node {
	if n == nil {
		return nil
	}
	if out := c.done[n]; out != nil {
		return out
	}
	out := &node{inode: n.inode, isDir: n.isDir, made: n.made}
	c.done[n] = out
	out.now, out.synced, out.pending = n.now.clone(), n.synced.clone(), slices.Clone(n.pending)
	if n.isDir {
		out.names, out.syncedNames = c.names(n.names), c.names(n.syncedNames)
		for _, r := range n.renames {
			out.renames = append(out.renames, c.names(r))
		}
		for _, m := range n.left {
			out.left = append(out.left, moved{c.node(m.dir), m.base, c.node(m.n)})
		}
	}
	return out
}

func (c *copier) names(names map[string]*node) map[string]*node {
	out := make(map[string]*node, len(names))
	for name, n := range names {
		out[name] = c.node(n)
	}
	return out
}

// losePower leaves what disks keep: what was synced,
// and of the rest what keep decides, operation by operation.
func (p *platter) losePower(rng *rand.Rand) (torn int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.locks)
	// Nothing, everything, or some of what was not synced survives.
	share := []float64{0, 1, rng.Float64()}[rng.IntN(3)]
	seen := map[*node]bool{}
	var visit func(n *node)
	visit = func(n *node) {
		if seen[n] {
			return
		}
		seen[n] = true
		if !n.isDir {
			torn += n.lose(rng, share)
			return
		}
		n.loseNames(rng, share)
		for _, name := range slices.Sorted(maps.Keys(n.names)) {
			visit(n.names[name])
		}
	}
	visit(p.root)
	return torn
}

// lose is a power loss for a file's content.
func (n *node) lose(rng *rand.Rand, share float64) (torn int) {
	after := n.synced.clone()
	for _, c := range n.pending {
		switch {
		case rng.Float64() >= share:
		case c.data == nil || rng.IntN(4) > 0:
			after.apply(c)
		default:
			torn++
			tear(rng, &after, c)
		}
	}
	n.now, n.synced, n.pending = after.clone(), after, nil
	return torn
}

// tear applies some of the sectors of a write.
func tear(rng *rand.Rand, m *image, c change) {
	for at := c.offset; at < c.offset+c.length; {
		end := min((at/sector+1)*sector, c.offset+c.length)
		if rng.IntN(2) == 0 {
			m.apply(change{offset: at, length: end - at, data: c.data[at-c.offset : end-c.offset]})
		}
		at = end
	}
}

// loseNames is a power loss for a directory: the first of the changes since
// its sync survive, or some of them.
func (n *node) loseNames(rng *rand.Rand, share float64) {
	after := maps.Clone(n.syncedNames)
	ordered, cut := rng.IntN(2) == 0, int(share*float64(len(n.renames))+0.5)
	for i, change := range n.renames {
		if ordered && i >= cut || !ordered && rng.Float64() >= share {
			continue
		}
		for name, to := range change {
			if to == nil {
				delete(after, name)
			} else {
				after[name] = to
			}
		}
	}
	n.names, n.syncedNames, n.renames, n.left = after, maps.Clone(after), nil, nil
}

// The rest is what people and media do to disks, behind all processes.

// takeAway removes a subtree and returns it.
func (p *platter) takeAway(name string) *node {
	p.mu.Lock()
	defer p.mu.Unlock()
	dir, base, err := p.parent("take", name)
	if err != nil {
		return nil
	}
	n := dir.names[base]
	delete(dir.names, base)
	delete(dir.syncedNames, base)
	dir.renames = nil
	return n
}

// putBack gives a subtree a name; what had it is gone.
func (p *platter) putBack(name string, n *node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	dir, base, err := p.parent("put", name)
	if err != nil || n == nil {
		return
	}
	dir.names[base], dir.syncedNames[base] = n, n
}

// photograph copies a subtree.
func (p *platter) photograph(name string) *node {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := (&copier{map[*node]*node{}}).node(p.find(name))
	if out != nil {
		walk(out, "", func(_ string, n *node) { n.sync() })
	}
	return out
}

// files lists the files below a directory.
func (p *platter) files(dir string) (names []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if top := p.find(dir); top != nil {
		walk(top, dir, func(name string, n *node) {
			if !n.isDir {
				names = append(names, path.Clean(name))
			}
		})
	}
	return names
}

// spoiled is a page that changed by itself.
type spoiled struct {
	name    string
	inode   uint64
	index   int
	was, is *block
}

// spoil changes a page of a file at rest.
func (p *platter) spoil(name string, index int, fn func(*block)) (s spoiled, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.find(name)
	if n == nil || index >= len(n.now.pages) || n.now.pages[index] == nil || len(n.pending) > 0 {
		return s, false
	}
	changed := *n.now.pages[index]
	fn(&changed)
	if changed == *n.now.pages[index] {
		return s, false
	}
	s = spoiled{name: name, inode: n.inode, index: index, was: n.now.pages[index], is: &changed}
	n.now.pages[index] = s.is
	if index < len(n.synced.pages) {
		n.synced.pages[index] = s.is
	}
	return s, true
}

// remains reports whether what was spoiled is still so.
func (p *platter) remains(s spoiled) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.find(s.name)
	return n != nil && n.inode == s.inode && s.index < len(n.now.pages) && n.now.pages[s.index] == s.is
}

// mend undoes what was spoiled, where that is still so.
func (p *platter) mend(s spoiled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.find(s.name)
	if n == nil || n.inode != s.inode {
		return
	}
	for _, m := range []*image{&n.now, &n.synced} {
		if s.index < len(m.pages) && m.pages[s.index] == s.is {
			m.pages[s.index] = s.was
		}
	}
}

// size is the number of pages of a file.
func (p *platter) pagesOf(name string) []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []int
	if n := p.find(name); n != nil {
		for i, pg := range n.now.pages {
			if pg != nil {
				out = append(out, i)
			}
		}
	}
	return out
}

// truncate cuts a file at rest.
func (p *platter) truncate(name string, size int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.find(name)
	if n == nil || n.now.size <= size || len(n.pending) > 0 {
		return false
	}
	for _, m := range []*image{&n.now, &n.synced} {
		m.size = min(m.size, size)
		m.pages = m.pages[:min(len(m.pages), int((size+pageSize-1)/pageSize))]
		if in := size % pageSize; in > 0 && len(m.pages) > 0 && m.pages[len(m.pages)-1] != nil {
			m.punch(len(m.pages)-1, in, pageSize-in)
		}
	}
	return true
}
