package s3

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
)

const (
	// MaxLifecycleBody bounds the XML of PutBucketLifecycleConfiguration: a thousand
	// rules with long prefixes.
	MaxLifecycleBody = 1 << 20
	// maxStoredLifecycle bounds what is kept, unpacked: a character that was sent as it is, as a
	// quote may be, is kept as a reference of up to six bytes.
	maxStoredLifecycle = 8 * MaxLifecycleBody
	// plainLifecycle is how long a document may be that is kept as it is.
	plainLifecycle = 32 << 10

	lifecycleRoot    = "LifecycleConfiguration"
	lifecycleMinimum = "TransitionDefaultMinimumObjectSize" // only in what is kept
)

// DecodeLifecycle decodes and checks the body of PutBucketLifecycleConfiguration. known
// tells which storage classes there are. Rules without an id get one from newID.
func DecodeLifecycle(body []byte, known func(StorageClass) bool, newID func() string) (*LifecycleConfiguration, error) {
	c := &LifecycleConfiguration{Minimum: TransitionMinimumAll}
	if err := c.decode(body, false); err != nil {
		return nil, err
	}
	if err := c.check(known); err != nil {
		return nil, err
	}
	for i := range c.Rules {
		if c.Rules[i].ID == "" {
			c.Rules[i].ID = newID()
		}
	}
	return c, nil
}

// ParseLifecycle is the reverse of AppendStored.
func ParseLifecycle(stored []byte) (*LifecycleConfiguration, error) {
	if len(stored) > 0 && stored[0] != '<' {
		r, err := gzip.NewReader(bytes.NewReader(stored))
		if err != nil {
			return nil, err
		}
		if stored, err = io.ReadAll(io.LimitReader(r, maxStoredLifecycle)); err != nil {
			return nil, err
		}
	}
	c := &LifecycleConfiguration{Minimum: TransitionMinimumAll}
	return c, c.decode(stored, true)
}

