package steward

import "time"

// Meter is what a [Job] implements that knows how far it is. Work may be called
// at any time beside Step, by other goroutines.
type Meter interface {
	Work() Work
}

// Work is how far a job is.
type Work struct {
	Unit  string    // what Done and Total count: "bytes", "shards", "partitions"
	Done  int64     // of Total, since Since
	Total int64     // 0 when there is nothing to do, or it is not known
	Since time.Time // when this round of work began; zero when none is under way
	Note  string    // one line for the administrator: what it is at, or what stops it
}
