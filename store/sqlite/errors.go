package sqlite

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/fulcrum-data/fulcrum/store"
)

// Error is what SQLite said. errors.Is(err, store.ErrUnavailable) holds if the
// file is the cause and not the key that was asked for.
type Error struct {
	Path    string // of the file
	Code    int    // SQLite's extended result code
	Message string // SQLite's text
	Hint    string // what to do, if we know
}

// Error gives the file, SQLite's text, and the hint.
func (e *Error) Error() string {
	text := fmt.Sprintf("sqlite: %s: %s", e.Path, e.Message)
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// Is makes errors.Is(err, store.ErrUnavailable) hold where the file is the cause.
func (e *Error) Is(target error) bool {
	return target == store.ErrUnavailable && fileTrouble[e.Code&0xff]
}

// fileTrouble are the primary codes that speak of the file, not of the query.
var fileTrouble = map[int]bool{
	sqlite3.SQLITE_PERM: true, sqlite3.SQLITE_BUSY: true, sqlite3.SQLITE_LOCKED: true,
	sqlite3.SQLITE_NOMEM: true, sqlite3.SQLITE_READONLY: true, sqlite3.SQLITE_IOERR: true,
	sqlite3.SQLITE_CORRUPT: true, sqlite3.SQLITE_FULL: true, sqlite3.SQLITE_CANTOPEN: true,
	sqlite3.SQLITE_PROTOCOL: true, sqlite3.SQLITE_NOTADB: true, sqlite3.SQLITE_AUTH: true,
}

var hints = map[int]string{
	sqlite3.SQLITE_NOTADB:   "name a file that SQLite has written",
	sqlite3.SQLITE_CORRUPT:  "restore it from a backup; pragma integrity_check shows what is broken",
	sqlite3.SQLITE_READONLY: "open it with ReadOnly, or make the file and its folder writable",
	sqlite3.SQLITE_CANTOPEN: "check that the file and its folder can be read and, without ReadOnly, written",
	sqlite3.SQLITE_BUSY:     "another process holds its lock",
	sqlite3.SQLITE_FULL:     "make room on the disk; nothing of the transaction was written",
}

// failure makes an error of a result code: the context's own if that ended the
// query.
func (c *conn) failure(rc int32) error {
	if ended := c.ended; ended != nil {
		c.ended = nil
		return ended
	}
	e := &Error{Path: c.db.cfg.Path, Code: int(rc), Hint: hints[int(rc)&0xff]}
	if c.handle != 0 {
		e.Message = libc.GoString(sqlite3.Xsqlite3_errmsg(c.tls, c.handle))
	} else {
		e.Message = libc.GoString(sqlite3.Xsqlite3_errstr(c.tls, rc))
	}
	return e
}

// isShared says whether an error concerns all keys of a batch.
func isShared(err error) bool {
	return errors.Is(err, store.ErrUnavailable) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
