package fdb_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// forbidden are calls of the binding that docs/adr/0012 says why not to make.
func forbidden() map[string]string {
	return map[string]string{
		"Transact":                   "retries unknown commits, knows no context",
		"ReadTransact":               "retries for ever, knows no context",
		"StopNetwork":                "cannot be started again",
		"SetClientThreadsPerVersion": "needs copies of the cluster file",
		"Watch":                      "needs a commit, and tells little",
		"GetSliceOrPanic":            "panics",
		"SetAutomaticIdempotency":    "is experimental, and leaves 1031 and 1039 open",
		"SetUseGrvCache":             "does not see commits of other gateways",
		"SetCausalReadRisky":         "may read what is not the latest",
		"SetCausalWriteRisky":        "may leave a commit in flight after its unknown result",
	}
}

func TestTheBindingIsUsedWithCare(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	ranges := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if why, ok := forbidden()[n.Sel.Name]; ok {
					t.Errorf("%s: %s %s", file, n.Sel.Name, why)
				}
				if strings.HasPrefix(n.Sel.Name, "Must") && n.Sel.Name != "MustCompile" {
					t.Errorf("%s: %s panics", file, n.Sel.Name)
				}
				if n.Sel.Name == "Options" && calls(n.X, "Snapshot") {
					t.Errorf("%s: Snapshot.Options calls itself for ever", file)
				}
			case *ast.CompositeLit:
				if typ, ok := n.Type.(*ast.SelectorExpr); ok && typ.Sel.Name == "RangeOptions" && !isKV(typ) {
					ranges++
					if !names(n, "Mode") {
						t.Errorf("%s: a range read without a streaming mode asks for 4096 bytes", file)
					}
				}
			}
			return true
		})
	}
	if ranges == 0 {
		t.Error("no range read was found: this test sees nothing")
	}
}

func isKV(s *ast.SelectorExpr) bool {
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == "kv"
}

// calls reports whether an expression is a call of a method.
func calls(e ast.Expr, method string) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	s, ok := call.Fun.(*ast.SelectorExpr)
	return ok && s.Sel.Name == method
}

// names reports whether a literal sets a field.
func names(lit *ast.CompositeLit, field string) bool {
	for _, e := range lit.Elts {
		if pair, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := pair.Key.(*ast.Ident); ok && key.Name == field {
				return true
			}
		}
	}
	return false
}
