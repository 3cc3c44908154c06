package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// writable is an opened resource whose rows can be changed. SQLite makes one commit at a
// time; each row is a statement of its own in it, and one that fails undoes itself alone.
type writable struct {
	*resource
	name    string
	schema  string
	table   string
	sheet   *sheet
	look    *plan // whether a row is there, and its version
	removal *plan
}

var _ store.Writable = (*writable)(nil)

func newWritable(t *resource, o *opened, s *sheet) *writable {
	w := &writable{resource: t, name: o.resource.Name, schema: o.table.schema, table: o.table.name, sheet: s}
	shown := "1"
	if s.version != nil {
		shown = quote(s.version.name)
	}
	w.look = t.db.planOf("select " + shown + " from " + w.target() + w.where())
	w.removal = t.db.planOf("delete from " + w.target() + w.where())
	return w
}

func (w *writable) target() string { return quote(w.schema) + "." + quote(w.table) }

// where finds the row of a key, whose parts are the last parameters.
func (w *writable) where() string {
	var b strings.Builder
	for n, name := range w.sheet.keyNames() {
		b.WriteString([]string{" where ", " and "}[min(n, 1)] + quote(name) + " = ?")
	}
	return b.String()
}

// Apply makes changes in one transaction. A change that breaks a constraint fails alone.
func (w *writable) Apply(ctx context.Context, c *fulcrum.Commit[store.Change, store.Written]) error {
	err := w.db.commit(ctx, func(conn *conn) error { return w.transact(conn, c, false) })
	if errors.Is(err, errDeferred) { // found at the end: look for the guilty rows one by one
		c.Reset()
		err = w.db.commit(ctx, func(conn *conn) error { return w.transact(conn, c, true) })
	}
	if err == nil {
		c.SetToken(w.db.moment())
	}
	return err
}

// errDeferred says that a deferred constraint does not hold at the end.
var errDeferred = errors.New("sqlite: a deferred constraint does not hold")

// transact makes all changes and commits. carefully has each row undone that leaves a
// deferred constraint broken.
func (w *writable) transact(conn *conn, c *fulcrum.Commit[store.Change, store.Written], carefully bool) error {
	if err := conn.exec("begin immediate"); err != nil {
		return err
	}
	err := w.fill(conn, c, carefully)
	if err == nil {
		err = conn.exec("commit")
	}
	if err == nil {
		return nil
	}
	if sqlite3.Xsqlite3_get_autocommit(conn.tls, conn.handle) == 0 {
		conn.ctx = nil // it must not be interrupted
		if undo := conn.exec("rollback"); undo != nil {
			return errors.Join(err, undo)
		}
	}
	var e *Error
	if errors.As(err, &e) {
		switch {
		case e.Code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY && !carefully:
			return errDeferred
		case e.Code == sqlite3.SQLITE_IOERR_FSYNC: // written, but perhaps not to last
			return fmt.Errorf("%w: %w", fulcrum.ErrAmbiguous, err)
		}
	}
	return err
}

// fill makes the changes of a transaction that has begun.
func (w *writable) fill(conn *conn, c *fulcrum.Commit[store.Change, store.Written], carefully bool) error {
	if p := c.Position(); p != nil {
		if done, err := conn.advance(p); done || err != nil {
			return err
		}
	}
	for i, change := range c.Items() {
		if i%patience == 0 {
			if err := conn.over(); err != nil {
				return err
			}
		}
		written, err := w.once(conn, change, carefully)
		switch {
		case err == nil:
			c.Set(i, written)
		case !ofRow(err):
			return err
		case sqlite3.Xsqlite3_get_autocommit(conn.tls, conn.handle) != 0:
			return fmt.Errorf("sqlite: resource %q: a trigger or a conflict clause has rolled back the whole transaction (raise(rollback), on conflict rollback): use abort there: %w", w.name, err)
		default:
			if c.Position() != nil {
				if err := conn.bury(w.name, change, err); err != nil {
					return err
				}
			}
			c.Fail(i, err)
		}
	}
	return nil
}

