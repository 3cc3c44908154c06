package postgres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fulcrum-data/fulcrum/store"
)

// A columnSet is a bit for each column of a sheet, packed so that it can be compared.
type columnSet string

func setOf(columns []int, width int) columnSet {
	bits := make([]byte, (width+7)/8)
	for _, c := range columns {
		bits[c/8] |= 1 << (c % 8)
	}
	return columnSet(bits)
}

// has says whether a column is in the set.
func (s columnSet) has(column int) bool {
	return column/8 < len(s) && s[column/8]&(1<<(column%8)) != 0
}

// An edit is a change that was read.
type edit struct {
	i       int // its place in the commit
	round   int // 1, or later if keys before it equal its own
	kind    kind
	change  *store.Change
	parts   []string // of the key; nil if the database makes it
	values  [][]byte // JSON, by column of the sheet; nil where the body names none
	version string   // that the row must have, as the database reads it
}

// A prepared change is what ParseChange has read, with the sheet that it fits.
type prepared struct {
	sheet *sheet
	edit  edit
	of    store.Change
}

// ParseChange checks a change against the table's columns. It gives a Put or an Insert
// that names all key columns its key. Its errors are *store.BodyError.
func (w *writable) ParseChange(c store.Change) (store.Change, error) {
	s := w.sheet.Load()
	e, err := s.readChange(&c)
	if err != nil {
		return c, err
	}
	if err := s.checkValues(&e); err != nil {
		return c, err
	}
	if e.parts != nil {
		c.Key = store.JoinKey(e.parts...)
	}
	c.Prepared = &prepared{s, e, c}
	return c, nil
}

// edit is what a change says: what ParseChange has read, if the table and the change
// are as they were.
func (s *sheet) edit(c *store.Change) (edit, error) {
	p, ok := c.Prepared.(*prepared)
	if !ok || p.sheet != s || p.of.Op != c.Op || p.of.Key != c.Key || p.of.IfVersion != c.IfVersion || p.of.IfAbsent != c.IfAbsent {
		return s.readChange(c)
	}
	e := p.edit
	e.change, e.kind.returns = c, c.Return
	e.kind.tells = e.kind.verb == upsert && c.AskCreated
	return e, nil
}

// checkValues sees whether the values are of the kinds that their columns take.
func (s *sheet) checkValues(e *edit) error {
	p := buffers.Get().(*parameters)
	defer giveBack(p)
	scratch := p.buf
	defer func() { p.buf = scratch }()
	for i, v := range e.values {
		if v == nil || v[0] == 'n' {
			continue
		}
		var want string
		if scratch, want = s.columns[i].wire(scratch[:0], v); want != "" {
			return &store.BodyError{Column: s.columns[i].name, Problem: "want " + want}
		}
	}
	return nil
}

// readChange reads a change. Its errors are *store.BodyError.
func (s *sheet) readChange(c *store.Change) (edit, error) {
	e := edit{round: 1, change: c, values: make([][]byte, len(s.columns))}
	if err := s.checkConditions(c); err != nil {
		return e, err
	}
	if err := s.readKey(&e); err != nil {
		return e, err
	}
	if c.Op == store.Delete {
		if len(c.Body) > 0 {
			return e, &store.BodyError{Problem: "a delete has none"}
		}
		if err := s.settleEmptyKey(&e); err != nil {
			return e, err
		}
		e.kind = kind{verb: remove, ifVersion: c.IfVersion != "", returns: c.Return}
		return e, nil
	}
	if err := store.ReadObject(c.Body, func(name, value []byte) error { return s.readField(&e, name, value) }); err != nil {
		return e, err
	}
	if err := s.settleKey(&e); err != nil {
		return e, err
	}
	return e, s.settleKind(&e)
}

