package sqlite

import (
	"cmp"
	"context"
	"encoding/base64"
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
	exact   bool
	look    *plan // whether a row is there, and its version
	removal *plan
	replace *plan // of all columns; nil if there are none but the key
	create  *plan // with all columns
}

var _ store.Exact = (*writable)(nil)

func newWritable(t *resource, o *opened, s *sheet) *writable {
	w := &writable{resource: t, name: o.resource.Name, schema: o.table.schema, table: o.table.name, sheet: s, exact: o.exact}
	shown := "1"
	if s.version != nil {
		shown = quote(s.version.name)
	}
	w.look = t.db.planOf("select " + shown + " from " + w.target() + w.where())
	w.removal = t.db.planOf("delete from " + w.target() + w.where())
	all := make([]bool, len(s.columns))
	for i, f := range s.columns {
		all[i] = !f.isKey
	}
	if sql := w.updateSQL(all); sql != "" {
		w.replace = t.db.planOf(sql)
	}
	w.create = t.db.planOf(w.insertSQL(all, true))
	return w
}

// ExactKeys says that the file takes no two keys for the same.
func (w *writable) ExactKeys() bool { return w.exact }

func (w *writable) target() string { return quote(w.schema) + "." + quote(w.table) }

// where finds the row of a key, whose parts are the last parameters.
func (w *writable) where() string {
	var b strings.Builder
	for n, name := range w.sheet.keyNames() {
		b.WriteString([]string{" where ", " and "}[min(n, 1)] + quote(name) + " = ?")
	}
	return b.String()
}

// updateSQL changes the named columns of a row and tells its version; empty if there is
// nothing to change. The version of a time is the last parameter before the key.
func (w *writable) updateSQL(named []bool) string {
	var sets []string
	for i, f := range w.sheet.columns {
		if named[i] {
			sets = append(sets, quote(f.name)+" = ?")
		}
	}
	returning := ""
	if v := w.sheet.version; v != nil {
		next := quote(v.name) + " = ?"
		if !w.sheet.timed {
			next = quote(v.name) + " = coalesce(cast(" + quote(v.name) + " as integer), 0) + 1"
		}
		sets = append(sets, next)
		returning = " returning " + quote(v.name)
	}
	if len(sets) == 0 {
		return ""
	}
	return "update " + w.target() + " set " + strings.Join(sets, ", ") + w.where() + returning
}

// insertSQL makes a row; what is not named gets its default. Parameters are the named
// columns, the version, and the key, if it is given; otherwise it is told.
func (w *writable) insertSQL(named []bool, keyed bool) string {
	var columns []string
	for i, f := range w.sheet.columns {
		if named[i] {
			columns = append(columns, quote(f.name))
		}
	}
	if v := w.sheet.version; v != nil {
		columns = append(columns, quote(v.name))
	}
	returning := ""
	if keyed {
		for _, name := range w.sheet.keyNames() {
			columns = append(columns, quote(name))
		}
	} else {
		returning = " returning " + quote(w.key[0].Name) // ParseChange sees to it that there is one
	}
	if len(columns) == 0 {
		return "insert into " + w.target() + " default values" + returning
	}
	return "insert into " + w.target() + " (" + strings.Join(columns, ", ") + ") values (" +
		strings.TrimPrefix(strings.Repeat(", ?", len(columns)), ", ") + ")" + returning
}

// Apply makes changes in one transaction. A change that breaks a constraint fails alone.
func (w *writable) Apply(ctx context.Context, c *fulcrum.Commit[store.Change, store.Written]) error {
	err := w.db.commit(ctx, func(conn *conn) error { return w.transact(conn, c, false) })
	if errors.Is(err, errCarefully) {
		c.Reset()
		err = w.db.commit(ctx, func(conn *conn) error { return w.transact(conn, c, true) })
	}
	if err == nil {
		c.SetToken(w.db.moment())
	}
	return err
}

