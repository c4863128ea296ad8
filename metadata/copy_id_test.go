package metadata

import (
	"bytes"
	"slices"
	"testing"

	"github.com/undercroft/undercroft/metadata/kv"
)

// TestCopyIDs: a state is told from one that was imported from it.
func TestCopyIDs(t *testing.T) {
	db := newDB(t)
	first := db.CopyID()
	if first == ([16]byte{}) || newDBOn(t, db.engine).CopyID() != first {
		t.Errorf("%x, then %x", first, newDBOn(t, db.engine).CopyID())
	}
	if err := db.MakeCopyID(t.Context()); err != nil || db.CopyID() != first {
		t.Errorf("%x, made again as %x: %v", first, db.CopyID(), err)
	}
	stream, _ := exported(t, db)
	target := newEngine(t)
	if _, _, err := Import(t.Context(), target, bytes.NewReader(stream), importOptions(db)); err != nil {
		t.Fatal(err)
	}
	imported := newDBOn(t, target)
	if imported.ClusterID() != db.ClusterID() || imported.CopyID() == first || imported.CopyID() == ([16]byte{}) {
		t.Errorf("cluster %x, copy %x of %x", imported.ClusterID(), imported.CopyID(), first)
	}
}

// TestCopyIDOfAnOlderState is made once, and kept.
func TestCopyIDOfAnOlderState(t *testing.T) {
	e := newEngine(t)
	_, err := e.Update(t.Context(), kv.TxOptions{}, func(tx kv.Tx) error {
		tx.Set(keyspace{root: []byte{0x15}}.format(), encodeCluster(cluster{format: 1, id: sampleID(1)}))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	older, beside := newDBOn(t, e), newDBOn(t, e)
	if older.CopyID() != ([16]byte{}) {
		t.Errorf("%x", older.CopyID())
	}
	for _, db := range []*DB{older, beside} {
		if err := db.MakeCopyID(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if id := older.CopyID(); id == ([16]byte{}) || beside.CopyID() != id || newDBOn(t, e).CopyID() != id || older.ClusterID() != sampleID(1) {
		t.Errorf("%x, beside it %x", id, beside.CopyID())
	}
}

// TestInspectExport finds the disks of an export, and nothing that is not whole.
func TestInspectExport(t *testing.T) {
	db := newDB(t)
	disks := []DiskID{DiskID(sampleID(1)), DiskID(sampleID(9))}
	update(t, db, func(tx *Tx) error {
		for _, id := range disks {
			if err := tx.PutDisk(&Disk{ID: id, State: DiskActive, Path: "/d", Added: db.now()}); err != nil {
				return err
			}
		}
		return nil
	})
	stream, _ := exported(t, db)
	got, err := InspectExport(bytes.NewReader(stream))
	if err != nil || got.Cluster != db.ClusterID() || !slices.Equal(got.Disks, disks) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := InspectExport(bytes.NewReader(stream[:len(stream)-1])); err == nil {
		t.Error("half an export is whole")
	}
}
