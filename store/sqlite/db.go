package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// Config says which file to read and how.
type Config struct {
	// Path of the file, which must exist. It is no URI, and not ":memory:".
	Path string
	// Conns is the most connections: what Policy.InFlight + Policy.Reserved must fit
	// in. They are opened when first needed. Default 8, at most 1,000.
	Conns int
	// ReadOnly opens a file that must not be changed at all; without it the file is
	// put into WAL mode. Default false.
	ReadOnly bool
	// BusyTimeout is how long a query waits for a lock that another process holds,
	// within its context. Default 5 s, -1 not at all.
	BusyTimeout time.Duration
	// MapBytes is how much of the file, from its start, is read through a mapping
	// that all connections share, instead of being copied into the cache of each.
	// It costs address space, not memory. Default and most 2 GiB less 64 KiB, -1
	// none.
	MapBytes int
	// Synchronous is how much an answered commit outlives: SyncFull, SyncNormal or
	// SyncOff. Default SyncFull.
	Synchronous string
}

const (
	defaultConns       = 8
	maxConns           = 1000
	defaultBusyTimeout = 5 * time.Second
	maxMapBytes        = 2<<30 - 64<<10
)

func (c Config) withDefaults() (Config, error) {
	if c.Conns == 0 {
		c.Conns = defaultConns
	}
	if c.BusyTimeout == 0 {
		c.BusyTimeout = defaultBusyTimeout
	}
	if c.MapBytes == 0 {
		c.MapBytes = maxMapBytes
	}
	if c.Synchronous == "" {
		c.Synchronous = SyncFull
	}
	switch {
	case c.Path == "":
		return c, errors.New("sqlite: Config.Path is missing: name the database's file")
	case strings.Contains(c.Path, ":memory:"):
		return c, errors.New("sqlite: Config.Path: a database in memory is another one for each connection; name a file")
	case strings.HasPrefix(c.Path, "file:"):
		return c, fmt.Errorf("sqlite: Config.Path: %q is a URI; give the path alone", c.Path)
	case strings.ContainsRune(c.Path, 0):
		return c, errors.New("sqlite: Config.Path holds a NUL")
	case c.Conns < 1 || c.Conns > maxConns:
		return c, fmt.Errorf("sqlite: Config.Conns: %d is not between 1 and %d", c.Conns, maxConns)
	case c.BusyTimeout < -1:
		return c, fmt.Errorf("sqlite: Config.BusyTimeout: %s is negative; -1 means not to wait", c.BusyTimeout)
	case c.MapBytes < -1 || c.MapBytes > maxMapBytes:
		return c, fmt.Errorf("sqlite: Config.MapBytes: %d is not between 1 and %d; -1 means none", c.MapBytes, maxMapBytes)
	case c.Synchronous != SyncFull && c.Synchronous != SyncNormal && c.Synchronous != SyncOff:
		return c, fmt.Errorf("sqlite: Config.Synchronous: %q is not %s, %s or %s", c.Synchronous, SyncFull, SyncNormal, SyncOff)
	}
	return c, nil
}

// DB is an open file. It is safe for concurrent use. Close ends it.
type DB struct {
	cfg    Config
	file   os.FileInfo // as it was when opened
	closed atomic.Bool
	done   chan struct{} // closed with closed
	slots  chan struct{} // one token for each connection in use

	committing chan struct{} // one token while a commit is in flight
	committer  *conn         // whoever has the token may use it; nil until it is needed
	committed  atomic.Int64  // commits
	opened     int64         // when, in ns since 1970

	mu    sync.Mutex
	idle  []*conn          // the warmest last
	plans int              // ids given out
	texts map[string]*plan // of statements that write
}

var _ store.DB = (*DB)(nil)

// Open opens a file and looks whether it is a database. Errors that may pass (the
// file is missing, locked or unreadable) are store.ErrUnavailable.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	file, err := os.Stat(cfg.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("sqlite: %s does not exist: %w (%w)", cfg.Path, store.ErrUnavailable, fs.ErrNotExist)
	case err != nil:
		return nil, fmt.Errorf("sqlite: %w: %w", store.ErrUnavailable, err)
	case !file.Mode().IsRegular():
		return nil, fmt.Errorf("sqlite: %s is no regular file", cfg.Path)
	}
	db := &DB{
		cfg: cfg, file: file, done: make(chan struct{}), slots: make(chan struct{}, cfg.Conns), committing: make(chan struct{}, 1),
		opened: time.Now().UnixNano(), texts: make(map[string]*plan), plans: ownStatement + 1,
	}
	if err := db.with(ctx, func(c *conn) error { return c.exec("select 1 from sqlite_schema limit 1") }); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// pragmas are what a new connection runs.
func (db *DB) pragmas() []string {
	all := []string{
		fmt.Sprintf("pragma mmap_size = %d", max(0, db.cfg.MapBytes)),
		"pragma query_only = on",
	}
	if db.cfg.ReadOnly {
		return all
	}
	return append([]string{"pragma journal_mode = wal"}, all...)
}

// Conns is Config.Conns.
func (db *DB) Conns() int { return db.cfg.Conns }

// Ping reads from the file, and looks whether it is still the one at its path:
// a file that was removed or replaced can be read on for as long as it is open,
// but nobody will ever change it. Its errors are store.ErrUnavailable, or the
// context's.
func (db *DB) Ping(ctx context.Context) error {
	err := db.with(ctx, func(c *conn) error { return c.exec("select 1 from sqlite_schema limit 1") })
	if err != nil {
		return err
	}
	file, err := os.Stat(db.cfg.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("sqlite: %s was removed while it is open: %w", db.cfg.Path, store.ErrUnavailable)
	case err != nil:
		return fmt.Errorf("sqlite: %w: %w", store.ErrUnavailable, err)
	case !os.SameFile(file, db.file):
		return fmt.Errorf("sqlite: %s was replaced by another file while it is open: %w", db.cfg.Path, store.ErrUnavailable)
	}
	return nil
}

