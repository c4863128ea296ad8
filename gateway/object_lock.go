package gateway

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sigv4"
)

// getObjectLockConfiguration answers GetObjectLockConfiguration.
func (g *Gateway) getObjectLockConfiguration(x *exchange) error {
	lock := x.place.ObjectLock
	if lock == nil {
		return s3.NewError(s3.ObjectLockConfigurationNotFoundError).With("BucketName", string(x.bucket))
	}
	shown := s3.DefaultRetention{Mode: retentionName(lock.Mode), Days: lock.Days, Years: lock.Years}
	return g.withDocument(x, func(dst []byte) []byte { return s3.AppendObjectLock(dst, shown) })
}

// putObjectLockConfiguration answers PutObjectLockConfiguration.
func (g *Gateway) putObjectLockConfiguration(x *exchange) error {
	body, err := x.readLockDocument()
	if err != nil {
		return err
	}
	d, err := s3.DecodeObjectLock(body)
	if err != nil {
		return err
	}
	lock := objects.ObjectLock{Mode: retentionMode(d.Mode), Days: d.Days, Years: d.Years}
	if err := g.o.Objects.PutObjectLock(x.r.Context(), x.bucket, lock); err != nil {
		return err
	}
	return x.finish(http.StatusOK)
}

// readLockDocument reads the document of a write, which has to come with a
// digest.
func (x *exchange) readLockDocument() ([]byte, error) {
	body, digested, err := x.readDocument(s3.MaxConfigBody)
	switch {
	case err != nil:
		return nil, err
	case len(body) == 0:
		return nil, s3.NewError(s3.MalformedXML)
	case !digested:
		return nil, invalidRequest("Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
	}
	return body, nil
}

// asksObjectLock reports whether CreateBucket asks for Object Lock, and the
// caller may.
func (x *exchange) asksObjectLock() (bool, error) {
	switch value := x.joined(s3.HeaderBucketObjectLock); strings.ToLower(value) {
	case "", "false":
		return false, nil
	case "true":
	default:
		return false, s3.InvalidArg(strings.ToLower(s3.HeaderBucketObjectLock), value, "The value must be either true or false.")
	}
	for _, action := range [...]string{"s3:PutBucketObjectLockConfiguration", "s3:PutBucketVersioning"} {
		if err := x.allow(&question{action: action, bucket: x.bucket}); err != nil {
			return false, err
		}
	}
	return true, nil
}

// headerLock returns the lock that the headers ask for, where the caller may.
func (x *exchange) headerLock() (objects.Lock, error) {
	var lock objects.Lock
	mode, until, status := x.joined(s3.HeaderObjectLockMode), x.joined(s3.HeaderObjectLockUntil), x.joined(s3.HeaderObjectLockHold)
	if mode == "" && until == "" && status == "" {
		return lock, nil
	}
	asked, err := s3.ParseRetention(mode, until, x.lockTime())
	if err != nil {
		return lock, err
	}
	hold, err := s3.ParseLegalHold(status)
	if err != nil {
		return lock, err
	}
	if x.auth.Auth == sigv4.AuthAnonymous || x.auth.Legacy {
		return lock, s3.InvalidArg("Authorization", "", "Put Object requests with Object Lock parameters require AWS Signature Version 4")
	}
	lock = objects.Lock{Retention: retentionOf(asked), LegalHold: legalHoldOf(hold)}
	if asked.Mode != "" {
		if err := x.alsoAllow("s3:PutObjectRetention"); err != nil {
			return lock, err
		}
	}
	if hold != "" {
		return lock, x.alsoAllow("s3:PutObjectLegalHold")
	}
	return lock, nil
}

// joined is a header with all its values: one that comes twice is refused, and
// not taken for its first.
func (x *exchange) joined(name string) string { return strings.Join(x.r.Header[name], ",") }

// checkLockDigest requires a digest of what will be locked.
func (x *exchange) checkLockDigest(in *objects.PutObjectInput) error {
	byDefault := x.place.ObjectLock != nil && x.place.ObjectLock.Mode != objects.RetentionNone
	if in.Body.MD5 != nil || in.Body.Checksum.Valid() || in.Lock == (objects.Lock{}) && !byDefault {
		return nil
	}
	return objects.UndigestedError("Put Object")
}

// bypass is whether the caller may disregard governance mode, and says so.
// Without the permission the header is of no meaning: consoles send it always.
func (x *exchange) bypass(key s3.Key, version s3.VersionID) objects.Bypass {
	if !strings.EqualFold(x.header(s3.HeaderBypassGovernance), "true") {
		return nil
	}
	return func(current *objects.Object) bool {
		return x.decide(&question{
			action: actionBypass, place: &x.place, bucket: x.bucket, key: key, version: version, object: current,
		}).Allowed
	}
}

const actionBypass = "s3:BypassGovernanceRetention"

// showLock tells of a version's lock to whom may read it.
func (x *exchange) showLock(o *objects.Object) {
	q := question{place: &x.place, bucket: x.bucket, key: x.key, version: x.version(), object: o}
	if o.Retention.Mode != objects.RetentionNone {
		if q.action = "s3:GetObjectRetention"; x.decide(&q).Allowed {
			x.set(s3.HeaderObjectLockMode, string(retentionName(o.Retention.Mode)))
			x.set(s3.HeaderObjectLockUntil, string(s3.AppendISO8601(nil, o.Retention.Until)))
		}
	}
	if o.LegalHold != objects.LegalHoldNever {
		if q.action = "s3:GetObjectLegalHold"; x.decide(&q).Allowed {
			x.set(s3.HeaderObjectLockHold, string(legalHoldName(o.LegalHold)))
		}
	}
}

// lockTime is the time by which retentions are judged.
func (x *exchange) lockTime() time.Time { return x.gateway.o.Objects.LockTime() }

// objectLock are the condition keys of Object Lock: of what the request asks
// for, or, where it is to disregard the governance mode of a version, of that.
func (c *conditions) objectLock(name string) []string {
	mode, until, hold := c.lock()
	switch name {
	case "object-lock-mode":
		return optional(mode)
	case "object-lock-retain-until-date":
		return optional(until)
	case "object-lock-legal-hold":
		return optional(hold)
	case "object-lock-remaining-retention-days":
		end, err := time.Parse(time.RFC3339Nano, until)
		if err != nil {
			return nil
		}
		const day = 24 * 60 * 60 * 1000                                        // a Duration is too short for what may be asked for
		days := (end.UnixMilli() - c.x.lockTime().UnixMilli() + day - 1) / day // a day that has begun counts
		return one(strconv.FormatInt(max(days, 0), 10))
	}
	return nil
}

// lock is what the request is about as policies write it.
func (c *conditions) lock() (mode, until, hold string) {
	x := c.x
	lock := x.lock
	switch {
	case c.q.action == actionBypass && c.q.object != nil:
		lock = &objects.Lock{Retention: c.q.object.Retention, LegalHold: c.q.object.LegalHold}
	case lock != nil:
	default:
		hold = x.joined(s3.HeaderObjectLockHold)
		mode, until = x.joined(s3.HeaderObjectLockMode), x.joined(s3.HeaderObjectLockUntil)
		if r, err := s3.ParseRetention(mode, until, time.Time{}); err == nil && r.Mode != "" {
			until = string(s3.AppendISO8601(nil, r.Until)) // in the one form that is compared
		}
		return mode, until, hold
	}
	if lock.Retention.Mode != objects.RetentionNone {
		mode, until = string(retentionName(lock.Retention.Mode)), string(s3.AppendISO8601(nil, lock.Retention.Until))
	}
	return mode, until, string(legalHoldName(lock.LegalHold))
}

func retentionName(m objects.RetentionMode) s3.RetentionMode {
	return [...]s3.RetentionMode{
		objects.RetentionNone: "", objects.RetentionGovernance: s3.RetentionGovernance, objects.RetentionCompliance: s3.RetentionCompliance,
	}[m]
}

func retentionMode(m s3.RetentionMode) objects.RetentionMode {
	switch m {
	case s3.RetentionGovernance:
		return objects.RetentionGovernance
	case s3.RetentionCompliance:
		return objects.RetentionCompliance
	}
	return objects.RetentionNone
}

func retentionOf(r s3.Retention) objects.Retention {
	return objects.Retention{Mode: retentionMode(r.Mode), Until: r.Until}
}

func legalHoldName(h objects.LegalHold) s3.LegalHoldStatus {
	return [...]s3.LegalHoldStatus{
		objects.LegalHoldNever: "", objects.LegalHoldOn: s3.LegalHoldOn, objects.LegalHoldOff: s3.LegalHoldOff,
	}[h]
}

func legalHoldOf(h s3.LegalHoldStatus) objects.LegalHold {
	switch h {
	case s3.LegalHoldOn:
		return objects.LegalHoldOn
	case s3.LegalHoldOff:
		return objects.LegalHoldOff
	}
	return objects.LegalHoldNever
}
