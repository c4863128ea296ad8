// Package fdbcluster starts clusters of real fdbserver processes for tests, and
// kills, restarts, pauses and reconfigures them.
//
// A cluster lives in a directory of its own and listens on loopback. Its
// processes end with the test binary however that ends, and its directory is
// removed then. Where no FoundationDB is installed, tests are skipped: the first
// of a binary says what is missing.
//
// It does not link the client library. It may be imported by tests only.
package fdbcluster