// ofRow says whether an error is the fault of one change.
func ofRow(err error) bool {
	var row *store.RowError
	var body *store.BodyError
	var config *store.ConfigError
	return errors.As(err, &row) || errors.As(err, &body) || errors.As(err, &config) || errors.Is(err, fulcrum.ErrNotFound) ||
		errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrVersion) || errors.Is(err, store.ErrOnceReused)
}

// careful makes a change, and undoes it if it leaves a deferred constraint broken.
func (w *writable) careful(conn *conn, e *edit, carefully bool) (store.Written, error) {
	if !carefully {
		return w.make(conn, e)
	}
	if err := conn.exec("savepoint one"); err != nil {
		return store.Written{}, err
	}
	written, err := w.make(conn, e)
	if err == nil && conn.brokenForeignKeys() {
		if err := conn.exec("rollback to one"); err != nil {
			return written, err
		}
		err = &store.RowError{Constraint: "foreign key", Code: "787", Message: "FOREIGN KEY constraint failed"}
	}
	if release := conn.exec("release one"); release != nil {
		return written, release
	}
	return written, err
}

// brokenForeignKeys says whether deferred ones do not hold now.
func (c *conn) brokenForeignKeys() bool {
	out := newSlot(c.tls)
	defer libc.Xfree(c.tls, out)
	rc := sqlite3.Xsqlite3_db_status(c.tls, c.handle, sqlite3.SQLITE_DBSTATUS_DEFERRED_FKS, out, out, 0)
	return rc != sqlite3.SQLITE_OK || *slot(out) != 0
}

// make makes one change.
func (w *writable) make(conn *conn, e *edit) (store.Written, error) {
	written := store.Written{Key: e.Key}
	there, version, err := w.find(conn, e)
	if err != nil {
		return written, err
	}
	switch {
	case e.IfVersion != "" && (!there || version != e.IfVersion):
		return written, store.ErrVersion
	case there && (e.Op == store.Insert || e.IfAbsent):
		return written, store.ErrExists
	case !there && (e.Op == store.Patch || e.Op == store.Delete):
		return written, fulcrum.ErrNotFound
	case e.Op == store.Delete:
		return written, w.remove(conn, e, &written)
	}
	written.Created = !there
	next := w.sheet.next(there, version)
	if there {
		err = w.update(conn, e, next)
	} else {
		err = w.insert(conn, e, next, &written)
	}
	if err != nil {
		return store.Written{Key: e.Key}, err
	}
	written.Version = versionText(next)
	if e.Return {
		written.Row, err = w.shown(conn, written.Key)
	}
	return written, err
}

// find looks whether the row is there, and for its version.
func (w *writable) find(conn *conn, e *edit) (there bool, version string, err error) {
	if e.parts == nil {
		return false, "", nil
	}
	err = w.run(conn, w.look, e, nil, func(s *stmt) {
		there = true
		if w.sheet.version != nil && s.class(0) != classNull {
			version = string(s.text(0))
		}
	})
	return there, version, err
}

// next is the version that a change gives its row; nil without a version column.
func (s *sheet) next(there bool, was string) any {
	switch {
	case s.version == nil:
		return nil
	case s.timed:
		return time.Now().UTC().Format("2006-01-02T15:04:05.000000000Z07:00")
	case !there:
		return int64(1)
	}
	n, _ := intValue([]byte(was + " ")[:len(was)]) // what is no integer begins again
	at, _ := n.(int64)
	return at + 1
}

