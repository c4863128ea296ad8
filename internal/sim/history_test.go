package sim

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/undercroft/undercroft/s3"
)

type action string

const (
	aPut          action = "put"
	aDelete       action = "delete"
	aCopy         action = "copy"
	aGet          action = "get"
	aHead         action = "head"
	aList         action = "list objects"
	aListVersions action = "list versions"
	aCreate       action = "create upload"
	aPart         action = "upload part"
	aPartCopy     action = "copy part"
	aComplete     action = "complete"
	aAbort        action = "abort"
	aFound        action = "found" // all that was there when everything was quiet
)

// condition is what a write asks of the current version.
type condition struct {
	kind string // "", "absent" or "match"
	tag  string
}

// call is an operation.
type call struct {
	action  action
	bucket  s3.BucketName
	key     string // bucket/key, as in world
	version string // "" is the current one
	from    string // bucket/key of the source of a copy
	id      string // of an upload: bucket/id
	n       uint64 // describes what is written; 0: as the source is
	tag     string // of what is written
	size    int64
	number  int
	numbers []int // of the parts listed
	tags    []string
	offset  int64 // of a range
	length  int64 // -1: no range
	cond    condition
	request *request
	source  string        // tag of what a part is copied of
	broken  s3.Code       // what is wrong with the body
	pace    time.Duration // of the client
}

func (c *call) String() string {
	out := fmt.Sprintf("%s %s", c.action, c.key)
	for _, x := range []struct {
		name string
		set  bool
		v    any
	}{
		{"version", c.version != "", c.version},
		{"from", c.from != "", c.from},
		{"upload", c.id != "", c.id},
		{"n", c.n != 0, c.n},
		{"size", c.size != 0, c.size},
		{"number", c.number != 0, c.number},
		{"numbers", len(c.numbers) > 0, c.numbers},
		{"tag", c.tag != "", c.tag},
		{"range", c.length > 0, fmt.Sprint(c.offset, "+", c.length)},
		{"if", c.cond.kind != "", c.cond},
		{"broken", c.broken != "", c.broken},
	} {
		if x.set {
			out += fmt.Sprintf(" %s=%v", x.name, x.v)
		}
	}
	if c.request != nil {
		out += fmt.Sprintf(" %s %+v", c.bucket, *c.request)
	}
	return out
}

// reply is the answer.
type reply struct {
	code    s3.Code // "": done
	unknown bool    // it may have happened or not
	version version // read, written, or removed
	id      string  // of an upload
	tag     string  // of a part
	page    *page
	found   *world
	err     string
}

func (r *reply) String() string {
	switch {
	case r.found != nil:
		return "\n" + r.found.String()
	case r.unknown:
		return "unknown: " + r.err
	case r.code != "":
		return string(r.code)
	case r.page != nil:
		return r.page.String()
	}
	return fmt.Sprintf("done %v %s%s", r.version, r.id, r.tag)
}

// step says which worlds may follow one after a call with this answer.
func step(w *world, c *call, r *reply) []*world {
	if r.unknown && (c.action == aGet || c.action == aHead || c.action == aList || c.action == aListVersions) {
		return []*world{w}
	}
	if c.action == aFound {
		return where(w.explains(r.found), w)
	}
	after, code := expect(w, c, r)
	if c.broken != "" && (r.code == c.broken || r.unknown || code == "") {
		after, code = nil, c.broken
	}
	switch {
	case r.unknown && code == "":
		return append(after, w)
	case r.unknown:
		return []*world{w}
	case r.code != code:
		return nil
	case code != "":
		return []*world{w}
	}
	return after
}

func where(ok bool, w *world) []*world { //nolint:revive // it filters, it does not choose
	if ok {
		return []*world{w}
	}
	return nil
}

// expect is what a call does in a world: what may follow, given the ids in the
// answer, or the code of its refusal.
func expect(w *world, c *call, r *reply) ([]*world, s3.Code) {
	switch c.action {
	case aPut, aCopy, aDelete:
		return expectWrite(w, c, r)
	case aGet, aHead:
		v, code := look(w, c.key, c.version)
		if code != "" {
			return nil, code
		}
		return where(v.is(r.version), w), ""
	case aList:
		return where(r.page != nil && w.objects(c.bucket, c.request).shows(r.page), w), ""
	case aListVersions:
		return where(r.page != nil && w.versions(c.bucket, c.request).shows(r.page), w), ""
	case aCreate:
		id := r.id
		if r.unknown {
			id = string(c.bucket) + "/?" + fmt.Sprint(c.n)
		}
		return []*world{w.withUpload(id, &upload{key: c.key, n: c.n, parts: map[int]string{}})}, ""
	}
	return expectUpload(w, c, r)
}

// look is what a read finds.
func look(w *world, key, id string) (*version, s3.Code) {
	if id == "" {
		if v := w.current(key); v != nil {
			return v, ""
		}
		return nil, s3.NoSuchKey
	}
	v := w.find(key, id)
	switch {
	case v == nil:
		return nil, s3.NoSuchVersion
	case v.marker:
		return nil, s3.MethodNotAllowed
	}
	return v, ""
}

