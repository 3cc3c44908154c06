package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// document is a file while it is read.
type document struct {
	file     string
	env      func(string) (string, bool)
	at       map[string]position
	problems Problems
	later    []func() // checks that need the whole file
}

// value is one value in the file, with its path.
type value struct {
	*document
	node *yaml.Node
	path string
}

// field is one field of an object.
type field struct {
	name    string
	read    func(value)
	missing string // what to do if it is not there; empty: it may be left out
}

func (d *document) add(line, column int, path, text string) {
	d.problems = append(d.problems, &Problem{File: d.file, Line: line, Column: column, Field: path, Text: text})
}

// wrong adds a problem with the value.
func (v value) wrong(format string, args ...any) {
	v.add(v.node.Line, v.node.Column, v.path, fmt.Sprintf(format, args...))
}

// root parses the text; nil after a problem.
func (d *document) root(text []byte) *yaml.Node {
	switch {
	case len(text) > maxFile:
		d.add(0, 0, "", fmt.Sprintf("it has more than %d bytes", maxFile))
		return nil
	case !utf8.Valid(text):
		d.add(badLine(text), 1, "", "it is not UTF-8")
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		d.syntax(err)
		return nil
	}
	var first, second yaml.Node
	if err := loader.Load(&first); errors.Is(err, io.EOF) || err == nil && len(first.Content) == 0 {
		d.add(0, 0, "", "it is empty: name a store and resources")
		return nil
	} else if err != nil {
		d.syntax(err)
		return nil
	}
	switch err := loader.Load(&second); {
	case err == nil:
		d.add(max(1, second.Line), 1, "", "a second document begins here: a configuration is one")
		return nil
	case !errors.Is(err, io.EOF):
		d.syntax(err)
		return nil
	}
	return first.Content[0]
}

// badLine is the line of the first byte that is not UTF-8.
func badLine(text []byte) int {
	line := 1
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1:
			return line
		case r == '\n':
			line++
		}
		text = text[n:]
	}
	return line
}

// syntax adds what the parser found.
func (d *document) syntax(err error) {
	var bad *yaml.LoadError
	if !errors.As(err, &bad) {
		d.add(0, 0, "", "it is not YAML: "+err.Error())
		return
	}
	text := "it is not YAML: " + bad.Message
	if bad.ContextMsg != "" {
		text += " " + bad.ContextMsg + fmt.Sprintf(" that begins in line %d", bad.ContextMark.Line)
	}
	d.add(bad.Mark.Line, bad.Mark.Column, "", text)
}

// fields reads an object.
func (v value) fields(known ...field) {
	if !v.is(yaml.MappingNode, "fields, each with a name and a value") {
		return
	}
	seen := v.members(func(name *yaml.Node, member value) {
		i := slices.IndexFunc(known, func(f field) bool { return f.name == name.Value })
		if i < 0 {
			v.add(name.Line, name.Column, member.path, "unknown field; "+hint(name.Value, names(known)))
			return
		}
		known[i].read(member)
	})
	for _, f := range known {
		if f.missing != "" && !seen[f.name] {
			value{v.document, v.node, join(v.path, f.name)}.wrong("is missing: %s", f.missing)
		}
	}
}

func names(fields []field) []string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = f.name
	}
	return all
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// members calls f for each member of an object whose name is there once, and
// returns all names.
func (v value) members(f func(name *yaml.Node, member value)) map[string]bool {
	seen := map[string]bool{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		name := v.node.Content[i]
		if name.Kind != yaml.ScalarNode || name.ShortTag() == "!!merge" || name.Anchor != "" {
			v.add(name.Line, name.Column, v.path, "a field's name is a plain word; anchors and merges are not understood")
			continue
		}
		path := join(v.path, name.Value)
		if seen[name.Value] {
			first := v.at[path]
			v.add(name.Line, name.Column, path, fmt.Sprintf("is there already, in line %d", first.line))
			continue
		}
		seen[name.Value] = true
		v.at[path] = position{name.Line, name.Column}
		f(name, value{v.document, v.node.Content[i+1], path})
	}
	return seen
}

// is refuses values of another kind, empty ones, and what YAML has beyond data.
func (v value) is(kind yaml.Kind, want string) bool {
	switch n := v.node; {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		v.wrong("anchors and aliases are not understood: write the value out")
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		v.wrong("is empty: want %s, or leave it out", want)
	case n.Kind != kind:
		v.wrong("want %s", want)
	default:
		return true
	}
	return false
}

