package s3

import (
	"strconv"
	"strings"
)

// DefaultRetention is what a bucket with Object Lock gives to new versions: no
// mode is none, else either Days or Years is set.
type DefaultRetention struct {
	Mode        RetentionMode
	Days, Years int
}

// DecodeObjectLock decodes the body of PutObjectLockConfiguration.
func DecodeObjectLock(body []byte) (DefaultRetention, error) {
	var d DefaultRetention
	var enabled string
	var rule bool
	err := decodeDocument(body, objectLockConfiguration, func(x *xmlReader) error {
		return x.children(func(name string) error {
			switch name {
			case "ObjectLockEnabled":
				return x.sole(&enabled)
			case "Rule":
				if rule {
					return malformed("element occurs twice")
				}
				rule = true
				return x.children(func(name string) error {
					if name != "DefaultRetention" || d.Mode != "" {
						return unknownElement(name)
					}
					return x.defaultRetention(&d)
				})
			}
			return unknownElement(name)
		})
	})
	switch {
	case err != nil:
		return d, err
	case enabled != "Enabled":
		return d, malformed("object lock " + enabled)
	case rule && d.Mode == "":
		return d, malformed("rule without a default retention")
	}
	return d, nil
}

// defaultRetention requires a mode and one period.
func (x *xmlReader) defaultRetention(d *DefaultRetention) error {
	var days, years string
	err := x.children(func(name string) error {
		switch name {
		case "Mode":
			return x.sole((*string)(&d.Mode))
		case "Days":
			return x.sole(&days)
		case "Years":
			return x.sole(&years)
		case "DefaultEventHold":
			return notBuilt(name)
		}
		return unknownElement(name)
	})
	switch {
	case err != nil:
		return err
	case !d.Mode.Valid() || (days == "") == (years == ""):
		return malformed("default retention of mode " + string(d.Mode))
	case days != "":
		d.Days, err = parsePeriod("Days", days, maxDefaultDays)
	default:
		d.Years, err = parsePeriod("Years", years, maxDefaultYears)
	}
	return err
}

// sole is into for an element that has one value: of two, nobody knows which one
// is meant to protect.
func (x *xmlReader) sole(dst *string) error {
	if *dst != "" {
		return malformed("element occurs twice")
	}
	return x.into(dst)
}

func parsePeriod(name, value string, most int) (int, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil:
		return 0, malformed(name + " " + value)
	case n <= 0:
		return 0, NewError(InvalidRetentionPeriod).With("ArgumentName", name).With("ArgumentValue", value)
	case n > int64(most):
		return 0, InvalidArg(name, value, "Default retention period too large.")
	}
	return int(n), nil
}

// notBuilt refuses an element that asks for something that AWS has.
func notBuilt(name string) error {
	return NewError(NotImplemented).WithMessage("This element is not implemented.").With("Element", name)
}

// AppendObjectLock appends the answer of GetObjectLockConfiguration for a
// bucket that has Object Lock.
func AppendObjectLock(dst []byte, d DefaultRetention) []byte {
	dst = openDocument(dst, objectLockConfiguration)
	dst = appendElement(dst, "ObjectLockEnabled", "Enabled")
	if d.Mode != "" {
		dst = openElement(openElement(dst, "Rule"), "DefaultRetention")
		dst = appendElement(dst, "Mode", string(d.Mode))
		if d.Days > 0 {
			dst = appendInt(dst, "Days", int64(d.Days))
		} else {
			dst = appendInt(dst, "Years", int64(d.Years))
		}
		dst = closeElement(closeElement(dst, "DefaultRetention"), "Rule")
	}
	return closeElement(dst, objectLockConfiguration)
}

// DecodeRetention decodes the body of PutObjectRetention. An empty one asks for
// no retention.
func DecodeRetention(body []byte) (Retention, error) {
	var r Retention
	var until string
	err := decodeDocument(body, "Retention", func(x *xmlReader) error {
		return x.children(func(name string) error {
			switch name {
			case "Mode":
				return x.sole((*string)(&r.Mode))
			case "RetainUntilDate":
				return x.sole(&until)
			case "EventHold", "EventHoldDuration":
				return notBuilt(name)
			}
			return unknownElement(name)
		})
	})
	switch {
	case err != nil:
		return r, err
	case r.Mode == "" && until == "":
		return r, nil
	case !r.Mode.Valid():
		return r, malformed("retention mode " + string(r.Mode))
	}
	var ok bool
	if r.Until, ok = parseUntil(until); !ok {
		return r, malformed("retention until " + until)
	}
	return r, nil
}

// AppendRetention appends the answer of GetObjectRetention.
func AppendRetention(dst []byte, r Retention) []byte {
	dst = openDocument(dst, "Retention")
	dst = appendElement(dst, "Mode", string(r.Mode))
	dst = appendTime(dst, "RetainUntilDate", r.Until)
	return closeElement(dst, "Retention")
}

// DecodeLegalHold decodes the body of PutObjectLegalHold.
func DecodeLegalHold(body []byte) (LegalHoldStatus, error) {
	var status string
	err := decodeDocument(body, "LegalHold", func(x *xmlReader) error {
		return x.children(func(name string) error {
			if name != "Status" {
				return unknownElement(name)
			}
			return x.sole(&status)
		})
	})
	if err != nil {
		return "", err
	}
	switch h := LegalHoldStatus(status); h {
	case LegalHoldOn, LegalHoldOff:
		return h, nil
	}
	return "", malformed("legal hold " + strings.TrimSpace(status))
}

// AppendLegalHold appends the answer of GetObjectLegalHold.
func AppendLegalHold(dst []byte, status LegalHoldStatus) []byte {
	dst = openDocument(dst, "LegalHold")
	dst = appendElement(dst, "Status", string(status))
	return closeElement(dst, "LegalHold")
}
