package sqlite

import (
	"fmt"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// stmt is a prepared statement. It belongs to its connection.
type stmt struct {
	c       *conn
	handle  uintptr
	params  []buffer // what is bound, by its position
	cols    int      // of a row
	scratch []byte   // where a row is written before its size is known
	wrong   error    // the first value that Row could not give as asked
}

// buffer is memory of SQLite that a bound text or blob lies in until the next.
type buffer struct {
	p   uintptr
	cap int
}

// minBuffer is the least size of a buffer, in bytes: a key seldom needs more.
const minBuffer = 64

func (c *conn) prepare(sql string) (*stmt, error) {
	text, err := libc.CString(sql)
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(c.tls, text)
	out := newSlot(c.tls)
	defer libc.Xfree(c.tls, out)
	rc := sqlite3.Xsqlite3_prepare_v3(c.tls, c.handle, text, -1, sqlite3.SQLITE_PREPARE_PERSISTENT, out, 0)
	if rc != sqlite3.SQLITE_OK {
		return nil, c.failure(rc)
	}
	s := &stmt{c: c, handle: *slot(out)}
	s.params = make([]buffer, sqlite3.Xsqlite3_bind_parameter_count(c.tls, s.handle))
	s.cols = int(sqlite3.Xsqlite3_column_count(c.tls, s.handle))
	return s, nil
}

func (s *stmt) close() {
	sqlite3.Xsqlite3_finalize(s.c.tls, s.handle)
	for _, b := range s.params {
		libc.Xfree(s.c.tls, b.p)
	}
}

// bind sets the i-th parameter, from 0: an int64, int, float64, string, []byte or nil.
func (s *stmt) bind(i int, value any) error {
	switch v := value.(type) {
	case int64:
		return s.bindInt(i, v)
	case int:
		return s.bindInt(i, int64(v))
	case string:
		return s.bindText(i, v)
	case []byte:
		p := fill(s, i, v)
		return s.check(sqlite3.Xsqlite3_bind_blob(s.c.tls, s.handle, int32(i+1), p, int32(len(v)), sqlite3.SQLITE_STATIC))
	case float64:
		return s.check(sqlite3.Xsqlite3_bind_double(s.c.tls, s.handle, int32(i+1), v))
	case nil:
		return s.check(sqlite3.Xsqlite3_bind_null(s.c.tls, s.handle, int32(i+1)))
	}
	return fmt.Errorf("sqlite: a key part cannot be a %T: use int64, float64, string, []byte or nil", value)
}

func (s *stmt) bindInt(i int, v int64) error {
	return s.check(sqlite3.Xsqlite3_bind_int64(s.c.tls, s.handle, int32(i+1), v))
}

func (s *stmt) bindText(i int, v string) error {
	p := fill(s, i, v)
	return s.check(sqlite3.Xsqlite3_bind_text(s.c.tls, s.handle, int32(i+1), p, int32(len(v)), sqlite3.SQLITE_STATIC))
}

// fill copies a value to where SQLite can keep looking at it.
func fill[T string | []byte](s *stmt, i int, v T) uintptr {
	b := &s.params[i]
	if b.cap < len(v) || b.p == 0 {
		libc.Xfree(s.c.tls, b.p)
		b.cap = max(len(v), minBuffer)
		b.p = libc.Xmalloc(s.c.tls, libc.Tsize_t(b.cap))
	}
	copy(view(b.p, b.cap), v)
	return b.p
}

func (s *stmt) check(rc int32) error {
	if rc == sqlite3.SQLITE_OK {
		return nil
	}
	return s.c.failure(rc)
}

// step goes to the next row; false after the last.
func (s *stmt) step() (bool, error) {
	switch rc := sqlite3.Xsqlite3_step(s.c.tls, s.handle); rc {
	case sqlite3.SQLITE_ROW:
		return true, nil
	case sqlite3.SQLITE_DONE:
		return false, nil
	default:
		return false, s.c.failure(rc)
	}
}

// reset ends the query, wherever it stands. Its code repeats step's error.
func (s *stmt) reset() { sqlite3.Xsqlite3_reset(s.c.tls, s.handle) }

// The storage classes of a value.
const (
	classInt   = sqlite3.SQLITE_INTEGER
	classFloat = sqlite3.SQLITE_FLOAT
	classText  = sqlite3.SQLITE_TEXT
	classBlob  = sqlite3.SQLITE_BLOB
	classNull  = sqlite3.SQLITE_NULL
)

func (s *stmt) class(i int) int32 { return sqlite3.Xsqlite3_column_type(s.c.tls, s.handle, int32(i)) }
func (s *stmt) int(i int) int64 {
	return sqlite3.Xsqlite3_column_int64(s.c.tls, s.handle, int32(i))
}
func (s *stmt) float(i int) float64 {
	return sqlite3.Xsqlite3_column_double(s.c.tls, s.handle, int32(i))
}

// text is a text's or a blob's bytes. They are SQLite's, valid until the next step.
func (s *stmt) text(i int) []byte {
	p := sqlite3.Xsqlite3_column_text(s.c.tls, s.handle, int32(i))
	return view(p, int(sqlite3.Xsqlite3_column_bytes(s.c.tls, s.handle, int32(i))))
}

func (s *stmt) blob(i int) []byte {
	p := sqlite3.Xsqlite3_column_blob(s.c.tls, s.handle, int32(i))
	return view(p, int(sqlite3.Xsqlite3_column_bytes(s.c.tls, s.handle, int32(i))))
}

func (s *stmt) name(i int) string {
	return libc.GoString(sqlite3.Xsqlite3_column_name(s.c.tls, s.handle, int32(i)))
}
