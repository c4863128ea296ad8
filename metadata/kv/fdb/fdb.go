//go:build fdb

package fdb

import _ "github.com/apple/foundationdb/bindings/go/src/fdb" // the binding
