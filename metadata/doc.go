// Package metadata is what the store knows of buckets, objects, uploads,
// accounts, partitions and disks: the records, the key space they live in, and typed
// access to its rows inside transactions of [kv.Engine].
//
// # Promises
//
// A transaction is atomic and strictly serializable; what a View returned and
// what an Update acknowledged is durable. Rows that belong together (an object
// and its counters, an extent and its reverse reference) are written by one
// method of [Tx] in one transaction, so they agree at every read version;
// [Check] proves it for the whole state. Decoders accept any bytes and fail
// with [ErrCorrupt] instead of guessing.
//
// It does not settle a commit whose outcome is unknown: Update then returns
// [kv.ErrUnknownCommit], nothing is applied again, and the caller looks for the
// token of its request in the row it wrote. It does not check names, sizes or
// permissions of S3, and it never touches the bytes of objects other than
// inline ones.
//
// Only objects, partition, steward, iam/directory and cmd may import it.
//
// # Keys
//
// Every key is the root prefix, one tag byte, then fields. Integers are
// big-endian; ~x is the bitwise complement, which sorts descending; esc(s)
// writes 0x00 as 0x00 0xff and ends with 0x00 0x01, so that what follows sorts
// after the order of s itself. docs/format/metadata.md draws the values.
//
//	Z "format"                          format version, cluster id
//	b name                              bucket name -> bucket id
//	u esc(owner) name                   buckets of an account
//	B bucket8                           bucket
//	O bucket8 key                       the current live object
//	V bucket8 esc(key) ~ord8            noncurrent version or delete marker
//	N bucket8 key                       ord of the null version while it is in V
//	D bucket8 esc(key) ~ord8            bytes of an inline version
//	M bucket8 esc(key) upload16         multipart upload
//	P bucket8 upload16 part2            uploaded part
//	Q bucket8 upload16                  stamp: changes with any part
//	Y manifest16 end8 part2             parts of a completed upload, by end offset
//	E data16 end8                       extents of a data id, by end offset
//	R partition8 stripe8 data16         a stripe holds bytes of a data id
//	K data16 owner                      an owner beside the home; 0x00: home gone
//	G id16                              the collector should look at id
//	W data16                            intent: data being written in many commits
//	p partition8                        partition
//	d disk16                            disk
//	C 'b' bucket8 counter1              int64, little-endian
//	C 'p' partition8                    int64, little-endian: live bytes
//	j name                              background job: wishes, lease, last result
//	l holder16                          a process that runs background jobs
//	k name                              encryption key of the local keyring
//	J minute4 random12                  token of an operation that left no row
//	I table1 ...                        accounts, users, access keys and what finds them
package metadata
