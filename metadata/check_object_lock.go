package metadata

// checkLock holds the lock of a version against its bucket. A version that has
// none costs nothing.
func (c *pageCheck) checkLock(id BucketID, o *Object, key []byte) error {
	if o.Retention == (Retention{}) && o.LegalHold == LegalHoldNever {
		return nil
	}
	switch {
	case o.DeleteMarker:
		c.problem(LockMismatch, key, "a delete marker is locked")
	case (o.Retention.Mode == RetentionNone) != o.Retention.Until.IsZero():
		c.problem(LockMismatch, key, "a retention has no mode, or no end")
	}
	b, err := c.Bucket(id)
	if err == nil && b != nil && b.ObjectLock == nil {
		c.problem(LockMismatch, key, "a version is locked in a bucket without Object Lock")
	}
	return err
}

// checkBucketLock holds what a bucket with Object Lock must be. Without a record
// of the lock time, the wall clock of the next start would end its retentions.
func (c *pageCheck) checkBucketLock(b *Bucket, key []byte) error {
	l := b.ObjectLock
	if l == nil {
		return nil
	}
	at, err := c.lockClockRow()
	if err == nil && at.IsZero() {
		c.problem(LockMismatch, key, "Object Lock is enabled and no lock time is recorded")
	}
	switch {
	case b.Versioning != VersioningEnabled:
		c.problem(LockMismatch, key, "Object Lock is enabled and versioning is not")
	case l.Mode == RetentionNone && l.Days+l.Years != 0, l.Mode != RetentionNone && (l.Days > 0) == (l.Years > 0):
		c.problem(LockMismatch, key, "the default retention is not a mode with days or years")
	}
	return err
}
