package sqlite

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// resource is an opened resource: rows as JSON.
type resource struct {
	db     *DB
	plan   *plan
	key    []store.KeyColumn
	fields [][]byte                                // what stands before each value
	write  []func(b []byte, s *stmt, i int) []byte // how each column's value is written
	many   bool
}

var _ store.Table = (*resource)(nil)

func newTable(db *DB, o *opened) *resource {
	t := &resource{
		db: db, plan: db.newPlan(o.sql), key: o.key, many: o.resource.Many,
		fields: store.Fields(o.resource.Columns),
	}
	for _, name := range o.resource.Columns {
		col, _ := o.table.find(name)
		t.write = append(t.write, writer(col.declared))
	}
	return t
}

// ParseKey makes a key of the parts of an address.
func (t *resource) ParseKey(parts []string) (store.Key, error) { return store.ParseKey(t.key, parts) }

// Fetch reads the rows of many keys in one snapshot.
func (t *resource) Fetch(ctx context.Context, b *fulcrum.Batch[store.Key, []byte]) error {
	keys := b.Keys()
	return t.db.each(ctx, t.plan, len(keys), func(s *stmt, i int) error {
		row, err := t.read(s, keys[i])
		return outcome(b, i, row, err)
	})
}

// One reads the row of one key.
func (t *resource) One(ctx context.Context, key store.Key) (row []byte, err error) {
	err = t.db.each(ctx, t.plan, 1, func(s *stmt, _ int) (err error) {
		row, err = t.read(s, key)
		return err
	})
	return row, err
}

func (t *resource) read(s *stmt, key store.Key) ([]byte, error) {
	if err := t.bind(s, key); err != nil {
		return nil, err
	}
	found, err := s.step()
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fulcrum.ErrNotFound
	}
	b := s.scratch[:0]
	if t.many {
		b, err = t.list(b, s)
	} else {
		b = t.row(b, s)
	}
	if cap(b) <= maxScratch {
		s.scratch = b
	}
	if err != nil {
		return nil, err
	}
	return bytes.Clone(b), nil // of the right size, whatever the row's
}

// maxScratch is the largest row whose memory a statement keeps, in bytes.
const maxScratch = 1 << 20

// list appends the row at hand and all that follow.
func (t *resource) list(b []byte, s *stmt) ([]byte, error) {
	open := byte('[')
	for found := true; found; {
		b = t.row(append(b, open), s)
		open = ','
		var err error
		if found, err = s.step(); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

func (t *resource) row(b []byte, s *stmt) []byte {
	for i, field := range t.fields {
		b = append(b, field...)
		b = t.write[i](b, s, i)
	}
	return append(b, '}')
}

func (t *resource) bind(s *stmt, key store.Key) error {
	if len(t.key) == 1 && t.key[0].Type == store.KeyInt {
		return bindPart(s, 0, t.key[0], string(key))
	}
	parts, err := store.SplitKey(key, len(t.key))
	if err != nil {
		return err
	}
	for i, c := range t.key {
		if err := bindPart(s, i, c, parts[i]); err != nil {
			return err
		}
	}
	return nil
}

func bindPart(s *stmt, i int, c store.KeyColumn, part string) error {
	switch c.Type {
	case store.KeyInt:
		n, err := c.Int(part)
		if err != nil {
			return err
		}
		return s.bindInt(i, n)
	case store.KeyBytes:
		raw, err := c.Bytes(part)
		if err != nil {
			return err
		}
		return s.bind(i, raw)
	default:
		return s.bindText(i, part)
	}
}

// writer is how values of a column of the declared type become JSON. SQLite lets
// any value into any column, so a value that does not fit its column's type is
// written as what it is.
func writer(declared string) func(b []byte, s *stmt, i int) []byte {
	switch base, _, _ := strings.Cut(declared, "("); strings.TrimSpace(base) {
	case "BOOL", "BOOLEAN":
		return appendBool
	case "JSON":
		return appendJSON
	case "DATETIME", "TIMESTAMP", "TIMESTAMPTZ":
		return appendTime
	}
	return appendValue
}

// appendValue writes a value by its storage class.
func appendValue(b []byte, s *stmt, i int) []byte {
	switch s.class(i) {
	case classInt:
		return store.AppendInt(b, s.int(i))
	case classFloat:
		return store.AppendFloat(b, s.float(i))
	case classText:
		return store.AppendText(b, s.text(i))
	case classBlob:
		return store.AppendBytes(b, s.blob(i))
	}
	return store.AppendNull(b)
}

// appendBool writes 0 and 1 as false and true.
func appendBool(b []byte, s *stmt, i int) []byte {
	if s.class(i) == classInt && s.int(i)>>1 == 0 {
		return store.AppendBool(b, s.int(i) == 1)
	}
	return appendValue(b, s, i)
}

// appendJSON writes JSON text as it is, without the spaces.
func appendJSON(b []byte, s *stmt, i int) []byte {
	if s.class(i) != classText {
		return appendValue(b, s, i)
	}
	compact := bytes.NewBuffer(b)
	if err := json.Compact(compact, s.text(i)); err != nil {
		return appendValue(b, s, i)
	}
	return compact.Bytes()
}

// SQLite's own functions write times like this, in UTC unless a zone is given.
var timeLayouts = []string{
	"2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02T15:04:05",
}

func appendTime(b []byte, s *stmt, i int) []byte {
	if s.class(i) != classText {
		return appendValue(b, s, i)
	}
	text := string(s.text(i))
	for _, layout := range timeLayouts {
		if at, err := time.Parse(layout, text); err == nil {
			return store.AppendTime(b, at)
		}
	}
	return store.AppendText(b, text)
}
