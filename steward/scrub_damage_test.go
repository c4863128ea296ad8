package steward_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/partition"
)

// superblocks is where the first frame of a shard's file may begin.
const superblocks = 8192

// patch changes the bytes of a file in place.
func patch(t *testing.T, name string, change func([]byte)) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	change(data)
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// specimen is a sealed partition with stripes, and where its files are.
type specimen struct {
	t       *testing.T
	row     metadata.Partition
	files   []string // by shard
	stripes []int64
	dirs    []string
	// pair is the file of a shard and that of one of another sealed partition, on one disk.
	pair [2]string
}

// specimen picks the sealed partition with the most stripes.
func (e *env) specimen() *specimen {
	e.t.Helper()
	s := &specimen{t: e.t, dirs: e.Dirs()}
	paths := map[metadata.DiskID]string{}
	rows := e.rows()
	e.must(e.DB.View(e.t.Context(), "test", func(r *metadata.Reader) error {
		disks, err := r.Disks()
		for _, d := range disks {
			paths[d.ID] = d.Path
		}
		for _, row := range rows {
			refs, e := r.Refs(row.ID, 0, 0)
			if e != nil {
				return e
			}
			refs = slices.CompactFunc(refs, func(a, b metadata.Ref) bool { return a.Stripe == b.Stripe })
			if row.State == metadata.PartitionSealed && len(refs) > len(s.stripes) {
				s.row, s.stripes = row, nil
				for _, ref := range refs {
					s.stripes = append(s.stripes, ref.Stripe)
				}
			}
		}
		return err
	}))
	if len(s.stripes) < 2 {
		e.t.Fatalf("no sealed partition with stripes: %v", e.states())
	}
	name := func(row *metadata.Partition, shard int) string {
		n := blobd.ShardID{Partition: blobd.PartitionID(row.ID), Index: uint8(shard)}.String()
		return filepath.Join(paths[row.Shards[shard]], "shards", n[:2], n)
	}
	for i := range s.row.Shards {
		s.files = append(s.files, name(&s.row, i))
	}
	for i := range rows {
		for at, on := range rows[i].Shards {
			mine := slices.Index(s.row.Shards, on)
			if rows[i].ID != s.row.ID && rows[i].State == metadata.PartitionSealed && mine >= 0 {
				s.pair = [2]string{s.files[mine], name(&rows[i], at)}
			}
		}
	}
	return s
}

// frame is where the n-th frame of a shard lies in its file, and its height.
func (s *specimen) frame(shard, n int) (at int64, height uint32) {
	s.t.Helper()
	data, err := os.ReadFile(s.files[shard])
	if err != nil {
		s.t.Fatal(err)
	}
	for _, stripe := range s.stripes {
		at = superblocks + stripe
		if string(data[at:at+4]) != "UCFR" {
			continue // the column is zero by design
		}
		if n--; n < 0 {
			return at, binary.BigEndian.Uint32(data[at+40:])
		}
	}
	s.t.Fatalf("shard %d has too few frames", shard)
	return 0, 0
}

// exchange gives two files each other's name.
func exchange(t *testing.T, a, b string) {
	t.Helper()
	for _, m := range [][2]string{{a, a + ".x"}, {b, a}, {a + ".x", b}} {
		if err := os.Rename(m[0], m[1]); err != nil {
			t.Fatal(err)
		}
	}
}

// damage is a way in which a partition is spoiled. It returns how many shards that
// concerns.
type damage struct {
	name  string
	spoil func(s *specimen) int
}

