package iam

// condition is one operator with one key and the values of the policy.
type condition struct {
	operator operator
	key      string // in lower case
	values   []comparison
}

// comparison compares a value of the request with one of the policy. It says
// whether they are equal, like or in the order that the operator asks for;
// negation is the operator's.
type comparison interface {
	matches(value string, e *evaluation) bool
}

// set is how a condition on several values of a request is read.
type set uint8

const (
	setNone   set = iota // one value is expected
	setAll               // ForAllValues:
	setAny               // ForAnyValue:
	setAbsent            // the operator Null
)

// operator is a condition operator, such as ForAnyValue:StringNotLikeIfExists.
type operator struct {
	family   family
	negated  bool
	ifExists bool
	set      set
}

// holds reports whether the request satisfies the condition.
func (c *condition) holds(e *evaluation) bool {
	values := e.values(c.key)
	if c.operator.set == setAbsent {
		present := "false"
		if len(values) == 0 {
			present = "true"
		}
		return c.matchesAny(present, e)
	}
	empty := len(values) == 0
	if c.operator.set != setNone {
		// A set of nothing but an empty string is an empty set.
		empty = empty || len(values) == 1 && values[0] == ""
	}
	if empty {
		return c.holdsWithout()
	}
	// Negation without a set operator asks that no value matches, as ForAllValues does.
	all := c.operator.set == setAll || c.operator.set == setNone && c.operator.negated
	for _, value := range values {
		if ok := c.matchesAny(value, e) != c.operator.negated; ok != all {
			return ok
		}
	}
	return all
}

// holdsWithout is the answer for a request that does not have the key.
func (c *condition) holdsWithout() bool {
	switch {
	case c.operator.ifExists:
		return true
	case c.operator.set == setAny:
		return false
	case c.operator.set == setAll:
		return true
	}
	return c.operator.negated
}

// matchesAny reports whether one of the policy's values matches.
func (c *condition) matchesAny(value string, e *evaluation) bool {
	for _, v := range c.values {
		if !e.spend(len(value)) {
			return false
		}
		if v.matches(value, e) {
			return true
		}
	}
	return false
}
