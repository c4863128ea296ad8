package metadata

import "time"

// Limits of a row j.
const (
	// MaxJobName bounds the name of a job, in bytes.
	MaxJobName = 32
	// MaxJobCursor bounds what a job keeps for itself, in bytes.
	MaxJobCursor = 4 << 10
	// MaxJobError bounds the text of the last error, in bytes.
	MaxJobError = 1 << 10
)

// HolderID names a process that runs background jobs: 16 random bytes of each
// start. The zero value is none.
type HolderID [16]byte

// Job is what is kept of a kind of background work (row j): the wishes of the
// administrator, who works on it, and how it went. Nothing that is safe rests on
// it.
type Job struct {
	Name   string
	Paused bool
	// Holder has the job's lease while there is a row l of it.
	Holder HolderID
	// Run counts how often the administrator asked for the job to run now; Ran
	// is up to where that was done.
	Run, Ran uint64
	// Cursor is the job's own.
	Cursor []byte
	Last   JobResult
}

// JobResult is how a job went last.
type JobResult struct {
	Ended time.Time // zero: never
	Did   int64     // things done
	Error string    // empty: it went well
}

// Holder is a process that runs background jobs (row l). It is alive while its
// stamp rises; without the row it has no leases.
type Holder struct {
	ID    HolderID
	Stamp uint64
}

// NewHolderID makes the id of a process.
func (db *DB) NewHolderID() HolderID { return HolderID(db.randomID()) }

// Job is the row of a job.
func (r *Reader) Job(name string) (*Job, error) {
	j, err := decode(r, r.keys.job(name), decodeJob)
	if j != nil {
		j.Name = name
	}
	return j, err
}

// Jobs lists the rows of jobs by name. A job that nobody asked anything of may
// have none.
func (r *Reader) Jobs() ([]Job, error) { return page(r, tagJob, nil, 0, jobRow) }

func jobRow(k, v []byte) (*Job, error) {
	j, err := decodeJob(v)
	if err != nil || !isJobName(string(k)) {
		return nil, orKey(err, k)
	}
	j.Name = string(k)
	return j, nil
}

// isJobName allows words of lower-case letters, digits and dashes.
func isJobName(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return name != "" && len(name) <= MaxJobName
}

// PutJob writes the row of a job.
func (t *Tx) PutJob(j *Job) error {
	if !isJobName(j.Name) || len(j.Cursor) > MaxJobCursor || len(j.Last.Error) > MaxJobError {
		t.invalid("job %.40q with a cursor of %d bytes and an error of %d", j.Name, len(j.Cursor), len(j.Last.Error))
		return t.err
	}
	t.set(t.keys.job(j.Name), encodeJob(j))
	return t.err
}

// Holder is the row of a process.
func (r *Reader) Holder(id HolderID) (*Holder, error) {
	h, err := decode(r, r.keys.holder(id), decodeHolder)
	if h != nil {
		h.ID = id
	}
	return h, err
}

// Holders lists the processes by id.
func (r *Reader) Holders() ([]Holder, error) { return page(r, tagHolder, nil, 0, holderRow) }

func holderRow(k, v []byte) (*Holder, error) {
	h, err := decodeHolder(v)
	if err != nil || len(k) != 16 {
		return nil, orKey(err, k)
	}
	h.ID = HolderID(k)
	return h, nil
}

// PutHolder writes the row of a process.
func (t *Tx) PutHolder(h *Holder) error {
	t.set(t.keys.holder(h.ID), encodeHolder(h))
	return t.err
}

// DeleteHolder takes the leases of a process away.
func (t *Tx) DeleteHolder(id HolderID) error {
	t.kv.Delete(t.keys.holder(id))
	return t.err
}
