package sqlite

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// Query reads rows of a table as values of a Go type.
type Query[K comparable, V any] struct {
	Name    string   // of the Reader; default Table
	Table   string   // table, optionally schema.table
	Key     []string // the columns that K names; together they must be unique
	Columns []string // what Scan sees, in this order; at least one

	// Scan makes a value of a row. Its error, or the row's first value that is not
	// what Scan asked for, becomes the error of this key alone. Required.
	Scan func(Row) (V, error)

	// Parts are the values of the key columns: int64, int, float64, string,
	// []byte or nil, one for each. Default for a K that is an integer, a float or a string: K
	// itself. Otherwise required.
	Parts func(K) []any
}

// ReaderConfig checks a query against the file, as DB.Open does, and returns the
// configuration of a Reader with Name, Fetch and One filled in. Its errors are
// *store.ConfigError, or those of DB.Ping.
func ReaderConfig[K comparable, V any](ctx context.Context, db *DB, q Query[K, V]) (fulcrum.ReaderConfig[K, V], error) {
	var cfg fulcrum.ReaderConfig[K, V]
	if q.Name == "" {
		q.Name = q.Table
	}
	if q.Scan == nil {
		return cfg, &store.ConfigError{Resource: q.Name, Field: "scan", Problem: "is missing: give the function that makes a value of a row"}
	}
	bind, err := q.binder()
	if err != nil {
		return cfg, err
	}
	var o *opened
	err = db.with(ctx, func(c *conn) (err error) {
		o, err = c.check(store.Resource{Name: q.Name, Table: q.Table, Key: q.Key, Columns: q.Columns}, true)
		return err
	})
	if err != nil {
		return cfg, err
	}
	t := &typed[K, V]{db: db, plan: db.newPlan(o.sql), bind: bind, scan: q.Scan}
	return fulcrum.ReaderConfig[K, V]{Name: q.Name, Fetch: t.fetch, One: t.one}, nil
}

// typed is a query that was checked.
type typed[K comparable, V any] struct {
	db   *DB
	plan *plan
	bind func(*stmt, K) error
	scan func(Row) (V, error)
}

func (t *typed[K, V]) fetch(ctx context.Context, b *fulcrum.Batch[K, V]) error {
	keys := b.Keys()
	return t.db.each(ctx, t.plan, len(keys), func(s *stmt, i int) error {
		value, err := t.read(s, keys[i])
		return outcome(b, i, value, err)
	})
}

func (t *typed[K, V]) one(ctx context.Context, key K) (value V, err error) {
	err = t.db.each(ctx, t.plan, 1, func(s *stmt, _ int) (err error) {
		value, err = t.read(s, key)
		return err
	})
	return value, err
}

func (t *typed[K, V]) read(s *stmt, key K) (V, error) {
	var zero V
	if err := t.bind(s, key); err != nil {
		return zero, err
	}
	found, err := s.step()
	if err != nil {
		return zero, err
	}
	if !found {
		return zero, fulcrum.ErrNotFound
	}
	s.wrong = nil
	value, err := t.scan(Row{s})
	if err == nil {
		err = s.wrong
	}
	if err != nil {
		return zero, err
	}
	return value, nil
}

// binder is how a key becomes the statement's parameters.
func (q *Query[K, V]) binder() (func(*stmt, K) error, error) {
	if q.Parts != nil {
		return func(s *stmt, key K) error {
			parts := q.Parts(key)
			if len(parts) != len(s.params) {
				return fmt.Errorf("sqlite: query %q: Parts gave %d values for %d key columns", q.Name, len(parts), len(s.params))
			}
			for i, p := range parts {
				if err := s.bind(i, p); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}
	if len(q.Key) > 1 {
		return nil, &store.ConfigError{Resource: q.Name, Field: "parts", Problem: "is missing: the key has several columns"}
	}
	switch k := reflect.TypeFor[K]().Kind(); k {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(s *stmt, key K) error { return s.bindInt(0, reflect.ValueOf(&key).Elem().Int()) }, nil
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return func(s *stmt, key K) error { return s.bindInt(0, int64(reflect.ValueOf(&key).Elem().Uint())) }, nil
	case reflect.String:
		return func(s *stmt, key K) error { return s.bindText(0, reflect.ValueOf(&key).Elem().String()) }, nil
	case reflect.Float32, reflect.Float64:
		return func(s *stmt, key K) error { return s.bind(0, reflect.ValueOf(&key).Elem().Float()) }, nil
	default:
		return nil, &store.ConfigError{Resource: q.Name, Field: "parts", Problem: fmt.Sprintf("is missing: %s is no integer, float or string", reflect.TypeFor[K]())}
	}
}

// Row is one row, for Scan alone: it must not be kept. Columns count from 0, in
// the order of Query.Columns. A value that is not of the asked type gives zero,
// and the key gets an error that says so; NULL is of no type, so ask Null first
// where a column may hold it.
type Row struct{ s *stmt }

// Null says whether the value is NULL.
func (r Row) Null(i int) bool { return r.s.class(i) == classNull }

// Int is an integer.
func (r Row) Int(i int) int64 {
	if !r.is(i, classInt, "an integer") {
		return 0
	}
	return r.s.int(i)
}

// Bool is an integer that is not 0.
func (r Row) Bool(i int) bool { return r.Int(i) != 0 }

// Float is a float, or an integer as one.
func (r Row) Float(i int) float64 {
	if r.s.class(i) != classInt && !r.is(i, classFloat, "a number") {
		return 0
	}
	return r.s.float(i)
}

// Text is a text, copied.
func (r Row) Text(i int) string {
	if !r.is(i, classText, "text") {
		return ""
	}
	return string(r.s.text(i))
}

// Bytes are a blob's, copied.
func (r Row) Bytes(i int) []byte {
	if !r.is(i, classBlob, "a blob") {
		return nil
	}
	return append([]byte{}, r.s.blob(i)...)
}

// Time is a text as SQLite's functions and RFC 3339 write times; without a zone it
// is in UTC.
func (r Row) Time(i int) time.Time {
	text := r.Text(i)
	for _, layout := range timeLayouts {
		if at, err := time.Parse(layout, text); err == nil {
			return at
		}
	}
	r.fail(i, "a time")
	return time.Time{}
}

// is says whether a value is of the class, and remembers if not.
func (r Row) is(i int, class int32, want string) bool {
	if i < 0 || i >= r.s.cols {
		r.s.wrong = errors.Join(r.s.wrong, fmt.Errorf("sqlite: Scan asked for column %d of %d", i, r.s.cols))
		return false
	}
	if r.s.class(i) == class {
		return true
	}
	r.fail(i, want)
	return false
}

var classNames = map[int32]string{classInt: "an integer", classFloat: "a float", classText: "text", classBlob: "a blob", classNull: "NULL"}

func (r Row) fail(i int, want string) {
	if r.s.wrong == nil {
		r.s.wrong = fmt.Errorf("sqlite: column %s holds %s; Scan asked for %s", r.s.name(i), classNames[r.s.class(i)], want)
	}
}
