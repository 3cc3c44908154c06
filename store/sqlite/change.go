package sqlite

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum/store"
)

// sheet is what can be written of a resource.
type sheet struct {
	columns []field // visible ones and those of the key, but for the version
	key     []int   // places of the key's columns
	version *field  // nil if there is none
	timed   bool    // the version is a time

	triggers bool // the file has some: what fails may have left something behind
}

// field is a column that can be written.
type field struct {
	name  string
	isKey bool
	value func(raw []byte) (any, error) // of JSON; the error says what is wanted
}

// edit is what a change says, once it was read.
type edit struct {
	op     store.Op
	parts  []string // of the key; nil if the database makes it
	values []any    // by column
	named  []bool   // which of them the body names
}

// newSheet checks what cannot be written.
func newSheet(o *opened, wrong wrongFunc) (*sheet, error) {
	r := o.resource
	if r.Many || o.table.kind != "table" {
		return nil, wrong("writable", "%s is not a table with one row for each key: leave it out", r.Table)
	}
	s := &sheet{}
	for _, k := range o.key {
		s.key = append(s.key, len(s.columns))
		s.columns = append(s.columns, field{name: k.Name, isKey: true, value: keyValue(k)})
	}
	for _, name := range r.Columns {
		col, _ := o.table.find(name)
		if !slices.ContainsFunc(s.columns, func(f field) bool { return strings.EqualFold(f.name, name) }) && !strings.EqualFold(name, r.Version) && !col.generated {
			s.columns = append(s.columns, field{name: name, value: valueFor(col.declared)})
		}
	}
	if r.Version == "" {
		return s, nil
	}
	col, ok := o.table.find(r.Version)
	switch {
	case !ok:
		return nil, wrong("version", "%s has no column %q; it has %s", o.table.name, r.Version, o.table.columnNames())
	case slices.ContainsFunc(r.Key, func(n string) bool { return strings.EqualFold(n, r.Version) }):
		return nil, wrong("version", "%q is a part of the key", r.Version)
	}
	s.timed = isTime(col.declared)
	if kind, known := col.keyType(); !s.timed && (!known || kind != store.KeyInt) {
		return nil, wrong("version", "column %q is declared as %q: want an integer, or a datetime", r.Version, strings.ToLower(col.declared))
	}
	s.version = &field{name: r.Version}
	return s, nil
}

// ParseChange checks a change against the table's columns. Its errors are
// *store.BodyError.
func (w *writable) ParseChange(c store.Change) (store.Change, error) {
	e, err := w.sheet.read(c, w.key)
	if err != nil {
		return c, err
	}
	if e.parts != nil {
		c.Key = store.JoinKey(e.parts...)
	}
	c.Prepared = e
	return c, nil
}

// read makes an edit of a change.
func (s *sheet) read(c store.Change, key []store.KeyColumn) (*edit, error) {
	e := &edit{op: c.Op, values: make([]any, len(s.columns)), named: make([]bool, len(s.columns))}
	if err := s.checkConditions(c); err != nil {
		return nil, err
	}
	if c.Key != "" || c.Op == store.Patch || c.Op == store.Delete {
		parts, err := store.SplitKey(c.Key, len(key))
		if err == nil {
			_, err = store.ParseKey(key, parts)
		}
		if err != nil {
			return nil, &store.BodyError{Problem: err.Error()}
		}
		e.parts = parts
	}
	if c.Op == store.Delete {
		if len(c.Body) > 0 {
			return nil, &store.BodyError{Problem: "a delete has none"}
		}
		return e, nil
	}
	if err := store.ReadObject(c.Body, func(name, value []byte) error { return s.readField(e, string(name), value) }); err != nil {
		return nil, err
	}
	if err := s.settleKey(e, key); err != nil {
		return nil, err
	}
	return e, s.settle(e)
}

