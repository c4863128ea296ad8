package pebble

import (
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Defaults of Options.
const (
	defaultCache    = 64 << 20
	defaultMemTable = 16 << 20
	defaultReserve  = 128 << 20
	defaultBallast  = 32 << 20
)

// Values from separateFrom bytes on, which are the bytes of small objects, go
// to blob files of their own when a memtable is flushed, and a compaction
// carries their reference along. The depth, of blob files that overlap below one
// table, is large because no range of such values is ever read in order. Blob
// files are rewritten once a quarter of all their bytes is garbage.
// docs/adr/0003 has the measurements.
const (
	separateFrom = 1 << 10
	blobDepth    = 100
	blobGarbage  = 0.25
	blobAge      = time.Minute
)

func separation() pebble.ValueSeparationPolicy {
	return pebble.ValueSeparationPolicy{
		Enabled: true, MinimumSize: separateFrom, MaxBlobReferenceDepth: blobDepth,
		RewriteMinimumAge: blobAge, TargetGarbageRatio: blobGarbage,
	}
}

// Options shape an engine. The zero value is ready to use.
type Options struct {
	// FS is the file system below Pebble; nil is the operating system's.
	FS vfs.FS
	// Logger gets Pebble's events; nil discards them.
	Logger *slog.Logger
	// CacheBytes is the size of the block cache; 0 means 64 MiB. Pebble takes
	// the memtables out of it, so it has to be well above three of them: with
	// less, every read below the memtables goes to a file.
	CacheBytes int64
	// MemTableBytes is the size of one memtable; 0 means 16 MiB. Up to four
	// exist under load.
	MemTableBytes uint64
	// MustExist refuses to begin a new state in a directory that holds none.
	MustExist bool
	// CompactionDelay is how long after Open no compaction begins, so that the first
	// requests have the processor; 0 means none.
	CompactionDelay time.Duration
	// Now is the clock of transaction age and timeouts; nil is the system's.
	Now func() time.Time
	// ReserveBytes of free space are kept: below it only transactions that free
	// space are accepted. 0 means 128 MiB, a negative value turns it off. It
	// works where the file system tells its free space.
	ReserveBytes int64
	// BallastBytes is the size of a file that is removed when the disk is full,
	// so that Pebble can go on long enough to free space. 0 means 32 MiB, a
	// negative value turns it off.
	BallastBytes int64
	// FreesSpace says which transaction classes go on when space is short,
	// besides those that only delete.
	FreesSpace func(class string) bool
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCache
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = defaultMemTable
	}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the one place that a default clock comes from
	}
	if o.ReserveBytes == 0 {
		o.ReserveBytes = defaultReserve
	}
	if o.BallastBytes == 0 {
		o.BallastBytes = defaultBallast
	}
	if o.FreesSpace == nil {
		o.FreesSpace = func(string) bool { return false }
	}
	return o
}

// pebbleOptions are Pebble's own: little memory when idle, filters so that a
// read of an absent key costs no block, and no file system call but through fs.
func (e *Engine) pebbleOptions(fs vfs.FS) *pebble.Options {
	o := &pebble.Options{
		FS:                          fs,
		ErrorIfNotExists:            e.opts.MustExist,
		CacheSize:                   e.opts.CacheBytes,
		MemTableSize:                e.opts.MemTableBytes,
		MemTableStopWritesThreshold: 4,
		FormatMajorVersion:          pebble.FormatNewest,
		Merger:                      addMerger(),
		MaxOpenFiles:                1000,
		L0CompactionThreshold:       2,
		L0StopWritesThreshold:       1000,
		LBaseMaxBytes:               64 << 20,
		BytesPerSync:                512 << 10,
		CompactionConcurrencyRange:  func() (lower, upper int) { return 1, 2 },
		Logger:                      &pebbleLogger{e},
		EventListener:               e.events(),
	}
	o.Experimental.ValueSeparationPolicy = separation
	o.Experimental.CompactionScheduler = e.compactions
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].BlockSize = 8 << 10
		o.Levels[i].IndexBlockSize = 32 << 10
	}
	return o
}

func jitter(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return time.Duration(rand.Int64N(int64(limit)))
}
