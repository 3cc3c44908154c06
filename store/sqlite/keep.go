package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

var _ store.Keeper = (*DB)(nil)

// Fulcrum's own tables. Times are in milliseconds since 1970.
const initSQL = `create table if not exists fulcrum_once (
  scope text not null,    -- who asked, of what, and how
  key text not null,      -- the Idempotency-Key
  body blob not null,     -- hash of the request
  answer text not null,   -- what it came to
  at integer not null,    -- when; kept for a day
  primary key (scope, key)
) without rowid;
create index if not exists fulcrum_once_at on fulcrum_once (at);
create table if not exists fulcrum_positions (
  journal text not null,
  shard integer not null,
  offset integer not null, -- of the last write that was applied
  primary key (journal, shard)
) without rowid;
create table if not exists fulcrum_dead_letters (
  id integer primary key autoincrement,
  at integer not null,
  resource text not null,
  scope text not null,     -- of who asked for it
  op integer not null,     -- 0 put, 1 patch, 2 delete, 3 insert
  key text not null,
  body blob,
  if_version text not null,
  if_absent integer not null,
  error text not null      -- why it could not be made
);
create table if not exists fulcrum_beacons (
  view text not null primary key, -- the page that somebody saw
  at integer not null,
  body text not null              -- what the browser told
) without rowid;
create index if not exists fulcrum_beacons_at on fulcrum_beacons (at);
`

// InitSQL are the statements that make Fulcrum's own tables.
func (db *DB) InitSQL() string { return initSQL }

// Init makes them where they are not there yet.
func (db *DB) Init(ctx context.Context) error {
	return db.commit(ctx, func(c *conn) error {
		for _, sql := range strings.SplitAfter(initSQL, ";\n") {
			if strings.TrimSpace(sql) == "" {
				continue
			}
			if err := c.exec(sql); err != nil {
				return err
			}
		}
		return nil
	})
}

// ownTable says what to do if one of Fulcrum's own tables is not there.
func ownTable(resource string, err error) error {
	var e *Error
	if errors.As(err, &e) && strings.HasPrefix(e.Message, "no such table: fulcrum_") {
		return &store.ConfigError{Resource: resource, Field: "store", Problem: "the database has " + strings.Replace(e.Message, "no such", "no", 1) + ": run fulcrum init"}
	}
	return err
}

// own runs a statement on Fulcrum's own tables.
func (c *conn) own(sql string, args []any, row func(*stmt)) error {
	s, err := c.stmt(c.db.planOf(sql))
	if err != nil {
		return err
	}
	defer s.reset()
	for i, a := range args {
		if err := s.bind(i, a); err != nil {
			return err
		}
	}
	for {
		more, err := s.step()
		if err != nil || !more {
			return err
		}
		row(s)
	}
}

func nothing(*stmt) {}

// once makes a change, or tells its first answer again.
func (w *writable) once(conn *conn, c store.Change, carefully bool) (store.Written, error) {
	e, ready := c.Prepared.(*edit)
	if !ready {
		var err error
		if e, err = w.sheet.read(c, w.key); err != nil {
			return store.Written{}, err
		}
	}
	if c.Once == nil {
		return w.careful(conn, &c, e, carefully)
	}
	now := time.Now()
	var body, answer []byte
	err := conn.own("select body, answer from fulcrum_once where scope = ? and key = ? and at > ?",
		[]any{c.Once.Scope, c.Once.Key, now.Add(-store.OnceFor).UnixMilli()}, func(s *stmt) {
			body, answer = append(body, s.blob(0)...), append(answer, s.text(1)...)
		})
	switch {
	case err != nil:
		return store.Written{}, ownTable(w.name, err)
	case body != nil && string(body) != string(c.Once.Body[:]):
		return store.Written{}, store.ErrOnceReused
	case body != nil:
		written, first, err := store.DecodeAnswer(answer)
		return written, errors.Join(err, first)
	}
	written, err := w.careful(conn, &c, e, carefully)
	text, lasting := store.EncodeAnswer(written, err)
	if !lasting || err != nil && c.Once.Again {
		return written, err
	}
	kept := conn.own("insert or replace into fulcrum_once (scope, key, body, answer, at) values (?, ?, ?, ?, ?)",
		[]any{c.Once.Scope, c.Once.Key, c.Once.Body[:], string(text), now.UnixMilli()}, nothing)
	if kept == nil { // a few at a time go with each that comes
		kept = conn.own("delete from fulcrum_once where (scope, key) in (select scope, key from fulcrum_once where at <= ? limit 4)",
			[]any{now.Add(-store.OnceFor).UnixMilli()}, nothing)
	}
	if kept != nil {
		return store.Written{}, kept
	}
	return written, err
}

