package metadata

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/metadata/kv"
)

func TestScrubRowsLiveAsLongAsTheirPartition(t *testing.T) {
	db := newDB(t)
	p, other := newPartition(t, db), newPartition(t, db)
	row := &Scrubbed{ID: p.ID, Looked: at(5), Verified: at(5), Found: sampleTally(3), Round: 1}
	wrote := false
	put := func(x *Scrubbed) bool {
		update(t, db, func(tx *Tx) (err error) {
			wrote, err = tx.PutScrubbed(x)
			return err
		})
		return wrote
	}
	if !put(row) || !put(&Scrubbed{ID: other.ID, Looked: at(4)}) {
		t.Fatal("nothing was written")
	}
	round := &ScrubRound{Number: 1, Started: at(1), Tally: sampleTally(1)}
	update(t, db, func(tx *Tx) error { return tx.PutScrubRound(round) })
	if diff := cmp.Diff(row, found(t, db, func(r *Reader) (*Scrubbed, error) { return r.Scrubbed(p.ID) })); diff != "" {
		t.Errorf("read back otherwise:\n%s", diff)
	}
	if diff := cmp.Diff(round, found(t, db, func(r *Reader) (*ScrubRound, error) { return r.ScrubRound() })); diff != "" {
		t.Errorf("read back otherwise:\n%s", diff)
	}
	all := func() []Scrubbed {
		return found(t, db, func(r *Reader) ([]Scrubbed, error) { return r.AllScrubbed(0, 0) })
	}
	if n := len(all()); n != 2 {
		t.Errorf("%d rows", n)
	}
	update(t, db, func(tx *Tx) error { return tx.DeletePartition(p.ID) })
	if rows := all(); len(rows) != 1 || rows[0].ID != other.ID {
		t.Errorf("after the partition is gone: %+v", rows)
	}
	if put(row) {
		t.Error("the row of a partition that is gone was written")
	}
	clean(t, db)
}

func TestCheckFindsScrubRowsThatAreWrong(t *testing.T) {
	db := newDB(t)
	p := newPartition(t, db)
	for name, c := range map[string]struct {
		key, value []byte
		want       ProblemKind
	}{
		"of no partition":            {db.keys.scrubbed(p.ID + 1), encodeScrubbed(&Scrubbed{}), MissingPartition},
		"undecodable":                {db.keys.scrubbed(p.ID), []byte{9}, CorruptRow},
		"verified but not looked at": {db.keys.scrubbed(p.ID), encodeScrubbed(&Scrubbed{Verified: at(7)}), CorruptRow},
		"undecodable round":          {db.keys.scrubRound(), []byte{1, 9}, CorruptRow},
		"key of another length":      {append(db.keys.scrubRound(), 1), encodeScrubbed(&Scrubbed{}), CorruptRow},
	} {
		t.Run(name, func(t *testing.T) {
			set := func(fn func(kv.Tx)) {
				update(t, db, func(tx *Tx) error {
					fn(tx.kv)
					return nil
				})
			}
			set(func(tx kv.Tx) { tx.Set(c.key, c.value) })
			if got, _ := findings(t.Context(), t, db); len(got) != 1 || got[0].Kind != c.want {
				t.Errorf("found %+v, want one of kind %s", got, c.want)
			}
			set(func(tx kv.Tx) { tx.Delete(c.key) })
		})
	}
	clean(t, db)
}
