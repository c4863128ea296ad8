package mirror

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/record"

	"github.com/undercroft/undercroft/internal/vfs"
)

const (
	lockFile   = "LOCK"
	copySuffix = ".mirroring" // of a copy that is not whole
	copyBuffer = 256 << 10
)

// content is what a copy of a file is judged by.
type content struct {
	there   bool
	dir     bool
	size    int64
	records int // whole ones from the beginning, of logs; counted where copies differ
	hash    uint64
	err     error
}

// equalise makes the files of all members equal, the longest valid copy of
// each winning. Every acknowledged change is on all of them; what is on some
// only was never acknowledged, and from now on all have it.
//
// The union of the names is taken: what one has and another has not is either
// not durable everywhere yet, or obsolete, which Pebble knows.
func (s *Set) equalise() error {
	names := map[string]bool{}
	for _, n := range s.members() {
		list, err := s.at(n).List(n.files)
		if err != nil {
			if !s.eject(n, err) {
				return err
			}
			continue
		}
		for _, name := range list {
			if strings.HasSuffix(name, copySuffix) {
				_ = s.at(n).Remove(s.base.PathJoin(n.files, name)) // the next copy of the name replaces it
			} else if name != lockFile {
				names[name] = true
			}
		}
	}
	if len(s.members()) < 2 {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if err := s.equaliseFile(name); err != nil {
			return fmt.Errorf("make the copies of %s equal: %w", name, err)
		}
	}
	for _, n := range s.members() {
		if err := vfs.SyncDir(s.at(n), n.files); err != nil && !s.eject(n, err) {
			return err
		}
	}
	return nil
}

func (s *Set) equaliseFile(name string) error {
	members := s.members()
	all, best := s.judgeAll(members, name, s.sumsOf(name))
	if errors.Is(all[best].err, ErrCorrupt) {
		all, best = s.judgeAll(members, name, nil) // no copy matches: rather the checksums are wrong
	}
	if all[best].err != nil || all[best].dir {
		return all[best].err
	}
	if !all[best].there {
		return nil // some cannot be looked at, and the others have none: Pebble knows whether it is needed
	}
	for i, n := range members {
		c := &all[i]
		if i == best || c.same(&all[best]) {
			continue
		}
		s.opts.Logger.Warn("metadata file is made equal", slog.String("file", name),
			slog.String("from", members[best].Path), slog.String("to", n.Path))
		err := s.copyFile(members[best], n, name)
		switch {
		case err == nil:
			s.count.healed.Add(1)
		case errors.Is(err, errSource):
			if !s.eject(members[best], err) {
				return err
			}
			return s.equaliseFile(name) // what was acknowledged each of the others has
		case !s.eject(n, err):
			return err
		}
	}
	return nil
}

func (s *Set) judgeAll(members []*node, name string, want *sums) (all []content, best int) {
	all = make([]content, len(members))
	for i, n := range members {
		all[i] = s.judge(n, name, want)
	}
	if number, ok := logNumber(name); ok && slices.ContainsFunc(all, func(c content) bool { return !c.same(&all[0]) }) {
		for i, n := range members {
			s.countRecords(n, name, number, &all[i])
		}
	}
	for i := range all {
		if all[i].better(&all[best]) {
			best = i
		}
	}
	return all, best
}

// countRecords looks how much of a log is valid.
func (s *Set) countRecords(n *node, name string, number uint64, c *content) {
	if !c.there || c.dir || c.err != nil {
		return
	}
	f, err := s.at(n).Open(s.base.PathJoin(n.files, name))
	if err != nil {
		c.err = err
		return
	}
	c.records = wholeRecords(io.NewSectionReader(f, 0, c.size), number)
	c.err = f.Close()
}

// same reports whether two copies are equal.
func (c *content) same(o *content) bool {
	return c.there == o.there && c.err == nil && o.err == nil && c.size == o.size && c.hash == o.hash
}

func (c *content) better(o *content) bool {
	switch {
	case (c.err == nil) != (o.err == nil):
		return c.err == nil
	case c.there != o.there:
		return c.there
	case c.records != o.records:
		return c.records > o.records
	}
	return c.size > o.size
}

// judge looks at a copy. Tables, which are large and durable before anything
// refers to them, are known by their size; a wrong byte in them is found when it
// is read. A directory is no file of Pebble's and is left alone.
func (s *Set) judge(n *node, name string, want *sums) (c content) {
	base, path := s.at(n), s.base.PathJoin(n.files, name)
	info, err := base.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c
	}
	if c.err = err; err != nil {
		return c
	}
	c.there, c.size = true, info.Size()
	if info.IsDir() {
		return content{there: true, dir: true}
	}
	if want != nil && c.size != want.size {
		c.err = ErrCorrupt
		return c
	}
	if strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob") || name == "ballast" {
		return c
	}
	f, err := base.Open(path)
	if err != nil {
		c.err = err
		return c
	}
	c.err = c.read(f, s.seed, want)
	c.err = errors.Join(c.err, f.Close())
	return c
}

