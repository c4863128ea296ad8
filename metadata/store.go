package metadata

import (
	"fmt"

	"github.com/undercroft/undercroft/metadata/kv"
)

// page lists the records of a table in key order: those above after (nil for
// the first), at most limit (0: all).
func page[T any](r *Reader, tag byte, after []byte, limit int, record func(key, value []byte) (*T, error)) ([]T, error) {
	rng := r.keys.all(tag)
	if after != nil {
		rng.Begin = kv.KeyAfter(after)
	}
	var out []T
	err := r.each(rng, limit, func(p kv.Pair) (bool, error) {
		v, err := record(r.keys.body(p.Key), p.Value)
		if err != nil {
			return false, fmt.Errorf("key %q: %w", p.Key, err)
		}
		out = append(out, *v)
		return true, nil
	})
	return out, err
}

// Partition is a partition's row.
func (r *Reader) Partition(id PartitionID) (*Partition, error) {
	p, err := decode(r, r.keys.partition(id), decodePartition)
	if p != nil {
		p.ID = id
	}
	return p, err
}

// Partitions lists partitions by id: those above after, at most limit (0: all).
func (r *Reader) Partitions(after PartitionID, limit int) ([]Partition, error) {
	return page(r, tagPartition, r.keys.partition(after), limit, partitionRow)
}

func partitionRow(k, v []byte) (*Partition, error) {
	id, err := parseUint(k)
	if err != nil {
		return nil, err
	}
	p, err := decodePartition(v)
	if err != nil {
		return nil, err
	}
	p.ID = PartitionID(id)
	return p, nil
}

// LiveBytes is the sum of the lengths of all extents that were published in a
// partition and not freed. In an Update read it from Tx.Snapshot.
func (r *Reader) LiveBytes(id PartitionID) (int64, error) { return r.counter(r.keys.liveBytes(id)) }

// PutPartition writes a partition's row.
func (t *Tx) PutPartition(p *Partition) error {
	if len(p.Shards) != int(p.K)+int(p.M) || p.K == 0 || p.State < PartitionCreating || p.State > PartitionDropped {
		t.invalid("partition %016x: %d+%d on %d disks in state %d", uint64(p.ID), p.K, p.M, len(p.Shards), p.State)
		return t.err
	}
	t.set(t.keys.partition(p.ID), encodePartition(p))
	return t.err
}

// DeletePartition removes the row of a dropped partition, and its counter and row v.
func (t *Tx) DeletePartition(id PartitionID) error {
	t.kv.Delete(t.keys.partition(id))
	t.kv.Delete(t.keys.scrubbed(id))
	t.kv.Delete(t.keys.liveBytes(id))
	return t.err
}

// Disk is a disk of the inventory.
func (r *Reader) Disk(id DiskID) (*Disk, error) {
	d, err := decode(r, r.keys.disk(id), decodeDisk)
	if d != nil {
		d.ID = id
	}
	return d, err
}

// Disks lists the inventory by id.
func (r *Reader) Disks() ([]Disk, error) { return page(r, tagDisk, nil, 0, diskRow) }

func diskRow(k, v []byte) (*Disk, error) {
	d, err := decodeDisk(v)
	if err != nil || len(k) != 16 {
		return nil, orKey(err, k)
	}
	d.ID = DiskID(k)
	return d, nil
}

// PutDisk writes a disk's row.
func (t *Tx) PutDisk(d *Disk) error {
	t.set(t.keys.disk(d.ID), encodeDisk(d))
	return t.err
}

// DeleteDisk removes a disk from the inventory.
func (t *Tx) DeleteDisk(id DiskID) error {
	t.kv.Delete(t.keys.disk(id))
	return t.err
}

// Intent is the intent of a data id or manifest.
func (r *Reader) Intent(id DataID) (*Intent, error) {
	i, err := decode(r, r.keys.intent(id), decodeIntent)
	if i != nil {
		i.ID = id
	}
	return i, err
}

// Intents lists intents by id: those above after, at most limit (0: all).
func (r *Reader) Intents(after DataID, limit int) ([]Intent, error) {
	return page(r, tagIntent, r.keys.intent(after), limit, intentRow)
}

func intentRow(k, v []byte) (*Intent, error) {
	i, err := decodeIntent(v)
	if err != nil || len(k) != 16 {
		return nil, orKey(err, k)
	}
	i.ID = DataID(k)
	return i, nil
}

// PutIntent announces data that is written in more than one transaction: its
// rows E, R or Y before the row that owns it. Write it with the first of them;
// later ones call RequireIntent, and the one that publishes FinishIntent.
func (t *Tx) PutIntent(i *Intent) error {
	t.set(t.keys.intent(i.ID), encodeIntent(i))
	return t.err
}

// RequireIntent reads the intent serializably and fails with ErrFenced where
// the collector has taken it.
func (t *Tx) RequireIntent(id DataID) error {
	i, err := t.Intent(id)
	if err == nil && i == nil {
		return fmt.Errorf("%w: intent %x is gone", ErrFenced, id[:])
	}
	return err
}

// FinishIntent is RequireIntent followed by DeleteIntent: the data is owned
// from this transaction on.
func (t *Tx) FinishIntent(id DataID) error {
	if err := t.RequireIntent(id); err != nil {
		return err
	}
	return t.DeleteIntent(id)
}

// DeleteIntent removes an intent without reading it.
func (t *Tx) DeleteIntent(id DataID) error {
	t.kv.Delete(t.keys.intent(id))
	return t.err
}

// Garbage lists what the collector should look at, by id: rows above after, at
// most limit (0: all).
func (r *Reader) Garbage(after DataID, limit int) ([]Garbage, error) {
	return page(r, tagGarbage, r.keys.garbage(after), limit, garbageRow)
}

func garbageRow(k, v []byte) (*Garbage, error) {
	g, err := decodeGarbage(v)
	if err != nil || len(k) != 16 {
		return nil, orKey(err, k)
	}
	g.ID = DataID(k)
	return g, nil
}

// DeleteGarbage removes a row G. The collector reads it, and the owners of the
// id, serializably in the same transaction.
func (t *Tx) DeleteGarbage(id DataID) error {
	t.kv.Delete(t.keys.garbage(id))
	return t.err
}

func parseUint(k []byte) (uint64, error) {
	if len(k) != 8 {
		return 0, errKey(k)
	}
	var v uint64
	for _, c := range k {
		v = v<<8 | uint64(c)
	}
	return v, nil
}
