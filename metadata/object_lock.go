package metadata

import (
	"errors"
	"time"
)

// ErrLocked says that a version is under a legal hold or its retention: what
// would have removed it, or weakened its retention, was not done.
var ErrLocked = errors.New("metadata: version is locked")

// RetentionMode says who may end a retention before its time.
type RetentionMode uint8

// The modes of retention.
const (
	RetentionNone       RetentionMode = iota
	RetentionGovernance               // who has the permission to bypass it
	RetentionCompliance               // nobody
)

// Retention keeps a version from being removed until a time. The zero value is
// none.
type Retention struct {
	Mode  RetentionMode
	Until time.Time // millisecond precision
}

// LegalHold keeps a version from being removed until it is taken off.
type LegalHold uint8

// The states of a legal hold.
const (
	LegalHoldNever LegalHold = iota // none was ever applied
	LegalHoldOn
	LegalHoldOff
)

// ObjectLock is what a bucket with Object Lock has configured: the retention of
// versions that are written without one of their own. Nothing where Mode is
// RetentionNone; else one of Days and Years is set.
type ObjectLock struct {
	Mode        RetentionMode
	Days, Years int
}

// daysOfYear is what a year of a default retention is, as S3 counts it.
const daysOfYear = 365

// Default is the retention of a version that is created now.
func (l *ObjectLock) Default(now time.Time) Retention {
	if l == nil || l.Mode == RetentionNone {
		return Retention{}
	}
	return Retention{Mode: l.Mode, Until: now.UTC().AddDate(0, 0, l.Days+daysOfYear*l.Years).Truncate(time.Millisecond)}
}

// Locked says whether a version may not be removed at a time. A bypass ends a
// retention in governance mode, and nothing else.
func (o *Object) Locked(now time.Time, bypass bool) bool {
	return o.LegalHold == LegalHoldOn || o.Retention.binds(now, bypass)
}

// Weakens says whether a retention would protect a version less than what
// binds it at a time. Another mode is another protection.
func (o *Object) Weakens(next Retention, now time.Time, bypass bool) bool {
	return o.Retention.binds(now, bypass) && (next.Mode != o.Retention.Mode || next.Until.Before(o.Retention.Until))
}

func (r Retention) binds(now time.Time, bypass bool) bool {
	return r.Mode != RetentionNone && now.Before(r.Until) && (r.Mode != RetentionGovernance || !bypass)
}

// BypassGovernance lets this transaction remove or change versions of a key
// whose retention is in governance mode. The caller has the permission.
func (t *Tx) BypassGovernance(id BucketID, key string) {
	t.bypass = &bypass{bucket: id, key: key}
}

// bypass is the key whose governance mode a transaction disregards.
type bypass struct {
	bucket BucketID
	key    string
}

func (t *Tx) bypasses(id BucketID, key string) bool {
	return t.bypass != nil && *t.bypass == bypass{bucket: id, key: key}
}

// mayDrop fails the transaction that removes a locked version, whoever asked
// for it: the callers decide before, this is for those that forgot.
func (t *Tx) mayDrop(id BucketID, old *Object) bool {
	if !old.Locked(time.Time{}, false) || !old.Locked(t.lockTime(), t.bypasses(id, old.Key)) {
		return true
	}
	t.refuseLocked()
	return false
}

// mayRewrite fails the transaction that rewrites a version with less
// protection than it has.
func (t *Tx) mayRewrite(id BucketID, old, o *Object) bool {
	if old == nil || !old.Weakens(o.Retention, time.Time{}, false) || !old.Weakens(o.Retention, t.lockTime(), t.bypasses(id, old.Key)) {
		return true
	}
	t.refuseLocked()
	return false
}

func (t *Tx) refuseLocked() {
	if t.err == nil {
		t.err = ErrLocked
	}
}

// lockBucket checks that the lock of a bucket can be recorded, one without
// versions protects nothing, and makes sure that the lock time is.
func (t *Tx) lockBucket(b *Bucket) error {
	l := b.ObjectLock
	switch {
	case l == nil:
		return t.err
	case b.Versioning != VersioningEnabled, l.Mode == RetentionNone && (l.Days != 0 || l.Years != 0):
		t.invalid("object lock of bucket %q", b.Name)
		return t.err
	}
	return t.beginLockClock()
}