// errCarefully says that the rows must be looked at one by one: a deferred constraint does
// not hold at the end, or a trigger has refused a row and perhaps left something behind.
var errCarefully = errors.New("sqlite: a row must be undone alone")

// transact makes all changes and commits. carefully has each row undone that fails, or
// leaves a deferred constraint broken.
func (w *writable) transact(conn *conn, c *fulcrum.Commit[store.Change, store.Written], carefully bool) error {
	if err := conn.own("begin immediate", nil, nothing); err != nil {
		return err
	}
	err := w.fill(conn, c, carefully)
	if err == nil {
		err = conn.own("commit", nil, nothing)
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
			return errCarefully
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
		case !carefully && w.refused(err):
			return errCarefully
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

// refused says whether a trigger, or something that it does, has refused a row: raise(fail)
// and "or fail" keep what was done of it.
func (w *writable) refused(err error) bool {
	var row *store.RowError
	return errors.As(err, &row) && (w.sheet.triggers || row.Code == codeTrigger)
}

// codeTrigger is that of raise.
var codeTrigger = fmt.Sprint(sqlite3.SQLITE_CONSTRAINT_TRIGGER)

// careful makes a change, and undoes it if it fails or leaves a deferred constraint broken.
func (w *writable) careful(conn *conn, c *store.Change, e *edit, carefully bool) (store.Written, error) {
	if !carefully {
		return w.make(conn, c, e)
	}
	if err := conn.exec("savepoint one"); err != nil {
		return store.Written{}, err
	}
	written, err := w.make(conn, c, e)
	if err == nil && conn.brokenForeignKeys() {
		err = &store.RowError{Constraint: "foreign key", Code: "787", Message: "FOREIGN KEY constraint failed"}
	}
	if err != nil {
		if !ofRow(err) || sqlite3.Xsqlite3_get_autocommit(conn.tls, conn.handle) != 0 {
			return written, err
		}
		if undo := conn.exec("rollback to one"); undo != nil {
			return written, undo
		}
	}
	if release := conn.exec("release one"); release != nil {
		return written, release
	}
	return written, err
}

// brokenForeignKeys says whether deferred ones do not hold now.
func (c *conn) brokenForeignKeys() bool {
	out, highest := newSlot(c.tls), newSlot(c.tls) // SQLite says nothing in the second, last
	defer libc.Xfree(c.tls, out)
	defer libc.Xfree(c.tls, highest)
	rc := sqlite3.Xsqlite3_db_status(c.tls, c.handle, sqlite3.SQLITE_DBSTATUS_DEFERRED_FKS, out, highest, 0)
	return rc != sqlite3.SQLITE_OK || *slot(out) != 0
}

// make makes one change.
func (w *writable) make(conn *conn, c *store.Change, e *edit) (written store.Written, err error) {
	written.Key = c.Key
	if c.IfVersion != "" || c.IfAbsent {
		there, version, err := w.find(conn, e)
		switch {
		case err != nil:
			return written, err
		case c.IfVersion != "" && (!there || version != c.IfVersion):
			return written, store.ErrVersion
		case c.IfAbsent && there:
			return written, store.ErrExists
		}
	}
	switch {
	case c.Op == store.Delete:
		return written, w.remove(conn, c, e, &written)
	case c.Op == store.Insert || c.IfAbsent:
		err = w.insert(conn, e, c.AskCreated || c.IfAbsent, &written)
	default:
		var found bool
		if found, err = w.update(conn, e, &written); err == nil && !found {
			if err = fulcrum.ErrNotFound; c.Op == store.Put {
				err = w.insert(conn, e, c.AskCreated || c.IfAbsent, &written)
			}
		}
	}
	if err == nil && c.Return {
		written.Row, err = w.shown(conn, written.Key)
	}
	return written, err
}

// find looks whether the row is there, and for its version.
func (w *writable) find(conn *conn, e *edit) (there bool, version string, err error) {
	err = w.run(conn, w.look, e, nil, func(s *stmt) {
		there = true
		if w.sheet.version != nil && s.class(0) != classNull {
			version = string(s.text(0))
		}
	})
	return there, version, err
}

func (w *writable) remove(conn *conn, c *store.Change, e *edit, written *store.Written) (err error) {
	if c.Return {
		if written.Row, err = w.shown(conn, c.Key); err != nil {
			return err
		}
	}
	if err = w.run(conn, w.removal, e, nil, nil); err == nil && conn.changes() == 0 {
		return fulcrum.ErrNotFound
	}
	return err
}

// update changes the columns that the body names; false if the row is not there.
func (w *writable) update(conn *conn, e *edit, written *store.Written) (found bool, err error) {
	p := w.replace
	if e.op == store.Patch {
		p = w.db.planOf(w.updateSQL(e.named))
	}
	if p == nil { // a put of a row that is its key
		found, _, err = w.find(conn, e)
		return found, err
	}
	values := w.named(e)
	if w.sheet.timed {
		_, was, err := w.find(conn, e)
		if err != nil {
			return false, err
		}
		written.Version = after(was, time.Now())
		values = append(values, written.Version)
	}
	err = w.run(conn, p, e, values, func(s *stmt) { written.Version = string(s.text(0)) })
	return conn.changes() > 0, err
}

// insert makes a row that must not be there. asks says that somebody wants to be told.
func (w *writable) insert(conn *conn, e *edit, asks bool, written *store.Written) error {
	values := w.named(e)
	switch {
	case w.sheet.timed:
		values = append(values, after("", time.Now()))
	case w.sheet.version != nil:
		values = append(values, int64(1))
	}
	if w.sheet.version != nil {
		written.Version = fmt.Sprint(values[len(values)-1])
	}
	if w.sheet.triggers && e.parts != nil { // afterwards it could be what is left of this one
		if there, _, err := w.find(conn, e); there || err != nil {
			return cmp.Or(err, store.ErrExists)
		}
	}
	p := w.create
	if e.op == store.Insert {
		p = w.db.planOf(w.insertSQL(e.named, e.parts != nil))
	}
	err := w.run(conn, p, e, values, func(s *stmt) { written.Key = w.keyOf(s) })
	if err == nil {
		written.Created = e.op == store.Insert || asks
		return nil
	}
	var row *store.RowError
	if e.parts != nil && errors.As(err, &row) && row.Code != codeTrigger && !w.sheet.triggers {
		if there, _, lookErr := w.find(conn, e); lookErr == nil && there {
			return store.ErrExists
		}
	}
	return err
}

// keyOf is the key that the file has made.
func (w *writable) keyOf(s *stmt) store.Key {
	if w.key[0].Type == store.KeyBytes {
		return store.JoinKey(base64.RawURLEncoding.EncodeToString(s.blob(0)))
	}
	return store.JoinKey(string(s.text(0)))
}

// after is the version that follows another where versions are times. A clock may be set
// back; a version must never come again.
func after(was string, now time.Time) string {
	for _, layout := range append([]string{time.RFC3339Nano}, timeLayouts...) {
		if last, err := time.Parse(layout, was); err == nil && !now.After(last) {
			now = last.Add(1)
		}
	}
	return now.UTC().Format(time.RFC3339Nano)
}

// named are the values that a body names, in the order of the columns.
func (w *writable) named(e *edit) []any {
	values := make([]any, 0, len(e.values)+1)
	for i := range w.sheet.columns {
		if e.named[i] {
			values = append(values, e.values[i])
		}
	}
	return values
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
		if err := bindPart(s, len(values)+i, w.key[i], part); err != nil {
			return err
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

// changes is how many rows the last statement that writes has changed.
func (c *conn) changes() int { return int(sqlite3.Xsqlite3_changes(c.tls, c.handle)) }

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
	return fulcrum.FateUnknown, errors.New("sqlite: commits have no names that could be asked for")
}
