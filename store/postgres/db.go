package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fulcrum-data/fulcrum/internal/watch"
	"github.com/fulcrum-data/fulcrum/store"
)

// DB is a pool of connections to one database. It is safe for concurrent use and
// implements [store.DB].
type DB struct {
	pool   *pgxpool.Pool
	cfg    Config
	closed atomic.Bool
	conns  sync.Map // *pgx.Conn → nothing: all that are open
	watch  *watch.Watch

	primary    primaryLog
	replicas   atomic.Pointer[nodes]
	replicasMu sync.Mutex // of who changes them; guards order
	order      []string   // their names

	blind bool // replicas are believed to have seen everything: a fault that a test plants
}

var _ store.Copied = (*DB)(nil)

// Open connects to a database and asks it for an answer; ctx bounds that and
// nothing after it. An error never shows the DSN's password. If the database
// cannot be reached it is a [store.ErrUnavailable].
func Open(ctx context.Context, cfg Config) (*DB, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	pc, err := cfg.poolConfig()
	if err != nil {
		return nil, err
	}
	db := &DB{cfg: cfg, watch: watch.New()}
	db.replicas.Store(&nodes{})
	pc.AfterConnect = db.connected
	pc.BeforeClose = func(c *pgx.Conn) { db.conns.Delete(c) }
	if db.pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if err := db.run(ctx, func(ctx context.Context, c *pgx.Conn) error { return c.Ping(ctx) }); err != nil {
		return nil, errors.Join(fmt.Errorf("postgres: open: %w", err), db.Close())
	}
	if err := db.SetReplicas(cfg.Replicas); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// connected prepares a new connection.
func (db *DB) connected(ctx context.Context, c *pgx.Conn) error {
	db.conns.Store(c, nil)
	err := prepareSession(ctx, c)
	if db.closed.Load() && err == nil {
		err = errClosed
	}
	if err != nil {
		db.conns.Delete(c)
	}
	return err
}

var errClosed = errors.New("postgres: closed")

// Ping asks the database whether it answers, for at most 5 s.
func (db *DB) Ping(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	err := db.run(bounded, func(ctx context.Context, c *pgx.Conn) error { return c.Ping(ctx) })
	if err != nil && ended(ctx) == nil && !errors.Is(err, store.ErrUnavailable) {
		return unavailable{err}
	}
	return err
}

// Conns is Config.MaxConns.
func (db *DB) Conns() int { return db.cfg.MaxConns }

// Close ends all calls in flight and closes all connections. It waits up to 15 s
// for each goodbye of a server that does not answer. Later calls do nothing.
func (db *DB) Close() error {
	if db.closed.Swap(true) {
		return nil
	}
	db.conns.Range(func(c, _ any) bool {
		// A call in flight fails; what is idle notices nothing.
		_ = c.(*pgx.Conn).PgConn().Conn().SetDeadline(time.Now())
		return true
	})
	db.pool.Close()
	for _, r := range *db.replicas.Load() {
		r.pool.Close()
	}
	db.watch.Close()
	return nil
}

// attempts is how often a read is tried on connections that turn out dead.
const attempts = 3

// A fate is what became of the connection of an attempt.
type fate int

const (
	none  fate = iota // there was none to be had
	dead              // it did not survive the attempt
	alive             // it did
)

// run gives f a connection to the copy that the call is for, and another one if that was
// dead. f may thus run several times.
func (db *DB) run(ctx context.Context, f func(context.Context, *pgx.Conn) error) error {
	r, err := db.at(ctx)
	if err != nil {
		return err
	}
	return db.runAt(ctx, r, f)
}

// runAt is run with a replica, or nil for the primary.
func (db *DB) runAt(ctx context.Context, r *replica, f func(context.Context, *pgx.Conn) error) error {
	if err := ended(ctx); err != nil {
		return err
	}
	pool := db.connections(r)
	bounded := db.watch.Begin(ctx, time.Now().Add(db.cfg.Timeout))
	defer db.watch.Finish(bounded)
	for n := 1; ; n++ {
		conn, err := attempt(bounded, pool, f)
		if err == nil {
			return nil
		}
		again := conn == dead && stale(err) || conn == alive && outdated(err)
		if !again || n == attempts || db.closed.Load() || ended(bounded) != nil {
			return explain(ctx, err, conn != alive)
		}
		if conn == dead && n == attempts-1 {
			pool.Reset() // the others are most likely dead too
		}
	}
}

func attempt(ctx context.Context, pool *pgxpool.Pool, f func(context.Context, *pgx.Conn) error) (fate, error) {
	c, err := pool.Acquire(ctx)
	if err != nil {
		return none, err
	}
	defer c.Release()
	err = f(ctx, c.Conn())
	if err != nil && c.Conn().IsClosed() {
		return dead, err
	}
	return alive, err
}
