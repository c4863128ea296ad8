package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/s3"
)

// postPolicy is the policy of an upload form: what was signed, and what the
// form is held against.
type postPolicy struct {
	expires    time.Time
	conditions []postCondition
	size       sizeRange
}

// sizeRange bounds the size of a file, both ends included.
type sizeRange struct{ least, most int64 }

func anySize() sizeRange { return sizeRange{most: s3.MaxPutSize} }

// postCondition asks for the value of a field.
type postCondition struct {
	prefix bool   // starts-with, else eq
	field  string // as the policy writes it, without the dollar
	value  string
}

// String shows a condition as a refusal quotes it.
func (c *postCondition) String() string {
	operator := "eq"
	if c.prefix {
		operator = "starts-with"
	}
	quoted, err := json.Marshal([]string{operator, "$" + c.field, c.value})
	if err != nil {
		return c.field
	}
	return string(bytes.ReplaceAll(quoted, []byte(`","`), []byte(`", "`)))
}

// holds reports whether a field has the value. In a list of content types with
// commas, each must begin as it is asked.
func (c *postCondition) holds(value string) bool {
	switch {
	case !c.prefix:
		return value == c.value
	case strings.EqualFold(c.field, s3.HeaderContentType) && strings.Contains(value, ","):
		for item := range strings.SplitSeq(value, ",") {
			if !strings.HasPrefix(strings.TrimSpace(item), c.value) {
				return false
			}
		}
		return true
	}
	return strings.HasPrefix(value, c.value)
}

// leavesEncryption reports whether a condition leaves it to the form, and so to
// the bucket's default, how the object is encrypted.
func (c *postCondition) leavesEncryption() bool {
	return c.prefix && c.value == "" && strings.EqualFold(c.field, s3.HeaderSSE)
}

func badPolicy(problem string) error {
	return s3.NewError(s3.InvalidPolicyDocument).WithMessage("Invalid Policy: " + problem)
}

func againstPolicy(problem string) error {
	return s3.NewError(s3.AccessDenied).WithMessage("Invalid according to Policy: " + problem)
}

