package metadata

import (
	"fmt"
	"math"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// Scrubbed is a row v: how the frames of a partition were when scrub last read
// them, and how far it is with reading them again.
type Scrubbed struct {
	ID PartitionID
	// Looked is when the last walk began that came to the partition's end, and
	// Found what it met. Verified is when the last of them began that met every
	// frame of every shard and found it good. Zero: never.
	Looked, Verified time.Time
	Found            ScrubTally
	Round            uint64 // the round of that walk
	// Began is when the walk under way began, in the round Walk; zero where there
	// is none. Stripes below Next were read, and Current is what was met there.
	Began   time.Time
	Walk    uint64
	Next    int64
	Current ScrubTally
}

// ScrubTally is what a scrub met.
type ScrubTally struct {
	Partitions int64 // walked to their end; of a round only
	Stripes    int64 // read
	Frames     int64 // that verify
	Bytes      int64 // of them, on disk
	Damaged    int64 // frames that do not verify, or that are not there
	Passed     int64 // frames that were not read: of shards known to be short, or on disks that do not serve
	Mismatched int64 // stripes of which every frame verifies, and the parity is not that of the data
	Unreadable int64 // stripes of which too few frames verify
}

// Add adds another tally.
func (t *ScrubTally) Add(o *ScrubTally) {
	t.Partitions += o.Partitions
	t.Stripes += o.Stripes
	t.Frames += o.Frames
	t.Bytes += o.Bytes
	t.Damaged += o.Damaged
	t.Passed += o.Passed
	t.Mismatched += o.Mismatched
	t.Unreadable += o.Unreadable
}

// Whole reports whether everything was read and is as it was written.
func (t *ScrubTally) Whole() bool { return t.Damaged+t.Passed+t.Mismatched+t.Unreadable == 0 }

// ScrubRound is the row v of no partition: the round over all partitions that is
// under way, or the last one.
type ScrubRound struct {
	Number  uint64 // from 1 on
	Started time.Time
	Ended   time.Time // zero while it is under way
	Hurry   bool      // somebody waits for it
	Tally   ScrubTally
	Last    ScrubTally // of the round before
}

// Fields of a Scrubbed (rows v).
const (
	scrubLooked   = 1
	scrubVerified = 2
	scrubFound    = 3
	scrubBegan    = 4
	scrubNext     = 5
	scrubCurrent  = 6
	scrubRound    = 7
	scrubWalk     = 8
)

// Fields of a ScrubRound (the row v of no partition).
const (
	roundStarted = 1
	roundEnded   = 2
	roundHurry   = 3
	roundTally   = 4
	roundLast    = 5
	roundNumber  = 6
)

// counts are a tally's numbers by field.
func (t *ScrubTally) counts() []*int64 {
	return []*int64{&t.Partitions, &t.Stripes, &t.Frames, &t.Bytes, &t.Damaged, &t.Passed, &t.Mismatched, &t.Unreadable}
}

func (e *encoder) tally(field uint64, t ScrubTally) {
	if t == (ScrubTally{}) {
		return
	}
	e.nested(field, func(e *encoder) {
		for i, n := range t.counts() {
			e.uint(uint64(i+1), uint64(*n))
		}
	})
}

func (d *decoder) tally() (out ScrubTally) {
	counts := out.counts()
	in := d.nested()
	for in.next() {
		if in.field > uint64(len(counts)) {
			in.unknown()
			continue
		}
		*counts[in.field-1] = in.size()
	}
	d.join(&in)
	return out
}

func encodeScrubbed(x *Scrubbed) []byte {
	e := newRecord(64)
	e.time(scrubLooked, x.Looked)
	e.time(scrubVerified, x.Verified)
	e.tally(scrubFound, x.Found)
	e.time(scrubBegan, x.Began)
	e.uint(scrubNext, uint64(x.Next))
	e.tally(scrubCurrent, x.Current)
	e.uint(scrubRound, x.Round)
	e.uint(scrubWalk, x.Walk)
	return e.b
}

// decodeScrubbed decodes the value of a row v; ID is not in it.
func decodeScrubbed(v []byte) (*Scrubbed, error) {
	x := &Scrubbed{}
	d := openRecord(v)
	for d.next() {
		switch d.field {
		case scrubLooked:
			x.Looked = d.time()
		case scrubVerified:
			x.Verified = d.time()
		case scrubFound:
			x.Found = d.tally()
		case scrubBegan:
			x.Began = d.time()
		case scrubNext:
			x.Next = d.size()
		case scrubCurrent:
			x.Current = d.tally()
		case scrubRound:
			x.Round = d.uint(math.MaxUint64)
		case scrubWalk:
			x.Walk = d.uint(math.MaxUint64)
		default:
			d.unknown()
		}
	}
	return x, d.finish("scrubbed")
}

func encodeScrubRound(x *ScrubRound) []byte {
	e := newRecord(64)
	e.time(roundStarted, x.Started)
	e.time(roundEnded, x.Ended)
	if x.Hurry {
		e.uint(roundHurry, 1)
	}
	e.tally(roundTally, x.Tally)
	e.tally(roundLast, x.Last)
	e.uint(roundNumber, x.Number)
	return e.b
}

func decodeScrubRound(v []byte) (*ScrubRound, error) {
	x := &ScrubRound{}
	d := openRecord(v)
	for d.next() {
		switch d.field {
		case roundStarted:
			x.Started = d.time()
		case roundEnded:
			x.Ended = d.time()
		case roundHurry:
			x.Hurry = d.uint(1) == 1
		case roundTally:
			x.Tally = d.tally()
		case roundLast:
			x.Last = d.tally()
		case roundNumber:
			x.Number = d.uint(math.MaxUint64)
		default:
			d.unknown()
		}
	}
	return x, d.finish("scrub round")
}

func (s keyspace) scrubbed(id PartitionID) []byte { return u64(s.tag(tagScrub, 8), uint64(id)) }

func (s keyspace) scrubRound() []byte { return s.tag(tagScrub, 0) }

// Scrubbed is the row v of a partition.
func (r *Reader) Scrubbed(id PartitionID) (*Scrubbed, error) {
	x, err := decode(r, r.keys.scrubbed(id), decodeScrubbed)
	if x != nil {
		x.ID = id
	}
	return x, err
}

// AllScrubbed lists rows v by partition: those above after, at most limit (0: all).
func (r *Reader) AllScrubbed(after PartitionID, limit int) ([]Scrubbed, error) {
	return page(r, tagScrub, r.keys.scrubbed(after), limit, scrubbedRow)
}

func scrubbedRow(k, v []byte) (*Scrubbed, error) {
	id, err := parseUint(k)
	if err != nil {
		return nil, err
	}
	x, err := decodeScrubbed(v)
	if err != nil {
		return nil, err
	}
	x.ID = PartitionID(id)
	return x, nil
}

// PutScrubbed writes the row v of a partition. It reads the partition's row
// serializably and reports false, and writes nothing, where the partition is
// gone: no row v outlives its partition.
func (t *Tx) PutScrubbed(x *Scrubbed) (bool, error) {
	p, err := t.Partition(x.ID)
	if err != nil || p == nil {
		return false, err
	}
	t.set(t.keys.scrubbed(x.ID), encodeScrubbed(x))
	return true, t.err
}

// ScrubRound is the round over all partitions, nil before the first.
func (r *Reader) ScrubRound() (*ScrubRound, error) {
	return decode(r, r.keys.scrubRound(), decodeScrubRound)
}

// PutScrubRound writes the round over all partitions.
func (t *Tx) PutScrubRound(x *ScrubRound) error {
	t.set(t.keys.scrubRound(), encodeScrubRound(x))
	return t.err
}

func checkScrubbed(c *pageCheck, p kv.Pair) error {
	if len(c.keys.body(p.Key)) == 0 {
		_, err := decodeScrubRound(p.Value)
		return err
	}
	row, err := scrubbedRow(c.keys.body(p.Key), p.Value)
	if err != nil {
		return err
	}
	if row.Verified.After(row.Looked) {
		c.problem(CorruptRow, p.Key, fmt.Sprintf("verified at %s, looked at %s", row.Verified, row.Looked))
	}
	found, err := c.partition(row.ID)
	if err == nil && found == nil {
		c.problem(MissingPartition, p.Key, "there is no such partition")
	}
	return err
}
