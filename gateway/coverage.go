package gateway

import (
	"fmt"
	"strings"
)

// CoverageDocument renders docs/s3-coverage.md from the table of operations.
func CoverageDocument() string {
	var b strings.Builder
	ops := Operations()
	built := 0
	for i := range ops {
		if ops[i].Implemented() {
			built++
		}
	}
	b.WriteString("# S3 coverage\n\n")
	b.WriteString("Generated from the table in `gateway/operations*.go` by `go test ./gateway -run TestCoverageDocument -update`; do not edit.\n\n")
	fmt.Fprintf(&b, "%d of %d operations are implemented. The others answer 501 NotImplemented; none falls through to another operation.\n", built, len(ops))
	scope := Scope(255)
	for i := range ops {
		op := &ops[i]
		if op.Scope != scope {
			scope = op.Scope
			fmt.Fprintf(&b, "\n## %s%s\n\n| operation | request | IAM action | state |\n| --- | --- | --- | --- |\n",
				strings.ToUpper(scope.String()[:1]), scope.String()[1:])
		}
		state := "501"
		if op.Implemented() {
			state = "**yes**"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", op.Name, op.request(), op.Action, state)
	}
	return b.String()
}

// request shows how the operation is asked for.
func (o *Operation) request() string {
	s := o.Method + " " + o.path()
	if len(o.Query) > 0 {
		s += "?" + strings.Join(o.Query, "&")
	}
	if o.Header != "" {
		s += " with " + strings.ToLower(o.Header)
	}
	return s
}

// path returns the path as AWS's model writes it.
func (o *Operation) path() string {
	if o.uri != "" {
		return o.uri
	}
	return [...]string{"/", "/{Bucket}", "/{Bucket}/{Key+}"}[o.Scope]
}
