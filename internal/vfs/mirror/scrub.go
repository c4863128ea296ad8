package mirror

import (
	"context"
	"errors"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/undercroft/undercroft/internal/vfs"
)

// Scrubbed is what a step of a scrub found.
type Scrubbed struct {
	File  string // the step was about; empty: there is none after the one given
	Bytes int64  // read, of all copies
	Bad   int    // copies that were missing, unreadable or corrupt
	// Healed are those of them that were replaced from another member.
	Healed int
	// Undecided: copies differ, or match no checksums, and nothing says which one is
	// right. They are left for the engine's own checksums.
	Undecided bool
}

// ScrubNext verifies all copies of the first table or blob file after the one
// given, and replaces those that are bad. pace is asked before so many bytes are read.
// Files from before there were checksums are compared with each other, and get
// checksums when they are equal.
func (s *Set) ScrubNext(ctx context.Context, after string, pace func(ctx context.Context, bytes int64) error) (Scrubbed, error) {
	name := s.scrubAfter(after)
	r := Scrubbed{File: name}
	if name == "" {
		return r, nil
	}
	j := &jury{s: s, name: name, sums: s.sumsOf(name), pace: pace, result: &r}
	err := j.run(ctx)
	s.count.scrubbed.Add(uint64(r.Bytes))
	s.count.scrubBad.Add(uint64(r.Bad))
	s.count.healed.Add(uint64(r.Healed))
	if r.Undecided {
		s.count.undecided.Add(1)
		s.opts.Logger.ErrorContext(ctx, "copies of a metadata file cannot be verified", slog.String("file", name))
	}
	return r, err
}

// ScrubSize is about how many bytes a whole scrub reads.
func (s *Set) ScrubSize() (bytes int64) {
	for name := range s.scrubNames() {
		if info, err := s.Stat(s.base.PathJoin(Virtual, name)); err == nil {
			bytes += info.Size() * int64(len(s.members()))
		}
	}
	return bytes
}

func (s *Set) scrubAfter(after string) string {
	names := slices.Sorted(maps.Keys(s.scrubNames()))
	i, found := slices.BinarySearch(names, after)
	if found {
		i++
	}
	if i == len(names) {
		return ""
	}
	return names[i]
}

// scrubNames are the files that do not change any more, of any member.
func (s *Set) scrubNames() map[string]bool {
	names := map[string]bool{}
	for _, n := range s.members() {
		list, err := s.at(n).List(n.files)
		if err != nil {
			continue // whoever writes next finds out
		}
		for _, name := range list {
			if summed(name) && !strings.HasSuffix(name, ".dbtmp") {
				names[name] = true
			}
		}
	}
	s.names.Lock()   // one that was being created is known as open now
	s.names.Unlock() //nolint:staticcheck // nothing is to be done meanwhile
	for _, f := range s.open.all() {
		delete(names, f.name)
	}
	return names
}

// jury looks at all copies of one file.
type jury struct {
	s      *Set
	name   string
	sums   *sums // nil: there are none
	pace   func(ctx context.Context, bytes int64) error
	result *Scrubbed
}

// verdict is what became of one copy.
type verdict struct {
	n     *node
	there bool
	whole bool // it matches the checksums
	made  *sums
	err   error // it cannot be read
}

func (j *jury) run(ctx context.Context) error {
	var all []*verdict
	for _, n := range j.s.members() {
		v := &verdict{n: n}
		all = append(all, v)
		if err := j.look(ctx, v); err != nil {
			return err
		}
	}
	if !slices.ContainsFunc(all, func(v *verdict) bool { return v.there }) {
		return nil // removed since
	}
	good := j.good(all)
	if good == nil && !j.s.stillThere(j.name) {
		return nil // removed since, too
	}
	if good == nil {
		j.result.Undecided = true
		return nil
	}
	for _, v := range all {
		if v.made == nil || !v.made.equal(good.made) {
			j.mend(good, v)
		}
	}
	if j.sums == nil || !j.sums.equal(good.made) {
		j.s.writeSums(nodesThat(all), j.name, good.made)
	}
	return nil
}