// advance stores a position; done says that the commit was made before.
func (c *conn) advance(p *fulcrum.Position) (done bool, err error) {
	at := int64(-1)
	err = c.own("select offset from fulcrum_positions where journal = ? and shard = ?", []any{p.Journal, p.Shard}, func(s *stmt) { at = s.int(0) })
	if err != nil {
		return false, ownTable("journal", err)
	}
	switch {
	case at >= p.Offset:
		return true, nil
	case at >= 0 && at != p.After:
		return false, fmt.Errorf("sqlite: shard %d of journal %s was applied up to %d, not %d: %w", p.Shard, p.Journal, at, p.After, fulcrum.ErrPosition)
	}
	return false, c.own("insert or replace into fulcrum_positions (journal, shard, offset) values (?, ?, ?)", []any{p.Journal, p.Shard, p.Offset}, nothing)
}

// Applied is the offset that each shard of a journal was applied up to.
func (db *DB) Applied(ctx context.Context, journal string) (map[int]int64, error) {
	found := make(map[int]int64)
	err := db.with(ctx, func(c *conn) error {
		return c.own("select shard, offset from fulcrum_positions where journal = ?", []any{journal}, func(s *stmt) { found[int(s.int(0))] = s.int(1) })
	})
	return found, ownTable("journal", err)
}

// bury keeps a change that could not be made.
func (c *conn) bury(resource string, change store.Change, why error) error {
	absent := int64(0)
	if change.IfAbsent {
		absent = 1
	}
	var body any
	if change.Body != nil {
		body = change.Body
	}
	err := c.own("insert into fulcrum_dead_letters (at, resource, scope, op, key, body, if_version, if_absent, error) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		[]any{time.Now().UnixMilli(), resource, fulcrum.ScopeFrom(c.ctx), int64(change.Op), string(change.Key), body, change.IfVersion, absent, why.Error()}, nothing)
	return ownTable(resource, err)
}

// DeadLetters lists changes that could not be made, the oldest first.
func (db *DB) DeadLetters(ctx context.Context, after int64, limit int) ([]store.DeadLetter, error) {
	var all []store.DeadLetter
	err := db.with(ctx, func(c *conn) error {
		return c.own("select id, at, resource, op, key, body, if_version, if_absent, error, scope from fulcrum_dead_letters where id > ? order by id limit ?",
			[]any{after, limit}, func(s *stmt) {
				d := store.DeadLetter{ID: s.int(0), At: time.UnixMilli(s.int(1)), Resource: string(s.text(2)), Scope: string(s.text(9)), Error: string(s.text(8))}
				d.Change = store.Change{Op: store.Op(s.int(3)), Key: store.Key(s.text(4)), IfVersion: string(s.text(6)), IfAbsent: s.int(7) != 0}
				if s.class(5) != classNull {
					d.Change.Body = append([]byte{}, s.blob(5)...)
				}
				all = append(all, d)
			})
	})
	return all, ownTable("dead letters", err)
}

// Discard takes dead letters away.
func (db *DB) Discard(ctx context.Context, ids []int64) (n int, err error) {
	err = db.commit(ctx, func(c *conn) error {
		for _, id := range ids {
			if err := c.own("delete from fulcrum_dead_letters where id = ? returning id", []any{id}, func(*stmt) { n++ }); err != nil {
				return err
			}
		}
		return nil
	})
	return n, ownTable("dead letters", err)
}

// Beacons are the last ones, the oldest first.
func (db *DB) Beacons(ctx context.Context, limit int) ([]store.Beacon, error) {
	var all []store.Beacon
	err := db.with(ctx, func(c *conn) error {
		return c.own("select view, at, body from fulcrum_beacons order by at desc, view desc limit ?", []any{limit}, func(s *stmt) {
			all = append(all, store.Beacon{View: string(s.text(0)), At: s.int(1), Body: string(s.text(2))})
		})
	})
	slices.Reverse(all)
	return all, ownTable("beacons", err)
}

// ForgetBeacons takes away all but the last ones.
func (db *DB) ForgetBeacons(ctx context.Context, keep int) (n int, err error) {
	err = db.commit(ctx, func(c *conn) error {
		n = 0
		return c.own("delete from fulcrum_beacons where view in (select view from fulcrum_beacons order by at desc, view desc limit -1 offset ?) returning 1",
			[]any{keep}, func(*stmt) { n++ })
	})
	return n, ownTable("beacons", err)
}
