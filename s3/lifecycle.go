package s3

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of a lifecycle configuration.
const (
	// MaxLifecycleRules is how many rules a configuration has at most.
	MaxLifecycleRules = 1000
	// MaxLifecycleRuleID is the longest id of a rule, in characters.
	MaxLifecycleRuleID = 255
	// MaxNewerNoncurrentVersions is how many noncurrent versions a rule may keep.
	MaxNewerNoncurrentVersions = 100
	// MinTransitionDays is how old an object is before it moves to a class of infrequent access.
	MinTransitionDays = 30
	// MinTransitionSize is the size in bytes below which AWS's classes take no object
	// unless a rule's filter is about sizes.
	MinTransitionSize = 128 << 10
)

// TransitionMinimum says below which size objects stay where they are.
type TransitionMinimum string

// The values of x-amz-transition-default-minimum-object-size; the first is the default.
const (
	TransitionMinimumAll    TransitionMinimum = "all_storage_classes_128K"
	TransitionMinimumVaries TransitionMinimum = "varies_by_storage_class"
)

// ParseTransitionMinimum accepts the two values, and the empty string for the default.
func ParseTransitionMinimum(value string) (TransitionMinimum, error) {
	switch m := TransitionMinimum(value); m {
	case "":
		return TransitionMinimumAll, nil
	case TransitionMinimumAll, TransitionMinimumVaries:
		return m, nil
	}
	return "", InvalidArg("x-amz-transition-default-minimum-object-size", value, "Invalid transition default minimum object size")
}

// LifecycleConfiguration says what becomes of the objects of a bucket by themselves.
type LifecycleConfiguration struct {
	Rules   []LifecycleRule
	Minimum TransitionMinimum
}

// LifecycleRule does something with the versions and uploads that its filter selects.
type LifecycleRule struct {
	ID      string
	Enabled bool
	// Legacy says that the prefix stands in the rule and not in a Filter.
	Legacy                bool
	Filter                LifecycleFilter
	Expiration            *LifecycleExpiration
	Transitions           []LifecycleTransition
	NoncurrentExpiration  *NoncurrentExpiration
	NoncurrentTransitions []NoncurrentTransition
	// AbortDays is after how many days an upload is aborted; 0: never.
	AbortDays int
}

// LifecycleFilter selects what a rule is about: all of it must hold.
type LifecycleFilter struct {
	// HasPrefix says that a prefix was given, which may be empty.
	HasPrefix bool
	Prefix    string
	Tags      []Tag
	// GreaterThan and LessThan bound the size, exclusively; nil: not at all.
	GreaterThan, LessThan *int64
	// And is how the conditions were written.
	And bool
}

// LifecycleExpiration ends current versions after Days, or from Date on, or delete
// markers that are alone. Where neither is set it does nothing.
type LifecycleExpiration struct {
	Days         int
	Date         time.Time
	DeleteMarker bool
}

// LifecycleTransition moves current versions to another class after Days, or
// from Date on where that is set.
type LifecycleTransition struct {
	Days  int
	Date  time.Time
	Class StorageClass
}

// NoncurrentExpiration deletes versions that have been noncurrent for Days and have
// at least Newer noncurrent versions above them.
type NoncurrentExpiration struct{ Days, Newer int }

// NoncurrentTransition is NoncurrentExpiration for a move to another class.
type NoncurrentTransition struct {
	Days, Newer int
	Class       StorageClass
}

// tierOf is the place of a class in AWS's waterfall, from which objects only go down; 0 for
// STANDARD and -1 for a class that AWS does not have.
func tierOf(class StorageClass) int {
	if class == "" {
		class = StorageStandard
	}
	return slices.Index([]StorageClass{
		StorageStandard, "STANDARD_IA", "INTELLIGENT_TIERING", "ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE",
	}, class)
}

// TransitionAllowed reports whether an object may move between classes by itself. AWS's
// own form a waterfall; the others have no order.
func TransitionAllowed(from, to StorageClass) bool {
	f, t := tierOf(from), tierOf(to)
	return f < 0 || t < 0 || f < t
}

