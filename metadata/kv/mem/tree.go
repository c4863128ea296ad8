package mem

import (
	"bytes"
	"hash/maphash"

	"github.com/undercroft/undercroft/metadata/kv"
)

// tree is an immutable ordered map: a treap whose changes copy the path to the
// root, so that every version stays readable for as long as it is kept.
type tree struct {
	root *node
	seed maphash.Seed
}

type node struct {
	key, value  []byte
	priority    uint64
	left, right *node
}

func (t tree) get(key []byte) []byte {
	for n := t.root; n != nil; {
		switch order := bytes.Compare(key, n.key); {
		case order == 0:
			return n.value
		case order < 0:
			n = n.left
		default:
			n = n.right
		}
	}
	return nil
}

// set returns the tree with key set to value. It keeps both.
func (t tree) set(key, value []byte) tree {
	left, rest := split(t.root, key)
	_, right := split(rest, kv.KeyAfter(key))
	n := &node{key: key, value: value, priority: maphash.Bytes(t.seed, key)}
	t.root = join(join(left, n), right)
	return t
}

// remove returns the tree without the keys of r.
func (t tree) remove(r kv.Range) tree {
	left, rest := split(t.root, r.Begin)
	_, right := split(rest, r.End)
	t.root = join(left, right)
	return t
}

// split returns the keys below key and those from key on.
func split(n *node, key []byte) (below, from *node) {
	if n == nil {
		return nil, nil
	}
	c := *n
	if bytes.Compare(n.key, key) < 0 {
		c.right, from = split(n.right, key)
		return &c, from
	}
	below, c.left = split(n.left, key)
	return below, &c
}

// join makes one tree of two, all keys of left being below those of right.
func join(left, right *node) *node {
	if left == nil {
		return right
	}
	if right == nil {
		return left
	}
	if left.priority > right.priority {
		c := *left
		c.right = join(left.right, right)
		return &c
	}
	c := *right
	c.left = join(left, right.left)
	return &c
}

// ceiling is the first node at or after key.
func (t tree) ceiling(key []byte) *node {
	var best *node
	for n := t.root; n != nil; {
		if bytes.Compare(n.key, key) >= 0 {
			best, n = n, n.left
		} else {
			n = n.right
		}
	}
	return best
}

// below is the last node before key.
func (t tree) below(key []byte) *node {
	var best *node
	for n := t.root; n != nil; {
		if bytes.Compare(n.key, key) < 0 {
			best, n = n, n.right
		} else {
			n = n.left
		}
	}
	return best
}