func (c *content) read(f io.ReaderAt, seed maphash.Seed, want *sums) error {
	whole := func() io.Reader { return io.NewSectionReader(f, 0, c.size) }
	var h maphash.Hash
	h.SetSeed(seed)
	if _, err := io.CopyBuffer(&h, whole(), make([]byte, copyBuffer)); err != nil {
		return err
	}
	c.hash = h.Sum64()
	if want != nil {
		var b bytes.Buffer
		if _, err := b.ReadFrom(whole()); err != nil {
			return err
		}
		return want.verify(b.Bytes(), 0)
	}
	return nil
}

// logNumber is the number that a log's chunks carry; manifests carry none.
func logNumber(name string) (uint64, bool) {
	if strings.HasPrefix(name, "MANIFEST-") {
		return 0, true
	}
	digits, ok := strings.CutSuffix(name, ".log")
	if !ok {
		return 0, false
	}
	digits, _, _ = strings.Cut(digits, "-")
	number, err := strconv.ParseUint(digits, 10, 32)
	return number, err == nil
}

// wholeRecords counts the records up to the first that is torn.
func wholeRecords(r io.Reader, number uint64) (n int) {
	log := openLog(record.NewReader, r, number)
	for {
		rec, err := log.Next()
		if err != nil {
			return n
		}
		if _, err := io.Copy(io.Discard, rec); err != nil {
			return n
		}
		n++
	}
}

// openLog calls record.NewReader, whose number has a type that only Pebble can
// name.
func openLog[N ~uint64](open func(io.Reader, N) *record.Reader, r io.Reader, number uint64) *record.Reader {
	return open(r, N(number))
}

// errSource marks the failure of the copy that was read from.
var errSource = errors.New("mirror: cannot read the source")

// copyFile replaces the copy of a file on one node by that of another, with
// its checksums. Whoever calls syncs the directory, or the name is not durable.
func (s *Set) copyFile(from, to *node, name string) error {
	src, err := s.at(from).Open(s.base.PathJoin(from.files, name))
	if err != nil {
		return fmt.Errorf("%w: %w", errSource, err)
	}
	target := s.base.PathJoin(to.files, name)
	err = write(s.at(to), src, target+copySuffix)
	if err = errors.Join(err, src.Close()); err != nil {
		return err
	}
	if err := s.at(to).Rename(target+copySuffix, target); err != nil {
		return err
	}
	s.copySums(from, to, name)
	return nil
}

func (s *Set) copySums(from, to *node, name string) {
	if !summed(name) {
		return
	}
	if c, err := s.sumsAt(from, name); err == nil {
		// A copy without checksums is read without being verified here.
		_ = do(to, s.opts.Stall, func() error {
			return vfs.WriteFile(s.base, s.base.PathJoin(to.sums, name), c.encode(), 0o640)
		})
	}
}

// write makes a durable copy of src with the space that src holds.
func write(base vfs.FS, src vfs.File, target string) error {
	info, err := src.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", errSource, err)
	}
	dst, err := base.Create(target, vfs.Unspecified)
	if err != nil {
		return err
	}
	if held := vfs.Allocated(info); held > info.Size() {
		_ = dst.Preallocate(0, held) // only to hold space
	}
	err = transfer(dst, src, 0, info.Size())
	if err == nil {
		err = dst.Sync()
	}
	return errors.Join(err, dst.Close())
}

// transfer appends the range to dst.
func transfer(dst io.Writer, src io.ReaderAt, from, to int64) error {
	return transferAt(nil, dst, src, [2]int64{from, to})
}

// transferAt appends the range to dst at a pace.
func transferAt(pace func(bytes int64) error, dst io.Writer, src io.ReaderAt, between [2]int64) error {
	from, to := between[0], between[1]
	buf := make([]byte, min(copyBuffer, max(to-from, 1)))
	for from < to {
		n := min(int64(len(buf)), to-from)
		if pace != nil {
			if err := pace(n); err != nil {
				return err
			}
		}
		if got, err := src.ReadAt(buf[:n], from); int64(got) < n {
			return fmt.Errorf("%w: %w", errSource, cmpErr(err))
		}
		if _, err := dst.Write(buf[:n]); err != nil {
			return err
		}
		from += n
	}
	return nil
}

func cmpErr(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}
