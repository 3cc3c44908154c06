package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// Query reads rows of a table as values of a Go type.
type Query[K comparable, V any] struct {
	Name    string   // of the Reader; default Table
	Table   string   // table, optionally schema.table
	Key     []string // the columns that K names; together they must be unique
	Columns []string // what Scan sees, in this order; at least one

	// Scan makes a value of a row, which it must not keep; pgx.RowToStructByName[V]
	// is one. Its error becomes the error of this key alone. Required.
	Scan pgx.RowToFunc[V]

	// Parts are the values of the key columns, one for each, of types that pgx
	// encodes as these columns' types. Default for one key column: K itself.
	// Otherwise required.
	Parts func(K) []any
}

// ReaderConfig checks a query against the database, as DB.Open does, and returns
// the configuration of a Reader with Name, Fetch and One filled in. Its errors are
// *store.ConfigError, or those of DB.Ping.
func ReaderConfig[K comparable, V any](ctx context.Context, db *DB, q Query[K, V]) (fulcrum.ReaderConfig[K, V], error) {
	var cfg fulcrum.ReaderConfig[K, V]
	if q.Name == "" {
		q.Name = q.Table
	}
	r := store.Resource{Name: q.Name, Table: q.Table, Key: slices.Clone(q.Key), Columns: slices.Clone(q.Columns)}
	switch {
	case q.Scan == nil:
		return cfg, wrong(r, "scan", "is missing: give the function that makes a value of a row")
	case q.Parts == nil && len(q.Key) > 1:
		return cfg, wrong(r, "parts", "is missing: the key has several columns")
	}
	t := &typed[K, V]{db: db, scan: q.Scan, parts: q.Parts, columns: len(q.Columns), keys: len(q.Key)}
	err := db.run(ctx, func(ctx context.Context, c *pgx.Conn) error {
		k, err := check(ctx, c, r)
		if err != nil {
			return err
		}
		t.oneSQL, t.fetchSQL = k.oneSQL(), k.fetchSQL()
		for _, sql := range []string{t.oneSQL, t.fetchSQL} {
			if _, err := c.Prepare(ctx, "", sql); err != nil {
				return refusedAs(r, err)
			}
		}
		return nil
	})
	if err != nil {
		return cfg, err
	}
	return fulcrum.ReaderConfig[K, V]{Name: q.Name, Fetch: t.fetch, One: t.one}, nil
}

// typed is a query that was checked.
type typed[K comparable, V any] struct {
	db               *DB
	scan             pgx.RowToFunc[V]
	parts            func(K) []any
	keys, columns    int
	oneSQL, fetchSQL string
}

// outcome is a row as the caller gets it.
type outcome[V any] struct {
	value V
	err   error
	rows  int
}

func (o *outcome[V]) set(value V, err error) {
	o.value, o.err = value, err
	if o.rows++; o.rows > 1 {
		o.err = errSeveralRows
	}
}

func (t *typed[K, V]) one(ctx context.Context, key K) (V, error) {
	var o outcome[V]
	args, err := t.split(key)
	if err == nil {
		err = t.query(ctx, t.oneSQL, args, func(rows pgx.Rows) error {
			o.set(t.scan(shownRow{rows, t.columns}))
			return nil
		}, func() { o = outcome[V]{} })
	}
	switch {
	case err != nil:
		return *new(V), err
	case o.rows == 0:
		return o.value, fulcrum.ErrNotFound
	}
	return o.value, o.err
}

func (t *typed[K, V]) fetch(ctx context.Context, b *fulcrum.Batch[K, V]) error {
	args, err := t.arrays(b.Keys())
	if err != nil {
		return fulcrum.Divisible(err)
	}
	found := make([]outcome[V], b.Len())
	err = t.query(ctx, t.fetchSQL, args, func(rows pgx.Rows) error {
		if rows.FieldDescriptions()[t.columns].Format != binaryFormat {
			return errors.New("postgres: default_query_exec_mode=simple_protocol is not understood here")
		}
		found[binary.BigEndian.Uint64(rows.RawValues()[t.columns])-1].set(t.scan(shownRow{rows, t.columns}))
		return nil
	}, func() { clear(found) })
	if err != nil {
		return ofKeys(err)
	}
	for i := range found {
		switch o := &found[i]; {
		case o.err != nil:
			b.FailAt(i, o.err)
		case o.rows > 0:
			b.SetAt(i, o.value)
		}
	}
	return nil
}