func (s *sheet) checkConditions(c store.Change) error {
	problem := ""
	switch {
	case c.Op > store.Insert:
		problem = "unknown operation"
	case c.IfAbsent && c.Op != store.Put:
		problem = "only a put can ask that the row be absent"
	case c.IfAbsent && c.IfVersion != "":
		problem = "a row cannot be absent and have a version"
	case c.IfVersion != "" && c.Op == store.Insert:
		problem = "an insert cannot ask for a version"
	case c.IfVersion != "" && s.version == nil:
		problem = "the resource has no version column, so no version can be asked for"
	}
	if problem == "" {
		return nil
	}
	return &store.BodyError{Problem: problem}
}

// readField takes one member of the body.
func (s *sheet) readField(e *edit, name string, raw []byte) error {
	i := slices.IndexFunc(s.columns, func(f field) bool { return f.name == name })
	switch {
	case s.version != nil && name == s.version.name:
		return &store.BodyError{Column: name, Problem: "is the version: leave it out, and say If-Match"}
	case i < 0:
		return &store.BodyError{Column: name, Problem: "the resource has no such column that can be written; it has " + s.names()}
	case e.named[i]:
		return &store.BodyError{Column: name, Problem: "is named twice"}
	}
	e.named[i] = true
	if string(raw) == "null" {
		if s.columns[i].isKey {
			return &store.BodyError{Column: name, Problem: "is a part of the key, and cannot be null"}
		}
		return nil
	}
	value, err := s.columns[i].value(raw)
	if err != nil {
		return &store.BodyError{Column: name, Problem: "want " + err.Error()}
	}
	e.values[i] = value
	return nil
}

func (s *sheet) names() string {
	names := make([]string, len(s.columns))
	for i, f := range s.columns {
		names[i] = f.name
	}
	return strings.Join(names, ", ")
}

// settleKey compares the key in the body with that of the change, or makes it. What the
// body names of the key is its text in keys.
func (s *sheet) settleKey(e *edit, key []store.KeyColumn) error {
	var made []string
	for n, i := range s.key {
		if !e.named[i] {
			continue
		}
		part, err := key[n].Parse(e.values[i].(string))
		if err != nil {
			return &store.BodyError{Column: key[n].Name, Problem: err.Error()}
		}
		if e.parts != nil && part != e.parts[n] {
			return &store.BodyError{Column: key[n].Name, Problem: fmt.Sprintf("is %q, but the key says %q", shown(part), shown(e.parts[n]))}
		}
		made = append(made, part)
		e.named[i] = false // the key says it
	}
	switch {
	case e.parts != nil:
	case len(made) == len(s.key):
		e.parts = made
	case e.op == store.Put:
		return &store.BodyError{Problem: "the key is missing: name " + strings.Join(s.keyNames(), ", ")}
	case len(made) > 0 || len(s.key) > 1:
		return &store.BodyError{Problem: "a part of the key is missing: name " + strings.Join(s.keyNames(), ", ")}
	}
	return nil
}

func (s *sheet) keyNames() []string {
	var names []string
	for _, i := range s.key {
		names = append(names, s.columns[i].name)
	}
	return names
}

// settle looks whether the body names what the operation wants.
func (s *sheet) settle(e *edit) error {
	any := false
	for i, f := range s.columns {
		if e.op == store.Put && !f.isKey && !e.named[i] {
			return &store.BodyError{Column: f.name, Problem: "is missing: a put names all columns"}
		}
		any = any || e.named[i]
	}
	if e.op == store.Patch && !any {
		return &store.BodyError{Problem: "names no column to change"}
	}
	return nil
}

