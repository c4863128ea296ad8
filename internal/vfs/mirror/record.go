package mirror

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"slices"
	"strings"

	"github.com/undercroft/undercroft/internal/vfs"
)

const (
	recordFile  = "membership.json"
	recordLimit = 1 << 20
	recordNow   = 2 // format; 1 had one member, no voters and no order of starts
)

// Dir is a data directory. Disk names it whatever its path.
type Dir struct {
	Disk string `json:"disk"`
	Path string `json:"path"` // where it was last seen; for people
}

// Record says which directories hold the files. It is on every data directory;
// the newest one counts, by lineage, start and epoch.
type Record struct {
	Format int `json:"format"`
	// Lineage grows when an administrator accepts the loss of what the missing
	// directories may hold.
	Lineage uint64 `json:"lineage"`
	// Starts counts the starts: only one that wrote its number to a majority of
	// the voters may raise the epoch.
	Starts uint64 `json:"starts"`
	Epoch  uint64 `json:"epoch"` // grows with every change
	// Initialised: there has been a state since; it is never created again.
	Initialised bool  `json:"initialised"`
	Members     []Dir `json:"members"`
	// Voters are the directories that were told of this epoch: a later one is
	// on at least half of them. Previous are those of the epochs before, while
	// this one is not confirmed.
	Voters   []Dir   `json:"voters"`
	Previous [][]Dir `json:"previous,omitempty"`
	// Wanted is the most members that there have been to be, and were: what
	// needs more has to wait for them.
	Wanted int `json:"wanted"`
	// Retired are directories that are no voters and never members, although
	// they may be here.
	Retired []Dir `json:"retired,omitempty"`
	// Confirmed: all voters have this record. Nothing is acknowledged by what
	// is not confirmed; until then a member that knows the record that this one
	// is based on has everything.
	Confirmed bool   `json:"confirmed"`
	Base      Number `json:"base"`
	Sum       string `json:"sum"` // CRC32C of the record without it
}

// Number orders the records of a lineage.
type Number struct {
	Starts uint64 `json:"starts"`
	Epoch  uint64 `json:"epoch"`
}

func (n Number) compare(o Number) int {
	return cmp.Or(cmp.Compare(n.Starts, o.Starts), cmp.Compare(n.Epoch, o.Epoch))
}

func (r *Record) number() Number { return Number{r.Starts, r.Epoch} }

// compare orders records by what counts; a confirmed one is after the same one
// before that.
func (r *Record) compare(o *Record) int {
	return cmp.Or(cmp.Compare(r.Lineage, o.Lineage), r.number().compare(o.number()), flag(r.Confirmed)-flag(o.Confirmed),
		flag(r.Initialised)-flag(o.Initialised))
}

func flag(b bool) int { //nolint:revive // the value of the flag
	if b {
		return 1
	}
	return 0
}

// current reports whether a member whose own record is own has all that was
// acknowledged before the newest record r.
func (r *Record) current(own *Record) bool {
	if own == nil || own.Lineage != r.Lineage {
		return false
	}
	if r.Confirmed {
		return own.number() == r.number()
	}
	return own.number().compare(r.Base) >= 0
}

func (r *Record) clone() *Record {
	c := *r
	c.Members, c.Voters = slices.Clone(r.Members), slices.Clone(r.Voters)
	c.Previous, c.Retired = slices.Clone(r.Previous), slices.Clone(r.Retired)
	return &c
}

func has(dirs []Dir, disk string) bool {
	return slices.ContainsFunc(dirs, func(d Dir) bool { return d.Disk == disk })
}

// electorates are the sets of directories that a start has to see more than
// half of, and a later record has to be on at least half of.
func (r *Record) electorates() [][]Dir { return append(slices.Clone(r.Previous), r.Voters) }

func count(dirs []Dir, here func(disk string) bool) (n int) {
	for _, d := range dirs {
		if here(d.Disk) {
			n++
		}
	}
	return n
}

// QuorumError says that the directories present cannot show that they have the
// newest record.
type QuorumError struct {
	Epoch   uint64 // of the newest record seen
	Need    int
	Have    int
	Missing []Dir
}

// Error is one line that names the directories.
func (e *QuorumError) Error() string {
	var names []string
	for _, d := range e.Missing {
		names = append(names, fmt.Sprintf("%s (disk %s)", d.Path, d.Disk))
	}
	return fmt.Sprintf("the newest state of the metadata cannot be shown to be here: %d of the %d directories needed to prove it, missing: %s",
		e.Have, e.Need, strings.Join(names, ", "))
}

// majority is nil when more than half of each electorate is here.
func (r *Record) majority(here func(disk string) bool) error {
	for _, dirs := range r.electorates() {
		if have := count(dirs, here); 2*have <= len(dirs) {
			e := &QuorumError{Epoch: r.Epoch, Need: len(dirs)/2 + 1, Have: have}
			for _, d := range dirs {
				if !here(d.Disk) {
					e.Missing = append(e.Missing, d)
				}
			}
			return e
		}
	}
	return nil
}

// half reports whether at least half of each electorate is here.
func (r *Record) half(here func(disk string) bool) bool {
	for _, dirs := range r.electorates() {
		if 2*count(dirs, here) < len(dirs) {
			return false
		}
	}
	return true
}

func (r *Record) encode() ([]byte, error) {
	c := r.clone()
	c.Format, c.Sum = recordNow, ""
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	c.Sum = sumText(raw)
	out, err := json.MarshalIndent(c, "", "  ")
	return append(out, '\n'), err
}

func sumText(raw []byte) string {
	return fmt.Sprintf("%08x", crc32.Checksum(raw, crc32.MakeTable(crc32.Castagnoli)))
}

func decode(data []byte) (*Record, error) {
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, err
	}
	if r.Format == 1 && r.Sum == "" {
		return upgrade(r)
	}
	if r.Format != recordNow {
		return nil, fmt.Errorf("format %d is not known to this program", r.Format)
	}
	sum := r.Sum
	r.Sum = ""
	raw, err := json.Marshal(&r)
	if err != nil {
		return nil, err
	}
	if sumText(raw) != sum {
		return nil, errors.New("the checksum is wrong")
	}
	if len(r.Members) == 0 || len(r.Voters) == 0 {
		return nil, errors.New("it names no directories")
	}
	return &r, nil
}

// upgrade reads the first format: one directory held the files, whatever became
// of the others.
func upgrade(r Record) (*Record, error) {
	if len(r.Members) != 1 {
		return nil, fmt.Errorf("format 1 with %d members is not known to this program", len(r.Members))
	}
	r.Voters, r.Confirmed, r.Previous = slices.Clone(r.Members), true, nil
	return &r, nil
}

// readRecord reads the record of a directory; nil when there is none.
func readRecord(fsys vfs.FS, dir string) (*Record, error) {
	name := fsys.PathJoin(dir, recordFile)
	data, err := vfs.ReadFile(fsys, name, recordLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no record is no error
	}
	if err != nil {
		return nil, err
	}
	r, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

func writeRecord(fsys vfs.FS, dir string, data []byte) error {
	return vfs.WriteFile(fsys, fsys.PathJoin(dir, recordFile), data, 0o640)
}
