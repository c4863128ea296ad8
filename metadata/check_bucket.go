package metadata

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/undercroft/undercroft/metadata/kv"
)

func checkFormat(c *pageCheck, p kv.Pair) error {
	if bytes.Equal(p.Key, c.keys.imported()) {
		return nil // nobody but the import that is under way gets here
	}
	if !bytes.Equal(p.Key, c.keys.format()) {
		c.problem(StrayRow, p.Key, "a row of no known table")
		return nil
	}
	_, err := decodeCluster(p.Value)
	return err
}

func checkBucketName(c *pageCheck, p kv.Pair) error {
	name := string(c.keys.body(p.Key))
	id, err := decodeBucketID(p.Value)
	if err != nil {
		return err
	}
	b, err := c.Bucket(id)
	if err != nil {
		return err
	}
	if b == nil || b.Name != name {
		c.problem(BucketMismatch, p.Key, fmt.Sprintf("names bucket %016x, which does not have this name", uint64(id)))
	}
	return nil
}

func checkOwned(c *pageCheck, p kv.Pair) error {
	owner, name, err := unesc(c.keys.body(p.Key))
	if err != nil {
		return err
	}
	id, err := decodeBucketID(p.Value)
	if err != nil {
		return err
	}
	b, err := c.Bucket(id)
	if err != nil {
		return err
	}
	if b == nil || b.Name != string(name) || b.Owner != owner {
		c.problem(BucketMismatch, p.Key, fmt.Sprintf("names bucket %016x, which is not this one", uint64(id)))
	}
	return nil
}

func checkBucket(c *pageCheck, p kv.Pair) error {
	c.tally.Buckets++
	id, err := parseUint(c.keys.body(p.Key))
	if err != nil {
		return err
	}
	b, err := decodeBucket(p.Value)
	if err != nil {
		return err
	}
	if err := c.checkBucketLock(b, p.Key); err != nil {
		return err
	}
	for _, key := range [][]byte{c.keys.bucketName(b.Name), c.keys.owned(b.Owner, b.Name)} {
		v, err := c.get(key)
		if err != nil {
			return err
		}
		if !bytes.Equal(v, encodeBucketID(BucketID(id))) {
			c.problem(BucketMismatch, p.Key, "not named by "+readableKey(c.keys, key))
		}
	}
	return nil
}

// inBucket reports a row whose bucket is not there.
func (c *pageCheck) inBucket(id BucketID, key []byte) error {
	v, err := c.get(c.keys.bucket(id))
	if err == nil && v == nil {
		c.problem(MissingBucket, key, "the bucket is not there")
	}
	return err
}

func checkObject(c *pageCheck, p kv.Pair) error {
	c.tally.Objects++
	id, key, err := c.keys.parsePlain(p.Key)
	if err != nil {
		return err
	}
	o, err := decodeObject(p.Value)
	if err != nil {
		return err
	}
	o.Key = key
	if o.DeleteMarker {
		c.problem(CorruptRow, p.Key, "a delete marker is the current live object")
	}
	if o.Null {
		ord, err := c.NullOrd(id, key)
		if err != nil {
			return err
		}
		if ord != 0 {
			c.problem(NullMismatch, p.Key, "the null version is current, and row N names another")
		}
	}
	return c.object(id, o, p.Key)
}

func checkVersion(c *pageCheck, p kv.Pair) error {
	c.tally.Versions++
	k, err := c.keys.parseVersion(p.Key)
	if err != nil {
		return err
	}
	o, err := decodeObject(p.Value)
	if err != nil {
		return err
	}
	o.Key = k.key
	if o.Ord != k.ord {
		c.problem(CorruptRow, p.Key, fmt.Sprintf("the value says order %d", o.Ord))
		o.Ord = k.ord
	}
	null, err := c.NullOrd(k.bucket, k.key)
	if err != nil {
		return err
	}
	if o.Null != (null == k.ord) {
		c.problem(NullMismatch, p.Key, fmt.Sprintf("null version: %v, row N names order %d", o.Null, null))
	}
	return c.object(k.bucket, o, p.Key)
}

func checkNull(c *pageCheck, p kv.Pair) error {
	id, key, err := c.keys.parsePlain(p.Key)
	if err != nil {
		return err
	}
	ord, err := decodeOrd(p.Value)
	if err != nil {
		return err
	}
	o, err := c.Version(id, key, ord)
	if err == nil && (o == nil || !o.Null) {
		c.problem(NullMismatch, p.Key, fmt.Sprintf("names order %d, which is not a null version", ord))
	}
	return err
}

func checkInline(c *pageCheck, p kv.Pair) error {
	k, err := c.keys.parseVersion(p.Key)
	if err != nil {
		return err
	}
	o, err := c.Object(k.bucket, k.key)
	if err != nil {
		return err
	}
	if o == nil || o.Ord != k.ord {
		if o, err = c.Version(k.bucket, k.key, k.ord); err != nil {
			return err
		}
	}
	if o == nil || o.Data.Kind != DataInline {
		c.problem(OrphanInline, p.Key, "no inline version has these bytes")
	}
	return nil
}

func checkIntent(c *pageCheck, p kv.Pair) error {
	c.tally.Intents++
	i, err := intentRow(c.keys.body(p.Key), p.Value)
	if err != nil {
		return err
	}
	if age := c.now.Sub(i.Created); age > oldIntent {
		c.problem(OldIntent, p.Key, "unfinished since "+i.Created.String())
		c.problems[len(c.problems)-1].Warning = true
	}
	return nil
}

func checkPartition(c *pageCheck, p kv.Pair) error {
	c.tally.Partitions++
	row, err := partitionRow(c.keys.body(p.Key), p.Value)
	if err != nil {
		return err
	}
	if int(row.K)+int(row.M) != len(row.Shards) {
		c.problem(CorruptRow, p.Key, fmt.Sprintf("%d+%d on %d disks", row.K, row.M, len(row.Shards)))
	}
	c.shardLists(row, p.Key)
	for i, id := range row.Shards {
		if slices.Contains(row.Shards[:i], id) {
			c.problem(CorruptRow, p.Key, fmt.Sprintf("two shards are on disk %x", id[:]))
		}
		d, err := c.Disk(id)
		if err != nil {
			return err
		}
		if d == nil {
			c.problem(UnknownDisk, p.Key, fmt.Sprintf("a shard is on disk %x", id[:]))
		}
	}
	return nil
}

// shardLists checks what a partition's row says of shards that are not whole.
func (c *pageCheck) shardLists(row *Partition, key []byte) {
	seen := make(map[uint8]bool, len(row.Lost)+len(row.Damaged))
	for _, i := range slices.Concat(row.Lost, row.Damaged) {
		if int(i) >= len(row.Shards) || seen[i] {
			c.problem(CorruptRow, key, fmt.Sprintf("lost shards %v and damaged shards %v of %d", row.Lost, row.Damaged, len(row.Shards)))
			return
		}
		seen[i] = true
	}
}

func checkDisk(c *pageCheck, p kv.Pair) error {
	c.tally.Disks++
	_, err := diskRow(c.keys.body(p.Key), p.Value)
	return err
}

func checkToken(c *pageCheck, p kv.Pair) error {
	if len(c.keys.body(p.Key)) != 16 {
		return errKey(p.Key)
	}
	return nil
}

func checkCounter(c *pageCheck, p kv.Pair) error {
	if _, ok := readableCounter(c.keys.body(p.Key)); !ok {
		return errKey(p.Key)
	}
	_, err := decodeCounter(p.Value)
	return err
}
