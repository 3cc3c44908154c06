package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"
)

const (
	maxFileLines     = 500
	maxFunctionLines = 80
)

// A source is one parsed file.
type source struct {
	path string
	text string
	set  *token.FileSet
	file *ast.File
}

func parse(t *testing.T, files map[string]string) []source {
	t.Helper()
	var all []source
	for _, path := range slices.Sorted(maps.Keys(files)) {
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, files[path], parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		all = append(all, source{path, files[path], set, f})
	}
	return all
}

// tooLong finds files and functions beyond what one reads in a sitting.
func (s source) tooLong() []string {
	if ast.IsGenerated(s.file) {
		return nil
	}
	var bad []string
	if n := strings.Count(s.text, "\n"); n > maxFileLines {
		bad = append(bad, fmt.Sprintf("%s has %d lines, more than %d", s.path, n, maxFileLines))
	}
	for _, d := range s.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		n := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1
		if n > maxFunctionLines {
			bad = append(bad, fmt.Sprintf("%s: %s has %d lines, more than %d", s.path, f.Name.Name, n, maxFunctionLines))
		}
	}
	return bad
}

// undocumented finds exported names without a comment. Commands export nothing.
func (s source) undocumented() []string {
	if ast.IsGenerated(s.file) || s.file.Name.Name == "main" {
		return nil
	}
	var bad []string
	for _, name := range undocumentedNames(s.file) {
		bad = append(bad, fmt.Sprintf("%s: %s is exported and has no comment", s.path, name))
	}
	return bad
}

func undocumentedNames(f *ast.File) []string {
	var names []string
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Doc == nil && d.Name.IsExported() && !selfExplaining(d) {
				names = append(names, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				names = append(names, undocumentedSpec(spec, d)...)
			}
		}
	}
	return names
}

// selfExplaining methods implement an interface of the standard library, where
// they are documented, or belong to a type that nobody outside can name.
func selfExplaining(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return false
	}
	switch f.Name.Name {
	case "Error", "Unwrap", "Is", "String", "GoString",
		"Len", "Less", "Swap", "Push", "Pop",
		"MarshalText", "UnmarshalText", "MarshalJSON", "UnmarshalJSON":
		return true
	}
	return !ast.IsExported(receiver(f.Recv.List[0].Type))
}

// receiver is the name of a receiver's type: T for *T, T[K] and *T[K, V].
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	}
	return ""
}

// undocumentedSpec looks at one line of a const, var or type declaration. One
// comment above a group of constants or variables speaks for all of them.
func undocumentedSpec(spec ast.Spec, d *ast.GenDecl) []string {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		if d.Doc != nil || spec.Doc != nil || spec.Comment != nil {
			return nil
		}
		return exported(spec.Names, "")
	case *ast.TypeSpec:
		if !spec.Name.IsExported() {
			return nil
		}
		names := undocumentedFields(spec)
		if spec.Doc == nil && spec.Comment == nil && (d.Doc == nil || d.Lparen.IsValid()) {
			names = append([]string{spec.Name.Name}, names...)
		}
		return names
	}
	return nil
}

// undocumentedFields looks into what users fill in: each field of a Config or a
// Policy says its unit, its default, and what zero means.
func undocumentedFields(spec *ast.TypeSpec) []string {
	s, ok := spec.Type.(*ast.StructType)
	if !ok || !strings.HasSuffix(spec.Name.Name, "Config") && !strings.HasSuffix(spec.Name.Name, "Policy") {
		return nil
	}
	var names []string
	for _, field := range s.Fields.List {
		if field.Doc == nil && field.Comment == nil {
			names = append(names, exported(field.Names, spec.Name.Name+".")...)
		}
	}
	return names
}

func exported(idents []*ast.Ident, prefix string) []string {
	var names []string
	for _, id := range idents {
		if id.IsExported() {
			names = append(names, prefix+id.Name)
		}
	}
	return names
}

// TestSources reads every file on disk, of whatever build tag, system or module
// of this repository.
func TestSources(t *testing.T) {
	for _, s := range parse(t, readFiles(t, isSource)) {
		report(t, s.tooLong())
		report(t, s.undocumented())
	}
}

func TestLengthRuleSeesViolations(t *testing.T) {
	body := strings.Repeat("\tprintln()\n", 78)
	long := "package a\n\nfunc fits() {\n" + body + "}\n\nfunc (t T) long() {\n\tprintln()\n" + body + "}\n"
	files := map[string]string{
		"edge.go":      "package a\n" + strings.Repeat("\n", maxFileLines-1),
		"file.go":      "package a\n" + strings.Repeat("\n", maxFileLines),
		"function.go":  long,
		"generated.go": "// Code generated by x. DO NOT EDIT.\n\n" + long,
	}
	var got []string
	for _, s := range parse(t, files) {
		got = append(got, s.tooLong()...)
	}
	expect(t, got, "file.go has 501 lines", "function.go: long has 81 lines")
}

func TestDocumentationRuleSeesViolations(t *testing.T) {
	const text = `
import "fmt"

func F() { fmt.Println() }

// G does.
func G() {}

func (t *T[K]) M()   {}
func (t T[K]) Error() string { return "" }
func (t hidden) M()  {}

type T[K any] struct{ Free int }

type (
	U int
	// V is one.
	V int
)

// A ReaderConfig is one.
type ReaderConfig struct {
	A, B int
	C    int // seconds
	d    int
}

// Both are numbers.
const (
	X = 1
	Y = 2
)

var P, q = 1, 2
var R = 1 // a number
`
	var got []string
	for _, s := range parse(t, map[string]string{"a.go": "package a\n" + text, "main.go": "package main\n" + text}) {
		got = append(got, s.undocumented()...)
	}
	expect(t, got, "a.go: F is", "a.go: M is", "a.go: T is", "a.go: U is",
		"a.go: ReaderConfig.A is", "a.go: ReaderConfig.B is", "a.go: P is")
}