func nodesThat(all []*verdict) (out []*node) {
	for _, v := range all {
		out = append(out, v.n)
	}
	return out
}

// good is the copy that counts: one that matches the checksums, else one that more
// than half of the copies are equal to. One copy alone proves nothing about checksums
// that differ, but may have its own where there are none.
func (j *jury) good(all []*verdict) *verdict {
	readable := 0
	for _, v := range all {
		if v.whole {
			return v
		}
		if v.made != nil {
			readable++
		}
	}
	for _, v := range all {
		equal := 0
		for _, o := range all {
			if v.made != nil && o.made != nil && v.made.equal(o.made) {
				equal++
			}
		}
		switch {
		case equal > 1 && 2*equal > len(all):
			return v
		case equal == 1 && readable == 1 && j.sums == nil:
			return v
		}
	}
	return nil
}

// look reads a copy. Its errors are the context's.
func (j *jury) look(ctx context.Context, v *verdict) error {
	base, path := j.s.at(v.n), j.s.base.PathJoin(v.n.files, j.name)
	f, err := base.Open(path)
	if err != nil {
		v.there, v.err = !errors.Is(err, fs.ErrNotExist), err
		return nil
	}
	defer func() { _ = f.Close() }() // nothing was written
	v.there = true
	info, err := f.Stat()
	if err != nil {
		v.err = err
		return nil
	}
	sum := summer{table: crc32.MakeTable(crc32.Castagnoli)}
	buf := make([]byte, copyBuffer)
	for at := int64(0); at < info.Size(); {
		n := min(int64(len(buf)), info.Size()-at)
		if err := j.pace(ctx, n); err != nil {
			return err
		}
		if got, err := f.ReadAt(buf[:n], at); int64(got) < n {
			v.err = cmpErr(err)
			return nil
		}
		sum.add(buf[:n])
		j.result.Bytes += n
		at += n
	}
	v.made = sum.finish()
	v.whole = j.sums != nil && j.sums.equal(v.made)
	return nil
}

func (s *sums) equal(o *sums) bool {
	return s != nil && o != nil && s.size == o.size && slices.Equal(s.chunks, o.chunks)
}

// mend replaces a bad copy by the good one.
func (j *jury) mend(good, bad *verdict) {
	s := j.s
	if !s.stillThere(j.name) {
		return // removed meanwhile, which is why one lacks it
	}
	cause := bad.err
	if cause == nil {
		cause = ErrCorrupt
	}
	j.result.Bad++
	s.opts.Logger.Error("metadata file is bad on one mirror", slog.String("directory", bad.n.Path),
		slog.String("file", j.name), slog.Any("error", cause))
	err := s.recopy(good, bad.n, j.name)
	switch {
	case err == nil:
		j.result.Healed++
	case errors.Is(err, errSource), errors.Is(err, fs.ErrNotExist):
		s.opts.Logger.Warn("metadata file is not replaced", slog.String("file", j.name), slog.Any("error", err))
	default:
		s.eject(bad.n, err)
		_ = s.settled() // whoever writes next gets the same answer
	}
}

// stillThere: a removal under way is on some members earlier than on others.
func (s *Set) stillThere(name string) bool {
	s.names.Lock()
	defer s.names.Unlock()
	_, err := s.Stat(s.base.PathJoin(Virtual, name))
	return err == nil
}

// recopy replaces a copy by that of a certain other member.
func (s *Set) recopy(good *verdict, n *node, name string) error {
	base, target := s.at(n), s.base.PathJoin(n.files, name)
	src, err := s.at(good.n).Open(s.base.PathJoin(good.n.files, name))
	if err != nil {
		return errors.Join(errSource, err)
	}
	err = write(base, src, target+copySuffix)
	if err = errors.Join(err, src.Close()); err != nil {
		return err
	}
	data := good.made.encode()
	err = do(n, s.opts.Stall, func() error { return vfs.WriteFile(s.base, s.base.PathJoin(n.sums, name), data, 0o640) })
	if err != nil {
		return err
	}
	return s.exchange(n, name)
}
