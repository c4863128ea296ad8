// Package load drives an S3 endpoint as hard as one client core can, and
// reports what the server did and what that cost it.
//
// Purpose: benchmarks on small machines, where the client shares the box with
// the server and must therefore be cheap. It speaks HTTP/1.1 over its own
// keep-alive connections, signs with a cached SigV4 key, and hashes payloads
// once, before the measured window.
//
// It promises: an operation is counted only when the whole answer was read and
// had the expected status and length; memory is bounded by concurrency and
// payload size; percentiles come from a histogram of fixed size with a relative
// error below 1.6 %.
//
// It does not promise to verify bytes read unless asked to (Config.Verify), and
// it is not an S3 client library: path-style requests to one bucket only.
//
// Only bench/cmd may import it.
package load
