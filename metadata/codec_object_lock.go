package metadata

import "math"

// Fields of the lock of a version, the same in objects and uploads.
const (
	lockRetention = 24
	lockLegalHold = 25
)

// Fields of a Retention.
const (
	retentionMode  = 1
	retentionUntil = 2
)

// Fields of an ObjectLock.
const (
	objectLockMode  = 1
	objectLockDays  = 2
	objectLockYears = 3
)

func encodeRetention(e *encoder, r Retention) {
	if r == (Retention{}) {
		return
	}
	e.nested(lockRetention, func(in *encoder) {
		in.uint(retentionMode, uint64(r.Mode))
		in.time(retentionUntil, r.Until)
	})
}

func decodeRetention(d *decoder) Retention {
	var r Retention
	in := d.nested()
	for in.next() {
		switch in.field {
		case retentionMode:
			r.Mode = RetentionMode(in.uint(uint64(RetentionCompliance)))
		case retentionUntil:
			r.Until = in.time()
		default:
			in.unknown()
		}
	}
	d.join(&in)
	return r
}

func decodeLegalHold(d *decoder) LegalHold { return LegalHold(d.uint(uint64(LegalHoldOff))) }

func encodeObjectLock(e *encoder, l *ObjectLock) {
	if l == nil {
		return
	}
	e.nested(bucketObjectLock, func(in *encoder) {
		in.uint(objectLockMode, uint64(l.Mode))
		in.uint(objectLockDays, uint64(l.Days))
		in.uint(objectLockYears, uint64(l.Years))
	})
}

func decodeObjectLock(d *decoder) *ObjectLock {
	l := &ObjectLock{}
	in := d.nested()
	for in.next() {
		switch in.field {
		case objectLockMode:
			l.Mode = RetentionMode(in.uint(uint64(RetentionCompliance)))
		case objectLockDays:
			l.Days = int(in.uint(math.MaxInt32))
		case objectLockYears:
			l.Years = int(in.uint(math.MaxInt32))
		default:
			in.unknown()
		}
	}
	d.join(&in)
	return l
}
