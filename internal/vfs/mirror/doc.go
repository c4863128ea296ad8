// Package mirror keeps the files of one directory on several data directories:
// one file-system layer below the embedded metadata engine.
//
// What it promises, for m+1 members and any m of them lost, stale, full,
// stalled or failing, before, while or between runs: a write, sync or change of
// a name that returned nil is on every current member; who is a current member
// is recorded durably, on every data directory that can be reached, before
// anything is acknowledged without a member that failed; a start finds the
// newest record or is refused, takes only current members for the truth, and
// makes them equal before the first read. docs/adr/0006 has the argument.
//
// Tables and blob files, which never change, get checksums beside them. A read
// that does not verify, or fails, is served from another member and the bad copy
// is replaced.
//
// It promises nothing about files of other directories (such names go to the
// file system below) nor about two processes that are given directories of one
// store with the override of the start. internal/single alone opens it.
//
// # On disk
//
//	DIR/membership.json    on every data directory: see Record
//	DIR/metadata/          on members: the files
//	DIR/metadata-sums/     on members: NAME for each table and blob file:
//	                       magic "UCSUMS1\n", u64 LE size, u32 LE CRC32C of each
//	                       16 KiB of the file, u32 LE CRC32C of all before
package mirror
