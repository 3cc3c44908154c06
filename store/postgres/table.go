package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/watch"
	"github.com/fulcrum-data/fulcrum/store"
)

// table is an opened resource.
type table struct {
	db       *DB
	resource store.Resource
	plan     atomic.Pointer[plan]
	reopen   chan struct{} // full while somebody makes a new plan
	rowSize  atomic.Int64  // bytes of a row's JSON, lately
}

var _ store.Punctual = (*table)(nil)

// Punctual is the grain of the watch that ends calls; all waiting is under it.
func (t *table) Punctual() time.Duration { return watch.Grain }

// A plan is how a resource is read as long as its columns keep their types.
type plan struct {
	key        []keyColumn
	keyColumns []store.KeyColumn
	names      []string // of the columns that a row shows
	fields     [][]byte // `{"id":` and so on
	values     []appendFunc
	types      []uint32 // of the values, as the server describes them
	formats    []int16  // of the values, and of the position behind them
	many       bool
	one, fetch statement
}

// A statement is prepared on each connection when it is first needed there.
type statement struct{ name, sql string }

// newStatement names a statement by what it says, so that who opens a resource
// again finds it prepared.
func newStatement(sql string) statement {
	sum := sha256.Sum256([]byte(sql))
	return statement{name: "fulcrum_" + hex.EncodeToString(sum[:12]), sql: sql}
}

// Open checks a resource against the database and prepares its statements. Its
// errors are *store.ConfigError, or those of Ping.
func (db *DB) Open(ctx context.Context, r store.Resource) (store.Table, error) {
	r.Key, r.Columns = slices.Clone(r.Key), slices.Clone(r.Columns)
	t := &table{db: db, resource: r, reopen: make(chan struct{}, 1)}
	t.rowSize.Store(firstRowSize)
	p, err := t.makePlan(ctx)
	if err != nil {
		return nil, err
	}
	t.plan.Store(p)
	if r.Writable {
		return t.openWritable(ctx)
	}
	return t, nil
}

const firstRowSize = 256 // bytes, until rows have been seen

// makePlan reads the catalogue.
func (t *table) makePlan(ctx context.Context) (*plan, error) {
	var p *plan
	err := t.db.run(ctx, func(ctx context.Context, c *pgx.Conn) error {
		k, err := check(ctx, c, t.resource)
		if err != nil {
			return err
		}
		if p, err = newPlan(k); err != nil {
			return err
		}
		for _, s := range []statement{p.one, p.fetch} {
			if _, err := p.prepare(ctx, c, s); err != nil {
				return refusedAs(t.resource, err)
			}
		}
		return nil
	})
	return p, err
}

func newPlan(k *checked) (*plan, error) {
	p := &plan{
		names:  k.Columns,
		fields: store.Fields(k.Columns),
		many:   k.Many,
		one:    newStatement(k.oneSQL()),
		fetch:  newStatement(k.fetchSQL()),
	}
	for _, c := range k.key {
		col, err := k.keyColumnOf(c)
		if err != nil {
			return nil, err
		}
		p.key = append(p.key, col)
		p.keyColumns = append(p.keyColumns, col.KeyColumn)
	}
	for _, c := range k.shown {
		format, f := k.relation.codecOf(c.typ).pick()
		p.formats = append(p.formats, format)
		p.values = append(p.values, f)
		p.types = append(p.types, k.relation.underlying(c.typ).oid)
	}
	p.formats = append(p.formats, binaryFormat)
	return p, nil
}

// prepare gives the statement of a connection, and makes sure that its columns
// are still of the types that the plan knows how to read.
func (p *plan) prepare(ctx context.Context, c *pgx.Conn, s statement) (*pgconn.StatementDescription, error) {
	sd, err := c.Prepare(ctx, s.name, s.sql)
	if err != nil || p.reads(sd) {
		return sd, err
	}
	if err := c.Deallocate(ctx, s.name); err != nil { // it may be older than the plan
		return nil, err
	}
	if sd, err = c.Prepare(ctx, s.name, s.sql); err == nil && !p.reads(sd) {
		err = errSchemaChanged
	}
	return sd, err
}

func (p *plan) reads(sd *pgconn.StatementDescription) bool {
	for i, oid := range p.types {
		if sd.Fields[i].DataTypeOID != oid {
			return false
		}
	}
	return true
}

// refresh makes a new plan after the table has changed.
func (t *table) refresh(ctx context.Context, old *plan) error {
	select {
	case t.reopen <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-t.reopen }()
	if t.plan.Load() != old {
		return nil
	}
	p, err := t.makePlan(ctx)
	if err == nil {
		t.plan.Store(p)
	}
	return err
}

// ParseKey makes a key of its parts, one for each key column. Its errors are
// *store.KeyError.
func (t *table) ParseKey(parts []string) (store.Key, error) {
	p := t.plan.Load()
	if len(parts) != len(p.key) || len(parts) == 1 && p.key[0].Type == store.KeyInt {
		return store.ParseKey(p.keyColumns, parts)
	}
	canonical := make([]string, len(parts))
	for i, c := range p.key {
		var err error
		if canonical[i], err = c.canonical(parts[i]); err != nil {
			return "", err
		}
	}
	return store.JoinKey(canonical...), nil
}

// scratch is what a call needs besides its answer.
type scratch struct {
	params parameters
	spans  []span
}