// ofKeys marks an error that single keys cause: the server's, or the driver's when
// a value does not fit its column.
func ofKeys(err error) error {
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused):
		return divisible(err)
	case errors.Is(err, fulcrum.ErrBehind), errors.Is(err, store.ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return fulcrum.Divisible(err)
}

// split gives the values of the key columns.
func (t *typed[K, V]) split(key K) ([]any, error) {
	if t.parts == nil {
		return []any{key}, nil
	}
	parts := t.parts(key)
	if len(parts) != t.keys {
		return nil, fmt.Errorf("postgres: Parts gave %d values for %d key columns", len(parts), t.keys)
	}
	return parts, nil
}

// arrays gives one array for each key column.
func (t *typed[K, V]) arrays(keys []K) ([]any, error) {
	if t.parts == nil {
		return []any{keys}, nil
	}
	columns := make([][]any, t.keys)
	for _, key := range keys {
		parts, err := t.split(key)
		if err != nil {
			return nil, err
		}
		for i, p := range parts {
			columns[i] = append(columns[i], p)
		}
	}
	args := make([]any, t.keys)
	for i, c := range columns {
		args[i] = c
	}
	return args, nil
}

// query runs a statement and calls row for each row; again says that everything
// starts anew.
func (t *typed[K, V]) query(ctx context.Context, sql string, args []any, row func(pgx.Rows) error, again func()) error {
	return t.db.run(ctx, func(ctx context.Context, c *pgx.Conn) error {
		again()
		must, err := t.db.mustSee(ctx, c.PgConn())
		if err != nil {
			return err
		}
		if t.db.cfg.ScopeSetting == "" && must == 0 {
			rows, err := c.Query(ctx, sql, args...)
			return forEach(rows, err, row)
		}
		var batch pgx.Batch
		if must > 0 {
			batch.Queue(seenStatement.sql)
		}
		if t.db.cfg.ScopeSetting != "" {
			batch.Queue(setScope, t.db.cfg.ScopeSetting, fulcrum.ScopeFrom(ctx))
		}
		batch.Queue(sql, args...)
		results := c.SendBatch(ctx, &batch) // one transaction, as there is one synchronisation
		err = t.before(results, c.PgConn(), must)
		if err == nil {
			rows, queryErr := results.Query()
			err = forEach(rows, queryErr, row)
		}
		if closed := results.Close(); err == nil {
			err = closed
		}
		return err
	})
}

// before reads the answers that come before the rows.
func (t *typed[K, V]) before(results pgx.BatchResults, c *pgconn.PgConn, must position) error {
	if must > 0 {
		var seen string
		if err := results.QueryRow().Scan(&seen); err != nil {
			return err
		}
		if err := readSeen(c, []byte(seen), must); err != nil {
			return err
		}
	}
	if t.db.cfg.ScopeSetting == "" {
		return nil
	}
	_, err := results.Exec()
	return err
}

func forEach(rows pgx.Rows, err error, row func(pgx.Rows) error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// shownRow is a row without the position behind its columns. Unlike pgx.Rows it
// survives a Scan that fails.
type shownRow struct {
	pgx.Rows
	columns int
}

func (r shownRow) FieldDescriptions() []pgconn.FieldDescription {
	return r.Rows.FieldDescriptions()[:r.columns]
}

func (r shownRow) RawValues() [][]byte { return r.Rows.RawValues()[:r.columns] }

func (r shownRow) Values() ([]any, error) {
	values, err := r.Rows.Values()
	return values[:min(r.columns, len(values))], err
}

func (r shownRow) Scan(dest ...any) error {
	if len(dest) == 1 {
		if whole, ok := dest[0].(pgx.RowScanner); ok {
			return whole.ScanRow(r)
		}
	}
	return pgx.ScanRow(r.TypeMap(), r.FieldDescriptions(), r.RawValues(), dest...)
}
