package iam

import "strings"

// template is text of a policy in which variables may stand, such as
// "arn:aws:s3:::home/${aws:username}/*".
type template struct {
	text  string // the compiled pattern when there are no parts
	parts []part
}

// part is a piece of a template: text, or a variable.
type part struct {
	text     string // compiled; of a variable, its default
	key      string // in lower case; "" for text
	fallback bool   // the variable has a default
}

// dialect says how a policy's text is read.
type dialect struct {
	wildcards bool // "*" and "?" are wildcards
	variables bool // "${" begins a variable, which Version 2012-10-17 brought
}

func (d dialect) compile(text string) string {
	if d.wildcards {
		return compileWildcards(text)
	}
	return text
}

// parse reads a template. It reports false for a variable that does not end or
// has no name.
func (d dialect) parse(text string) (template, bool) {
	if !d.variables || !strings.Contains(text, "${") {
		return template{text: d.compile(text)}, true
	}
	var parts []part
	var literal strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		literal.WriteString(d.compile(before))
		if !found {
			break
		}
		body, after, closed := cutVariable(rest)
		if !closed {
			return template{}, false
		}
		text = after
		if body == "*" || body == "?" || body == "$" {
			literal.WriteString(body) // not compiled: the character itself
			continue
		}
		variable, ok := parseVariable(body)
		if !ok {
			return template{}, false
		}
		if literal.Len() > 0 {
			parts = append(parts, part{text: literal.String()})
			literal.Reset()
		}
		parts = append(parts, variable)
	}
	if parts == nil {
		return template{text: literal.String()}, true
	}
	if literal.Len() > 0 {
		parts = append(parts, part{text: literal.String()})
	}
	return template{parts: parts}, true
}

// cutVariable cuts a variable's body from what follows its "}", which does not
// end it within the quotes of a default.
func cutVariable(rest string) (body, after string, ok bool) {
	quoted := false
	for i := range len(rest) {
		switch {
		case rest[i] == '\'':
			quoted = !quoted
		case rest[i] == '}' && !quoted:
			return rest[:i], rest[i+1:], true
		}
	}
	return "", "", false
}

// parseVariable reads "aws:username" or "aws:username, 'nobody'".
func parseVariable(body string) (part, bool) {
	name, rest, hasDefault := strings.Cut(body, ",")
	v := part{key: strings.ToLower(strings.TrimSpace(name))}
	if v.key == "" || strings.ContainsAny(v.key, " '{$*?") {
		return part{}, false
	}
	if !hasDefault {
		return v, true
	}
	rest = strings.TrimSpace(rest)
	if len(rest) < 2 || rest[0] != '\'' || rest[len(rest)-1] != '\'' || strings.Count(rest, "'") != 2 {
		return part{}, false
	}
	v.text, v.fallback = rest[1:len(rest)-1], true
	return v, true
}

// fixed reports whether the template is neither variable nor holds wildcards.
func (t template) fixed() bool {
	return t.parts == nil && !hasWildcard(t.text)
}

// maxExpanded bounds a template with its variables expanded, in bytes: no value
// of a request is longer than the headers and the query that it came in.
const maxExpanded = 256 << 10

// expand returns the pattern for a request. It reports false when a variable
// has no value or several, and then the template equals nothing.
func (t template) expand(e *evaluation) (string, bool) {
	if t.parts == nil {
		return t.text, true
	}
	var b strings.Builder
	for _, p := range t.parts {
		if b.Len() > maxExpanded || !e.spend(b.Len()) {
			return "", false
		}
		if p.key == "" {
			b.WriteString(p.text)
			continue
		}
		switch values := e.values(p.key); {
		case len(values) == 1:
			// A byte that is no UTF-8 must not become a wildcard.
			b.WriteString(strings.ToValidUTF8(values[0], "\uFFFD"))
		case len(values) == 0 && p.fallback:
			b.WriteString(p.text)
		default:
			return "", false
		}
	}
	return b.String(), true
}
