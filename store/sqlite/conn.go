package sqlite

import (
	"context"
	"sync"
	"time"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// conn is one connection. One goroutine at a time may use it.
type conn struct {
	db     *DB
	tls    *libc.TLS
	handle uintptr

	ctx    context.Context // of the call in progress; nil between calls
	ended  error           // why SQLite was told to stop, if it was
	locked time.Time       // since when it waits for a lock
	begin  *stmt
	commit *stmt
	stmts  []*stmt // by plan.id; nil where not prepared yet
}

// conns finds the connection that SQLite calls back about, by its handle.
var conns sync.Map // uintptr → *conn

// steps is how many steps of its virtual machine SQLite does between two looks at
// the context: some 20 µs.
const steps = 1000

// openConn opens the file and runs the pragmas.
func openConn(db *DB, pragmas []string) (*conn, error) {
	c := &conn{db: db, tls: libc.NewTLS()}
	if err := c.open(); err != nil {
		c.close()
		return nil, err
	}
	for _, sql := range pragmas {
		if err := c.exec(sql); err != nil {
			c.close()
			return nil, err
		}
	}
	var err error
	if c.begin, err = c.prepare("begin"); err == nil {
		c.commit, err = c.prepare("commit")
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// open makes the handle. NOMUTEX is right because a connection is used by one
// goroutine at a time.
func (c *conn) open() error {
	flags := int32(sqlite3.SQLITE_OPEN_READWRITE)
	if c.db.cfg.ReadOnly {
		flags = sqlite3.SQLITE_OPEN_READONLY
	}
	path, err := libc.CString(c.db.cfg.Path)
	if err != nil {
		return err
	}
	defer libc.Xfree(c.tls, path)
	out := newSlot(c.tls)
	defer libc.Xfree(c.tls, out)
	rc := sqlite3.Xsqlite3_open_v2(c.tls, path, out, flags|sqlite3.SQLITE_OPEN_NOMUTEX, 0)
	c.handle = *slot(out)
	if rc != sqlite3.SQLITE_OK {
		return c.failure(rc)
	}
	sqlite3.Xsqlite3_extended_result_codes(c.tls, c.handle, 1)
	conns.Store(c.handle, c)
	sqlite3.Xsqlite3_progress_handler(c.tls, c.handle, steps, progressCallback, c.handle)
	sqlite3.Xsqlite3_busy_handler(c.tls, c.handle, busyCallback, c.handle)
	return nil
}

// close may be called on what open left half done.
func (c *conn) close() {
	conns.Delete(c.handle)
	for _, s := range append(c.stmts, c.begin, c.commit) {
		if s != nil {
			s.close()
		}
	}
	sqlite3.Xsqlite3_close_v2(c.tls, c.handle)
	c.tls.Close()
}

// exec runs one statement that gives no rows or one that nobody reads.
func (c *conn) exec(sql string) error {
	s, err := c.prepare(sql)
	if err != nil {
		return err
	}
	defer s.close()
	_, err = s.step()
	return err
}

// stmt is the connection's own prepared statement of a plan.
func (c *conn) stmt(p *plan) (*stmt, error) {
	for len(c.stmts) <= p.id {
		c.stmts = append(c.stmts, nil)
	}
	if s := c.stmts[p.id]; s != nil && p.id == ownStatement {
		s.close()
		c.stmts[p.id] = nil
	}
	if c.stmts[p.id] == nil {
		s, err := c.prepare(p.sql)
		if err != nil {
			return nil, err
		}
		c.stmts[p.id] = s
	}
	return c.stmts[p.id], nil
}

// over says why the call in progress must end, nil if it need not.
func (c *conn) over() error {
	if c.db.closed.Load() {
		return c.db.errClosed()
	}
	if c.ctx != nil {
		return c.ctx.Err()
	}
	return nil
}

// interrupted is over, remembered for the error that SQLite then returns.
func (c *conn) interrupted() bool {
	c.ended = c.over()
	return c.ended != nil
}

// Functions that SQLite calls must be declared ones: a closure's address may not
// leave Go.
var (
	progressCallback = address(progress)
	busyCallback     = address(busy)
)

// address is what SQLite knows a declared function by.
func address[F any](f F) uintptr {
	held := struct{ f F }{f}
	return *(*uintptr)(unsafe.Pointer(&held))
}

// progress is asked every few steps whether a query must stop: not 0.
func progress(_ *libc.TLS, handle uintptr) int32 {
	if c, ok := conns.Load(handle); ok && c.(*conn).interrupted() {
		return 1
	}
	return 0
}

// busy is asked whether to wait once more for a lock that another process holds:
// not 0. In WAL mode readers hardly ever meet one.
func busy(_ *libc.TLS, handle uintptr, times int32) int32 {
	found, ok := conns.Load(handle)
	if !ok {
		return 0
	}
	c := found.(*conn)
	if times == 0 {
		c.locked = time.Now()
	}
	if c.interrupted() || time.Since(c.locked) >= c.db.cfg.BusyTimeout {
		return 0
	}
	time.Sleep(busyPause)
	return 1
}

// busyPause is how long a query that met a lock sleeps before it tries again.
const busyPause = 2 * time.Millisecond

// newSlot is memory for one pointer that SQLite fills in.
func newSlot(tls *libc.TLS) uintptr {
	return libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(uintptr(0))))
}

// slot looks at it. Memory of SQLite lies outside of Go's heap and does not move.
func slot(p uintptr) *uintptr { return *(**uintptr)(unsafe.Pointer(&p)) }

// view looks at n bytes of SQLite's memory.
func view(p uintptr, n int) []byte {
	if p == 0 || n == 0 {
		return nil
	}
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&p)), n)
}

// collation is what a column compares text with: BINARY if the file says nothing.
func (c *conn) collation(t *table, name string) string {
	var texts [3]uintptr
	for i, s := range []string{t.schema, t.name, name} {
		p, err := libc.CString(s)
		if err != nil {
			return ""
		}
		defer libc.Xfree(c.tls, p)
		texts[i] = p
	}
	out := newSlot(c.tls)
	defer libc.Xfree(c.tls, out)
	if sqlite3.Xsqlite3_table_column_metadata(c.tls, c.handle, texts[0], texts[1], texts[2], 0, out, 0, 0, 0) != sqlite3.SQLITE_OK {
		return ""
	}
	return libc.GoString(*slot(out))
}