// A span is where the JSON of a key stands in the batch's buffer.
type span struct {
	from, to int
	rows     int
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// One reads the row of one key with the plain query. A key that has none is
// fulcrum.ErrNotFound.
func (t *table) One(ctx context.Context, key store.Key) ([]byte, error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	var out []byte
	var at span
	err := t.ask(ctx, func(ctx context.Context, c *pgx.Conn, p *plan) error {
		if err := s.params.one(p.key, key); err != nil {
			return err
		}
		out, at = make([]byte, 0, t.capacity(1)), span{}
		return t.query(ctx, c, p, p.one, &s.params, func(values [][]byte) (err error) {
			out, err = p.add(out, &at, values)
			return err
		})
	})
	switch {
	case err != nil:
		return nil, err
	case at.rows == 0:
		return nil, fulcrum.ErrNotFound
	case at.rows > 1 && !t.resource.Many:
		return nil, errSeveralRows
	}
	t.measure(1, len(out))
	return out, nil
}

// Fetch reads the rows of many keys with one query. An error that single keys
// cause is marked with fulcrum.Divisible.
func (t *table) Fetch(ctx context.Context, b *fulcrum.Batch[store.Key, []byte]) error {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	var out []byte
	err := t.ask(ctx, func(ctx context.Context, c *pgx.Conn, p *plan) error {
		s.params.arrays(p.key, b.Keys(), b.FailAt)
		s.spans = slices.Grow(s.spans[:0], b.Len())[:b.Len()]
		clear(s.spans)
		out = make([]byte, 0, t.capacity(b.Len()))
		last := len(p.values)
		return t.query(ctx, c, p, p.fetch, &s.params, func(values [][]byte) (err error) {
			at := &s.spans[binary.BigEndian.Uint64(values[last])-1]
			out, err = p.add(out, at, values[:last])
			return err
		})
	})
	if err != nil {
		return divisible(err)
	}
	t.answer(b, s.spans, out)
	return nil
}

// answer hands out the parts of the buffer, which has stopped growing.
func (t *table) answer(b *fulcrum.Batch[store.Key, []byte], spans []span, out []byte) {
	found := 0
	for i, at := range spans {
		if at.rows == 0 {
			continue
		}
		if at.rows > 1 && !t.resource.Many {
			b.FailAt(i, errSeveralRows)
			continue
		}
		b.SetAt(i, out[at.from:at.to:at.to])
		found++
	}
	if found > 0 {
		t.measure(found, len(out))
	}
}

// add appends a row of a key. The first row of a Many key opens a list, which is
// closed at once and opened again for the next.
func (p *plan) add(out []byte, at *span, values [][]byte) ([]byte, error) {
	at.rows++
	switch {
	case at.rows == 1:
		at.from = len(out)
		if p.many {
			out = append(out, '[')
		}
	case !p.many:
		return out, nil
	case at.to != len(out):
		return out, errors.New("postgres: the rows of a key came apart")
	default:
		out[len(out)-1] = ','
	}
	for i, v := range values {
		out = append(out, p.fields[i]...)
		if v == nil {
			out = store.AppendNull(out)
		} else {
			out = p.values[i](out, v)
		}
	}
	out = append(out, '}')
	if p.many {
		out = append(out, ']')
	}
	at.to = len(out)
	return out, nil
}

// capacity is the room that the rows of n keys will most likely need, in bytes.
func (t *table) capacity(n int) int { return n * int(t.rowSize.Load()) }

// measure learns how large rows are. It holds a little in reserve, since a buffer
// that must grow is copied.
func (t *table) measure(keys, size int) {
	const reserve, weight = 16, 8 // a sixteenth more; each call counts for an eighth
	now := int64(size/keys) * (reserve + 1) / reserve
	old := t.rowSize.Load()
	if d := (now - old) / weight; d != 0 {
		t.rowSize.Store(old + d)
	}
}

// ask runs f with a connection and the plan, and with a new plan if the table has
// changed.
func (t *table) ask(ctx context.Context, f func(context.Context, *pgx.Conn, *plan) error) error {
	p := t.plan.Load()
	call := func(ctx context.Context, c *pgx.Conn) error { return f(ctx, c, p) }
	err := t.db.run(ctx, call)
	if !errors.Is(err, errSchemaChanged) {
		return err
	}
	if err := t.refresh(ctx, p); err != nil {
		return err
	}
	p = t.plan.Load()
	return t.db.run(ctx, call)
}

// query runs a prepared statement and calls row with each row's raw values, which
// do not outlive the call.
func (t *table) query(ctx context.Context, c *pgx.Conn, p *plan, s statement, params *parameters, row func([][]byte) error) error {
	sd, err := p.prepare(ctx, c, s)
	if err != nil {
		return err
	}
	formats := p.formats[:len(sd.Fields)]
	must, err := t.db.mustSee(ctx, c.PgConn())
	if err != nil {
		return err
	}
	if t.db.cfg.ScopeSetting != "" || must > 0 {
		err = t.db.together(ctx, c, must, func(pipe *pgconn.Pipeline) {
			pipe.SendQueryStatement(sd, params.values, params.formats, formats)
		}, row)
	} else {
		err = readRows(c.PgConn().ExecStatement(ctx, sd, params.values, params.formats, formats), row)
	}
	if outdated(err) {
		return errors.Join(err, c.Deallocate(ctx, s.name)) // the next attempt prepares it anew
	}
	return err
}

func readRows(r *pgconn.ResultReader, row func([][]byte) error) error {
	var err error
	for r.NextRow() {
		if err == nil {
			err = row(r.Values())
		}
	}
	if _, failed := r.Close(); failed != nil {
		return failed
	}
	return err
}
