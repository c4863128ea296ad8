package undercroft_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/undercroft/undercroft"

// The sizes are just inside the best of the storage code we learned from.
const (
	maxFileLines     = 500
	maxFunctionLines = 60
)

// listed is what the hygiene rules need to know of a package.
type listed struct {
	ImportPath string
	Dir        string
	Name       string
	Standard   bool
	GoFiles    []string
	Imports    []string
	Deps       []string
	Module     *struct{ Path string }
}

// short is the import path below the module: "metadata/kv", or "." for the root.
func short(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

// packages lists the packages of the module with everything they depend on.
func packages(t *testing.T) []listed {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Dir,Name,Standard,GoFiles,Imports,Deps,Module", "./...")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var ours []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Module != nil && p.Module.Path == module && len(p.GoFiles) > 0 {
			ours = append(ours, p)
		}
	}
	if len(ours) < 5 {
		t.Fatalf("go list shows %d packages of %s: the rules would see nothing", len(ours), module)
	}
	return ours
}

// arrow forbids packages to import others.
type arrow struct {
	from   []string // patterns: "s3" is the package, "s3/..." it and what is below
	to     []string // patterns of ours, or the path of a package of the standard library
	except []string // patterns that to does not mean
	// through forbids what the imports import as well. Without it only the
	// package's own imports count: gateway may not name blobd, yet reaches it
	// through objects.
	through bool
	reason  string
}

// arrows is the direction of imports. cmd joins everything; internal/single
// and internal/testcluster join a whole store for it and for the tests.
func arrows() []arrow {
	anything := []string{"..."}
	return []arrow{
		{
			from: []string{"s3/...", "iam", "checksum/...", "placement", "sse"}, to: anything, through: true, except: []string{"s3/...", "checksum/...", "placement", "sse"},
			reason: "leaves hold vocabulary and arithmetic; they build on nothing of ours",
		},
		{
			from: []string{"iam/directory/..."}, to: anything, through: true, except: []string{"iam", "metadata", "metadata/kv", "sse", "iam/directory/..."},
			reason: "the directory keeps what iam names in the metadata; it knows neither objects nor engines",
		},
		{
			from: []string{"keys", "keys/memory", "keys/transit"}, to: anything, through: true, except: []string{"keys"},
			reason: "how keys are named and sealed; a provider builds on nothing of ours",
		},
		{
			from: []string{"keys/keyring"}, to: anything, through: true, except: []string{"keys", "iam", "iam/directory", "metadata", "metadata/kv", "sse"},
			reason: "the keyring keeps keys in the metadata, sealed as secrets are; it knows neither objects nor engines",
		},
		{
			from: []string{"s3/...", "iam/...", "placement", "keys", "keys/keyring"}, to: []string{"net/http"},
			reason: "leaves hold vocabulary and arithmetic; HTTP stops at the gateway",
		},
		{
			from: []string{"sigv4/..."}, to: anything, except: []string{"s3/...", "sigv4/..."}, through: true,
			reason: "signatures may name S3 errors and headers, nothing else",
		},
		{
			from: []string{"sigv2/..."}, to: anything, except: []string{"s3/...", "sigv2/..."}, through: true,
			reason: "signatures may name S3 errors and headers, nothing else",
		},
		{
			from: []string{"gateway/..."}, to: []string{"blobd/...", "partition/...", "metadata/..."},
			reason: "gateway -> objects -> partition -> blobd: a handler sees no disks and no tables",
		},
		{
			from: []string{"gateway/...", "objects/...", "partition/...", "metadata/...", "blobd/...", "steward/...", "admin/...", "sigv4/..."},
			to:   []string{"cmd/...", "internal/config/...", "internal/single/...", "internal/testcluster/..."}, through: true,
			reason: "who joins the packages is above them; they take plain parameters",
		},
		{
			from: []string{"objects/...", "partition/...", "metadata", "steward/..."}, to: []string{"net/http"},
			reason: "HTTP stops at gateway, admin and blobd/{server,client}",
		},
		{
			from: []string{"objects/...", "partition/...", "metadata/...", "blobd/...", "steward/..."}, to: []string{"gateway/...", "admin/...", "sigv4/..."}, through: true,
			reason: "arrows point down",
		},
		{
			from: []string{"objects/...", "partition/...", "metadata", "steward/..."}, to: []string{"blobd/...", "metadata/kv/..."},
			except: []string{"blobd", "metadata/kv"}, through: true,
			reason: "they know the contracts; engines are named where a store is joined",
		},
		{
			from: []string{"partition/..."}, to: []string{"objects/...", "s3/...", "steward/..."}, through: true,
			reason: "partition stores blobs and knows no objects",
		},
		{
			from: []string{"metadata/..."}, to: []string{"objects/...", "partition/...", "blobd/...", "steward/..."}, through: true,
			reason: "metadata and the data path are siblings, joined by objects and partition",
		},
		{
			from: []string{"metadata/kv/..."}, to: []string{"metadata"}, through: true,
			reason: "an engine knows keys and values, not what they mean",
		},
		{
			from: []string{"blobd/..."}, to: []string{"s3/...", "objects/...", "metadata/...", "partition/...", "steward/..."}, through: true,
			reason: "a disk stores frames and knows neither objects nor tables",
		},
		{
			from: []string{"objects/..."}, to: []string{"steward/..."}, through: true,
			reason: "the background worker stands on the same layers, above them",
		},
		{
			from: []string{"admin/..."}, to: anything, except: []string{"admin/...", "iam"}, through: true,
			reason: "administration is given what it shows",
		},
		{
			from: anything, to: []string{"compat-tests/...", "bench/...", "cmd/..."}, except: []string{"bench/..."}, through: true,
			reason: "programs and proofs are imported by nobody",
		},
		{
			from: []string{"cmd/...", "gateway/...", "objects/...", "partition/...", "metadata/...", "steward/...", "admin/...", "iam/...", "internal/single/..."},
			to:   []string{"internal/fdbcluster/..."}, reason: "processes of FoundationDB are started by tests only",
		},
	}
}

