package objects

import (
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/s3"
)

// slot is a key that a transaction writes, as it has read it. A row O is the
// newest version of its key; where there is none, the newest row V, if any, is
// a delete marker.
type slot struct {
	tx     *metadata.Tx
	bucket *metadata.Bucket // at the version of the transaction
	key    string
	newest *metadata.Object // live or a delete marker; nil when there is none
	// lockTime decides which versions are locked; bypass disregards governance
	// mode.
	lockTime time.Time
	bypass   bool
}

// openSlot reads the newest version of a key serializably.
func (s *Service) openSlot(tx *metadata.Tx, b *metadata.Bucket, key string) (*slot, error) {
	aheadSlot(tx, b, key)
	b, err := s.requireBucket(tx, b)
	if err != nil {
		return nil, err
	}
	newest, err := newestVersion(tx, b, key)
	return &slot{tx: tx, bucket: b, key: key, newest: newest, lockTime: s.LockTime()}, err
}

// live is the current live version, nil when there is none.
func (s *slot) live() *metadata.Object {
	if s.newest == nil || s.newest.DeleteMarker {
		return nil
	}
	return s.newest
}

// order gives a row the place of a new version of the key: above every version
// that is there.
func (s *slot) order(row *metadata.Object, now time.Time) {
	row.Modified = now.Truncate(time.Millisecond)
	row.Ord = nextOrd(now, s.newest)
	row.Null = s.bucket.Versioning != metadata.VersioningEnabled
}

// put makes a row the current version of the key.
func (s *slot) put(row *metadata.Object, inline []byte) error {
	replaced, err := s.makeRoom()
	if err != nil {
		return err
	}
	return s.tx.PutObject(s.bucket.ID, replaced, row, inline)
}

// mark puts a delete marker on top of the key.
func (s *slot) mark(marker *metadata.Object) error {
	replaced, err := s.makeRoom()
	if err != nil {
		return err
	}
	if replaced != nil {
		if err := s.tx.DeleteObject(s.bucket.ID, replaced); err != nil {
			return err
		}
	}
	if marker.Null {
		if err := s.tx.SetNull(s.bucket.ID, s.key, marker.Ord); err != nil {
			return err
		}
	}
	return s.tx.PutVersion(s.bucket.ID, marker)
}

// makeRoom makes way for a new version: the live one becomes noncurrent. Where
// the new one is the null version, it takes the place of the one before,
// wherever that is; a live one is returned, for the caller to replace.
func (s *slot) makeRoom() (replaced *metadata.Object, err error) {
	live := s.live()
	if s.bucket.Versioning != metadata.VersioningEnabled {
		if live != nil && live.Null {
			return live, s.mayDrop(live)
		}
		if err := s.dropNull(); err != nil {
			return nil, err
		}
	}
	if live == nil {
		return nil, nil
	}
	if live.Null {
		if err := s.tx.SetNull(s.bucket.ID, s.key, live.Ord); err != nil {
			return nil, err
		}
	}
	return nil, s.tx.Demote(s.bucket.ID, live)
}

// dropNull removes the null version where it is noncurrent or a delete marker.
func (s *slot) dropNull() error {
	if s.bucket.Versioning == metadata.Unversioned {
		return nil // all there can be is the live one
	}
	ord, err := s.tx.NullOrd(s.bucket.ID, s.key)
	if err != nil || ord == 0 {
		return err
	}
	old, err := s.tx.Version(s.bucket.ID, s.key, ord)
	if err != nil || old == nil {
		return err
	}
	return s.drop(old)
}

// drop removes a row V.
func (s *slot) drop(old *metadata.Object) error {
	if err := s.mayDrop(old); err != nil {
		return err
	}
	if old.Null {
		if err := s.tx.ClearNull(s.bucket.ID, s.key); err != nil {
			return err
		}
	}
	return s.tx.DeleteVersion(s.bucket.ID, old)
}

// remove removes one version for good. Where it was the newest, the one below
// comes to light, unless that is a delete marker.
func (s *slot) remove(victim *metadata.Object) error {
	live := s.live()
	switch {
	case live == nil || live.Ord != victim.Ord:
		if err := s.drop(victim); err != nil {
			return err
		}
	default:
		if err := s.mayDrop(live); err != nil {
			return err
		}
		if err := s.tx.DeleteObject(s.bucket.ID, live); err != nil {
			return err
		}
	}
	if victim.Ord != s.newest.Ord || s.bucket.Versioning == metadata.Unversioned {
		return nil
	}
	return s.promote()
}

// promote makes the newest of the noncurrent versions the current one.
func (s *slot) promote() error {
	rest, err := s.tx.Versions(s.bucket.ID, s.key, 1)
	if err != nil || len(rest) == 0 || rest[0].DeleteMarker {
		return err
	}
	if rest[0].Null {
		if err := s.tx.ClearNull(s.bucket.ID, s.key); err != nil {
			return err
		}
	}
	return s.tx.Promote(s.bucket.ID, &rest[0])
}

// find is findVersion with what has been read already.
func (s *slot) find(id s3.VersionID) (*metadata.Object, error) {
	if id == "" {
		return s.newest, nil
	}
	return findVersion(s.tx, s.bucket, s3.Key(s.key), id)
}

// wrote says whether the row of a request is there, be it the current version
// or one that others came after. The token alone does not tell: completions of
// one upload share it.
func wrote(r *metadata.Reader, b metadata.BucketID, row *metadata.Object) (bool, error) {
	same := func(o *metadata.Object) bool { return o != nil && o.Token == row.Token && o.Suffix == row.Suffix }
	found, err := r.Object(b, row.Key)
	if err == nil && !same(found) {
		found, err = r.Version(b, row.Key, row.Ord)
	}
	return same(found), err
}
