//go:build !fdb

package fdb

import "github.com/undercroft/undercroft/metadata/kv"

// Available says whether this binary can use FoundationDB.
const Available = false

// Engine is never made in this binary.
type Engine struct{ kv.Engine }

// Open returns ErrUnavailableHere.
func Open(Options) (*Engine, error) { return nil, ErrUnavailableHere }
