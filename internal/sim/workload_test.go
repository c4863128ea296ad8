package sim

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/undercroft/undercroft/s3"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// names are the keys in use: few, so that operations meet.
var names = []string{"a", "b", "dir/a", "dir/b", "dir/sub/c", "e", "f/1", "f/2", "é", "z"}

// size is around an edge more often than not: of inline objects, of blobs that
// are never cut, of the smallest column, of a piece.
func (m *machine) size() int64 {
	edges := []int64{0, 1, 8 * kib, 20_000, 64 * kib, 65532, 128 * kib, 256 * kib, 512 * kib}
	switch m.rng.IntN(12) {
	case 0:
		return 4*mib + m.rng.Int64N(3) - 1
	case 1:
		return mib + m.rng.Int64N(2*mib)
	case 2, 3:
		return m.rng.Int64N(300 * kib)
	}
	return max(0, one(m.plan, edges)+m.rng.Int64N(3)-1)
}

func (m *machine) bucket() s3.BucketName {
	return one(m.plan, slices.Sorted(maps.Keys(m.world.modes)))
}

func (m *machine) key(bucket s3.BucketName) string { return string(bucket) + "/" + one(m.plan, names) }

// existing picks a version that can be read, if there is one.
func (m *machine) existing() (key string, v version, ok bool) {
	keys := slices.Sorted(maps.Keys(m.world.keys))
	for range 5 {
		if len(keys) == 0 {
			break
		}
		key = one(m.plan, keys)
		if v = one(m.plan, m.world.keys[key]); !v.marker {
			return key, v, true
		}
	}
	return "", version{}, false
}

// named is the id of a version, or none, to mean the current one.
func (m *machine) named(v version) string {
	if m.chance(2) {
		return ""
	}
	return v.id
}

// next plans an operation.
func (m *machine) next() *call {
	bucket := m.bucket()
	c := &call{bucket: bucket, key: m.key(bucket), length: -1}
	if m.chance(6) {
		c.pace = time.Duration(m.rng.IntN(2000)) * time.Millisecond
	}
	switch n := m.rng.IntN(100); {
	case n < 28:
		m.planPut(c)
	case n < 42:
		m.planDelete(c)
	case n < 52:
		m.planCopy(c)
	case n < 66:
		m.planRead(c)
	case n < 74:
		m.planList(c)
	default:
		m.planUpload(c)
	}
	return c
}

func (m *machine) planPut(c *call) {
	c.action, c.size, c.n = aPut, m.size(), m.lib.number()
	_, c.tag = m.lib.fresh(c.size)
	m.planCondition(c)
	if c.size > 1 && m.chance(10) {
		c.broken = one(m.plan, []s3.Code{s3.IncompleteBody, s3.BadDigest})
	}
}

func (m *machine) planCondition(c *call) {
	switch v := m.world.current(c.key); {
	case m.chance(6):
		c.cond = condition{kind: "absent"}
	case v != nil && m.chance(6):
		c.cond = condition{kind: "match", tag: v.tag}
	}
}

func (m *machine) planDelete(c *call) {
	c.action = aDelete
	if vs := m.world.keys[c.key]; len(vs) > 0 && m.chance(2) {
		c.version = one(m.plan, vs).id
		return
	}
	if m.chance(3) {
		m.planCondition(c)
		if c.cond.kind == "absent" {
			c.cond = condition{}
		}
	}
}

func (m *machine) planCopy(c *call) {
	key, v, ok := m.existing()
	if !ok {
		m.planPut(c)
		return
	}
	c.action, c.from, c.version = aCopy, key, m.named(v)
	if m.chance(4) {
		c.key = key
		c.bucket, _ = nameOf(key)
	}
	if c.key == c.from || m.chance(2) {
		c.n = m.lib.number()
	}
}

func (m *machine) planRead(c *call) {
	c.action = aGet
	if m.chance(4) {
		c.action = aHead
	}
	key, v, ok := m.existing()
	if !ok || m.chance(8) {
		return
	}
	c.key, c.version = key, m.named(v)
	if n := m.lib.size(v.tag); n > 0 && m.chance(2) {
		c.offset = m.rng.Int64N(n)
		c.length = 1 + m.rng.Int64N(n-c.offset)
	}
}

func (m *machine) planList(c *call) {
	c.action = one(m.plan, []action{aList, aListVersions})
	c.request = &request{max: one(m.plan, []int{1, 2, 3, 5, 1000})}
	if m.chance(2) {
		c.request.delimiter = "/"
	}
	if m.chance(3) {
		c.request.prefix = one(m.plan, []string{"d", "dir/", "f/", "z", "nothing"})
	}
	if m.chance(2) {
		c.request.after = one(m.plan, names)
		if i := strings.Index(c.request.after, "/"); i > 0 && c.request.delimiter != "" && c.request.prefix == "" {
			c.request.after, c.request.afterPrefix = c.request.after[:i+1], true
		}
	}
	c.key = ""
}