func versionText(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func (w *writable) remove(conn *conn, e *edit, written *store.Written) (err error) {
	if e.Return {
		if written.Row, err = w.shown(conn, e.Key); err != nil {
			return err
		}
	}
	return w.run(conn, w.removal, e, nil, nil)
}

// update changes the columns that the body names.
func (w *writable) update(conn *conn, e *edit, next any) error {
	var sql strings.Builder
	sql.WriteString("update " + w.target() + " set ")
	columns, values := w.named(e, next)
	for i, c := range columns {
		if i > 0 {
			sql.WriteString(", ")
		}
		sql.WriteString(quote(c) + " = ?")
	}
	if len(columns) == 0 { // a put of a row that is its key
		return nil
	}
	return w.run(conn, w.db.planOf(sql.String()+w.where()), e, values, nil)
}

// insert makes a row; what the body does not name gets its default.
func (w *writable) insert(conn *conn, e *edit, next any, written *store.Written) error {
	columns, values := w.named(e, next)
	if e.parts != nil {
		columns = append(columns, w.sheet.keyNames()...)
	}
	sql := "insert into " + w.target() + " default values"
	if len(columns) > 0 {
		quoted := make([]string, len(columns))
		for i, c := range columns {
			quoted[i] = quote(c)
		}
		sql = "insert into " + w.target() + " (" + strings.Join(quoted, ", ") + ") values (" + strings.TrimPrefix(strings.Repeat(", ?", len(columns)), ", ") + ")"
	}
	if e.parts != nil {
		return w.run(conn, w.db.planOf(sql), e, values, nil)
	}
	key := w.key[0] // ParseChange sees to it that there is one
	return w.run(conn, w.db.planOf(sql+" returning "+quote(key.Name)), e, values, func(s *stmt) {
		part := string(s.text(0))
		if key.Type == store.KeyBytes {
			part = rawURL(s.blob(0))
		}
		written.Key = store.JoinKey(part)
	})
}

// named are the columns that a body names, with their values, and the version.
func (w *writable) named(e *edit, next any) (columns []string, values []any) {
	for i, f := range w.sheet.columns {
		if e.named[i] {
			columns, values = append(columns, f.name), append(values, e.values[i])
		}
	}
	if next != nil {
		columns, values = append(columns, w.sheet.version.name), append(values, next)
	}
	return columns, values
}

// run runs a statement whose parameters are values and then the parts of the key, if it
// has one, and calls row for each row.
func (w *writable) run(conn *conn, p *plan, e *edit, values []any, row func(*stmt)) error {
	s, err := conn.stmt(p)
	if err != nil {
		return err
	}
	defer s.reset()
	for i, v := range values {
		if err := s.bind(i, v); err != nil {
			return err
		}
	}
	for i, part := range e.parts {
		if at := len(values) + i; at < len(s.params) {
			if err := bindPart(s, at, w.key[i], part); err != nil {
				return err
			}
		}
	}
	for {
		more, err := s.step()
		if err != nil {
			return rowError(err)
		}
		if !more {
			return nil
		}
		if row != nil {
			row(s)
		}
	}
}

// shown is the row as readers see it.
func (w *writable) shown(conn *conn, key store.Key) ([]byte, error) {
	s, err := conn.stmt(w.plan)
	if err != nil {
		return nil, err
	}
	defer s.reset()
	return w.read(s, key)
}

// rowError makes a *store.RowError of what SQLite has against a row.
func rowError(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
	default:
		return err
	}
	row := &store.RowError{Code: fmt.Sprint(e.Code), Message: e.Message}
	if what, name, ok := strings.Cut(e.Message, " constraint failed"); ok {
		name = strings.TrimPrefix(name, ": ")
		switch {
		case what == "NOT NULL":
			_, row.Column, _ = strings.Cut(name, ".")
			row.Constraint = "not null"
		case name == "":
			row.Constraint = strings.ToLower(what)
		default:
			row.Constraint = name
		}
	}
	return row
}

// Resolve has nothing to ask: the answer to a COMMIT cannot get lost within a process.
func (w *writable) Resolve(context.Context, fulcrum.CommitID) (fulcrum.Fate, error) {
	return fulcrum.FateUnknown, nil
}
