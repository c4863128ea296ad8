package iam

import (
	"encoding/json"
	"slices"
	"strings"
)

// elementsOf reads the elements of a statement by their names.
func elementsOf(raw json.RawMessage) (map[string]json.RawMessage, error) {
	members, err := objectMembers(raw)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]json.RawMessage, len(members))
	for _, m := range members {
		switch m.name {
		case "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition":
			byName[m.name] = m.value
		default:
			return nil, malformed("Unknown field " + m.name)
		}
	}
	return byName, nil
}

// either returns the element of a name or of its negation; both at once have no
// meaning.
func either(byName map[string]json.RawMessage, name string) (raw json.RawMessage, negated bool, err error) {
	raw, plain := byName[name]
	not, negated := byName["Not"+name]
	switch {
	case plain && negated:
		return nil, false, malformed(reasonSyntax)
	case negated:
		return not, true, nil
	case plain:
		return raw, false, nil
	}
	return nil, false, missing(name)
}

func (p *policyParser) parseStatement(raw json.RawMessage, s *statement) error {
	byName, err := elementsOf(raw)
	if err != nil {
		return err
	}
	if sid, ok := byName["Sid"]; ok {
		if s.sid, err = text(sid); err != nil {
			return err
		}
	}
	for _, parse := range []func(map[string]json.RawMessage, *statement) error{
		p.parseEffect, p.parsePrincipal, p.parseAction, p.parseResource, p.parseConditions,
	} {
		if err := parse(byName, s); err != nil {
			return err
		}
	}
	return nil
}

func (p *policyParser) parseEffect(byName map[string]json.RawMessage, s *statement) error {
	raw, ok := byName["Effect"]
	if !ok {
		return missing("Effect")
	}
	effect, err := text(raw)
	if err != nil {
		return err
	}
	if effect != "Allow" && effect != "Deny" {
		return malformed("Invalid effect: " + effect)
	}
	s.deny = effect == "Deny"
	return nil
}

func (p *policyParser) parsePrincipal(byName map[string]json.RawMessage, s *statement) error {
	raw, negated, err := either(byName, "Principal")
	if !p.ofBucket() {
		if raw != nil || byName["Principal"] != nil {
			return malformed(reasonIdentity)
		}
		s.principals.everyone = true // that is, the user who has the policy
		return nil
	}
	if err != nil {
		return err
	}
	if s.notPrincipal = negated; negated && !s.deny {
		return malformed(reasonNotPrincipal)
	}
	if first(raw) == '"' {
		if everyone, err := text(raw); err != nil || everyone != "*" {
			return malformed(reasonSyntax)
		}
		s.principals.everyone = true
		return nil
	}
	members, err := objectMembers(raw)
	if err != nil {
		return err
	}
	if len(members) == 0 {
		return malformed(reasonNoPrincipal)
	}
	for _, m := range members {
		if err := s.principals.add(m); err != nil {
			return err
		}
	}
	return nil
}

// add reads the principals of one kind.
func (p *principals) add(m member) error {
	names, err := texts(m.value)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return malformed(reasonNoPrincipal)
	}
	for _, name := range names {
		ok := false
		switch m.name {
		case "AWS":
			ok = p.addAWS(name)
		case "CanonicalUser":
			ok = p.addCanonical(name)
		case "Federated", "Service":
			ok = name != "" // nobody of ours
		}
		if !ok {
			return malformed(reasonPrincipal)
		}
	}
	return nil
}

func (p *policyParser) parseAction(byName map[string]json.RawMessage, s *statement) error {
	raw, negated, err := either(byName, "Action")
	if err != nil {
		return err
	}
	names, err := texts(raw)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return missing("Action")
	}
	s.notAction = negated
	for _, name := range names {
		pattern := compileWildcards(strings.ToLower(name))
		if !p.isAction(pattern) {
			return malformed(reasonAction)
		}
		s.actions = append(s.actions, pattern)
	}
	return nil
}

func (p *policyParser) isAction(pattern string) bool {
	if p.ofBucket() {
		return isS3Action(pattern, scopeBucket) || isS3Action(pattern, scopeObject) || isS3Action(pattern, scopeService)
	}
	service, name, ok := strings.Cut(pattern, ":")
	return pattern == run || ok && service != "" && name != ""
}

