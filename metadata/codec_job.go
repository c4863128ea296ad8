package metadata

import "math"

// Fields of a Job (rows j).
const (
	jobFlags  = 1 // 1: paused
	jobHolder = 2
	jobRun    = 3
	jobRan    = 4
	jobCursor = 5
	jobEnded  = 6
	jobDid    = 7
	jobError  = 8

	jobPaused = 1
)

// Fields of a Holder (rows l).
const holderStamp = 1

func encodeJob(j *Job) []byte {
	e := newRecord(64 + len(j.Cursor) + len(j.Last.Error))
	if j.Paused {
		e.uint(jobFlags, jobPaused)
	}
	e.id(jobHolder, j.Holder)
	e.uint(jobRun, j.Run)
	e.uint(jobRan, j.Ran)
	e.bytes(jobCursor, j.Cursor)
	e.time(jobEnded, j.Last.Ended)
	e.uint(jobDid, uint64(max(j.Last.Did, 0)))
	e.text(jobError, j.Last.Error)
	return e.b
}

// decodeJob decodes the value of a row j; Name is not in it.
func decodeJob(v []byte) (*Job, error) {
	j := &Job{}
	d := openRecord(v)
	for d.next() {
		switch d.field {
		case jobFlags:
			j.Paused = d.uint(jobPaused) == jobPaused
		case jobHolder:
			j.Holder = d.id()
		case jobRun:
			j.Run = d.uint(math.MaxUint64)
		case jobRan:
			j.Ran = d.uint(math.MaxUint64)
		case jobCursor:
			j.Cursor = append([]byte(nil), d.bytes()...)
		case jobEnded:
			j.Last.Ended = d.time()
		case jobDid:
			j.Last.Did = d.size()
		case jobError:
			j.Last.Error = d.text()
		default:
			d.unknown()
		}
	}
	return j, d.finish("job")
}

func encodeHolder(h *Holder) []byte {
	e := newRecord(16)
	e.uint(holderStamp, h.Stamp)
	return e.b
}

// decodeHolder decodes the value of a row l; ID is not in it.
func decodeHolder(v []byte) (*Holder, error) {
	h := &Holder{}
	d := openRecord(v)
	for d.next() {
		switch d.field {
		case holderStamp:
			h.Stamp = d.uint(math.MaxUint64)
		default:
			d.unknown()
		}
	}
	return h, d.finish("holder")
}
