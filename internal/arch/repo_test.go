package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// repo is the repository's root as seen from this package, where tests run.
const repo = "../.."

// A pkg is what `go list` says about a package.
type pkg struct {
	ImportPath string
	Doc        string
	Standard   bool
	GoFiles    []string
	CgoFiles   []string
	Imports    []string // direct, not those of tests
	Deps       []string // direct or not, not those of tests
}

// listPackages reads this module's packages and all that they depend on. It
// tolerates a package that does not compile: that is the compiler's to report.
func listPackages(t *testing.T, tags string) map[string]pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-deps", "-tags", tags,
		"-json=ImportPath,Doc,Standard,GoFiles,CgoFiles,Imports,Deps", "./...")
	cmd.Dir = repo
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	packages := map[string]pkg{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		packages[p.ImportPath] = p
	}
	if _, ok := packages[module]; !ok {
		t.Fatalf("go list found no package %s; the rules would hold of nothing", module)
	}
	return packages
}

func sorted(packages map[string]pkg) []pkg {
	var all []pkg
	for _, path := range slices.Sorted(maps.Keys(packages)) {
		all = append(all, packages[path])
	}
	return all
}

// readFiles reads the repository's files that keep wants, by their paths from
// its root with slashes. Hidden folders but .ci, and what others wrote or
// programs built, are passed over.
func readFiles(t *testing.T, keep func(path string) bool) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(repo, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(repo, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case d.IsDir() && passedOver(rel):
			return fs.SkipDir
		case !d.Type().IsRegular() || !keep(rel):
			return nil
		}
		text, err := os.ReadFile(path)
		files[rel] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no files found; the rules would hold of nothing")
	}
	return files
}

func passedOver(folder string) bool {
	if strings.HasPrefix(folder, ".") {
		return folder != "." && folder != ".ci" && folder != ".github"
	}
	name := folder[strings.LastIndexByte(folder, '/')+1:]
	return name == "vendor" || name == "node_modules" || folder == "bin"
}

// isSource says whether a file is Go code that ships: not a test, not test data.
func isSource(path string) bool {
	return strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") &&
		!strings.Contains("/"+path, "/testdata/")
}

func report(t *testing.T, violations []string) {
	t.Helper()
	for _, v := range violations {
		t.Error(v)
	}
}

// expect checks that a rule found exactly the planted violations, in order.
func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	match := len(got) == len(want)
	for i := 0; match && i < len(got); i++ {
		match = strings.Contains(got[i], want[i])
	}
	if !match {
		t.Errorf("violations:\n%s\nwant, in part:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
