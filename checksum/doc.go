// Package checksum computes the digests that S3 knows, in one pass over the
// bytes, and combines the digests of parts into the digest of the whole.
//
// It promises: values that equal what AWS computes; no allocation per Write;
// combination of CRCs without reading the data again.
//
// It does not promise secrecy (comparison of digests is not constant-time:
// they are no secrets), and it knows nothing of requests: which digests a
// request must carry, and what to answer when one is wrong, is decided above.
//
// The XXHASH64, XXHASH3 and XXHASH128 algorithms of S3 are not implemented;
// [Parse] and [ParseHeader] report them as unknown.
//
// It is a leaf: it imports the standard library and minio/crc64nvme only, and
// every package may import it.
package checksum