func damages() []damage {
	flip := func(shard int, in func(height uint32) int64) func(*specimen) int {
		return func(s *specimen) int {
			at, height := s.frame(shard, 0)
			patch(s.t, s.files[shard], func(b []byte) { b[at+in(height)] ^= 4 })
			return 1
		}
	}
	fixed := func(n int64) func(uint32) int64 { return func(uint32) int64 { return n } }
	return []damage{
		{"bit of the data", flip(0, fixed(blobd.FrameHeaderSize+3))},
		{"bit of the parity", func(s *specimen) int {
			return flip(int(s.row.K), fixed(blobd.FrameHeaderSize+3))(s)
		}},
		{"bit of the last parity", func(s *specimen) int {
			return flip(len(s.files)-1, func(h uint32) int64 { return blobd.FrameHeaderSize + int64(h)/2 })(s)
		}},
		{"bit of a header", flip(1, fixed(45))},
		{"bit of a header's checksum", flip(1, fixed(blobd.FrameHeaderSize-2))},
		{"bit of a block's checksum", flip(1, func(h uint32) int64 {
			return blobd.FrameHeaderSize + int64(h) + 4*int64(blobd.BlockCount(h)) - 2
		})},
		{"torn frame", func(s *specimen) int {
			at, height := s.frame(1, 1)
			patch(s.t, s.files[1], func(b []byte) { clear(b[at+int64(height)/2 : at+blobd.FrameSize(height)]) })
			return 1
		}},
		{"zeroed frames", func(s *specimen) int {
			at, _ := s.frame(0, 0)
			patch(s.t, s.files[0], func(b []byte) { clear(b[at:]) })
			return 1
		}},
		{"frame at another offset", func(s *specimen) int {
			from, height := s.frame(0, 0)
			to, other := s.frame(0, 1)
			patch(s.t, s.files[0], func(b []byte) {
				copy(b[to:], b[from:from+min(blobd.FrameSize(height), blobd.FrameSize(other))])
			})
			return 1
		}},
		{"frame of another shard", func(s *specimen) int {
			n := int(s.row.K)
			at, height := s.frame(n, 0)
			parity, err := os.ReadFile(s.files[n+1])
			if err != nil {
				s.t.Fatal(err)
			}
			patch(s.t, s.files[n], func(b []byte) { copy(b[at:], parity[at:at+blobd.FrameSize(height)]) })
			return 1
		}},
		{"truncated file", func(s *specimen) int {
			at, _ := s.frame(1, 1)
			if err := os.Truncate(s.files[1], at+100); err != nil {
				s.t.Fatal(err)
			}
			return 1
		}},
		{"empty file", func(s *specimen) int {
			if err := os.Truncate(s.files[1], 0); err != nil {
				s.t.Fatal(err)
			}
			return 1
		}},
		{"missing file", func(s *specimen) int {
			if err := os.Remove(s.files[0]); err != nil {
				s.t.Fatal(err)
			}
			return 1
		}},
		{"both superblocks", func(s *specimen) int {
			patch(s.t, s.files[1], func(b []byte) { clear(b[:superblocks]) })
			return 1
		}},
		{"one superblock", func(s *specimen) int {
			patch(s.t, s.files[1], func(b []byte) {
				b[20] ^= 1
				if b[0] == 0 {
					b[20], b[4096+20] = 0, b[4096+20]^1
				}
			})
			return 1
		}},
		{"files of two indexes exchanged", func(s *specimen) int {
			exchange(s.t, s.files[0], s.files[1])
			return 2
		}},
		{"files of two partitions exchanged", func(s *specimen) int {
			if s.pair[0] == "" {
				s.t.Fatal("no other partition is sealed")
			}
			exchange(s.t, s.pair[0], s.pair[1])
			return 2
		}},
		{"file on another disk", func(s *specimen) int {
			dir := filepath.Join(filepath.Dir(filepath.Dir(filepath.Dir(s.files[1]))), "shards", filepath.Base(filepath.Dir(s.files[0])))
			if err := os.MkdirAll(dir, 0o750); err != nil {
				s.t.Fatal(err)
			}
			if err := os.Rename(s.files[0], filepath.Join(dir, filepath.Base(s.files[0]))); err != nil {
				s.t.Fatal(err)
			}
			return 1
		}},
		{"a file copied over another", func(s *specimen) int {
			data, err := os.ReadFile(s.files[0])
			if err != nil {
				s.t.Fatal(err)
			}
			if err := os.WriteFile(s.files[1], data, 0o600); err != nil {
				s.t.Fatal(err)
			}
			return 1
		}},
	}
}

// TestScrubFindsEveryKindOfDamage spoils files under a store that has them open. The next
// round finds it, repair mends it, and the round after that is clean.
func TestScrubFindsEveryKindOfDamage(t *testing.T) {
	for _, sc := range []partition.Scheme{{K: 2, M: 2}, {K: 4, M: 2}} {
		if testing.Short() && sc.K == 4 {
			continue
		}
		t.Run(sc.String(), func(t *testing.T) {
			o := scrubbed(0, sc)
			o.FS = vfs.Default()
			for range sc.K + sc.M + 1 {
				o.Dirs = append(o.Dirs, t.TempDir())
			}
			e := newEnv(t, o)
			s := e.fillShelf(9 * sc.K)
			e.RunSteward()
			if round, _ := e.scrub(); !round.Whole() || round.Frames == 0 || round.Partitions != int64(len(e.rows())) {
				t.Fatalf("of what is whole: %+v", round)
			}
			for _, d := range damages() {
				t.Run(d.name, func(t *testing.T) {
					e := &env{e.Cluster, t}
					before := e.Steward.Counters()
					shards := int64(d.spoil(e.specimen()))
					_, c := e.scrub()
					if got := c.Damaged - before.Damaged; got != shards {
						t.Errorf("%d shards were found, want %d", got, shards)
					}
					if c.Repaired-before.Repaired != shards || c.ScrubUnreadable+c.ScrubMismatched != 0 {
						t.Errorf("of %d shards: %+v\nhealth %+v\nrows %+v", shards, c, e.Steward.Health(), e.rows())
					}
					round, after := e.scrub()
					if !round.Whole() || after.Damaged != c.Damaged {
						t.Errorf("after the repair: %+v", round)
					}
					e.mustBeWhole()
				})
			}
			e.holdsShelf(s)
		})
	}
}

// TestScrubRoundEndsWithoutWhatCannotBeRead: rows of one partition are corrupt for good, and
// the others are verified in every round.
func TestScrubRoundEndsWithoutWhatCannotBeRead(t *testing.T) {
	o := scrubbed(4, partition.Scheme{K: 2, M: 2})
	var engine kv.Engine
	edit := o.Edit
	o.Unchecked, o.Edit = true, func(s *single.Options) {
		edit(s)
		s.Wrap = func(e kv.Engine) kv.Engine {
			engine = e
			return e
		}
	}
	e := newEnv(t, o)
	e.fillShelf(12)
	e.RunSteward()
	key := append([]byte{'R'}, binary.BigEndian.AppendUint64(nil, uint64(e.specimenRow().ID))...)
	_, err := engine.Update(t.Context(), kv.TxOptions{}, func(tx kv.Tx) error {
		tx.Set(append(key, make([]byte, 9)...), []byte("no record")) // too short
		return nil
	})
	e.must(err)
	for n := range uint64(2) {
		e.Steward.ScrubNow()
		for range 100 {
			p, err := e.job("scrub").Step(t.Context())
			if err == nil && !p.More {
				break
			}
		}
		st := e.Steward.Scrub()
		if r := st.Round; st.UnderWay || r.Number != n+1 || r.Tally.Passed == 0 || r.Tally.Partitions == 0 {
			t.Fatalf("round %d: %+v", n+1, st)
		}
	}
}
