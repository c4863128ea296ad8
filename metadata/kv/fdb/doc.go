// Package fdb is the engine of metadata/kv on FoundationDB.
package fdb
