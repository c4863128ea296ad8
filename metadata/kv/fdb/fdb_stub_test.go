//go:build !fdb

package fdb_test

import (
	"errors"
	"testing"

	"github.com/undercroft/undercroft/metadata/kv/fdb"
)

func TestBinaryWithoutFoundationDBSaysSo(t *testing.T) {
	e, err := fdb.Open(fdb.Options{ClusterFile: "fdb.cluster"})
	if e != nil || !errors.Is(err, fdb.ErrUnavailableHere) || fdb.Available {
		t.Errorf("%v, %v, available %v", e, err, fdb.Available)
	}
}
