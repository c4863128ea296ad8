package metadata

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJobsAndHolders(t *testing.T) {
	db := newDB(t)
	repair := Job{Name: "repair", Holder: db.NewHolderID(), Run: 2, Ran: 1, Cursor: []byte{1}, Last: JobResult{Ended: at(5), Did: 3}}
	scrub := Job{Name: "scrub", Paused: true, Last: JobResult{Error: "no"}}
	h := Holder{ID: repair.Holder, Stamp: 9}
	update(t, db, func(tx *Tx) error {
		return errors.Join(tx.PutJob(&scrub), tx.PutJob(&repair), tx.PutHolder(&h))
	})
	if diff := cmp.Diff([]Job{repair, scrub}, found(t, db, (*Reader).Jobs)); diff != "" {
		t.Errorf("jobs differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Holder{h}, found(t, db, (*Reader).Holders)); diff != "" {
		t.Errorf("holders differ (-want +got):\n%s", diff)
	}
	one := found(t, db, func(r *Reader) (*Job, error) { return r.Job("scrub") })
	if diff := cmp.Diff(&scrub, one); diff != "" {
		t.Errorf("the job differs (-want +got):\n%s", diff)
	}
	if other := found(t, db, func(r *Reader) (*Job, error) { return r.Job("seal") }); other != nil {
		t.Errorf("a job without a row is %+v", other)
	}
	clean(t, db)
	update(t, db, func(tx *Tx) error { return tx.DeleteHolder(h.ID) })
	if left := found(t, db, func(r *Reader) (*Holder, error) { return r.Holder(h.ID) }); left != nil {
		t.Errorf("a holder is left: %+v", left)
	}
	clean(t, db)
}

func TestJobsHaveLimits(t *testing.T) {
	db := newDB(t)
	for name, j := range map[string]Job{
		"no name":     {},
		"a long name": {Name: strings.Repeat("a", MaxJobName+1)},
		"a bad name":  {Name: "a/b"},
		"a cursor":    {Name: "a", Cursor: make([]byte, MaxJobCursor+1)},
		"an error":    {Name: "a", Last: JobResult{Error: strings.Repeat("x", MaxJobError+1)}},
	} {
		if err := db.Update(t.Context(), "test", func(tx *Tx) error { return tx.PutJob(&j) }); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: error %v, want ErrInvalid", name, err)
		}
	}
}