// AppendStored appends the configuration as it is kept: the document with what came
// in a header, compressed where it is long.
func (c *LifecycleConfiguration) AppendStored(dst []byte) []byte {
	plain := openDocument(nil, lifecycleRoot)
	if c.Minimum != TransitionMinimumAll {
		plain = appendOptional(plain, lifecycleMinimum, string(c.Minimum))
	}
	plain = c.appendRules(plain)
	if len(plain) <= plainLifecycle {
		return append(dst, plain...)
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(plain)
	if err = errors.Join(err, w.Close()); err != nil {
		return append(dst, plain...) // a buffer takes everything
	}
	return append(dst, b.Bytes()...)
}

func (c *LifecycleConfiguration) decode(body []byte, stored bool) error {
	return decodeDocument(body, lifecycleRoot, func(x *xmlReader) error {
		return x.children(func(name string) error {
			switch {
			case name == lifecycleMinimum && stored:
				var text string
				err := x.into(&text)
				c.Minimum = TransitionMinimum(text)
				return err
			case name != "Rule":
				return unknownElement(name)
			}
			rule, err := x.lifecycleRule()
			c.Rules = append(c.Rules, rule)
			return err
		})
	})
}

// lifecycleSeen is which elements of a rule there were.
type lifecycleSeen struct{ id, status, filter, prefix, expiration, noncurrent, abort bool }

func (x *xmlReader) lifecycleRule() (LifecycleRule, error) {
	var r LifecycleRule
	var seen lifecycleSeen
	var status string
	err := x.children(func(name string) error {
		switch name {
		case "ID":
			return x.once(&seen.id, &r.ID)
		case "Status":
			return x.once(&seen.status, &status)
		case "Prefix":
			r.Legacy, r.Filter.HasPrefix = true, true
			return x.once(&seen.prefix, &r.Filter.Prefix)
		case "Filter":
			if seen.filter || seen.prefix {
				return malformed("second Filter or Prefix")
			}
			seen.filter = true
			return x.lifecycleFilter(&r.Filter)
		}
		return x.lifecycleAction(name, &r, &seen)
	})
	switch {
	case err != nil:
		return r, err
	case seen.filter == seen.prefix:
		return r, malformed("neither or both of Filter and Prefix")
	case status != "Enabled" && status != "Disabled":
		return r, malformed("Status " + status)
	}
	r.Enabled = status == "Enabled"
	return r, nil
}

func (x *xmlReader) lifecycleAction(name string, r *LifecycleRule, seen *lifecycleSeen) (err error) {
	first := func(seen *bool) error {
		if *seen {
			return malformed("second " + name)
		}
		*seen = true
		return nil
	}
	switch name {
	case "Expiration":
		r.Expiration = &LifecycleExpiration{}
		return errors.Join(first(&seen.expiration), x.lifecycleExpiration(r.Expiration))
	case "Transition":
		var t LifecycleTransition
		t, err = x.lifecycleTransition()
		r.Transitions = append(r.Transitions, t)
	case "NoncurrentVersionExpiration":
		t, err := x.noncurrent(name)
		r.NoncurrentExpiration = &NoncurrentExpiration{Days: t.Days, Newer: t.Newer}
		return errors.Join(first(&seen.noncurrent), err)
	case "NoncurrentVersionTransition":
		var t NoncurrentTransition
		t, err = x.noncurrent(name)
		r.NoncurrentTransitions = append(r.NoncurrentTransitions, t)
	case "AbortIncompleteMultipartUpload":
		r.AbortDays, err = x.lifecycleAbort()
		return errors.Join(first(&seen.abort), err)
	default:
		return unknownElement(name)
	}
	return err
}

// lifecycleFilter reads a Filter. AWS wants one condition, or And with two or more; several
// without And hold together as they do with it.
func (x *xmlReader) lifecycleFilter(f *LifecycleFilter) error {
	var sawAnd bool
	return x.children(func(name string) error {
		if name != "And" {
			return x.lifecycleCondition(name, f)
		}
		if sawAnd {
			return malformed("second And")
		}
		sawAnd, f.And = true, true
		var inner LifecycleFilter
		err := x.children(func(name string) error { return x.lifecycleCondition(name, &inner) })
		if err == nil && inner.conditions() < 2 {
			err = malformed("And of fewer than two conditions")
		}
		if err != nil {
			return err
		}
		return f.join(&inner)
	})
}

// join adds the conditions of another filter.
func (f *LifecycleFilter) join(o *LifecycleFilter) error {
	if o.HasPrefix {
		if err := f.addPrefix(o.Prefix); err != nil {
			return err
		}
	}
	f.Tags = append(f.Tags, o.Tags...)
	if o.GreaterThan != nil && f.GreaterThan != nil || o.LessThan != nil && f.LessThan != nil {
		return malformed("second bound of the size")
	}
	if o.GreaterThan != nil {
		f.GreaterThan = o.GreaterThan
	}
	if o.LessThan != nil {
		f.LessThan = o.LessThan
	}
	return nil
}

// addPrefix keeps the longer of two prefixes, one of which must start with the other.
func (f *LifecycleFilter) addPrefix(prefix string) error {
	long, short := prefix, f.Prefix
	if len(long) < len(short) {
		long, short = short, long
	}
	if f.HasPrefix && !strings.HasPrefix(long, short) {
		return malformed("prefixes that exclude each other")
	}
	f.HasPrefix, f.Prefix = true, long
	return nil
}

func (x *xmlReader) lifecycleCondition(name string, f *LifecycleFilter) error {
	switch name {
	case "Prefix":
		text, err := x.text()
		if err != nil {
			return err
		}
		return f.addPrefix(text)
	case "Tag":
		tag, err := x.tag()
		f.Tags = append(f.Tags, tag)
		return err
	case "ObjectSizeGreaterThan":
		return x.lifecycleSize(name, &f.GreaterThan)
	case "ObjectSizeLessThan":
		return x.lifecycleSize(name, &f.LessThan)
	}
	return unknownElement(name)
}

func (x *xmlReader) lifecycleSize(name string, dst **int64) error {
	var text string
	if err := x.into(&text); err != nil {
		return err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || *dst != nil {
		return malformed(name + " " + text)
	}
	if n < 0 {
		return InvalidArg(name, text, "'"+name+"' should be a non-negative integer")
	}
	*dst = &n
	return nil
}

// lifecycleDays reads a number of days or versions of at least least.
func (x *xmlReader) lifecycleDays(seen *bool, dst *int, least int, problem string) error {
	var text string
	if err := x.once(seen, &text); err != nil {
		return err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
	if err != nil {
		return malformed("number " + text)
	}
	if int(n) < least {
		return invalidDays(problem)
	}
	*dst = int(n)
	return nil
}

func (x *xmlReader) lifecycleDate(seen *bool, dst *time.Time) error {
	var text string
	err := x.once(seen, &text)
	if err == nil {
		*dst, err = parseLifecycleDate(text)
	}
	return err
}

func (x *xmlReader) lifecycleExpiration(e *LifecycleExpiration) error {
	var days, date, marker bool
	var text string
	err := x.children(func(name string) error {
		switch name {
		case "Days":
			return x.lifecycleDays(&days, &e.Days, 1, "'Days' for Expiration action must be a positive integer")
		case "Date":
			return x.lifecycleDate(&date, &e.Date)
		case "ExpiredObjectDeleteMarker":
			return x.once(&marker, &text)
		}
		return unknownElement(name)
	})
	switch text = strings.TrimSpace(text); {
	case err != nil:
		return err
	case (days && date) || (days && marker) || (date && marker) || !days && !date && !marker:
		return malformed("not one of Days, Date and ExpiredObjectDeleteMarker")
	case marker && text != "true" && text != "false":
		return malformed("ExpiredObjectDeleteMarker " + text)
	}
	e.DeleteMarker = text == "true"
	return nil
}

func (x *xmlReader) lifecycleTransition() (LifecycleTransition, error) {
	var t LifecycleTransition
	var days, date, class bool
	var text string
	err := x.children(func(name string) error {
		switch name {
		case "Days":
			return x.lifecycleDays(&days, &t.Days, 0, "'Days' in Transition action must be nonnegative")
		case "Date":
			return x.lifecycleDate(&date, &t.Date)
		case "StorageClass":
			return x.once(&class, &text)
		}
		return unknownElement(name)
	})
	t.Class = StorageClass(strings.TrimSpace(text))
	if err == nil && (days == date || t.Class == "") {
		err = malformed("transition without one of Days and Date, or without a class")
	}
	return t, err
}

// noncurrent reads NoncurrentVersionTransition, or NoncurrentVersionExpiration, which has no class.
func (x *xmlReader) noncurrent(action string) (NoncurrentTransition, error) {
	var t NoncurrentTransition
	var days, newer, class bool
	var text string
	expires := action == "NoncurrentVersionExpiration"
	err := x.children(func(name string) error {
		switch {
		case name == "NoncurrentDays" && expires:
			return x.lifecycleDays(&days, &t.Days, 1, "'NoncurrentDays' for "+action+" action must be a positive integer")
		case name == "NoncurrentDays":
			return x.lifecycleDays(&days, &t.Days, 0, "'NoncurrentDays' in "+action+" action must be nonnegative")
		case name == "NewerNoncurrentVersions":
			return x.lifecycleDays(&newer, &t.Newer, 1, "'NewerNoncurrentVersions' for "+action+" action must be a positive integer")
		case name == "StorageClass" && !expires:
			return x.once(&class, &text)
		}
		return unknownElement(name)
	})
	t.Class = StorageClass(strings.TrimSpace(text))
	if err == nil && (!days || !expires && t.Class == "") {
		err = malformed(action + " without NoncurrentDays or a class")
	}
	return t, err
}

func (x *xmlReader) lifecycleAbort() (days int, err error) {
	var seen bool
	err = x.children(func(name string) error {
		if name != "DaysAfterInitiation" {
			return unknownElement(name)
		}
		return x.lifecycleDays(&seen, &days, 1, "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer")
	})
	if err == nil && !seen {
		err = malformed("no DaysAfterInitiation")
	}
	return days, err
}

// AppendXML appends the document of GetBucketLifecycleConfiguration.
func (c *LifecycleConfiguration) AppendXML(dst []byte) []byte {
	return c.appendRules(openDocument(dst, lifecycleRoot))
}

func (c *LifecycleConfiguration) appendRules(dst []byte) []byte {
	for i := range c.Rules {
		dst = c.Rules[i].appendXML(dst)
	}
	return closeElement(dst, lifecycleRoot)
}

func (r *LifecycleRule) appendXML(dst []byte) []byte {
	dst = openElement(dst, "Rule")
	dst = appendOptional(dst, "ID", r.ID)
	if r.Legacy {
		dst = appendElement(dst, "Prefix", r.Filter.Prefix)
	} else {
		dst = r.Filter.appendXML(dst)
	}
	status := "Disabled"
	if r.Enabled {
		status = "Enabled"
	}
	dst = appendElement(dst, "Status", status)
	for i := range r.Transitions {
		dst = r.Transitions[i].appendXML(dst)
	}
	if r.Expiration != nil {
		dst = r.Expiration.appendXML(dst)
	}
	for i := range r.NoncurrentTransitions {
		t := &r.NoncurrentTransitions[i]
		dst = appendNoncurrent(dst, "NoncurrentVersionTransition", t)
	}
	if e := r.NoncurrentExpiration; e != nil {
		dst = appendNoncurrent(dst, "NoncurrentVersionExpiration", &NoncurrentTransition{Days: e.Days, Newer: e.Newer})
	}
	if r.AbortDays > 0 {
		dst = openElement(dst, "AbortIncompleteMultipartUpload")
		dst = appendInt(dst, "DaysAfterInitiation", int64(r.AbortDays))
		dst = closeElement(dst, "AbortIncompleteMultipartUpload")
	}
	return closeElement(dst, "Rule")
}

func (f *LifecycleFilter) appendXML(dst []byte) []byte {
	dst = openElement(dst, "Filter")
	and := f.conditions() > 1
	if and {
		dst = openElement(dst, "And")
	}
	if f.HasPrefix {
		dst = appendElement(dst, "Prefix", f.Prefix)
	}
	for _, tag := range f.Tags {
		dst = openElement(dst, "Tag")
		dst = appendElement(dst, "Key", tag.Key)
		dst = appendElement(dst, "Value", tag.Value)
		dst = closeElement(dst, "Tag")
	}
	if f.GreaterThan != nil {
		dst = appendInt(dst, "ObjectSizeGreaterThan", *f.GreaterThan)
	}
	if f.LessThan != nil {
		dst = appendInt(dst, "ObjectSizeLessThan", *f.LessThan)
	}
	if and {
		dst = closeElement(dst, "And")
	}
	return closeElement(dst, "Filter")
}

func (e *LifecycleExpiration) appendXML(dst []byte) []byte {
	dst = openElement(dst, "Expiration")
	switch {
	case e.Days > 0:
		dst = appendInt(dst, "Days", int64(e.Days))
	case !e.Date.IsZero():
		dst = appendTime(dst, "Date", e.Date)
	default:
		dst = appendBool(dst, "ExpiredObjectDeleteMarker", e.DeleteMarker)
	}
	return closeElement(dst, "Expiration")
}

func (t *LifecycleTransition) appendXML(dst []byte) []byte {
	dst = openElement(dst, "Transition")
	if t.Date.IsZero() {
		dst = appendInt(dst, "Days", int64(t.Days))
	} else {
		dst = appendTime(dst, "Date", t.Date)
	}
	dst = appendElement(dst, "StorageClass", string(t.Class))
	return closeElement(dst, "Transition")
}

func appendNoncurrent(dst []byte, name string, t *NoncurrentTransition) []byte {
	dst = openElement(dst, name)
	dst = appendInt(dst, "NoncurrentDays", int64(t.Days))
	if t.Newer > 0 {
		dst = appendInt(dst, "NewerNoncurrentVersions", int64(t.Newer))
	}
	dst = appendOptional(dst, "StorageClass", string(t.Class))
	return closeElement(dst, name)
}
