package arch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/fulcrum-data/fulcrum"

// A layer is a floor of the house: packages import only from floors below their
// own, so that whoever reads downwards never has to turn round.
type layer int

const (
	leaf     layer = iota // pure deciders and measures: standard library only
	root                  // package fulcrum: standard library and leaves only
	adapter               // what is plugged in to the root: stores, caches, the journal
	service               // what is built on top: load, sim, usage, …
	gateway               // the server, which joins all of these
	command               // cmd/fulcrum and the examples
	testOnly              // what only tests may import, itself free to import anything
)

// layers maps a package's path within the module to its layer; a path that ends
// in / stands for everything below it. What is not listed is a service.
var layers = []struct {
	path  string
	layer layer
}{
	{"internal/dispatch", leaf},
	{"internal/events", leaf},
	{"internal/hist", leaf},
	{"internal/mode", leaf},
	{"internal/model", leaf},
	{"internal/pick", leaf},
	{"internal/tune", leaf},
	{"internal/watch", leaf},
	{".", root},
	{"cache/", adapter},
	{"fulcrumotel/", adapter},
	{"journal/", adapter},
	{"store/", adapter},
	{"internal/gateway/", gateway},
	{"cmd/", command},
	{"examples/", command},
	{"fulcrumtest/", testOnly},
	{"internal/arch/", testOnly},
	{"internal/faultproxy/", testOnly},
	{"internal/pgtest/", testOnly},
	{"internal/redistest/", testOnly},
}

// leafExceptions are the imports from one leaf to another that are allowed, each
// with its reason: "internal/tune → internal/model": "because …".
var leafExceptions = map[string]string{}

// unshipped are packages, with all below them, that no shipped binary may
// contain: test code in production is code that nobody meant to run there.
var unshipped = []string{
	"testing",
	"pgregory.net/rapid",
	"github.com/stretchr/testify",
	module + "/fulcrumtest",
	module + "/internal/arch",
	module + "/internal/faultproxy",
	module + "/internal/pgtest",
	module + "/internal/redistest",
}

// within is a package's path within the module, "." for the root.
func within(path string) (string, bool) {
	if path == module {
		return ".", true
	}
	return strings.CutPrefix(path, module+"/")
}

func layerOf(path string) layer {
	rel, _ := within(path)
	for _, l := range layers {
		if rel == l.path || strings.HasSuffix(l.path, "/") && strings.HasPrefix(rel+"/", l.path) {
			return l.layer
		}
	}
	return service
}

// wrongImports finds imports that go up or across the layers.
func wrongImports(packages map[string]pkg) []string {
	var bad []string
	for _, p := range sorted(packages) {
		if _, ours := within(p.ImportPath); !ours {
			continue
		}
		for _, to := range p.Imports {
			if why := wrongImport(p.ImportPath, to); why != "" {
				bad = append(bad, fmt.Sprintf("%s imports %s: %s", p.ImportPath, to, why))
			}
		}
	}
	return bad
}

// wrongImport says what is wrong with one import within the module, if anything.
func wrongImport(from, to string) string {
	relTo, ours := within(to)
	if !ours {
		return ""
	}
	relFrom, _ := within(from)
	lower, upper := layerOf(to), layerOf(from)
	switch {
	case upper == testOnly:
		return ""
	case lower == testOnly:
		return "only tests may"
	case lower > upper:
		return "imports point from cmd down to the leaves"
	case lower == leaf && upper == leaf && leafExceptions[relFrom+" → "+relTo] == "":
		return "leaves do not know each other"
	case upper == root && lower != leaf:
		return "the root knows leaves alone"
	}
	return ""
}

// foreignDeps finds what leaves and root need, directly or not, beyond the
// standard library and this module.
func foreignDeps(packages map[string]pkg) []string {
	var bad []string
	for _, p := range sorted(packages) {
		if _, ours := within(p.ImportPath); !ours || layerOf(p.ImportPath) > root {
			continue
		}
		for _, dep := range p.Deps {
			if _, ours := within(dep); !ours && !packages[dep].Standard && dep != "C" {
				bad = append(bad, fmt.Sprintf("%s depends on %s: the library stands on the standard library alone", p.ImportPath, dep))
			}
		}
	}
	return bad
}

// shippedTestCode finds test code that the binaries under cmd/ contain.
func shippedTestCode(packages map[string]pkg) []string {
	var bad []string
	for _, p := range sorted(packages) {
		if rel, ours := within(p.ImportPath); !ours || !strings.HasPrefix(rel, "cmd/") {
			continue
		}
		for _, dep := range p.Deps {
			if slices.ContainsFunc(unshipped, func(u string) bool { return dep == u || strings.HasPrefix(dep, u+"/") }) {
				bad = append(bad, fmt.Sprintf("%s contains %s%s", p.ImportPath, dep, importers(packages, p, dep)))
			}
		}
	}
	return bad
}

