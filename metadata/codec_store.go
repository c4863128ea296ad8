package metadata

import (
	"math"
	"time"
)

// Fields of a Partition (rows p).
const (
	partitionState    = 1
	partitionEpoch    = 2
	partitionK        = 3
	partitionM        = 4
	partitionSecret   = 5
	partitionShards   = 6 // disk ids one after another
	partitionLost     = 7 // one byte each
	partitionCapacity = 8
	partitionEnd      = 9
	partitionClass    = 10
	partitionCreated  = 11
	partitionDamaged  = 12 // one byte each; ignorable
	partitionWriter   = 13 // ignorable: who does not know it has the metadata alone
)

// Fields of a Disk (rows d).
const (
	diskState  = 1
	diskPath   = 2
	diskAdded  = 3
	diskParity = 4 // one byte
)

// Fields of an Intent (rows W).
const (
	intentCreated = 1
	intentBucket  = 2
	intentOwns    = 3
)

// Fields of a Garbage (rows G).
const (
	garbageKind   = 1
	garbageBucket = 2
	garbageAdded  = 3
)

func encodePartition(p *Partition) []byte {
	e := newRecord(96 + 16*len(p.Shards))
	e.uint(partitionState, uint64(p.State))
	e.uint(partitionEpoch, uint64(p.Epoch))
	e.uint(partitionK, uint64(p.K))
	e.uint(partitionM, uint64(p.M))
	e.id(partitionSecret, p.Secret)
	shards := make([]byte, 0, 16*len(p.Shards))
	for _, disk := range p.Shards {
		shards = append(shards, disk[:]...)
	}
	e.bytes(partitionShards, shards)
	e.bytes(partitionLost, p.Lost)
	e.uint(partitionCapacity, uint64(p.Capacity))
	e.uint(partitionEnd, uint64(p.End))
	e.text(partitionClass, p.Class)
	e.time(partitionCreated, p.Created)
	e.bytesOrSkip(partitionDamaged, p.Damaged)
	if p.Writer != (HolderID{}) {
		e.bytesOrSkip(partitionWriter, p.Writer[:])
	}
	return e.b
}

// decodePartition decodes the value of a row p; ID is not in it.
func decodePartition(v []byte) (*Partition, error) {
	p := &Partition{}
	d := openRecord(v)
	for d.next() {
		switch d.field {
		case partitionState:
			p.State = PartitionState(d.uint(uint64(PartitionDropped)))
		case partitionEpoch:
			p.Epoch = Epoch(d.uint(math.MaxUint32))
		case partitionK:
			p.K = uint8(d.uint(math.MaxUint8))
		case partitionM:
			p.M = uint8(d.uint(math.MaxUint8))
		case partitionSecret:
			p.Secret = d.id()
		case partitionShards:
			p.Shards = d.disks()
		case partitionLost:
			p.Lost = append([]uint8(nil), d.bytes()...)
		case partitionCapacity:
			p.Capacity = d.size()
		case partitionEnd:
			p.End = d.size()
		case partitionClass:
			p.Class = d.text()
		case partitionCreated:
			p.Created = d.time()
		case partitionDamaged:
			p.Damaged = append([]uint8(nil), d.bytes()...)
		case partitionWriter:
			p.Writer = d.id()
		default:
			d.unknown()
		}
	}
	return p, d.finish("partition")
}

func (d *decoder) disks() []DiskID {
	b := d.bytes()
	if len(b)%16 != 0 {
		d.fail("not whole disk ids")
		return nil
	}
	var out []DiskID
	for ; len(b) > 0; b = b[16:] {
		out = append(out, DiskID(b[:16]))
	}
	return out
}

func encodeDisk(x *Disk) []byte {
	e := newRecord(64)
	e.uint(diskState, uint64(x.State))
	e.text(diskPath, x.Path)
	e.time(diskAdded, x.Added)
	if x.Parity > 0 {
		e.bytesOrSkip(diskParity, []byte{x.Parity})
	}
	return e.b
}

// decodeDisk decodes the value of a row d; ID is not in it.
func decodeDisk(v []byte) (*Disk, error) {
	x := &Disk{}
	d := openRecord(v)
	for d.next() {
		switch d.field {
		case diskState:
			x.State = DiskState(d.uint(uint64(DiskRemoved)))
		case diskPath:
			x.Path = d.text()
		case diskAdded:
			x.Added = d.time()
		case diskParity:
			b := d.bytes()
			if len(b) != 1 {
				d.fail("parity is not one byte")
				continue
			}
			x.Parity = b[0]
		default:
			d.unknown()
		}
	}
	return x, d.finish("disk")
}

func encodeIntent(i *Intent) []byte {
	e := newRecord(24)
	e.time(intentCreated, i.Created)
	e.fixed(intentBucket, uint64(i.Bucket))
	if i.Owns {
		e.uint(intentOwns, 1)
	}
	return e.b
}

// decodeIntent decodes the value of a row W; ID is not in it.
func decodeIntent(v []byte) (*Intent, error) {
	i := &Intent{}
	d := openRecord(v)
	for d.next() {
		switch d.field {
		case intentCreated:
			i.Created = d.time()
		case intentBucket:
			i.Bucket = BucketID(d.fixed())
		case intentOwns:
			i.Owns = d.uint(1) == 1
		default:
			d.unknown()
		}
	}
	return i, d.finish("intent")
}

// Garbage is a row G: the collector should look whether ID still has owners.
type Garbage struct {
	// ID is a data id, a manifest's id, or an UploadID in the same 16 bytes.
	ID   DataID
	Kind GarbageKind
	// Bucket holds the rows P of GarbageUpload; otherwise 0.
	Bucket BucketID
	// Added is when the row was written, in milliseconds; for people only.
	Added time.Time
}

func encodeGarbage(g *Garbage) []byte {
	e := newRecord(24)
	e.uint(garbageKind, uint64(g.Kind))
	e.fixed(garbageBucket, uint64(g.Bucket))
	e.time(garbageAdded, g.Added)
	return e.b
}

// decodeGarbage decodes the value of a row G; ID is not in it.
func decodeGarbage(v []byte) (*Garbage, error) {
	g := &Garbage{}
	d := openRecord(v)
	for d.next() {
		switch d.field {
		case garbageKind:
			g.Kind = GarbageKind(d.uint(uint64(GarbageUpload)))
		case garbageBucket:
			g.Bucket = BucketID(d.fixed())
		case garbageAdded:
			g.Added = d.time()
		default:
			d.unknown()
		}
	}
	return g, d.finish("garbage")
}
