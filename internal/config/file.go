package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"gopkg.in/yaml.v3"
)

// parseFile reads a YAML mapping of settings: scalars, and sequences for the
// settings that are lists. Everything else is an error with its line.
func parseFile(rows []option, name string, content []byte) ([]assignment, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil // empty, or nothing but comments
	} else if err != nil {
		return nil, &Error{Source: name, Problem: yamlProblem(err)}
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, &Error{Source: name, Problem: "it holds more than one YAML document"}
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, &Error{Source: fmt.Sprintf("%s:%d", name, root.Line), Problem: "expected settings as `name: value`"}
	}
	return parseMapping(rows, name, root.Content)
}

// yamlProblem makes one line of the parser's error.
func yamlProblem(err error) string {
	return strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " ")
}

// parseMapping reads the key and value nodes of a mapping.
func parseMapping(rows []option, file string, nodes []*yaml.Node) ([]assignment, error) {
	known := make(map[string]bool, len(rows))
	for _, o := range rows {
		known[o.name] = true
	}
	seen := make(map[string]int)
	var all []assignment
	for i := 0; i+1 < len(nodes); i += 2 {
		key, node := nodes[i], nodes[i+1]
		source := fmt.Sprintf("%s:%d: %s", file, key.Line, key.Value)
		switch {
		case key.Value == configOption:
			return nil, &Error{Source: source, Problem: "a configuration file cannot name another"}
		case key.Kind != yaml.ScalarNode || !known[key.Value]:
			return nil, &Error{Source: source, Problem: "unknown setting"}
		case seen[key.Value] != 0:
			return nil, &Error{Source: source, Problem: fmt.Sprintf("already given in line %d", seen[key.Value])}
		}
		seen[key.Value] = key.Line
		a, err := parseNode(node)
		if err != nil {
			return nil, &Error{Source: source, Problem: err.Error()}
		}
		a.name, a.source = key.Value, source
		all = append(all, a)
	}
	return all, nil
}

// parseNode reads one value, without its name.
func parseNode(node *yaml.Node) (assignment, error) {
	if node.Kind == yaml.SequenceNode {
		return parseSequence(node)
	}
	if node.Kind != yaml.ScalarNode {
		// An unquoted {1...6} at the start of a value is a YAML mapping.
		return assignment{}, errors.New("it is not a plain value (quote one that begins with a brace)")
	}
	if node.Tag == "!!null" {
		return assignment{}, errors.New("it has no value")
	}
	return assignment{items: []string{node.Value}}, nil
}

func parseSequence(node *yaml.Node) (assignment, error) {
	a := assignment{verbatim: true}
	for _, item := range node.Content {
		if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
			return assignment{}, fmt.Errorf("line %d is not a plain value", item.Line)
		}
		a.items = append(a.items, item.Value)
	}
	return a, nil
}
