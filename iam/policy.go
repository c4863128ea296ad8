package iam

import (
	"errors"
	"strconv"
)

// ErrPolicyTooLarge refuses a policy above [MaxBucketPolicy]. S3 calls it
// PolicyTooLarge.
var ErrPolicyTooLarge = errors.New("the policy document is too large")

// MaxBucketPolicy is the size of the largest policy in bytes, not counting
// white space between its elements.
const MaxBucketPolicy = 20 << 10

// MalformedPolicyError refuses a policy. Its reason is what S3 says in the
// message of MalformedPolicy.
type MalformedPolicyError struct {
	Reason string
}

// Error implements error.
func (e *MalformedPolicyError) Error() string { return "malformed policy: " + e.Reason }

func malformed(reason string) error { return &MalformedPolicyError{Reason: reason} }

// What S3 says of policies that it refuses.
const (
	reasonFirstByte       = "Policies must be valid JSON and the first byte must be '{'"
	reasonJSON            = "This policy contains invalid Json"
	reasonSyntax          = "Invalid policy syntax."
	reasonVersion         = "The policy must contain a valid version string"
	reasonNoStatement     = "Could not parse the policy: Statement is empty!"
	reasonSid             = "Statement IDs (SID) in a single policy must be unique."
	reasonNotPrincipal    = "Allow with NotPrincipal is not allowed."
	reasonPrincipal       = "Invalid principal in policy"
	reasonNoPrincipal     = "Missing required field Principal cannot be empty!"
	reasonIdentity        = "Policy document should not specify a principal."
	reasonAction          = "Policy has invalid action"
	reasonResource        = "Policy has invalid resource"
	reasonActionResource  = "Action does not apply to any resource(s) in statement"
	reasonConditionKey    = "Policy has an invalid condition key"
	reasonConditionAction = "Conditions do not apply to combination of actions and resources in statement"
	reasonConditionIP     = "Invalid IP address in Conditions"
)

// Policy is a parsed policy document. It is immutable, and may be used by many
// goroutines at a time.
type Policy struct {
	statements []statement
	public     bool
}

// IsPublic reports whether the policy of a bucket lets in more than a fixed
// set of callers, as S3 defines that for its public access block. A nil Policy
// is not public.
func (p *Policy) IsPublic() bool { return p != nil && p.public }

// statement is one statement, compiled.
type statement struct {
	sid  string
	deny bool

	principals   principals
	notPrincipal bool

	actions   []string // compiled patterns in lower case
	notAction bool

	resources   []template
	notResource bool

	conditions []condition

	reason string // what a decision of this statement says
}

// maxSidInReason keeps the owner of a bucket from filling the log, in bytes.
const maxSidInReason = 100

// explain prepares the reason of decisions, so that no request pays for it.
func (s *statement) explain(kind string, number int) {
	s.reason = kind + " policy statement "
	if s.sid != "" {
		s.reason += strconv.Quote(s.sid[:min(len(s.sid), maxSidInReason)]) + " "
	}
	s.reason += "(#" + strconv.Itoa(number) + ") allows"
	if s.deny {
		s.reason = s.reason[:len(s.reason)-len("allows")] + "denies"
	}
}

// verdict is what the statements of a policy say to a request: the first of
// each kind that applies.
type verdict struct {
	denies        *statement
	allows        *statement // the caller itself
	allowsAccount *statement // the caller's account, which may let the caller
}

// judge adds what the policy says to v. It stops at a denial, after which
// nothing counts.
func (p *Policy) judge(e *evaluation, v *verdict) {
	if p == nil {
		return
	}
	for i := range p.statements {
		s := &p.statements[i]
		switch reached := s.applies(e); {
		case reached == reachNone:
		case s.deny:
			v.denies = s
			return
		case reached == reachDirect && v.allows == nil:
			v.allows = s
		case reached == reachAccount && v.allowsAccount == nil:
			v.allowsAccount = s
		}
	}
}

// applies reports whether and how the statement concerns the request. What is
// cheap and decides most often comes first.
func (s *statement) applies(e *evaluation) reach {
	if s.matchesAction(e.Action) == s.notAction {
		return reachNone
	}
	reached := s.principals.reach(e.Who)
	if s.notPrincipal {
		// Only a denial has this. It spares whom it names: an account is its
		// root, not the users.
		if reached == reachDirect {
			return reachNone
		}
		reached = reachDirect
	}
	if reached == reachNone || !s.matchesResource(e) {
		return reachNone
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(e) {
			return reachNone
		}
	}
	return reached
}

func (s *statement) matchesAction(action string) bool {
	for _, pattern := range s.actions {
		if matchAction(pattern, action) {
			return true
		}
	}
	return false
}

func (s *statement) matchesResource(e *evaluation) bool {
	for i := range s.resources {
		pattern, ok := s.resources[i].expand(e)
		switch {
		case !e.spend(len(e.ARN)):
			return false
		case ok && matchWildcards(pattern, e.ARN):
			return !s.notResource
		case !ok && s.notResource && !s.deny:
			// What is excepted is not known, so nothing is allowed.
			return false
		}
	}
	return s.notResource
}