// checkConditions sees whether the parts of a change go together.
func (s *sheet) checkConditions(c *store.Change) error {
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

// settleEmptyKey takes the empty text for the key that nobody has named, where it can
// be one.
func (s *sheet) settleEmptyKey(e *edit) error {
	if e.parts != nil || e.change.Op == store.Insert {
		return nil
	}
	if len(s.key) == 1 {
		if part, err := s.columns[s.key[0]].key.canonical(""); err == nil {
			e.parts = []string{part}
			return nil
		}
	}
	return errNoKey
}

func (s *sheet) readKey(e *edit) error {
	if e.change.Key == "" {
		return nil // it may be in the body
	}
	parts, err := store.SplitKey(e.change.Key, len(s.key))
	for i := range parts {
		if err == nil {
			parts[i], err = s.columns[s.key[i]].key.canonical(parts[i])
		}
	}
	if err != nil {
		return &store.BodyError{Problem: err.Error()}
	}
	e.parts = parts
	return nil
}

// readField takes one member of the body.
func (s *sheet) readField(e *edit, name, value []byte) error {
	i, ok := s.byName[string(name)]
	if !ok {
		known := make([]string, len(s.columns))
		for j, c := range s.columns {
			known[j] = c.name
		}
		return &store.BodyError{Column: string(name), Problem: "the resource has no such column" + didYouMean(string(name), known)}
	}
	switch c := s.columns[i]; {
	case e.values[i] != nil:
		return &store.BodyError{Column: c.name, Problem: "is named twice"}
	case c.computed && (c.key == nil || e.parts == nil):
		return &store.BodyError{Column: c.name, Problem: "is set by the database: leave it out"}
	}
	e.values[i] = value
	return nil
}

// settleKey compares the key in the body with the key of the change, or makes it.
func (s *sheet) settleKey(e *edit) error {
	made := make([]string, 0, len(s.key))
	for n, i := range s.key {
		c := s.columns[i]
		v := e.values[i]
		if v == nil {
			if e.parts == nil && e.change.Op == store.Insert && !c.defaulted && !c.computed {
				return &store.BodyError{Column: c.name, Problem: "is missing: it is a part of the key, and the database makes no value for it"}
			}
			continue
		}
		part, err := c.key.partOf(v)
		if err != nil {
			return err
		}
		if e.parts != nil && part != e.parts[n] {
			return &store.BodyError{Column: c.name, Problem: fmt.Sprintf("is %s, but the key says %s", shown(part), shown(e.parts[n]))}
		}
		made = append(made, part)
	}
	if len(made) == len(s.key) {
		e.parts = made
	}
	if err := s.settleEmptyKey(e); err != nil {
		return err
	}
	if e.parts != nil {
		for _, i := range s.key {
			e.values[i] = nil // the key has said it
		}
	}
	return nil
}

var errNoKey = &store.BodyError{Problem: "the key is missing: neither the change nor its body names it"}

const maxShown = 64 // bytes of a value that an error repeats

func shown(part string) string {
	if len(part) > maxShown {
		return fmt.Sprintf("%.*q…", maxShown, part)
	}
	return fmt.Sprintf("%q", part)
}

// named are the columns that the body sets. A Put names them all.
func (s *sheet) named(e *edit) columnSet {
	if e.change.Op == store.Put {
		return s.all
	}
	var named []int
	for i, v := range e.values {
		if v != nil {
			named = append(named, i)
		}
	}
	return setOf(named, len(s.columns))
}

// settleKind says which statement makes the change.
func (s *sheet) settleKind(e *edit) error {
	c := e.change
	e.kind = kind{set: s.named(e), ifVersion: c.IfVersion != "", returns: c.Return}
	switch {
	case c.Op == store.Put:
		for _, i := range s.body {
			if e.values[i] == nil {
				return &store.BodyError{Column: s.columns[i].name, Problem: "is missing: a put names all columns"}
			}
		}
		switch {
		case c.IfAbsent:
			e.kind.verb = create
		case c.IfVersion != "":
			e.kind.verb = update
		default:
			e.kind.verb, e.kind.tells = upsert, c.AskCreated
		}
	case c.Op == store.Patch && strings.Trim(string(e.kind.set), "\x00") == "":
		return &store.BodyError{Problem: "names no column to change"}
	case c.Op == store.Patch:
		e.kind.verb = update
	case e.parts != nil:
		e.kind.verb = create
	default:
		e.kind.verb = beget
	}
	return nil
}

// isBodyError says whether a change can never be made as it is.
func isBodyError(err error) bool {
	var wrong *store.BodyError
	return errors.As(err, &wrong)
}
