//go:build fdb

package fdb

import (
	"github.com/apple/foundationdb/bindings/go/src/fdb"

	"github.com/undercroft/undercroft/metadata/kv"
)

// Available says whether this binary can use FoundationDB.
const Available = true

// Engine is a kv.Engine on FoundationDB.
type Engine struct {
	kv.Engine
	db fdb.Database
}

// Open joins the cluster that o names. It does not wait for it.
func Open(o Options) (*Engine, error) {
	_, err := o.withDefaults()
	return nil, err
}