func (p *policyParser) parseResource(byName map[string]json.RawMessage, s *statement) error {
	raw, negated, err := either(byName, "Resource")
	if err != nil {
		return err
	}
	names, err := texts(raw)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return missing("Resource")
	}
	s.notResource = negated
	toBucket, toObjects := false, false
	for _, name := range names {
		t, ok := dialect{wildcards: true, variables: p.variables}.parse(name)
		if !ok || !p.isResource(name) || !p.affords(name) {
			return malformed(reasonResource)
		}
		s.resources = append(s.resources, t)
		ofObjects := strings.Contains(name, "/")
		toBucket = toBucket || !ofObjects
		toObjects = toObjects || ofObjects || strings.Contains(name, "*")
	}
	if !p.ofBucket() || s.notAction || s.notResource {
		return nil
	}
	for _, pattern := range s.actions {
		ofBucket := toBucket && isS3Action(pattern, scopeBucket)
		if !ofBucket && (!toObjects || !isS3Action(pattern, scopeObject)) {
			return malformed(reasonActionResource)
		}
	}
	return nil
}

// isResource reports whether a policy may name a resource: any in the policy of
// a user, the bucket and its objects in that of a bucket.
func (p *policyParser) isResource(name string) bool {
	if !p.ofBucket() {
		return name == "*" || strings.HasPrefix(name, "arn:") && strings.Count(name, ":") >= 5
	}
	path, ok := strings.CutPrefix(name, "arn:aws:s3:::")
	bucket, _, _ := strings.Cut(path, "/")
	return ok && matchWildcards(compileWildcards(bucket), p.bucket)
}

func (p *policyParser) parseConditions(byName map[string]json.RawMessage, s *statement) error {
	raw, ok := byName["Condition"]
	if !ok {
		return nil
	}
	blocks, err := objectMembers(raw)
	if err != nil {
		return err
	}
	for _, block := range blocks {
		operator, by, ok := parseOperator(block.name)
		if !ok {
			return malformed("Invalid Condition type : " + block.name)
		}
		keys, err := objectMembers(block.value)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			return malformed(reasonSyntax)
		}
		for _, m := range keys {
			c := condition{operator: operator, key: strings.ToLower(m.name)}
			if err := p.checkKey(c.key, s); err != nil {
				return err
			}
			if c.values, err = p.parseValues(c, by, m.value); err != nil {
				return err
			}
			s.conditions = append(s.conditions, c)
		}
	}
	return nil
}

// checkKey refuses condition keys that S3 does not know, or does not have for
// the actions of the statement. Actions with wildcards are not held against a
// key.
func (p *policyParser) checkKey(key string, s *statement) error {
	if !p.ofBucket() {
		if !strings.Contains(key, ":") {
			return malformed(reasonConditionKey)
		}
		return nil
	}
	actions, known := keyActions(key)
	if !known {
		return malformed(reasonConditionKey)
	}
	if actions == nil || s.notAction {
		return nil
	}
	for _, pattern := range s.actions {
		has := func(action string) bool { return matchAction(pattern, "s3:"+action) }
		if !hasWildcard(pattern) && !slices.ContainsFunc(actions, has) {
			return malformed(reasonConditionAction)
		}
	}
	return nil
}

// parseValues reads what a policy compares a key with.
func (p *policyParser) parseValues(c condition, by order, raw json.RawMessage) ([]comparison, error) {
	values, err := scalars(raw)
	if err != nil {
		return nil, err
	}
	if len(values) == 0 {
		return nil, malformed(reasonSyntax)
	}
	comparisons := make([]comparison, 0, len(values))
	for _, value := range values {
		if p.ofBucket() && isAddressKey(c.key) {
			if _, ok := parsePrefix(value); !ok {
				return nil, malformed(reasonConditionIP)
			}
		}
		v, ok := newComparison(c.operator.family, by, value, dialect{variables: p.variables})
		if !ok || !p.affords(value) {
			return nil, malformed(reasonSyntax)
		}
		comparisons = append(comparisons, v)
	}
	return comparisons, nil
}
