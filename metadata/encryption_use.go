package metadata

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/undercroft/undercroft/metadata/kv"
)

// usePage is how many rows of a table WalkEncrypted looks at between two looks at its
// context.
const usePage = 1000

// WalkEncrypted calls visit for every row whose data key a provider has sealed, until
// visit returns false. What moves from one table to another meanwhile is seen: so
// that nothing is found under a version of a key means that there is nothing, if
// nothing may be published under it any more. On an engine that cannot hold a version
// for long, a row may be seen more than once.
func (db *DB) WalkEncrypted(ctx context.Context, visit func(*Encryption) (bool, error)) error {
	pinner, ok := kv.Find[kv.Pinner](db.engine)
	if !ok {
		return db.walkSealed(ctx, usePage, visit)
	}
	pin, err := pinner.Pin()
	if err != nil {
		return err
	}
	defer pin.Close()
	var cursor []byte
	for more := true; more; {
		err := pin.View(ctx, func(r kv.Reader) error {
			rows, next, err := (&Reader{keys: db.keys, kv: r}).EncryptedRows(cursor, usePage)
			if err != nil {
				return err
			}
			cursor = next
			more = next != nil
			for i := range rows {
				if goOn, err := visit(&rows[i].Encryption); err != nil || !goOn {
					more = false
					return err
				}
			}
			return nil
		})
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// walkSealed is WalkEncrypted in pages, each of a version of its own. Uploads come first:
// what becomes an object before its page is among the objects afterwards. Objects do not
// leave their key, so that a page has the rows O and V of the same keys.
func (db *DB) walkSealed(ctx context.Context, page int, visit func(*Encryption) (bool, error)) error {
	for at := new(sealedAt); at != nil; {
		var rows []Encryption
		var next *sealedAt
		err := db.View(ctx, "rewrap", func(r *Reader) (err error) {
			rows, next, err = r.sealedPage(at, page)
			return err
		})
		if err != nil {
			return err
		}
		for i := range rows {
			if goOn, err := visit(&rows[i]); err != nil || !goOn {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		at = next
	}
	return nil
}

// sealedAt is where a walk goes on.
type sealedAt struct {
	table                   int    // of encryptedTables: that of uploads, or the others together
	upload, object, version []byte // the bodies of the keys to go on from, nil for the first
}

// sealedPage returns what is sealed in at most limit rows of each table, and where the
// next page begins, nil at the end. Of a key with more versions than a page has, the row O
// is read with each part of its rows V: a version of a part that is still to come may
// have become the current one.
func (r *Reader) sealedPage(at *sealedAt, limit int) (out []Encryption, next *sealedAt, err error) {
	if at.table == 0 {
		rows, last, err := r.sealedRows(tagUpload, at.upload, limit)
		if last == nil {
			return sealedOf(rows, nil), &sealedAt{table: 1}, err
		}
		return sealedOf(rows, nil), &sealedAt{upload: kv.KeyAfter(last)}, err
	}
	objects, lastO, err := r.sealedRows(tagObject, at.object, limit)
	if err != nil {
		return nil, nil, err
	}
	versions, lastV, err := r.sealedRows(tagVersion, at.version, limit)
	if err != nil {
		return nil, nil, err
	}
	var end []byte // the last key of which all rows that are left were seen; nil: of all keys
	if lastO != nil {
		end = lastO
		id, key, err := r.keys.parsePlain(append(r.keys.tag(tagObject, 0), lastO...))
		if err != nil {
			return nil, nil, err
		}
		after := kv.PrefixRange(r.keys.versions(tagVersion, id, key)).End
		next = &sealedAt{table: 1, object: kv.KeyAfter(lastO), version: r.keys.body(after)}
	}
	if lastV != nil {
		name, err := r.keys.nameOf(tagVersion, append(r.keys.tag(tagVersion, 0), lastV...))
		if err != nil {
			return nil, nil, err
		}
		if end == nil || bytes.Compare(name, end) <= 0 {
			end = name
			next = &sealedAt{table: 1, object: name, version: kv.KeyAfter(lastV)}
		}
	}
	return slices.Concat(sealedOf(objects, end), sealedOf(versions, end)), next, nil
}

// sealedRow is a row whose data key a provider has sealed; name is the body of the row O
// of its key, nil of an upload.
type sealedRow struct {
	name []byte
	x    Encryption
}

// sealedOf are those of the keys up to end, nil for all.
func sealedOf(rows []sealedRow, end []byte) (out []Encryption) {
	for i := range rows {
		if end == nil || bytes.Compare(rows[i].name, end) <= 0 {
			out = append(out, rows[i].x)
		}
	}
	return out
}

// sealedRows looks at the rows of a table from the body of a key on, at most limit. last
// is the body of the last one's key, nil where there are no others.
func (r *Reader) sealedRows(tag byte, from []byte, limit int) (rows []sealedRow, last []byte, err error) {
	rng := r.keys.all(tag)
	if from != nil {
		rng.Begin = append(r.keys.tag(tag, len(from)), from...)
	}
	looked := 0
	err = r.each(rng, limit, func(p kv.Pair) (bool, error) {
		looked++
		last = bytes.Clone(r.keys.body(p.Key))
		x, err := decodeEncryptionOf(tag, p.Value)
		if err != nil || x == nil || x.DataKey == nil {
			return err == nil, err
		}
		name, err := r.keys.nameOf(tag, p.Key)
		rows = append(rows, sealedRow{name, *x})
		return err == nil, err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("key %q: %w", last, err)
	}
	if looked < limit {
		last = nil
	}
	return rows, last, nil
}

// nameOf is the body of the row O of the key that a row of a table belongs to, nil in
// that of uploads.
func (s keyspace) nameOf(tag byte, k []byte) ([]byte, error) {
	switch tag {
	case tagObject:
		return bytes.Clone(s.body(k)), nil
	case tagVersion:
		row, err := s.parseVersion(k)
		return s.body(s.object(row.bucket, row.key)), err
	default:
		return nil, nil
	}
}
