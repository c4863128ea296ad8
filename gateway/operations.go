package gateway

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/undercroft/undercroft/s3"
)

// Scope is what an operation acts on, as the path says it.
type Scope uint8

// The scopes.
const (
	ScopeService Scope = iota
	ScopeBucket
	ScopeObject
)

// String returns the scope's name.
func (s Scope) String() string {
	return [...]string{"service", "bucket", "object"}[s]
}

// Operation is one row of the table of all S3 operations. Routing,
// authorization, metrics and the coverage document read it and nothing else.
type Operation struct {
	// Name is AWS's name of the operation.
	Name   string
	Method string
	Scope  Scope
	// Query holds the query parameters that select the operation, as name or
	// name=value. All must be there, and no other sub-resource may be.
	Query []string
	// Header selects the operation when it is there; empty for none.
	Header string
	// Action is the IAM action that the caller needs.
	Action string
	// VersionAction is needed in place of Action when a version is named. An
	// operation without it takes no versionId.
	VersionAction string

	handle handler
	// decided says when it is decided whether the caller may.
	decided decided
	// uri is the path in AWS's model where it does not follow from the scope.
	uri string
	// beyond marks what AWS documents and its model does not have.
	beyond bool
}

// handler answers one request, or returns the error to answer it with.
type handler func(*Gateway, *exchange) error

// Implemented reports whether the operation has a handler.
func (o *Operation) Implemented() bool { return o.handle != nil }

// Operations returns the table, in order of scope and name.
func Operations() []Operation {
	ops := slices.Concat(serviceOperations(), bucketReads(), bucketConfigurationReads(),
		bucketWrites(), bucketConfigurationWrites(), bucketDeletes(), objectReads(), objectWrites())
	slices.SortStableFunc(ops, func(a, b Operation) int {
		return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Name, b.Name))
	})
	return ops
}

// table finds operations.
type table struct {
	// byTarget holds the operations of a method and scope, those with most selectors first.
	byTarget map[target][]*Operation
	// methods lists, by scope and sub-resource, the methods that have an
	// operation. The empty sub-resource is the resource itself.
	methods map[subresource][]string
	// subresources are all query parameters that select operations.
	subresources map[string]bool
}

type target struct {
	method string
	scope  Scope
}

type subresource struct {
	scope Scope
	name  string
}

// plainSelectors select among the operations of a sub-resource, and are no
// sub-resources themselves: without one, they are of no meaning.
func plainSelector(name string) bool {
	switch name {
	case "id", "partNumber", "x-id", "annotationName", "select-type":
		return true
	}
	return false
}

func newTable(ops []Operation) *table {
	t := &table{
		byTarget:     make(map[target][]*Operation),
		methods:      make(map[subresource][]string),
		subresources: map[string]bool{"append": true}, // an extension of Ceph that others send
	}
	for i := range ops {
		op := &ops[i]
		key := target{op.Method, op.Scope}
		t.byTarget[key] = append(t.byTarget[key], op)
		sub := subresource{scope: op.Scope}
		for _, q := range op.Query {
			if name, _, _ := strings.Cut(q, "="); !plainSelector(name) {
				t.subresources[name] = true
				sub.name = name
			}
		}
		if !slices.Contains(t.methods[sub], op.Method) {
			t.methods[sub] = append(t.methods[sub], op.Method)
		}
	}
	for _, ops := range t.byTarget {
		slices.SortStableFunc(ops, func(a, b *Operation) int {
			return cmp.Compare(b.selectors(), a.selectors())
		})
	}
	return t
}

func (o *Operation) selectors() int {
	n := len(o.Query)
	if o.Header != "" {
		n++
	}
	return n
}

// find returns the operation of a request. A sub-resource that no operation of
// this method has never falls through to another operation.
func (t *table) find(method string, scope Scope, query url.Values, header http.Header) (*Operation, error) {
	subs := t.present(query)
	if method == http.MethodOptions {
		subs = nil // a preflight has the parameters of the request that it is for
	}
	for _, op := range t.byTarget[target{method, scope}] {
		if op.selectedBy(query, header) && op.covers(subs) {
			return op, nil
		}
	}
	return nil, t.refusal(method, scope, query, subs)
}

// present lists the sub-resources that the query names.
func (t *table) present(query url.Values) []string {
	var subs []string
	for name := range query {
		if t.subresources[name] {
			subs = append(subs, name)
		}
	}
	return subs
}

func (o *Operation) selectedBy(query url.Values, header http.Header) bool {
	if o.Header != "" && len(header[o.Header]) == 0 {
		return false
	}
	for _, q := range o.Query {
		name, want, exact := strings.Cut(q, "=")
		values, ok := query[name]
		if !ok || exact && values[0] != want {
			return false
		}
	}
	return true
}

// covers reports whether every sub-resource is one that the operation names.
func (o *Operation) covers(subs []string) bool {
	for _, sub := range subs {
		if !slices.ContainsFunc(o.Query, func(q string) bool {
			name, _, _ := strings.Cut(q, "=")
			return name == sub
		}) {
			return false
		}
	}
	return true
}

// refusal says why no operation was found.
func (t *table) refusal(method string, scope Scope, query url.Values, subs []string) error {
	if v, ok := query["list-type"]; ok && scope == ScopeBucket && v[0] != "2" {
		return s3.InvalidArg("list-type", v[0], "Invalid List Type specified in Request")
	}
	if query["uploadId"] != nil && query["partNumber"] == nil && scope == ScopeObject && method == http.MethodPut {
		return s3.InvalidArg("partNumber", "", "Part number must be an integer between 1 and 10000, inclusive")
	}
	sub := subresource{scope: scope}
	if len(subs) > 0 {
		sub.name = subs[0]
	}
	allowed := t.methods[sub]
	if len(subs) > 1 || len(allowed) == 0 || slices.Contains(allowed, method) {
		return notImplemented(slices.Sorted(slices.Values(subs)))
	}
	return &methodError{
		answer: s3.NewError(s3.MethodNotAllowed).With("Method", method).
			With("ResourceType", strings.ToUpper(cmp.Or(sub.name, scope.String()))),
		allow: strings.Join(allowed, ", "),
	}
}

func notImplemented(subs []string) error {
	return s3.NewError(s3.NotImplemented).
		WithMessage("This operation is not implemented.").With("Subresource", strings.Join(subs, "&"))
}

// methodError is MethodNotAllowed with the methods that are allowed.
type methodError struct {
	answer *s3.Error
	allow  string
}

// Error implements error.
func (e *methodError) Error() string { return e.answer.Error() }

// Unwrap returns what the client is told.
func (e *methodError) Unwrap() error { return e.answer }
