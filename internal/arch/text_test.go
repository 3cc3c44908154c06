package arch

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	fence  = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	inline = regexp.MustCompile("`[^`\n]*`")
	// link matches [text](target), ![image](target "title") and [name]: target.
	link = regexp.MustCompile(`\]\(<?([^)\s>]+)|(?m)^ {0,3}\[[^\]\n]+\]: *<?([^\s>]+)`)
)

// linkTargets are the targets of a Markdown text's links; code is no link.
func linkTargets(text string) []string {
	text = inline.ReplaceAllString(fence.ReplaceAllString(text, ""), "``")
	var targets []string
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		targets = append(targets, m[1]+m[2])
	}
	return targets
}

// deadLinks finds relative links to nothing. exists is asked with a path from
// the repository's root.
func deadLinks(files map[string]string, exists func(path string) bool) []string {
	var bad []string
	for _, file := range slices.Sorted(maps.Keys(files)) {
		for _, target := range linkTargets(files[file]) {
			u, err := url.Parse(target)
			if err == nil && (u.IsAbs() || u.Host != "" || u.Path == "") {
				continue // elsewhere, or within the same page
			}
			if err != nil || !exists(linked(file, u.Path)) {
				bad = append(bad, fmt.Sprintf("%s: the link to %s leads nowhere", file, target))
			}
		}
	}
	return bad
}

// linked is what a link in a file means, from the repository's root. A leading
// slash is that root, as on the usual code hosts.
func linked(file, target string) string {
	if strings.HasPrefix(target, "/") {
		return path.Clean("." + target)
	}
	return path.Join(path.Dir(file), target)
}

// machinePath matches folders that exist on one machine only, where they begin
// a path: not as a part of a longer path or address.
var machinePath = regexp.MustCompile(`(?:^|[^\w./}\-])(/(?:root|work)/)`)

func machinePaths(files map[string]string) []string {
	var bad []string
	for _, file := range slices.Sorted(maps.Keys(files)) {
		for i, line := range strings.Split(files[file], "\n") {
			if m := machinePath.FindStringSubmatch(line); m != nil {
				bad = append(bad, fmt.Sprintf("%s:%d: %s exists on one machine only", file, i+1, m[1]))
			}
		}
	}
	return bad
}

func isMarkdown(path string) bool { return strings.HasSuffix(path, ".md") }

func isWritten(path string) bool {
	switch filepath.Ext(path) {
	case ".go", ".md", ".sh", ".yaml", ".yml", ".mod":
		return true
	}
	return path == "Makefile" || path == ".ci/run"
}

func TestLinks(t *testing.T) {
	report(t, deadLinks(readFiles(t, isMarkdown), func(p string) bool {
		if p == ".." || strings.HasPrefix(p, "../") {
			return false // outside of what a reader has
		}
		_, err := os.Stat(filepath.Join(repo, filepath.FromSlash(p)))
		return err == nil
	}))
}

func TestMachinePaths(t *testing.T) {
	report(t, machinePaths(readFiles(t, isWritten)))
}

func TestLinkRuleSeesViolations(t *testing.T) {
	there := []string{"README.md", "docs/guide.md", "docs/a.png"}
	files := map[string]string{
		"README.md": "[a](docs/guide.md#start) [b](gone.md) <https://x.y> [c](https://x.y/z) [d](#here)\n" +
			"`[code](no.md)`\n```\n[code](no.md)\n```\n![plot](docs/a.png \"title\")\n[ref]: docs/none.md\n",
		"docs/guide.md": "[up](../README.md) [root](/docs/a.png) [out](../../x.md) [mail](mailto:a@b.c)",
	}
	got := deadLinks(files, func(p string) bool { return slices.Contains(there, p) })
	expect(t, got, "README.md: the link to gone.md", "README.md: the link to docs/none.md",
		"docs/guide.md: the link to ../../x.md")
}

func TestMachinePathRuleSeesViolations(t *testing.T) {
	r, w := "/ro"+"ot/", "/wo"+"rk/" // in parts, or this file would break its own rule
	got := machinePaths(map[string]string{
		"a.md": "fine\nsee " + w + "x\n",
		"b.go": `"` + r + `x"`,
		"c.go": "https://x.y" + w + " and docs" + w + " and ${D}" + r,
	})
	expect(t, got, "a.md:2: "+w, "b.go:1: "+r)
}
