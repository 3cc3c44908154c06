package postgres

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/fulcrum-data/fulcrum/store"
)

var _ store.Keeper = (*DB)(nil)

// Fulcrum's own tables, in the schema that comes first in the search path.
const initSQL = `create table if not exists fulcrum_once (
  scope text not null,   -- who asked, of what, and how
  key text not null,     -- the Idempotency-Key
  body bytea not null,   -- hash of the request
  answer text,           -- what it came to
  at timestamptz not null default now(), -- when; kept for a day
  primary key (scope, key)
);
create index if not exists fulcrum_once_at on fulcrum_once (at);
create table if not exists fulcrum_positions (
  journal text not null,
  shard integer not null,
  "offset" bigint not null, -- of the last write that was applied
  primary key (journal, shard)
);
create table if not exists fulcrum_dead_letters (
  id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  resource text not null,
  scope text not null,   -- of who asked for it
  op smallint not null,  -- 0 put, 1 patch, 2 delete, 3 insert
  key text not null,
  body text,
  if_version text not null,
  if_absent boolean not null,
  error text not null    -- why it could not be made
);
create table if not exists fulcrum_beacons (
  view text primary key, -- the page that somebody saw
  at bigint not null,    -- in milliseconds since 1970
  body text not null     -- what the browser told
);
create index if not exists fulcrum_beacons_at on fulcrum_beacons (at);
`

// InitSQL are the statements that make Fulcrum's own tables. Whoever writes needs
// select, insert, update and delete on them.
func (db *DB) InitSQL() string { return initSQL }

// Init makes them where they are not there yet.
func (db *DB) Init(ctx context.Context) error {
	return db.run(ctx, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.PgConn().Exec(ctx, initSQL).ReadAll()
		return err
	})
}

// missingOwn says what to do if one of Fulcrum's own tables is not there.
func missingOwn(resource string, err error) error {
	refused := refusalIn(err)
	if refused == nil || refused.Code != "42P01" || !strings.Contains(refused.Message, `"fulcrum_`) {
		return err
	}
	return &store.ConfigError{Resource: resource, Field: "store", Problem: "the database says: " + refused.Message + ": run fulcrum init"}
}

// Applied is the offset that each shard of a journal was applied up to.
func (db *DB) Applied(ctx context.Context, journal string) (map[int]int64, error) {
	var found map[int]int64
	err := db.run(ctx, func(ctx context.Context, c *pgx.Conn) error {
		found = map[int]int64{}
		rows, _ := c.Query(ctx, `select shard, "offset" from fulcrum_positions where journal = $1`, journal)
		var shard int
		var offset int64
		_, err := pgx.ForEachRow(rows, []any{&shard, &offset}, func() error {
			found[shard] = offset
			return nil
		})
		return err
	})
	return found, missingOwn("journal", err)
}

// DeadLetters lists changes that could not be made, the oldest first.
func (db *DB) DeadLetters(ctx context.Context, after int64, limit int) ([]store.DeadLetter, error) {
	var all []store.DeadLetter
	err := db.run(ctx, func(ctx context.Context, c *pgx.Conn) (err error) {
		rows, _ := c.Query(ctx, `select id, at, resource, scope, op, key, body, if_version, if_absent, error
			from fulcrum_dead_letters where id > $1 order by id limit $2`, after, limit)
		all, err = pgx.CollectRows(rows, deadLetter)
		return err
	})
	return all, missingOwn("dead letters", err)
}

func deadLetter(row pgx.CollectableRow) (d store.DeadLetter, err error) {
	var op int16
	var body *string
	err = row.Scan(&d.ID, &d.At, &d.Resource, &d.Scope, &op, &d.Change.Key, &body, &d.Change.IfVersion, &d.Change.IfAbsent, &d.Error)
	d.Change.Op = store.Op(op)
	if body != nil {
		d.Change.Body = []byte(*body)
	}
	return d, err
}

// Discard takes dead letters away.
func (db *DB) Discard(ctx context.Context, ids []int64) (n int, err error) {
	err = db.run(ctx, func(ctx context.Context, c *pgx.Conn) error {
		tag, err := c.Exec(ctx, "delete from fulcrum_dead_letters where id = any($1)", ids)
		n = int(tag.RowsAffected())
		return err
	})
	return n, missingOwn("dead letters", err)
}

// Beacons are the last ones, the oldest first.
func (db *DB) Beacons(ctx context.Context, limit int) ([]store.Beacon, error) {
	var all []store.Beacon
	err := db.run(ctx, func(ctx context.Context, c *pgx.Conn) (err error) {
		rows, _ := c.Query(ctx, "select view, at, body from fulcrum_beacons order by at desc, view desc limit $1", limit)
		all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[store.Beacon])
		return err
	})
	slices.Reverse(all)
	return all, missingOwn("beacons", err)
}

// ForgetBeacons takes away all but the last ones.
func (db *DB) ForgetBeacons(ctx context.Context, keep int) (n int, err error) {
	err = db.run(ctx, func(ctx context.Context, c *pgx.Conn) error {
		tag, err := c.Exec(ctx, "delete from fulcrum_beacons where view in (select view from fulcrum_beacons order by at desc, view desc offset $1)", keep)
		n = int(tag.RowsAffected())
		return err
	})
	return n, missingOwn("beacons", err)
}

// arrays are parameters of statements on Fulcrum's own tables.
type arrays struct{ parameters }

func newArrays() *arrays {
	a := &arrays{}
	a.reset()
	return a
}

// texts adds an array of texts. What PostgreSQL cannot hold is left out of them.
func (a *arrays) texts(values []string) *arrays {
	return a.add(pgtype.TextOID, len(values), func(dst []byte, i int) []byte {
		return append(dst, storable(values[i])...)
	})
}

func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")
}

func (a *arrays) bytes(values [][]byte) *arrays {
	return a.add(pgtype.ByteaOID, len(values), func(dst []byte, i int) []byte { return append(dst, values[i]...) })
}

func (a *arrays) add(elem uint32, n int, each func(dst []byte, i int) []byte) *arrays {
	a.buf = appendArrayHeader(a.buf, elem, n)
	for i := range n {
		at := len(a.buf)
		a.buf = each(append(a.buf, 0, 0, 0, 0), i)
		binary.BigEndian.PutUint32(a.buf[at:], uint32(len(a.buf)-at-4))
	}
	a.done(binaryFormat)
	return a
}

// text adds a value that its type's input function reads.
func (a *arrays) text(value string) *arrays {
	a.buf = append(a.buf, value...)
	a.done(textFormat)
	return a
}

// all gives the parameters.
func (a *arrays) all() *parameters {
	a.slice()
	return &a.parameters
}

// keptFor is store.OnceFor as PostgreSQL writes it.
var keptFor = "interval '" + store.OnceFor.Truncate(time.Second).String() + "'"
