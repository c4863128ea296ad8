package iam

import (
	"bytes"
	"encoding/json"
)

// member is a name and its value in a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// objectMembers reads an object in the order of its members. Names count by
// case, and none may occur twice: which of the two held would be a guess.
func objectMembers(raw json.RawMessage) ([]member, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, malformed(reasonSyntax)
	}
	var members []member
	seen := map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, malformed(reasonJSON)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil || seen[name] {
			return nil, malformed(reasonJSON)
		}
		seen[name] = true
		members = append(members, member{name, value})
	}
	return members, nil
}

// elements reads a list, or a single element as a list of one.
func elements(raw json.RawMessage) ([]json.RawMessage, error) {
	if first(raw) != '[' {
		return []json.RawMessage{raw}, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, malformed(reasonJSON)
	}
	return list, nil
}

// texts reads a string or a list of strings.
func texts(raw json.RawMessage) ([]string, error) {
	list, err := elements(raw)
	if err != nil {
		return nil, err
	}
	all := make([]string, 0, len(list))
	for _, element := range list {
		s, err := text(element)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// scalars reads the values of a condition: strings, numbers and truths.
func scalars(raw json.RawMessage) ([]string, error) {
	list, err := elements(raw)
	if err != nil {
		return nil, err
	}
	var values []string
	for _, element := range list {
		switch c := first(element); {
		case c == '"':
			value, err := text(element)
			if err != nil {
				return nil, err
			}
			values = append(values, value)
		case c == 't', c == 'f', c == '-', '0' <= c && c <= '9':
			values = append(values, string(bytes.TrimSpace(element)))
		default:
			return nil, malformed(reasonSyntax)
		}
	}
	return values, nil
}

func text(raw json.RawMessage) (string, error) {
	var s string
	if first(raw) != '"' || json.Unmarshal(raw, &s) != nil {
		return "", malformed(reasonSyntax)
	}
	return s, nil
}

// first returns the first byte of a value, 0 when there is none.
func first(raw json.RawMessage) byte {
	if raw = bytes.TrimSpace(raw); len(raw) > 0 {
		return raw[0]
	}
	return 0
}