// matches reports whether a package matches one of the patterns.
func matches(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		below, isTree := strings.CutSuffix(pattern, "...")
		below = strings.TrimSuffix(below, "/")
		return pkg == below || isTree && (below == "" || strings.HasPrefix(pkg, below+"/"))
	})
}

// violations returns what p imports against the rule.
func (a arrow) violations(p listed) []string {
	if !matches(a.from, short(p.ImportPath)) {
		return nil
	}
	imports := p.Imports
	if a.through {
		imports = p.Deps
	}
	var bad []string
	for _, to := range imports {
		ours := strings.HasPrefix(to, module+"/")
		if (ours || slices.Contains(a.to, to)) && matches(a.to, short(to)) && !matches(a.except, short(to)) {
			bad = append(bad, short(to))
		}
	}
	return bad
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		for _, a := range arrows() {
			for _, to := range a.violations(p) {
				t.Errorf("%s imports %s: %s", short(p.ImportPath), to, a.reason)
			}
		}
	}
}

// A rule whose patterns match nothing would be silent for ever.
func TestEveryArrowCanBeBroken(t *testing.T) {
	for _, a := range arrows() {
		from := module + "/" + strings.TrimSuffix(strings.Replace(a.from[0], "...", "x", 1), "/x")
		to := a.to[0]
		if to == "..." {
			to = "internal/single"
		}
		if to != "net/http" {
			to = module + "/" + strings.Replace(to, "...", "x", 1)
		}
		p := listed{ImportPath: from, Imports: []string{to}, Deps: []string{to}}
		if got := a.violations(p); len(got) != 1 {
			t.Errorf("%s may import %s, though %s", from, to, a.reason)
		}
		if a.reason == "" {
			t.Errorf("the rule about %v has no reason", a.from)
		}
	}
}

func TestPackageNamesSayWhatIsInside(t *testing.T) {
	for _, p := range packages(t) {
		for _, name := range []string{p.Name, path.Base(p.ImportPath)} {
			if slices.Contains([]string{"utils", "util", "common", "helpers", "helper", "misc", "base", "shared", "lib"}, name) {
				t.Errorf("%s: a package is named after what it provides; %q takes in anything", short(p.ImportPath), name)
			}
		}
	}
}