// planUpload begins an upload, or goes on with one.
func (m *machine) planUpload(c *call) {
	ids := slices.Sorted(maps.Keys(m.world.uploads))
	if len(ids) == 0 || len(ids) < 3 && m.chance(4) {
		c.action, c.n = aCreate, m.lib.number()
		return
	}
	c.id = one(m.plan, ids)
	u := m.world.uploads[c.id]
	c.key, c.n = u.key, u.n
	c.bucket, _ = nameOf(c.id)
	switch n := m.rng.IntN(10); {
	case u.n == 0 || n == 0:
		c.action = aAbort
	case len(u.parts) == 0 || n < 4:
		m.planPart(c)
	case n < 6:
		m.planPartCopy(c)
	default:
		m.planComplete(c, &u)
	}
}

func (m *machine) planPart(c *call) {
	c.action, c.number, c.size = aPart, 1+m.rng.IntN(3), m.size()
	if m.chance(8) {
		c.size = 5 * mib
	}
	_, c.tag = m.lib.fresh(c.size)
	if c.size > 1 && m.chance(10) {
		c.broken = one(m.plan, []s3.Code{s3.IncompleteBody, s3.BadDigest})
	}
}

func (m *machine) planPartCopy(c *call) {
	key, v, ok := m.existing()
	if !ok || v.id == string(s3.NullVersion) && m.mode(key) == unversioned {
		// What a copy of a version without an id of its own is made of is not
		// known while others write.
		m.planPart(c)
		return
	}
	c.action, c.number, c.from, c.version, c.source = aPartCopy, 1+m.rng.IntN(3), key, v.id, v.tag
	if v.id == string(s3.NullVersion) {
		m.planPart(c)
		return
	}
	n := m.lib.size(v.tag)
	if n > 8*mib { // or objects grow without bound
		c.offset, c.length = m.rng.Int64N(n-mib), 1+m.rng.Int64N(mib)
	} else if n > 0 && m.chance(2) {
		c.offset = m.rng.Int64N(n)
		c.length = 1 + m.rng.Int64N(n-c.offset)
	}
}

func (m *machine) mode(key string) mode {
	bucket, _ := nameOf(key)
	return m.world.mode(bucket)
}

// planComplete lists parts as far as they may be combined: all but the last
// one have a least size.
func (m *machine) planComplete(c *call, u *upload) {
	c.action = aComplete
	for _, n := range slices.Sorted(maps.Keys(u.parts)) {
		if len(c.numbers) > 0 && m.lib.size(c.tags[len(c.tags)-1]) < s3.MinPartSize {
			if m.chance(2) {
				break
			}
			c.numbers, c.tags = nil, nil
		}
		c.numbers, c.tags = append(c.numbers, n), append(c.tags, u.parts[n])
	}
	c.tag = m.lib.composite(c.tags)
}

// work does a batch of operations and holds the answers against the world.
func (m *machine) work() {
	m.t.Helper()
	n := 1
	if m.chance(2) {
		n = 2 + m.rng.IntN(7)
	}
	calls := m.calls(n)
	if m.chance(3) {
		m.settle(m.beside(func() history { return m.batch(calls) }))
		return
	}
	m.settle(m.batch(calls))
}

// calls plans a batch; half of the larger ones are about one key.
func (m *machine) calls(n int) []*call {
	out := make([]*call, n)
	bucket := m.bucket()
	key := m.key(bucket)
	narrow := n > 2 && m.chance(2)
	for i := range out {
		out[i] = m.next()
		c := out[i]
		if narrow && (c.action == aPut || c.action == aDelete && c.version == "" || c.action == aCopy && c.n != 0 || c.action == aGet && c.version == "" && c.length < 0) {
			c.bucket, c.key = bucket, key
		}
	}
	return out
}

// setVersioning changes what a bucket does with versions.
func (m *machine) setVersioning() {
	m.t.Helper()
	status, to := s3.VersioningEnabled, enabled
	if m.world.modes["kept"] == enabled {
		status, to = s3.VersioningSuspended, suspended
	}
	if m.proc.kv.on() {
		return
	}
	if err := m.again("versioning", func() error { return m.proc.Objects.PutBucketVersioning(m.proc.ctx, "kept", status) }); err != nil {
		m.t.Fatal(err)
	}
	m.note("versioning of kept: %s", status)
	m.world = &world{modes: maps.Clone(m.world.modes), keys: m.world.keys, uploads: m.world.uploads}
	m.world.modes["kept"] = to
}
