package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/undercroft/undercroft/s3"
)

// mode says what a bucket does with versions.
type mode int

const (
	unversioned mode = iota
	enabled
	suspended
)

// version is one version of a key. Its id is "?" while nobody was told.
type version struct {
	id     string
	marker bool
	tag    string // of the content
	n      uint64 // of the description
}

// upload is a multipart upload in progress.
type upload struct {
	key   string
	n     uint64 // describes the object to be
	parts map[int]string
}

// world is what the store should hold. It is not changed once it is in use:
// each operation makes another one.
type world struct {
	modes   map[s3.BucketName]mode
	keys    map[string][]version // by bucket/key, newest first
	uploads map[string]upload    // by bucket/id
	text    string               // of all of it, once asked for
}

func (w *world) with(key string, versions []version) *world {
	out := &world{modes: w.modes, keys: maps.Clone(w.keys), uploads: w.uploads}
	if len(versions) == 0 {
		delete(out.keys, key)
	} else {
		out.keys[key] = versions
	}
	return out
}

func (w *world) withUpload(id string, u *upload) *world {
	out := &world{modes: w.modes, keys: w.keys, uploads: maps.Clone(w.uploads)}
	if u == nil {
		delete(out.uploads, id)
	} else {
		out.uploads[id] = *u
	}
	return out
}

// String is the same for equal worlds.
func (w *world) String() string {
	if w.text != "" {
		return w.text
	}
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(w.keys)) {
		fmt.Fprintf(&b, "%s:", key)
		for _, v := range w.keys[key] {
			fmt.Fprintf(&b, " %s", v)
		}
		b.WriteString("\n")
	}
	for _, id := range slices.Sorted(maps.Keys(w.uploads)) {
		u := w.uploads[id]
		fmt.Fprintf(&b, "upload %s of %s:", id, u.key)
		for _, n := range slices.Sorted(maps.Keys(u.parts)) {
			fmt.Fprintf(&b, " %d=%.8s", n, u.parts[n])
		}
		b.WriteString("\n")
	}
	w.text = b.String() + "."
	return w.text
}

func (v version) String() string {
	if v.marker {
		return v.id + "(marker)"
	}
	return fmt.Sprintf("%s(%d %.8s)", v.id, v.n, v.tag)
}

func (w *world) mode(bucket s3.BucketName) mode { return w.modes[bucket] }

// current is the version that a read without an id finds, nil where there is
// none or a marker.
func (w *world) current(key string) *version {
	if vs := w.keys[key]; len(vs) > 0 && !vs[0].marker {
		return &vs[0]
	}
	return nil
}

func (w *world) find(key, id string) *version {
	for i := range w.keys[key] {
		if w.keys[key][i].id == id {
			return &w.keys[key][i]
		}
	}
	return nil
}

// add puts a version on top of a key: of the id that the store answered, where
// it did.
func (w *world) add(bucket s3.BucketName, key string, v version, answered string) *world {
	old := w.keys[key]
	switch {
	case w.mode(bucket) != enabled:
		v.id = string(s3.NullVersion)
		old = without(old, v.id)
	case answered != "":
		v.id = answered
	default:
		v.id = "?"
	}
	return w.with(key, append([]version{v}, old...))
}

func without(versions []version, id string) []version {
	return slices.DeleteFunc(slices.Clone(versions), func(v version) bool { return v.id == id })
}

// page is what a listing shows.
type page struct {
	entries   []entry
	prefixes  []string
	truncated bool
}

type entry struct {
	key     string
	version version // n is not listed
	latest  bool
}

func (p *page) String() string { return fmt.Sprintf("%v %v %t", p.entries, p.prefixes, p.truncated) }

// request selects a page.
type request struct {
	prefix, delimiter string
	after             string // exclusive
	afterPrefix       bool   // after is a common prefix
	afterVersion      string // where versions are listed: go on below it
	max               int
}

func commonPrefix(key string, r *request) string {
	if r.delimiter == "" {
		return ""
	}
	if i := strings.Index(key[len(r.prefix):], r.delimiter); i >= 0 {
		return key[:len(r.prefix)+i+len(r.delimiter)]
	}
	return ""
}

// list is the page that a world shows. each says which versions of a key
// appear.
func (w *world) list(bucket s3.BucketName, r *request, each func(key string, versions []version) []entry) *page {
	out := &page{}
	last := ""
	for _, full := range slices.Sorted(maps.Keys(w.keys)) {
		key, ok := strings.CutPrefix(full, string(bucket)+"/")
		if !ok || !strings.HasPrefix(key, r.prefix) || key < r.after {
			continue
		}
		if r.afterPrefix && strings.HasPrefix(key, r.after) || key == r.after && r.afterVersion == "" {
			continue
		}
		shown := each(key, w.keys[full])
		if common := commonPrefix(key, r); common != "" && len(shown) > 0 {
			if common == last {
				continue
			}
			if len(out.entries)+len(out.prefixes) >= r.max {
				out.truncated = true
				return out
			}
			last = common
			out.prefixes = append(out.prefixes, common)
			continue
		}
		for _, e := range shown {
			if len(out.entries)+len(out.prefixes) >= r.max {
				out.truncated = true
				return out
			}
			out.entries = append(out.entries, e)
		}
	}
	return out
}

func (w *world) objects(bucket s3.BucketName, r *request) *page {
	return w.list(bucket, r, func(key string, versions []version) []entry {
		if versions[0].marker {
			return nil
		}
		return []entry{{key: key, version: versions[0], latest: true}}
	})
}

func (w *world) versions(bucket s3.BucketName, r *request) *page {
	return w.list(bucket, r, func(key string, versions []version) (out []entry) {
		for i, v := range versions {
			out = append(out, entry{key: key, version: v, latest: i == 0})
		}
		return out
	})
}

// shows reports whether a listing is of this page: ids that nobody was told
// are any.
func (p *page) shows(got *page) bool {
	return p.truncated == got.truncated && slices.Equal(p.prefixes, got.prefixes) &&
		slices.EqualFunc(p.entries, got.entries, func(want, got entry) bool {
			return want.key == got.key && want.latest == got.latest && want.version.listedAs(got.version)
		})
}

// listedAs reports whether a listing may show the version so. Listings of
// objects show no ids.
func (v version) listedAs(got version) bool {
	return v.marker == got.marker && v.tag == got.tag && (v.id == got.id || v.id == "?" || got.id == "")
}

// is reports whether a version was read as another.
func (v version) is(got version) bool { return v.listedAs(got) && v.n == got.n }

// explains reports whether a world is the one that was found after all.
func (w *world) explains(found *world) bool {
	if len(w.keys) != len(found.keys) || len(w.uploads) != len(found.uploads) {
		return false
	}
	for key, versions := range w.keys {
		if !slices.EqualFunc(versions, found.keys[key], version.is) {
			return false
		}
	}
	unknown := 0
	for id, u := range w.uploads {
		got, ok := found.uploads[id]
		if !ok {
			unknown++
			continue
		}
		if got.key != u.key || !maps.EqualFunc(u.parts, got.parts, func(want, got string) bool { return want == got || want == "?" }) {
			return false
		}
	}
	for id, u := range found.uploads {
		if _, ok := w.uploads[id]; ok {
			continue
		}
		if unknown--; unknown < 0 || len(u.parts) > 0 {
			return false
		}
	}
	return true
}