func TestEveryPackageHasOneDoc(t *testing.T) {
	for _, p := range packages(t) {
		var docs []string
		for _, name := range p.GoFiles {
			file := parse(t, filepath.Join(p.Dir, name))
			if file.Doc == nil {
				continue
			}
			docs = append(docs, name)
			want := "Package " + p.Name + " "
			if p.Name == "main" {
				want = "Command "
			}
			if !strings.HasPrefix(file.Doc.Text(), want) {
				t.Errorf("%s/%s: the package doc does not begin with %q, so godoc cannot tell what it documents", short(p.ImportPath), name, want)
			}
		}
		if len(docs) != 1 {
			t.Errorf("%s has %d package docs %v: one says purpose, promises and limits, two contradict each other", short(p.ImportPath), len(docs), docs)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			file := filepath.Join(p.Dir, name)
			content := read(t, file)
			parsed := parse(t, file)
			if ast.IsGenerated(parsed) {
				continue
			}
			if lines := bytes.Count(content, []byte("\n")); lines > maxFileLines {
				t.Errorf("%s/%s has %d lines, more than %d: split it by what it is about", short(p.ImportPath), name, lines, maxFileLines)
			}
			for _, long := range longFunctions(content) {
				t.Errorf("%s/%s: %s is longer than %d lines: it does more than one thing", short(p.ImportPath), name, long, maxFunctionLines)
			}
		}
	}
}

// longFunctions names the functions of a file with too many lines, not
// counting the first, the last and those that hold only a comment.
func longFunctions(content []byte) []string {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, "", content, parser.ParseComments)
	if err != nil {
		return []string{err.Error()}
	}
	lines := strings.Split(string(content), "\n")
	var long []string
	for _, declaration := range parsed.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok {
			continue
		}
		first, last := files.Position(function.Pos()).Line, files.Position(function.End()).Line
		count := 0
		for _, line := range lines[first:max(first, last-1)] {
			if !strings.HasPrefix(strings.TrimSpace(line), "//") {
				count++
			}
		}
		if count > maxFunctionLines {
			long = append(long, function.Name.Name)
		}
	}
	return long
}

func TestLongFunctionsAreFound(t *testing.T) {
	body := strings.Repeat("\t_ = 1\n", maxFunctionLines)
	source := "package p\n\nfunc fits() {\n\t// a comment\n" + body + "}\n\nfunc long() {\n" + body + "\t_ = 2\n}\n"
	if got := longFunctions([]byte(source)); !slices.Equal(got, []string{"long"}) {
		t.Errorf("got %q, want the one that is too long", got)
	}
}

func TestGoFilesAreFormatted(t *testing.T) {
	for _, name := range tracked(t) {
		if path.Ext(name) != ".go" {
			continue
		}
		content := read(t, name)
		formatted, err := format.Source(content)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !bytes.Equal(content, formatted) {
			t.Errorf("%s is not formatted: differences of layout hide differences of meaning; run make fmt", name)
		}
	}
}

// Words that no file may hold, each with the reason. They are cut in two here,
// for this file is looked at too.
func TestForbiddenWords(t *testing.T) {
	words := map[string]string{
		"/wor" + "k/main":              "a path of one machine means nothing on another",
		"/wor" + "k/shared":            "a path of one machine means nothing on another",
		"/ro" + "ot/go/":               "a path of one machine means nothing on another",
		"/tmp" + "/uc/":                "a path of one machine means nothing on another",
		"-----BEGIN " + "PRIVATE KEY":  "a private key in the tree is known to everybody",
		"<<<<" + "<<< ":                "a merge was not finished",
		"golang/mo" + "ck":             "fakes are full implementations that pass the contract's suite",
		"interface" + "{}":             "it is written any",
		"ioutil" + ".":                 "the package is deprecated; io and os have the same",
		"panic(\"not " + "implemented": "what is not built is not called",
	}
	for _, name := range tracked(t) {
		if path.Base(name) == "go.sum" || strings.Contains(name, "testdata/") {
			continue
		}
		content := read(t, name)
		for word, reason := range words {
			if bytes.Contains(content, []byte(word)) {
				t.Errorf("%s holds %q: %s", name, word, reason)
			}
		}
	}
}

// tracked lists the files that are or would be in the repository; without git,
// all that are not hidden.
func tracked(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	var names []string
	if err != nil {
		t.Logf("git ls-files: %v; walking the tree", err)
		names = walked(t)
	} else {
		names = strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
	}
	// A file that is deleted and not yet committed is still listed.
	names = slices.DeleteFunc(names, func(name string) bool { info, err := os.Stat(name); return err != nil || info.IsDir() })
	if len(names) < 10 {
		t.Fatalf("%d files: the rules would see nothing", len(names))
	}
	return names
}

func walked(t *testing.T) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(".", func(name string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (name == ".git" || name == "bin" || name == "data" || name == filepath.Join("tools", "bin")) {
			return filepath.SkipDir
		}
		if entry.Type().IsRegular() {
			names = append(names, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func parse(t *testing.T, name string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
