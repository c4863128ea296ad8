// Package fdb is the engine of metadata/kv on FoundationDB, so that any number
// of gateways share one metadata store.
//
// It needs Apple's client library, and is there in binaries that are built with
// the tag fdb (make build-fdb): without it [Open] says so, and [Available] is
// false. Only the programs that open an engine import it.
package fdb