// importers names who brings dep into p, because that is where to look.
func importers(packages map[string]pkg, p pkg, dep string) string {
	var by []string
	for _, path := range append([]string{p.ImportPath}, p.Deps...) {
		if slices.Contains(packages[path].Imports, dep) {
			by = append(by, path)
		}
	}
	if by == nil {
		return ""
	}
	return ", imported by " + strings.Join(by, ", ")
}

// undocumentedPackages finds packages of this module without a doc comment.
func undocumentedPackages(packages map[string]pkg) []string {
	var bad []string
	for _, p := range sorted(packages) {
		if _, ours := within(p.ImportPath); ours && p.Doc == "" && len(p.GoFiles)+len(p.CgoFiles) > 0 {
			bad = append(bad, p.ImportPath+": no package comment")
		}
	}
	return bad
}

// The build tags change what is compiled, so each set is looked at.
func TestImports(t *testing.T) {
	for _, tags := range []string{"", "invariants,long"} {
		t.Run("tags="+tags, func(t *testing.T) {
			packages := listPackages(t, tags)
			report(t, wrongImports(packages))
			report(t, foreignDeps(packages))
			report(t, shippedTestCode(packages))
			report(t, undocumentedPackages(packages))
		})
	}
}

// Every planted import is wrong for the reason beside it, or right.
func TestImportRuleSeesViolations(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"internal/dispatch", "", "imports point"},
		{"internal/dispatch", "/internal/hist", "leaves do not know"},
		{"internal/pick", "/internal/load", "imports point"},
		{"", "/store/postgres", "imports point"},
		{"", "/internal/region", "imports point"},
		{"store/postgres", "/internal/gateway", "imports point"},
		{"store", "/cmd/fulcrum/flags", "imports point"},
		{"internal/load", "/internal/gateway", "imports point"},
		{"internal/gateway/web", "/cmd/fulcrum", "imports point"},
		{"cmd/fulcrum", "/fulcrumtest", "only tests"},
		{"internal/gateway", "/internal/pgtest", "only tests"},
		{"", "/internal/dispatch", ""},
		{"store/postgres", "/store", ""},
		{"store/postgres", "", ""},
		{"internal/sim", "/internal/tune", ""},
		{"internal/gateway", "/internal/usage", ""},
		{"cmd/fulcrum", "/internal/gateway", ""},
		{"fulcrumtest", "", ""},
	} {
		from := strings.TrimSuffix(module+"/"+c.from, "/")
		got := wrongImports(map[string]pkg{from: {ImportPath: from, Imports: []string{"fmt", "github.com/a/b", module + c.to}}})
		if c.want == "" && got != nil || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%q imports %q: got %q, want %q", c.from, c.to, got, c.want)
		}
	}
}

func TestDependencyRulesSeeViolations(t *testing.T) {
	packages := map[string]pkg{}
	for _, p := range []pkg{
		{ImportPath: "fmt", Standard: true},
		{ImportPath: "testing", Standard: true},
		{ImportPath: "github.com/a/b", Imports: []string{"testing"}, Deps: []string{"testing"}},
		{ImportPath: module, Doc: "Package fulcrum …", GoFiles: []string{"a.go"}, Deps: []string{"fmt", module + "/internal/hist", "github.com/a/b"}},
		{ImportPath: module + "/internal/hist", GoFiles: []string{"a.go"}, Deps: []string{"fmt"}},
		{ImportPath: module + "/store/sqlite", Deps: []string{"github.com/a/b"}},
		{ImportPath: module + "/cmd/fulcrum", Imports: []string{"github.com/a/b"}, Deps: []string{"fmt", "testing", "github.com/a/b"}},
	} {
		packages[p.ImportPath] = p
	}
	expect(t, foreignDeps(packages), module+" depends on github.com/a/b")
	expect(t, shippedTestCode(packages), "contains testing, imported by github.com/a/b")
	expect(t, undocumentedPackages(packages), module+"/internal/hist: no package comment")
}

// The exceptions must stay few and true: one for an import that no longer exists
// would hide the next.
func TestLeafExceptionsAreUsed(t *testing.T) {
	packages := listPackages(t, "")
	for exception, reason := range leafExceptions {
		from, to, _ := strings.Cut(exception, " → ")
		if reason == "" || !slices.Contains(packages[module+"/"+from].Imports, module+"/"+to) {
			t.Errorf("leaf exception %q has no reason or no import", exception)
		}
	}
}
