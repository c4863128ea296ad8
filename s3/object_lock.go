package s3

import (
	"strings"
	"time"
)

// Headers of Object Lock, in the canonical form of net/http.
const (
	HeaderBucketObjectLock  = "X-Amz-Bucket-Object-Lock-Enabled"
	HeaderObjectLockMode    = "X-Amz-Object-Lock-Mode"
	HeaderObjectLockUntil   = "X-Amz-Object-Lock-Retain-Until-Date"
	HeaderObjectLockHold    = "X-Amz-Object-Lock-Legal-Hold"
	HeaderBypassGovernance  = "X-Amz-Bypass-Governance-Retention"
	bothHeaders             = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
	maxDefaultDays          = 36500
	maxDefaultYears         = 100
	objectLockConfiguration = "ObjectLockConfiguration"
)

// RetentionMode says who may end a retention before its time; empty for no
// retention.
type RetentionMode string

// The modes of retention.
const (
	RetentionGovernance RetentionMode = "GOVERNANCE"
	RetentionCompliance RetentionMode = "COMPLIANCE"
)

// Valid reports whether the mode is one of the two.
func (m RetentionMode) Valid() bool { return m == RetentionGovernance || m == RetentionCompliance }

// Retention keeps a version until a time; the zero value is none.
type Retention struct {
	Mode  RetentionMode
	Until time.Time
}

// LegalHoldStatus is ON, OFF, or empty where no legal hold was ever applied.
type LegalHoldStatus string

// The states of a legal hold.
const (
	LegalHoldOn  LegalHoldStatus = "ON"
	LegalHoldOff LegalHoldStatus = "OFF"
)

// ParseRetention reads the headers that ask for a retention, which come
// together or not at all. The time must be after now.
func ParseRetention(mode, until string, now time.Time) (Retention, error) {
	switch {
	case mode == "" && until == "":
		return Retention{}, nil
	case mode == "":
		return Retention{}, InvalidArg(strings.ToLower(HeaderObjectLockMode), "", bothHeaders)
	case until == "":
		return Retention{}, InvalidArg(strings.ToLower(HeaderObjectLockUntil), "", bothHeaders)
	}
	r := Retention{Mode: RetentionMode(mode)}
	if !r.Mode.Valid() {
		return Retention{}, InvalidArg(strings.ToLower(HeaderObjectLockMode), mode, "Unknown wormMode directive.")
	}
	var ok bool
	if r.Until, ok = parseUntil(until); !ok {
		return Retention{}, InvalidArg(strings.ToLower(HeaderObjectLockUntil), until, "The retain until date must be provided in ISO 8601 format")
	}
	return r, r.check(strings.ToLower(HeaderObjectLockUntil), until, now)
}

func (r Retention) check(name, value string, now time.Time) error {
	if r.Until.After(now) {
		return nil
	}
	return InvalidArg(name, value, "The retain until date must be in the future!")
}

// parseUntil parses a time in ISO 8601, to the millisecond.
func parseUntil(s string) (time.Time, bool) {
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05", "20060102T150405Z"} {
		if t, err := time.Parse(layout, s); err == nil && t.UTC().Year() <= 9999 && t.UTC().Year() > 0 {
			return t.UTC().Truncate(time.Millisecond), true
		}
	}
	return time.Time{}, false
}

// ParseLegalHold reads the header that asks for a legal hold.
func ParseLegalHold(status string) (LegalHoldStatus, error) {
	switch h := LegalHoldStatus(status); h {
	case "", LegalHoldOn, LegalHoldOff:
		return h, nil
	}
	return "", InvalidArg(strings.ToLower(HeaderObjectLockHold), status, "Legal Hold must be either of 'ON' or 'OFF'")
}