// lookToCopy is look for the source of a copy.
func lookToCopy(w *world, c *call) (*version, s3.Code) {
	v, code := look(w, c.from, c.version)
	if code == s3.MethodNotAllowed {
		code = s3.InvalidRequest
	}
	return v, code
}

func (c condition) holds(current *version) bool {
	switch c.kind {
	case "absent":
		return current == nil
	case "match":
		return current != nil && current.tag == c.tag
	}
	return true
}

func expectWrite(w *world, c *call, r *reply) ([]*world, s3.Code) {
	v := version{tag: c.tag, n: c.n}
	if c.action == aCopy {
		from, code := lookToCopy(w, c)
		if code != "" {
			return nil, code
		}
		if v.tag = from.tag; c.n == 0 {
			v.n = from.n
		}
	}
	if !c.cond.holds(w.current(c.key)) {
		return nil, s3.PreconditionFailed
	}
	if c.action != aDelete {
		if r.code == "" && !r.unknown && r.version.tag != v.tag {
			return nil, ""
		}
		return []*world{w.add(c.bucket, c.key, v, r.version.id)}, ""
	}
	if c.version != "" {
		return []*world{w.with(c.key, without(w.keys[c.key], c.version))}, ""
	}
	if w.mode(c.bucket) == unversioned {
		return []*world{w.with(c.key, nil)}, ""
	}
	return []*world{w.add(c.bucket, c.key, version{marker: true}, r.version.id)}, ""
}

func expectUpload(w *world, c *call, r *reply) ([]*world, s3.Code) {
	u, ok := w.uploads[c.id]
	if !ok {
		if c.action == aComplete && r.code == "" {
			return where(completed(w, c, r), w), ""
		}
		return nil, s3.NoSuchUpload
	}
	switch c.action {
	case aPart:
		return []*world{w.withUpload(c.id, u.with(c.number, c.tag))}, ""
	case aPartCopy:
		if _, code := lookToCopy(w, c); code != "" {
			return nil, code
		}
		if r.tag != "" {
			return []*world{w.withUpload(c.id, u.with(c.number, r.tag))}, ""
		}
		return []*world{w.withUpload(c.id, u.with(c.number, "?"))}, ""
	case aAbort:
		return []*world{w.withUpload(c.id, nil)}, ""
	}
	for i, n := range c.numbers {
		if u.parts[n] != c.tags[i] {
			return nil, s3.InvalidPart
		}
	}
	if !c.cond.holds(w.current(c.key)) {
		return nil, s3.PreconditionFailed
	}
	if r.code == "" && !r.unknown && r.version.tag != c.tag {
		return nil, ""
	}
	return []*world{w.withUpload(c.id, nil).add(c.bucket, c.key, version{tag: c.tag, n: u.n}, r.version.id)}, ""
}

func (u upload) with(number int, tag string) *upload {
	u.parts = maps.Clone(u.parts)
	u.parts[number] = tag
	return &u
}

// completed reports whether a completion of an upload that is gone may be
// answered like the one that ended it.
func completed(w *world, c *call, r *reply) bool {
	if r.unknown {
		return true // a repetition changes nothing
	}
	return slices.ContainsFunc(w.keys[c.key], func(v version) bool {
		return v.n == c.n && v.tag == c.tag && (v.id == r.version.id || v.id == "?")
	})
}

// history is a batch of operations at once.
type history []porcupine.Operation

// undecided bounds the search for an order.
const undecided = 20 * time.Second

// check fails the test unless there is an order of the operations that
// explains all answers, from a world on.
func (h history) check(t *testing.T, from *world) {
	t.Helper()
	model := porcupine.NondeterministicModel{
		Init: func() []any { return []any{from} },
		Step: func(state, input, output any) (out []any) {
			w, okW := state.(*world)
			c, okC := input.(*call)
			r, okR := output.(*reply)
			if okW && okC && okR {
				for _, next := range step(w, c, r) {
					out = append(out, next)
				}
			}
			return out
		},
		Equal: func(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) },
	}
	switch porcupine.CheckOperationsTimeout(model.ToModel(), h, undecided) {
	case porcupine.Ok:
	case porcupine.Unknown:
		t.Logf("%d operations: no order was found in time, and none is excluded", len(h))
	case porcupine.Illegal:
		t.Fatalf("no order of these operations explains the answers.\nbefore:\n%s%s", from, h)
	}
}

func (h history) String() string {
	var b strings.Builder
	for _, op := range h {
		until := fmt.Sprint(op.Return)
		if op.Return == math.MaxInt64 {
			until = "…"
		}
		fmt.Fprintf(&b, "  %d..%s %v -> %v\n", op.Call, until, op.Input, op.Output)
	}
	return b.String()
}