// each reads a list.
func (v value) each(what string, f func(value)) {
	if !v.is(yaml.SequenceNode, "a list of "+what) {
		return
	}
	if len(v.node.Content) == 0 {
		v.wrong("names nothing: want at least one of %s", what)
	}
	for i, n := range v.node.Content {
		path := fmt.Sprintf("%s[%d]", v.path, i)
		v.at[path] = position{n.Line, n.Column}
		f(value{v.document, n, path})
	}
}

// text reads a scalar, with environment variables put in.
func (v value) text(want string) (string, bool) {
	if !v.is(yaml.ScalarNode, want) {
		return "", false
	}
	switch v.node.ShortTag() {
	case "!!str", "!!int", "!!float", "!!timestamp": // as it stands there
	case "!!bool":
		v.wrong("want %s; put %s in quotes if it is meant as text", want, v.node.Value)
		return "", false
	default:
		v.wrong("want %s, without a tag", want)
		return "", false
	}
	full, err := expand(v.node.Value, v.env)
	if err != nil {
		v.wrong("%v", err)
		return "", false
	}
	if strings.ContainsRune(full, 0) {
		v.wrong("holds a NUL")
		return "", false
	}
	return full, true
}

// shown is the value as the file has it, for problems: not what a variable holds.
func (v value) shown() string {
	if s := v.node.Value; len(s) > 64 {
		return strconv.Quote(strings.ToValidUTF8(s[:64], "")) + "…"
	}
	return strconv.Quote(v.node.Value)
}

// intoText reads a text that is not empty.
func intoText(to *string, want string) func(value) {
	return func(v value) {
		s, ok := v.text(want)
		if ok && s == "" {
			v.wrong("is empty: want %s", want)
		}
		*to = s
	}
}

func intoTexts(to *[]string, what string) func(value) {
	return func(v value) {
		v.each(what, func(item value) {
			var s string
			intoText(&s, what)(item)
			*to = append(*to, s)
		})
	}
}

func intoBool(to *bool) func(value) {
	return func(v value) {
		if !v.is(yaml.ScalarNode, "true or false") {
			return
		}
		s, err := expand(v.node.Value, v.env)
		quoted := v.node.ShortTag() != "!!bool" && s == v.node.Value
		switch {
		case err != nil:
			v.wrong("%v", err)
		case quoted || s != "true" && s != "false":
			v.wrong("%s: want true or false", v.shown())
		default:
			*to = s == "true"
		}
	}
}

func intoInt(to *int, low, high int) func(value) {
	return func(v value) {
		want := fmt.Sprintf("a whole number between %d and %d", low, high)
		s, ok := v.text(want)
		if !ok {
			return
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < low || n > high {
			v.wrong("%s: want %s", v.shown(), want)
			return
		}
		*to = n
	}
}

func intoDuration(to *time.Duration, low, high time.Duration) func(value) {
	return func(v value) {
		want := fmt.Sprintf("a duration between %s and %s, such as %s", brief(low), brief(high), brief(min(high, max(low, 10*time.Second))))
		s, ok := v.text(want)
		if !ok {
			return
		}
		d, err := time.ParseDuration(s)
		if err != nil || d < low || d > high {
			v.wrong("%s: want %s", v.shown(), want)
			return
		}
		*to = d
	}
}

// brief leaves out the zeros that Duration writes: 10m instead of 10m0s.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// units of sizes.
var units = []struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}}

// intoSize reads bytes: 65536 or 64KiB.
func intoSize[T int | int64](to *T, low, high int64) func(value) {
	return func(v value) {
		want := fmt.Sprintf("bytes between %d and %d, such as 65536 or 64KiB", low, high)
		s, ok := v.text(want)
		if !ok {
			return
		}
		unit := int64(1)
		for _, u := range units {
			if number, ok := strings.CutSuffix(s, u.name); ok {
				s, unit = strings.TrimSpace(number), u.bytes
			}
		}
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 || n > high/unit || n*unit < low {
			v.wrong("%s: want %s", v.shown(), want)
			return
		}
		*to = T(n * unit)
	}
}

// intoChoice reads one of a few words.
func intoChoice(to *string, words ...string) func(value) {
	want := words[len(words)-1]
	if len(words) > 1 {
		want = strings.Join(words[:len(words)-1], ", ") + " or " + want
	}
	return func(v value) {
		s, ok := v.text(want)
		if !ok {
			return
		}
		if !slices.Contains(words, s) {
			v.wrong("%s: want %s", v.shown(), want)
			return
		}
		*to = s
	}
}