// PrefersClass reports whether AWS takes class over other where an object could move to both.
func PrefersClass(class, other StorageClass) bool {
	a, b := tierOf(class), tierOf(other)
	return a >= 0 && b >= 0 && a > b
}

// MinimumFor is the size below which objects do not move to a class, 0 for none. What
// AWS says of its classes says nothing of others.
func (m TransitionMinimum) MinimumFor(class StorageClass) int64 {
	switch {
	case tierOf(class) <= 0:
		return 0
	case m == TransitionMinimumVaries && (class == "GLACIER" || class == "DEEP_ARCHIVE"):
		return 0
	}
	return MinTransitionSize
}

// Sized reports whether the filter is about sizes.
func (f *LifecycleFilter) Sized() bool { return f.GreaterThan != nil || f.LessThan != nil }

// conditions is how many there are.
func (f *LifecycleFilter) conditions() int {
	n := len(f.Tags)
	for _, there := range [...]bool{f.HasPrefix, f.GreaterThan != nil, f.LessThan != nil} {
		if there {
			n++
		}
	}
	return n
}

func invalidLifecycle(message string) error { return NewError(InvalidRequest).WithMessage(message) }

func invalidDays(message string) error { return NewError(InvalidArgument).WithMessage(message) }

// check applies the rules that AWS has beyond the schema. known tells which classes there are.
func (c *LifecycleConfiguration) check(known func(StorageClass) bool) error {
	switch {
	case len(c.Rules) == 0:
		return malformed("no rule")
	case len(c.Rules) > MaxLifecycleRules:
		return invalidLifecycle("The number of lifecycle rules must not exceed the allowed limit of 1000 rules")
	}
	seen := make(map[string]bool, len(c.Rules))
	for i := range c.Rules {
		r := &c.Rules[i]
		if r.Legacy != c.Rules[0].Legacy {
			if r.Legacy {
				return invalidLifecycle("Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter.")
			}
			return invalidLifecycle("Filter element can only be used in Lifecycle V2.")
		}
		if len([]rune(r.ID)) > MaxLifecycleRuleID {
			return InvalidArg("ID", r.ID, "ID length should not exceed allowed limit of 255")
		}
		if r.ID != "" && seen[r.ID] {
			return InvalidArg("ID", r.ID, "Rule ID must be unique. Found same ID for more than one rule")
		}
		seen[r.ID] = true
		if err := r.check(known); err != nil {
			return err
		}
	}
	return nil
}

