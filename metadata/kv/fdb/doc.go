// Package fdb is the engine of metadata/kv on FoundationDB, so that any number
// of gateways share one metadata store.
//
// It promises what the contract does: transactions are those of the embedded
// engines, read from the cluster and committed by it, and no call outlasts its
// timeout by more than a second, also while the cluster is away. It does not
// promise that a commit whose outcome is unknown is not applied later.
// docs/adr/0012 says how it uses the client library, and what it avoids of it.
//
// # Stored keys
//
// User keys are stored behind the engine's prefix. The generation stamp is the
// cluster's \xff/metadataVersion. Integers changed by Add are 8 bytes
// little-endian.
//
// It needs Apple's client library, and is there in binaries that are built with
// the tag fdb (make build-fdb): without it [Open] says so, and [Available] is
// false. Only the programs that open an engine import it.
package fdb
