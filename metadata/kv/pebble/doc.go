// Package pebble is the embedded engine of metadata/kv: one Pebble directory
// with an in-process oracle that finds conflicts over key ranges.
//
// It promises what the contract does, and more exactly: commits are ordered
// under one mutex and grouped into one log sync; nothing is visible to a View
// before it is durable; an Update reads the latest applied state, and when it
// ends without writing it returns once that state is durable. An idle engine
// writes nothing. After an error of the disk that leaves the log's state in
// doubt the engine stops for good: every call answers kv.ErrUnavailable and
// Failed is closed.
//
// It does not promise to serve more than one process (the directory is locked)
// nor to find every conflict false: a transaction may be told to run again
// although a serial order existed. Only the programs that open an engine
// import it.
//
// # Stored keys
//
// User keys are stored as they are. Keys from 0xff on are the engine's:
//
//	ff "format"      u8       format of this layout, 1
//	ff "generation"  10 B     generation stamp: u64 BE commit version, two zeros
//	ff "version"     u64 BE   version of the last commit, written by each commit
//
// Integers changed by Add are 8 bytes little-endian, kept as operands of the
// merger "undercroft.add64.v1". See docs/format/metadata-engine.md.
package pebble
