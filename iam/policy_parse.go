package iam

import (
	"bytes"
	"encoding/json"
)

// policyParser reads the policies of one kind.
type policyParser struct {
	kind   string // for reasons: "bucket" or "identity"
	bucket string // the bucket of a bucket policy
	// variables is set by the version of the policy.
	variables bool
	sought    int // see maxSought
}

// affords counts what a text of the policy costs to match.
func (p *policyParser) affords(text string) bool {
	p.sought += sought(text)
	return p.sought <= maxSought
}

// ParsePolicy reads the policy of a bucket. The error is a
// [*MalformedPolicyError] or [ErrPolicyTooLarge].
//
// A document that was accepted once and is not any more, because the rules have
// changed, must not be taken for no policy: it may hold denials.
func ParsePolicy(doc []byte, bucket string) (*Policy, error) {
	return (&policyParser{kind: "bucket", bucket: bucket}).parse(doc)
}

// ParseIdentityPolicy reads a policy of a user, which names no principal and
// may speak of other services than S3. The errors are those of [ParsePolicy].
func ParseIdentityPolicy(doc []byte) (*Policy, error) {
	return (&policyParser{kind: "identity"}).parse(doc)
}

// ofBucket reports whether the policy is that of a bucket.
func (p *policyParser) ofBucket() bool { return p.kind == "bucket" }

func (p *policyParser) parse(doc []byte) (*Policy, error) {
	if len(doc) == 0 || doc[0] != '{' {
		return nil, malformed(reasonFirstByte)
	}
	var compact bytes.Buffer
	if len(doc) > 4*MaxBucketPolicy {
		return nil, ErrPolicyTooLarge
	}
	if json.Compact(&compact, doc) != nil {
		return nil, malformed(reasonJSON)
	}
	if compact.Len() > MaxBucketPolicy {
		return nil, ErrPolicyTooLarge
	}
	members, err := objectMembers(compact.Bytes())
	if err != nil {
		return nil, err
	}
	var statements json.RawMessage
	for _, m := range members {
		switch m.name {
		case "Version":
			err = p.parseVersion(m.value)
		case "Id":
			_, err = text(m.value)
		case "Statement":
			statements = m.value
		default:
			err = malformed("Unknown field " + m.name)
		}
		if err != nil {
			return nil, err
		}
	}
	if statements == nil {
		return nil, missing("Statement")
	}
	return p.parseStatements(statements)
}

func missing(field string) error { return malformed("Missing required field " + field) }

func (p *policyParser) parseVersion(raw json.RawMessage) error {
	version, err := text(raw)
	if err != nil || version != "2012-10-17" && version != "2008-10-17" {
		return malformed(reasonVersion)
	}
	p.variables = version == "2012-10-17"
	return nil
}

func (p *policyParser) parseStatements(raw json.RawMessage) (*Policy, error) {
	list, err := elements(raw)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, malformed(reasonNoStatement)
	}
	policy := &Policy{statements: make([]statement, len(list))}
	sids := map[string]bool{}
	for i, element := range list {
		s := &policy.statements[i]
		if err := p.parseStatement(element, s); err != nil {
			return nil, err
		}
		if s.sid != "" && sids[s.sid] && !p.ofBucket() { // S3 lets them repeat, IAM does not
			return nil, malformed(reasonSid)
		}
		sids[s.sid] = true
		s.explain(p.kind, i+1)
		policy.public = policy.public || s.isPublic()
	}
	return policy, nil
}
