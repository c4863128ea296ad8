package compat

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/gateway"
)

// TestUnbuiltOperationsAnswer501 asks for every operation of the table that has
// no handler: none may fall through to one that has.
func TestUnbuiltOperationsAnswer501(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c, bucket := s.bucket(t)
	put(t, c, bucket, "k", []byte("untouched"))
	built := map[string]bool{} // by what selects them
	var unbuilt []gateway.Operation
	selector := func(op gateway.Operation) string {
		return strings.Join(append(slices.Clone(op.Query), op.Method, op.Scope.String(), op.Header), " ")
	}
	for _, op := range gateway.Operations() {
		if op.Implemented() {
			built[selector(op)] = true
		} else if op.Method != http.MethodOptions && op.Name != "PostObject" {
			unbuilt = append(unbuilt, op)
		}
	}
	if len(unbuilt) < 10 {
		t.Logf("only %d operations are left to build", len(unbuilt))
	}
	for _, op := range unbuilt {
		if built[selector(op)] {
			continue // an older name of the same request
		}
		r := &rawRequest{Method: op.Method, Path: map[gateway.Scope]string{
			gateway.ScopeService: "/", gateway.ScopeBucket: "/" + bucket, gateway.ScopeObject: "/" + bucket + "/k",
		}[op.Scope]}
		var query []string
		for _, q := range op.Query {
			name, value, _ := strings.Cut(q, "=")
			query = append(query, name+"="+url.QueryEscape(cmp.Or(value, map[bool]string{true: "x"}[name == "id" || strings.HasSuffix(name, "Name")])))
		}
		slices.Sort(query)
		r.Query = strings.Join(query, "&")
		if op.Header != "" {
			r.Header = header(op.Header, "/"+bucket+"/k")
		}
		resp := s.raw(t, r)
		if op.Method == http.MethodHead {
			resp.want(t, op.Name, 501)
			continue
		}
		resp.want(t, op.Name, 501, "NotImplemented")
	}
	wantBytes(t, "object", get(t, c, bucket, "k"), []byte("untouched"))
	if keys := keysOf(t, c, bucket); len(keys) != 1 {
		t.Errorf("keys %q", keys)
	}
}
