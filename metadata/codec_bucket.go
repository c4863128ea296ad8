package metadata

import "math"

// Fields of a Bucket (rows B).
const (
	bucketName       = 1
	bucketOwner      = 2
	bucketRegion     = 3
	bucketCreated    = 4
	bucketVersioning = 5
	bucketToken      = 6
	bucketObjectLock = 7
)

// Field of the rows b and u: the bucket's id. Field of a row N: the ord.
const pointer = 1

// Fields of the row Z "format".
const (
	clusterFormat = 1
	clusterID     = 2
	clusterCopy   = 3
)

func encodeBucket(b *Bucket) []byte {
	e := newRecord(128)
	e.text(bucketName, b.Name)
	e.text(bucketOwner, b.Owner)
	e.text(bucketRegion, b.Region)
	e.time(bucketCreated, b.Created)
	e.uint(bucketVersioning, uint64(b.Versioning))
	e.id(bucketToken, b.Token)
	encodeObjectLock(e, b.ObjectLock)
	return e.b
}

// decodeBucket decodes the value of a row B; ID is not in it.
func decodeBucket(v []byte) (*Bucket, error) {
	b := &Bucket{}
	d := openRecord(v)
	for d.next() {
		switch d.field {
		case bucketName:
			b.Name = d.text()
		case bucketOwner:
			b.Owner = d.text()
		case bucketRegion:
			b.Region = d.text()
		case bucketCreated:
			b.Created = d.time()
		case bucketVersioning:
			b.Versioning = Versioning(d.uint(uint64(VersioningSuspended)))
		case bucketToken:
			b.Token = d.id()
		case bucketObjectLock:
			b.ObjectLock = decodeObjectLock(&d)
		default:
			d.unknown()
		}
	}
	return b, d.finish("bucket")
}

func encodeBucketID(id BucketID) []byte {
	e := newRecord(10)
	e.fixed(pointer, uint64(id))
	return e.b
}

func decodeBucketID(v []byte) (BucketID, error) {
	var id BucketID
	d := openRecord(v)
	for d.next() {
		if d.field != pointer {
			d.unknown()
			continue
		}
		id = BucketID(d.fixed())
	}
	return id, d.finish("bucket name")
}

func encodeOrd(ord Ord) []byte {
	e := newRecord(12)
	e.uint(pointer, uint64(ord))
	return e.b
}

func decodeOrd(v []byte) (Ord, error) {
	var ord Ord
	d := openRecord(v)
	for d.next() {
		if d.field != pointer {
			d.unknown()
			continue
		}
		ord = Ord(d.uint(math.MaxUint64))
	}
	return ord, d.finish("null version")
}

// cluster is the row Z "format".
type cluster struct {
	format uint64
	id     [16]byte
	copy   [16]byte // see DB.CopyID; zero in the state of an older program
}

func encodeCluster(c cluster) []byte {
	e := newRecord(42)
	e.uint(clusterFormat, c.format)
	e.id(clusterID, c.id)
	e.id(clusterCopy, c.copy)
	return e.b
}

// decodeCluster reads the format even where a newer one added fields.
func decodeCluster(v []byte) (cluster, error) {
	var c cluster
	d := openRecord(v)
	for d.next() {
		switch d.field {
		case clusterFormat:
			c.format = d.uint(math.MaxUint64)
		case clusterID:
			c.id = d.id()
		case clusterCopy:
			c.copy = d.id()
		default:
		}
	}
	return c, d.finish("cluster")
}
