// Package txn is the part of a transaction that every embedded engine shares:
// buffered writes that its own reads see, the read and write sets that decide
// conflicts, the limits, and the loop that runs a transaction again.
//
// It promises FoundationDB's rules for what a read conflicts with. It does not
// commit: an engine gives it one version to read ([Snapshot]), takes the write
// and read sets from it and decides. Only engines below metadata/kv import it.
package txn
