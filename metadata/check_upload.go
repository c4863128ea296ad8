package metadata

import (
	"encoding/binary"
	"fmt"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/sse"
)

func checkUpload(c *pageCheck, p kv.Pair) error {
	c.tally.Uploads++
	k, err := c.keys.parseUpload(p.Key)
	if err != nil {
		return err
	}
	if _, err := decodeUpload(p.Value); err != nil {
		return err
	}
	return c.inBucket(k.bucket, p.Key)
}

func checkPart(c *pageCheck, p kv.Pair) error {
	c.tally.Parts++
	k, err := c.keys.parsePart(p.Key)
	if err != nil || k.part == 0 {
		return orKey(err, p.Key)
	}
	part, err := decodePart(p.Value)
	if err != nil {
		return err
	}
	aborted, err := c.get(c.keys.garbage(DataID(k.upload)))
	if err != nil {
		return err
	}
	if aborted == nil {
		if err := c.hasUpload(&k, p.Key); err != nil {
			return err
		}
	}
	owner := Owner{Kind: OwnerPart, Bucket: k.bucket, Upload: k.upload, Part: k.part, Token: part.Token}
	for i := range part.Slices {
		if o := part.Slices[i].Owner; o != nil && *o != owner {
			c.problem(CorruptRow, p.Key, fmt.Sprintf("slice %d is pinned for %+v", i, *o))
		}
	}
	return c.slices(part.Slices, part.Size, p.Key)
}

func checkPartsStamp(c *pageCheck, p kv.Pair) error {
	k, err := c.keys.parsePart(p.Key)
	if err != nil {
		return err
	}
	return c.hasUpload(&k, p.Key)
}

// hasUpload reports a row whose upload has no row M. The key of that has the
// object's key before the upload's id, so the bucket's uploads are searched,
// once per page and upload.
func (c *pageCheck) hasUpload(k *rowKey, key []byte) error {
	if found, ok := c.uploads[k.upload]; ok {
		if !found {
			c.problem(OrphanPart, key, "the upload is not there")
		}
		return nil
	}
	found := false
	err := c.each(kv.PrefixRange(c.keys.inBucket(tagUpload, k.bucket, 0)), 0, func(p kv.Pair) (bool, error) {
		other, err := c.keys.parseUpload(p.Key)
		if err != nil {
			return true, nil //nolint:nilerr // checkUpload reports it
		}
		c.uploads[other.upload] = true
		found = found || other.upload == k.upload
		return true, nil
	})
	if err != nil {
		return err
	}
	if !found {
		c.uploads[k.upload] = false
		c.problem(OrphanPart, key, "the upload is not there")
	}
	return nil
}

// slices checks what a part of size bytes refers to.
func (c *pageCheck) slices(slices []Slice, size int64, key []byte) error {
	var sum int64
	for i := range slices {
		s := &slices[i]
		sum += s.Length
		end, err := c.endOf(tagExtents, s.ID, nil)
		if err != nil {
			return err
		}
		if s.Offset > end-s.Length {
			c.problem(MissingData, key, fmt.Sprintf("bytes %d to %d of id %x, which ends at %d", s.Offset, s.Offset+s.Length, s.ID[:], end))
		}
		c.claims++
		if s.Owner != nil {
			err = c.pinned(s.ID, s.Owner, key)
		} else {
			err = c.homeStays(s.ID, key)
		}
		if err != nil {
			return err
		}
	}
	// An encrypted part is one slice: it is never made of other data.
	if sum != size && (len(slices) != 1 || sum != sse.StoredSize(size)) {
		c.problem(MissingData, key, fmt.Sprintf("slices hold %d bytes of %d", sum, size))
	}
	return nil
}

func checkManifest(c *pageCheck, p kv.Pair) error {
	id, rest, err := c.idKey(p.Key)
	if err != nil || len(rest) != 10 {
		return orKey(err, p.Key)
	}
	parts, err := decodeManifest(p.Value)
	if err != nil {
		return err
	}
	start := int64(binary.BigEndian.Uint64(rest))
	for i := range parts {
		start -= parts[i].Size
		if i > 0 && parts[i].Number <= parts[i-1].Number {
			c.problem(CorruptRow, p.Key, "part numbers do not ascend")
		}
	}
	if len(parts) == 0 || parts[0].Number != int(binary.BigEndian.Uint16(rest[8:])) {
		c.problem(CorruptRow, p.Key, "the first part is another than in the key")
	}
	if start == 0 {
		c.tally.Manifests++
	}
	dead, err := c.unowned(id)
	if err != nil || dead {
		return err
	}
	if err := c.follows(tagManifest, id, start, p.Key); err != nil {
		return err
	}
	for i := range parts {
		if err := c.slices(parts[i].Slices, parts[i].Size, p.Key); err != nil {
			return err
		}
	}
	return nil
}