// parsePostPolicy parses the field "policy". Its names are case-sensitive,
// unlike those of the fields that its conditions name.
func parsePostPolicy(encoded string) (*postPolicy, error) {
	doc, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, badPolicy("Invalid Base64.")
	}
	// A map: encoding/json would match the names of a struct in any case.
	var members map[string]json.RawMessage
	if err := json.Unmarshal(plainJSON(doc), &members); err != nil || members == nil {
		return nil, badPolicy("Invalid JSON.")
	}
	for name := range members {
		if name != "expiration" && name != "conditions" {
			return nil, badPolicy("Unexpected: '" + name + "'")
		}
	}
	p := &postPolicy{size: anySize()}
	if p.expires, err = parseExpiration(members["expiration"]); err != nil {
		return nil, err
	}
	var conditions []json.RawMessage
	if err := json.Unmarshal(members["conditions"], &conditions); err != nil || conditions == nil {
		return nil, badPolicy("Policy missing conditions.")
	}
	for _, raw := range conditions {
		if err := p.add(raw); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// plainJSON rewrites the two escapes that AWS has and JSON has not: \$ and \v.
func plainJSON(doc []byte) []byte {
	out := make([]byte, 0, len(doc))
	for i := 0; i < len(doc); i++ {
		if doc[i] != '\\' || i+1 == len(doc) {
			out = append(out, doc[i])
			continue
		}
		i++
		switch doc[i] {
		case '$':
			out = append(out, '$')
		case 'v':
			out = append(out, `\u000b`...)
		default:
			out = append(out, '\\', doc[i])
		}
	}
	return out
}

func parseExpiration(raw json.RawMessage) (time.Time, error) {
	var text string
	switch err := json.Unmarshal(raw, &text); {
	case len(raw) == 0:
		return time.Time{}, badPolicy("Policy missing expiration.")
	case err != nil:
		return time.Time{}, badPolicy("Invalid 'expiration' value: it is not a string")
	}
	t, err := time.Parse("2006-01-02T15:04:05Z", text) // takes fractions of a second too
	if err != nil {
		return time.Time{}, badPolicy("Invalid 'expiration' value: '" + text + "'")
	}
	return t, nil
}

// add takes one condition: {"field": "value"}, or an operator and two operands.
func (p *postPolicy) add(raw json.RawMessage) error {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil && list != nil {
		return p.addOperator(list)
	}
	var simple map[string]json.RawMessage
	switch err := json.Unmarshal(raw, &simple); {
	case err != nil || simple == nil:
		return badPolicy("Invalid condition: it is neither a list nor an object.")
	case len(simple) != 1:
		return badPolicy("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
	}
	for field, value := range simple {
		text, ok := jsonString(value)
		if !ok || field == "" {
			return badPolicy("Invalid Simple-Condition: value must be a string.")
		}
		p.conditions = append(p.conditions, postCondition{field: field, value: text})
	}
	return nil
}

func (p *postPolicy) addOperator(list []json.RawMessage) error {
	if len(list) != 3 {
		return badPolicy("Invalid condition: it must have an operator and two operands.")
	}
	operator, _ := jsonString(list[0])
	operator = strings.ToLower(operator)
	switch operator {
	case "content-length-range":
		least, ok1 := jsonSize(list[1])
		most, ok2 := jsonSize(list[2])
		if !ok1 || !ok2 || least > most {
			return badPolicy("Invalid content-length-range: it must have two sizes.")
		}
		p.size = sizeRange{max(p.size.least, least), min(p.size.most, most)}
		return nil
	case "eq", "starts-with":
		field, _ := jsonString(list[1])
		value, ok := jsonString(list[2])
		field, dollar := strings.CutPrefix(field, "$")
		if !ok || !dollar || field == "" {
			return badPolicy("Invalid condition: " + operator + " needs $field and a string.")
		}
		p.conditions = append(p.conditions, postCondition{prefix: operator == "starts-with", field: field, value: value})
		return nil
	}
	return badPolicy("Invalid condition: unknown operator.")
}

func jsonString(raw json.RawMessage) (string, bool) {
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil || text == nil {
		return "", false
	}
	return *text, true
}

// jsonSize parses a size, which some clients write as a string.
func jsonSize(raw json.RawMessage) (int64, bool) {
	text, ok := jsonString(raw)
	if !ok {
		text = string(raw)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0
}

// check holds a form against the policy. The bucket counts as a field, with the
// value of the request's own. Every field must be asked for.
func (p *postPolicy) check(f *form, bucket s3.BucketName, now time.Time) error {
	if !now.Before(p.expires) {
		return againstPolicy("Policy expired.")
	}
	fields := make(map[string]string, len(f.fields)+1)
	maps.Copy(fields, f.fields)
	fields["bucket"] = string(bucket)
	for i := range p.conditions {
		c := &p.conditions[i]
		// A field that is not there fulfils nothing, not even an empty prefix.
		if value, there := fields[strings.ToLower(c.field)]; !c.holds(value) || !there && !c.leavesEncryption() {
			return againstPolicy("Policy Condition failed: " + c.String())
		}
	}
	for i := range p.conditions {
		delete(fields, strings.ToLower(p.conditions[i].field))
	}
	var extra []string
	for name := range fields {
		if !freeField(name) {
			extra = append(extra, name)
		}
	}
	if extra == nil {
		return nil
	}
	slices.Sort(extra)
	return againstPolicy("Extra input fields: " + strings.Join(extra, ", "))
}

// freeField reports whether a field needs no condition: those that AWS names,
// and a checksum, which can only refuse what is uploaded.
func freeField(name string) bool {
	switch name {
	case "policy", "x-amz-signature", "awsaccesskeyid", "signature":
		return true
	}
	_, sum := checksum.ParseHeader(name)
	return sum || strings.HasPrefix(name, "x-ignore-")
}

// errNoKey refuses a form without the name of its object.
func errNoKey() error {
	return s3.NewError(s3.UserKeyMustBeSpecified).With("ArgumentName", "key").With("ArgumentValue", "").
		WithMessage("Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.")
}