// Close stops what is running, with errors that are store.ErrUnavailable, and
// closes all connections. Closing again does nothing.
func (db *DB) Close() error {
	if db.closed.Swap(true) {
		return nil
	}
	close(db.done)
	for range cap(db.slots) { // until all are back
		db.slots <- struct{}{}
	}
	db.committing <- struct{}{}
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, c := range append(db.idle, db.committer) {
		if c != nil {
			c.close()
		}
	}
	db.idle, db.committer = nil, nil
	return nil
}

func (db *DB) errClosed() error {
	return fmt.Errorf("sqlite: %s is closed: %w", db.cfg.Path, store.ErrUnavailable)
}

// with runs f on a connection. A mapped file that somebody cuts off makes reading
// its memory fail, which would end the process; here it ends f, and the connection
// is left where it stands.
func (db *DB) with(ctx context.Context, f func(*conn) error) (err error) {
	c, err := db.take(ctx)
	if err != nil {
		return err
	}
	lost := false
	defer func() {
		if lost {
			db.drop(c)
		} else {
			db.give(c)
		}
	}()
	lost, err = db.guarded(c, f)
	return err
}

// guarded runs f; lost says that the connection cannot be used any more.
func (db *DB) guarded(c *conn, f func(*conn) error) (lost bool, err error) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		p := recover()
		if _, fault := p.(interface{ Addr() uintptr }); fault {
			conns.Delete(c.handle)
			lost, err = true, fmt.Errorf("sqlite: %s was cut off while it is open: %w", db.cfg.Path, store.ErrUnavailable)
			return
		}
		if p != nil {
			panic(p)
		}
	}()
	return false, f(c)
}

// take finds the connection that was used last, whose cache is the warmest, or
// opens one. It asks the context for a channel only if it has to wait.
func (db *DB) take(ctx context.Context) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case db.slots <- struct{}{}:
	default:
		select {
		case db.slots <- struct{}{}:
		case <-db.done:
			return nil, db.errClosed()
		case <-ctx.Done():
			return nil, fmt.Errorf("sqlite: all %d connections are in use: %w", db.cfg.Conns, ctx.Err())
		}
	}
	if db.closed.Load() { // Close may wait for the very slot that was just taken
		<-db.slots
		return nil, db.errClosed()
	}
	c, err := db.warmest()
	if err != nil {
		<-db.slots
		return nil, err
	}
	c.ctx = ctx
	return c, nil
}

func (db *DB) warmest() (*conn, error) {
	db.mu.Lock()
	if last := len(db.idle) - 1; last >= 0 {
		c := db.idle[last]
		db.idle = db.idle[:last]
		db.mu.Unlock()
		return c, nil
	}
	db.mu.Unlock()
	return openConn(db, db.pragmas())
}

// give puts a connection back.
func (db *DB) give(c *conn) {
	c.ctx, c.ended = nil, nil
	db.mu.Lock()
	db.idle = append(db.idle, c)
	db.mu.Unlock()
	<-db.slots
}

// drop forgets a connection that can neither be used nor closed.
func (db *DB) drop(c *conn) {
	conns.Delete(c.handle)
	<-db.slots
}

// plan is one select, the same for one key and for many.
type plan struct {
	id  int // its place in each connection's statements
	sql string
}

func (db *DB) newPlan(sql string) *plan {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.plans++
	return &plan{id: db.plans - 1, sql: sql}
}

// patience is how many keys are read between two looks at the context: some 40 µs.
const patience = 16

// each calls read for 0 to n-1 with the plan's statement, all in one snapshot of
// the file. read's error ends it.
func (db *DB) each(ctx context.Context, p *plan, n int, read func(s *stmt, i int) error) error {
	return db.with(ctx, func(c *conn) error {
		s, err := c.stmt(p)
		if err != nil {
			return err
		}
		defer s.reset() // read may fail, or panic
		if n == 1 {
			return read(s, 0)
		}
		return c.inSnapshot(n, s, read)
	})
}

func (c *conn) inSnapshot(n int, s *stmt, read func(s *stmt, i int) error) error {
	if err := c.snapshot(); err != nil {
		return err
	}
	defer c.leave()
	for i := range n {
		if i%patience == 0 {
			if err := c.over(); err != nil {
				return err
			}
		}
		err := read(s, i)
		s.reset()
		if err != nil {
			return err
		}
	}
	return nil
}

// snapshot begins a read transaction.
func (c *conn) snapshot() error {
	_, err := c.begin.step()
	c.begin.reset()
	return err
}

// leave ends it. Nothing was written, so that there is nothing to lose.
func (c *conn) leave() {
	_, err := c.commit.step()
	c.commit.reset()
	if err != nil {
		_ = c.exec("rollback") // cannot fail inside a transaction
	}
	c.ended = nil
}

// outcome gives key i of a batch what reading it came to; it returns the errors
// that concern all keys.
func outcome[K comparable, V any](b *fulcrum.Batch[K, V], i int, value V, err error) error {
	switch {
	case err == nil:
		b.SetAt(i, value)
	case isShared(err):
		return err
	default:
		b.FailAt(i, err)
	}
	return nil
}
