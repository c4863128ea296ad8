package objects

import (
	"context"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/s3"
)

// The records of Object Lock cross this package unchanged.
type (
	// ObjectLock is the Object Lock of a bucket: its default retention.
	ObjectLock = metadata.ObjectLock
	// Retention keeps a version until a time.
	Retention = metadata.Retention
	// RetentionMode says who may end a retention before its time.
	RetentionMode = metadata.RetentionMode
	// LegalHold keeps a version until it is taken off.
	LegalHold = metadata.LegalHold
)

// The modes of retention, and the states of a legal hold.
const (
	RetentionNone       = metadata.RetentionNone
	RetentionGovernance = metadata.RetentionGovernance
	RetentionCompliance = metadata.RetentionCompliance
	LegalHoldNever      = metadata.LegalHoldNever
	LegalHoldOn         = metadata.LegalHoldOn
	LegalHoldOff        = metadata.LegalHoldOff
)

// Lock is what a write asks for the version that it makes: in place of a
// retention that it does not ask for, the version gets the bucket's default.
type Lock struct {
	Retention Retention
	LegalHold LegalHold
}

// Bypass says whether the caller may disregard the governance mode of a
// version. It is asked inside the transaction that removes the version or
// changes its retention, where that is in governance mode, and may be called
// more than once. A nil Bypass is no.
type Bypass func(current *Object) bool

// LockAPI is Object Lock.
type LockAPI interface {
	PutObjectLock(ctx context.Context, name s3.BucketName, lock ObjectLock) error
	PutObjectRetention(ctx context.Context, in PutObjectRetentionInput) (Object, error)
	PutObjectLegalHold(ctx context.Context, in PutObjectLegalHoldInput) (Object, error)
	LockTime() time.Time
}

// LockTime is the time by which retentions begin and end.
func (s *Service) LockTime() time.Time { return s.db.LockTime() }

// followLockTime sees to it that what is locked in a bucket is so by the time that is recorded,
// whichever gateway made the first such bucket.
func (s *Service) followLockTime(r *metadata.Reader, b *metadata.Bucket) error {
	if b.ObjectLock == nil {
		return nil
	}
	return s.db.FollowLockTime(r)
}

// UndigestedError refuses a body that is to be locked and comes without a
// digest: what cannot be written again must be right.
func UndigestedError(requests string) error {
	return s3.NewError(s3.InvalidRequest).WithMessage(
		"Content-MD5 OR x-amz-checksum- HTTP header is required for " + requests + " requests with Object Lock parameters")
}

func errLocked() error { return asS3(metadata.ErrLocked) }

// PutObjectLock enables Object Lock for a bucket that keeps versions, if it is
// not enabled, and sets the default retention of versions that are written
// from now on. Object Lock is never disabled.
func (s *Service) PutObjectLock(ctx context.Context, name s3.BucketName, lock ObjectLock) error {
	return s.changeBucket(ctx, name, func(tx *metadata.Tx, b *metadata.Bucket) error {
		if b.Versioning != metadata.VersioningEnabled {
			return s3.NewError(s3.InvalidBucketState).
				WithMessage("Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
		}
		b.ObjectLock = &lock
		return tx.PutBucket(b)
	})
}

// lock gives a new version what is asked for it, or what its bucket gives by
// default at this moment.
func (s *slot) lock(row *metadata.Object, asked Lock) error {
	if err := lockable(s.bucket, asked); err != nil {
		return err
	}
	row.Retention, row.LegalHold = asked.Retention, asked.LegalHold
	if row.Retention.Mode != RetentionNone {
		return nil
	}
	began := row.Modified
	if s.lockTime.After(began) {
		began = s.lockTime // a clock that was set back protects no shorter
	}
	row.Retention = s.bucket.ObjectLock.Default(began)
	return nil
}

// lockable refuses a lock where the bucket has none.
func lockable(b *metadata.Bucket, asked Lock) error {
	if b.ObjectLock == nil && asked != (Lock{}) {
		return s3.NewError(s3.InvalidRequest).WithMessage("Bucket is missing ObjectLockConfiguration")
	}
	return nil
}

// mayDrop refuses the removal of a version that is locked.
func (s *slot) mayDrop(victim *metadata.Object) error {
	if victim.Locked(s.lockTime, s.bypass) {
		return errLocked()
	}
	return nil
}

// askBypass finds out whether the caller may remove the version though it is
// in governance mode.
func (s *slot) askBypass(victim *metadata.Object, may Bypass) {
	if may.allows(victim) {
		s.bypass = true
		s.tx.BypassGovernance(s.bucket.ID, s.key)
	}
}

func (b Bypass) allows(row *metadata.Object) bool {
	if b == nil || row.Retention.Mode != RetentionGovernance {
		return false
	}
	current := objectOf(row)
	return b(&current)
}