// shown is what an error repeats of a value.
func shown(s string) string {
	const most = 64
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// wanted is an error that says what would be right.
type wanted string

func (w wanted) Error() string { return string(w) }

// keyValue takes what a row shows of a key column, and gives its text in keys.
func keyValue(k store.KeyColumn) func([]byte) (any, error) {
	return func(raw []byte) (any, error) {
		switch {
		case raw[0] == '"':
			text := string(store.AppendUnquoted(nil, raw))
			if k.Type != store.KeyBytes {
				return text, nil
			}
			b, err := base64.StdEncoding.Strict().DecodeString(text)
			if err != nil {
				return nil, wanted("bytes in base64")
			}
			return base64.RawURLEncoding.EncodeToString(b), nil
		case k.Type == store.KeyInt && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9'):
			return string(raw), nil
		}
		return nil, wanted(k.Type.String())
	}
}

func isTime(declared string) bool {
	base, _, _ := strings.Cut(declared, "(")
	switch strings.TrimSpace(base) {
	case "DATETIME", "TIMESTAMP", "TIMESTAMPTZ":
		return true
	}
	return false
}

// valueFor is how JSON becomes a value of a column of the declared type. It undoes what
// writer does.
func valueFor(declared string) func([]byte) (any, error) {
	base, _, _ := strings.Cut(declared, "(")
	has := func(part string) bool { return strings.Contains(declared, part) }
	switch base = strings.TrimSpace(base); {
	case base == "BOOL" || base == "BOOLEAN":
		return boolValue
	case base == "JSON":
		return jsonValue
	case isTime(declared):
		return timeValue
	case has("INT"):
		return intValue
	case has("CHAR"), has("CLOB"), has("TEXT"), has("UUID"):
		return textValue
	case has("BLOB"):
		return blobValue
	case has("REAL"), has("FLOA"), has("DOUB"): //nolint:misspell // as SQLite looks for it
		return floatValue
	}
	return anyValue
}

func boolValue(raw []byte) (any, error) {
	switch string(raw) {
	case "true", "1":
		return int64(1), nil
	case "false", "0":
		return int64(0), nil
	}
	return nil, wanted("true or false")
}

func jsonValue(raw []byte) (any, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, wanted("JSON")
	}
	return b.String(), nil
}

func timeValue(raw []byte) (any, error) {
	const want = wanted("a time such as 2026-01-02T03:04:05Z")
	if raw[0] != '"' {
		return nil, want
	}
	text := string(store.AppendUnquoted(nil, raw))
	for _, layout := range append([]string{time.RFC3339Nano}, timeLayouts...) {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC().Format(time.RFC3339Nano), nil
		}
	}
	return nil, want
}

func intValue(raw []byte) (any, error) {
	text := string(raw)
	if raw[0] == '"' {
		text = string(store.AppendUnquoted(nil, raw))
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, wanted("an integer of 64 bits, beyond 2^53 in quotes or not")
	}
	return n, nil
}

func textValue(raw []byte) (any, error) {
	if raw[0] != '"' {
		return nil, wanted("text")
	}
	return string(store.AppendUnquoted(nil, raw)), nil
}

func blobValue(raw []byte) (any, error) {
	if raw[0] == '"' {
		if b, err := base64.StdEncoding.Strict().DecodeString(string(store.AppendUnquoted(nil, raw))); err == nil {
			return b, nil
		}
	}
	return nil, wanted("bytes in base64, with padding")
}

func floatValue(raw []byte) (any, error) {
	text := string(raw)
	if raw[0] == '"' {
		switch text = string(store.AppendUnquoted(nil, raw)); text {
		case "Infinity":
			return math.Inf(1), nil
		case "-Infinity":
			return math.Inf(-1), nil
		}
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) { // SQLite makes NULL of NaN
		return nil, wanted(`a number, "Infinity" or "-Infinity"; SQLite has no NaN`)
	}
	return x, nil
}

// anyValue takes what a column without a type, or a numeric one, takes.
func anyValue(raw []byte) (any, error) {
	switch raw[0] {
	case '"':
		return textValue(raw)
	case 't', 'f':
		return boolValue(raw)
	case '{', '[':
		return nil, wanted("a number, text, true, false or null")
	}
	if n, err := intValue(raw); err == nil {
		return n, nil
	}
	return floatValue(raw)
}