func (r *LifecycleRule) check(known func(StorageClass) bool) error {
	for _, check := range []func() error{
		r.checkFilter, r.checkActions, r.checkTransitions, r.checkNoncurrent, r.checkExpiration,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	for _, class := range r.classes() {
		if !known(class) {
			return NewError(InvalidStorageClass).With("StorageClassRequested", string(class))
		}
	}
	return nil
}

func (r *LifecycleRule) classes() []StorageClass {
	var out []StorageClass
	for i := range r.Transitions {
		out = append(out, r.Transitions[i].Class)
	}
	for i := range r.NoncurrentTransitions {
		out = append(out, r.NoncurrentTransitions[i].Class)
	}
	return out
}

func (r *LifecycleRule) checkFilter() error {
	f := &r.Filter
	if len(f.Prefix) > MaxKeyBytes {
		return invalidLifecycle("The maximum size of a prefix is 1024.")
	}
	if f.GreaterThan != nil && f.LessThan != nil && *f.LessThan <= *f.GreaterThan {
		return invalidLifecycle("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")
	}
	keys := make(map[string]bool, len(f.Tags))
	for i := range f.Tags {
		key, value := f.Tags[i].Key, f.Tags[i].Value
		switch {
		case keys[key]:
			return invalidLifecycle("Duplicate Tag Keys are not allowed.")
		case key == "" || !tagText(key, MaxTagKey):
			return invalidTag("The TagKey you have provided is invalid", key)
		case !tagText(value, MaxTagValue):
			return invalidTag("The TagValue you have provided is invalid", key).With("TagValue", value)
		}
		keys[key] = true
	}
	return nil
}

// checkActions looks for an action, and at those that not every filter may have.
func (r *LifecycleRule) checkActions() error {
	tagged, sized := len(r.Filter.Tags) > 0, r.Filter.Sized()
	switch marker := r.Expiration != nil && r.Expiration.DeleteMarker; {
	case r.Expiration == nil && r.NoncurrentExpiration == nil && r.AbortDays == 0 && len(r.classes()) == 0:
		return invalidLifecycle("At least one action needs to be specified in a rule.")
	case r.AbortDays != 0 && tagged:
		return invalidLifecycle("AbortIncompleteMultipartUpload cannot be specified with Tags.")
	case r.AbortDays != 0 && sized:
		return invalidLifecycle("AbortIncompleteMultipartUpload cannot be specified with ObjectSize.")
	case marker && tagged:
		return invalidLifecycle("ExpiredObjectDeleteMarker cannot be specified with Tags.")
	case marker && sized:
		return invalidLifecycle("ExpiredObjectDeleteMarker cannot be specified with ObjectSize.")
	}
	return nil
}

// about names the rule's filter as AWS's messages do.
func (r *LifecycleRule) about() string { return "filter '(prefix=" + r.Filter.Prefix + ")'" }

func (r *LifecycleRule) checkTransitions() error {
	for i := range r.Transitions {
		t := &r.Transitions[i]
		if t.Date.IsZero() != r.Transitions[0].Date.IsZero() {
			return invalidLifecycle("Found mixed 'Date' and 'Days' based Transition actions in lifecycle rule for " + r.about())
		}
		if err := r.checkMove(move{"Transition", "Days", t.Days, t.Class}, !t.Date.IsZero()); err != nil {
			return err
		}
		for j := range i {
			if err := r.checkOrder(t, &r.Transitions[j]); err != nil {
				return err
			}
		}
	}
	return nil
}

// move is a transition of either kind.
type move struct {
	action, unit string
	days         int
	class        StorageClass
}

// checkMove applies the least number of days that AWS has for classes of infrequent access.
func (r *LifecycleRule) checkMove(m move, dated bool) error {
	switch {
	case m.days < 0:
		return invalidDays("'" + m.unit + "' in " + m.action + " action must be nonnegative")
	case !dated && m.days < MinTransitionDays && infrequent(m.class):
		return invalidDays("'" + m.unit + "' in " + m.action + " action must be greater than or equal to 30 for storageClass '" + string(m.class) + "'")
	}
	return nil
}

func infrequent(class StorageClass) bool { return class == "STANDARD_IA" || class == "ONEZONE_IA" }

// checkOrder holds two transitions of a rule against each other.
func (r *LifecycleRule) checkOrder(a, b *LifecycleTransition) error {
	if a.Date.IsZero() {
		return r.checkSteps(move{"Transition", "Days", a.Days, a.Class}, move{"Transition", "Days", b.Days, b.Class})
	}
	if a.Class == b.Class {
		return r.sameClass("Transition")
	}
	if PrefersClass(b.Class, a.Class) {
		a, b = b, a
	}
	if a.Date.Equal(b.Date) || PrefersClass(a.Class, b.Class) && a.Date.Before(b.Date) {
		return invalidDays("'Date' in the Transition action for StorageClass '" + string(a.Class) + "' for " + r.about() +
			" must be later than 'Date' in the Transition action for StorageClass '" + string(b.Class) + "'")
	}
	return nil
}

func (r *LifecycleRule) sameClass(action string) error {
	return invalidLifecycle("'StorageClass' must be different for '" + action + "' actions in same 'Rule' with " + r.about())
}

// checkSteps wants the later of two moves to go further down, and objects to rest for
// a while in a class of infrequent access.
func (r *LifecycleRule) checkSteps(a, b move) error {
	if a.class == b.class {
		return r.sameClass(a.action)
	}
	if PrefersClass(b.class, a.class) {
		a, b = b, a
	}
	ordered := PrefersClass(a.class, b.class)
	switch {
	case ordered && infrequent(b.class) && a.days < b.days+MinTransitionDays:
		return invalidDays("'" + a.unit + "' in the " + a.action + " action for StorageClass '" + string(a.class) + "' for " + r.about() +
			" must be 30 days more than '" + b.unit + "' in the " + b.action + " action for StorageClass '" + string(b.class) + "'")
	case ordered && a.days < b.days, a.days == b.days:
		return r.notGreater(a, b)
	}
	return nil
}

func (r *LifecycleRule) notGreater(a, b move) error {
	return invalidDays("'" + a.unit + "' in the " + a.action + " action for StorageClass '" + string(a.class) + "' for " + r.about() +
		" must be greater than '" + b.unit + "' in the " + b.action + " action for StorageClass '" + string(b.class) + "'")
}

func (r *LifecycleRule) checkNoncurrent() error {
	const action, unit = "NoncurrentVersionTransition", "NoncurrentDays"
	last := -1
	for i := range r.NoncurrentTransitions {
		t := &r.NoncurrentTransitions[i]
		if err := r.checkMove(move{action, unit, t.Days, t.Class}, false); err != nil {
			return err
		}
		if err := r.checkNewer(action, t.Newer); err != nil {
			return err
		}
		for j := range i {
			o := &r.NoncurrentTransitions[j]
			if err := r.checkSteps(move{action, unit, t.Days, t.Class}, move{action, unit, o.Days, o.Class}); err != nil {
				return err
			}
		}
		last = max(last, t.Days)
	}
	if e := r.NoncurrentExpiration; e != nil {
		if e.Days <= last {
			return invalidDays("'NoncurrentDays' in the NoncurrentVersionExpiration action for " + r.about() +
				" must be greater than 'NoncurrentDays' in the NoncurrentVersionTransition action")
		}
		return r.checkNewer("NoncurrentVersionExpiration", e.Newer)
	}
	return nil
}

func (r *LifecycleRule) checkNewer(action string, newer int) error {
	switch {
	case newer == 0:
		return nil
	case newer < 0 || newer > MaxNewerNoncurrentVersions:
		return invalidDays("'NewerNoncurrentVersions' for " + action + " action must be a positive integer not greater than " +
			strconv.Itoa(MaxNewerNoncurrentVersions))
	case r.Legacy:
		return invalidLifecycle("NewerNoncurrentVersions can only be used with a Filter.")
	}
	return nil
}

func (r *LifecycleRule) checkExpiration() error {
	e := r.Expiration
	if e == nil || e.DeleteMarker || e.Days == 0 && e.Date.IsZero() {
		return nil
	}
	for i := range r.Transitions {
		t := &r.Transitions[i]
		switch {
		case t.Date.IsZero() != e.Date.IsZero():
			return invalidLifecycle("Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for " + r.about())
		case e.Date.IsZero() && e.Days <= t.Days:
			return invalidDays("'Days' in the Expiration action for " + r.about() + " must be greater than 'Days' in the Transition action")
		case !e.Date.IsZero() && !e.Date.After(t.Date):
			return invalidDays("'Date' in the Expiration action for " + r.about() + " must be later than 'Date' in the Transition action")
		}
	}
	return nil
}

// parseLifecycleDate parses a date of ISO 8601, which must be a midnight of UTC.
func parseLifecycleDate(text string) (time.Time, error) {
	text = strings.TrimSpace(text)
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateOnly} {
		t, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		if t = t.UTC(); !t.Equal(t.Truncate(24 * time.Hour)) {
			return t, InvalidArg("Date", text, "'Date' must be at midnight GMT")
		}
		if t.Year() < 1 || t.Year() > 9999 {
			break
		}
		return t, nil
	}
	return time.Time{}, NewError(MalformedXML).Because(errors.New("date " + text))
}

// Headers of lifecycle rules.
const (
	HeaderExpiration        = "X-Amz-Expiration"
	HeaderAbortDate         = "X-Amz-Abort-Date"
	HeaderAbortRuleID       = "X-Amz-Abort-Rule-Id"
	HeaderTransitionMinimum = "X-Amz-Transition-Default-Minimum-Object-Size"
)
