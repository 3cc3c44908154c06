// Package pgusers is the PostgreSQL that the benchmarks read: a table of people and
// the ways to ask it for one of them.
package pgusers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/benchmarks/duel"
	"github.com/fulcrum-data/fulcrum/internal/faultproxy"
	"github.com/fulcrum-data/fulcrum/internal/pgtest"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

// Rows is the size of the table that is read.
const Rows = 1_000_000

// Profile is a row of about 350 bytes.
type Profile struct {
	ID               int64
	Name, Email, Bio string
	UpdatedAt        time.Time
}

const columns = "u.id, u.name, u.email, u.bio, u.updated_at"

// schema makes the table, with statistics, in the server's memory.
const schema = `
create table users (id bigint primary key, name text not null, email text not null, bio text not null, updated_at timestamptz not null);
insert into users select i, 'user ' || i, 'user' || i || '@example.org', repeat(md5(i::text), 8), now() - i * interval '1 second'
  from generate_series(1, %d) i`

// Server is a PostgreSQL with rows in it and pools on it.
type Server struct {
	*pgtest.Server
	closers []func()
}

// Start makes the server and fills the table: some five seconds.
func Start() (*Server, error) {
	ctx := context.Background()
	server, err := pgtest.Launch(ctx, pgtest.Config{MaxConnections: 200, Settings: map[string]string{"shared_buffers": "1GB"}})
	if err != nil {
		return nil, err
	}
	b := &Server{Server: server, closers: []func(){func() { _ = server.Close() }}}
	if err := b.fill(ctx); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (b *Server) fill(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, b.DSN())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range []string{fmt.Sprintf(schema, Rows), "vacuum analyze users", "checkpoint"} {
		if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			return err
		}
	}
	return nil
}

// Closing has Close call f, before what was started earlier is closed.
func (b *Server) Closing(f func()) { b.closers = append(b.closers, f) }

// Close stops what was started, last first.
func (b *Server) Close() {
	for i := len(b.closers) - 1; i >= 0; i-- {
		b.closers[i]()
	}
}

// Away puts a network in between: a proxy that adds to each round trip. It returns
// the proxy's address, or the server's own for no delay.
func (b *Server) Away(delay time.Duration) (addr string, err error) {
	if delay == 0 {
		return b.Addr(), nil
	}
	proxy, err := faultproxy.New(b.Addr(), faultproxy.Options{Delay: delay})
	if err != nil {
		return "", err
	}
	b.Closing(func() { _ = proxy.Close() })
	return proxy.Addr(), nil
}

// Pool connects through addr, which may be a proxy's.
func (b *Server) Pool(addr string, conns int) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(b.DSNVia(addr))
	if err != nil {
		return nil, err
	}
	cfg.MaxConns, cfg.MinConns = int32(conns), int32(conns)
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err == nil {
		b.Closing(pool.Close)
	}
	return pool, err
}

// Reader is Fulcrum over store/postgres, connected through addr, with at most as
// many connections as its rivals.
func (b *Server) Reader(addr string, conns int, policy fulcrum.Policy) (*fulcrum.Reader[int64, Profile], error) {
	return b.CachedReader(addr, conns, policy, nil)
}

// CachedReader is Reader behind a cache; nil is none.
func (b *Server) CachedReader(addr string, conns int, policy fulcrum.Policy, kept fulcrum.Cache[int64, Profile]) (*fulcrum.Reader[int64, Profile], error) {
	ctx := context.Background()
	db, err := postgres.Open(ctx, postgres.Config{DSN: b.DSNVia(addr), MinConns: conns, MaxConns: conns})
	if err != nil {
		return nil, err
	}
	b.Closing(func() { _ = db.Close() })
	cfg, err := postgres.ReaderConfig(ctx, db, postgres.Query[int64, Profile]{
		Table: "users", Key: []string{"id"}, Columns: []string{"id", "name", "email", "bio", "updated_at"},
		Scan: func(row pgx.CollectableRow) (p Profile, err error) {
			err = row.Scan(&p.ID, &p.Name, &p.Email, &p.Bio, &p.UpdatedAt)
			return p, err
		},
	})
	if err != nil {
		return nil, err
	}
	cfg.Policy, cfg.Cache = policy, kept
	r, err := fulcrum.NewReader(cfg)
	if err == nil {
		b.Closing(func() { _ = r.Shutdown(ctx) })
	}
	return r, err
}

// One is the plain query for one row.
func One(ctx context.Context, pool *pgxpool.Pool, id int64) (p Profile, err error) {
	err = pool.QueryRow(ctx, `select `+columns+` from users u where u.id = $1`, id).Scan(&p.ID, &p.Name, &p.Email, &p.Bio, &p.UpdatedAt)
	return p, err
}

// Many is one query for many rows, as one writes it by hand.
func Many(ctx context.Context, pool *pgxpool.Pool, ids []int64) (map[int64]Profile, error) {
	rows, err := pool.Query(ctx, `select `+columns+` from users u where u.id = any($1::bigint[])`, ids)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[int64]Profile, len(ids))
	for rows.Next() {
		var p Profile
		if err := rows.Scan(&p.ID, &p.Name, &p.Email, &p.Bio, &p.UpdatedAt); err != nil {
			return nil, err
		}
		found[p.ID] = p
	}
	return found, rows.Err()
}

// byHand is the ceiling: nothing is shared between callers and nobody waits.
func byHand(ctx context.Context, pool *pgxpool.Pool, ids []int64) error {
	found, err := Many(ctx, pool, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := MustBe(found[id], id, nil); err != nil {
			return err
		}
	}
	return nil
}

// RandomID is any row's, all equally likely.
func RandomID() int64 { return rand.Int64N(Rows) + 1 }

// HandBatched reads that way with a number of queries in flight; its rate is in keys.
func HandBatched(pool *pgxpool.Pool, inFlight, keys int) func(time.Duration) (float64, error) {
	load := duel.Load{Callers: inFlight, Op: func(int, int) error {
		ids := make([]int64, keys)
		for i := range ids {
			ids[i] = RandomID()
		}
		return byHand(context.Background(), pool, ids)
	}}
	return func(d time.Duration) (float64, error) {
		rate, err := load.Run(d)
		return rate * float64(keys), err
	}
}

// Through is a closed loop of single reads through Fulcrum.
func Through(r *fulcrum.Reader[int64, Profile], callers int) func(time.Duration) (float64, error) {
	ctx := context.Background()
	return duel.Load{Callers: callers, Op: func(int, int) error {
		id := RandomID()
		p, err := r.Get(ctx, id)
		return MustBe(p, id, err)
	}}.Run
}

// Direct is a closed loop of pooled point queries.
func Direct(pool *pgxpool.Pool, callers int) func(time.Duration) (float64, error) {
	ctx := context.Background()
	return duel.Load{Callers: callers, Op: func(int, int) error {
		id := RandomID()
		p, err := One(ctx, pool, id)
		return MustBe(p, id, err)
	}}.Run
}

// MustBe says so if an answer is another row than asked for.
func MustBe(p Profile, id int64, err error) error {
	if err == nil && p.ID != id {
		err = fmt.Errorf("asked for %d, got %d", id, p.ID)
	}
	return err
}

// BestByHand finds the fastest way to batch by hand on this machine.
func BestByHand(pool *pgxpool.Pool) (name string, run func(time.Duration) (float64, error), err error) {
	best := 0.0
	for _, inFlight := range []int{2, 4} {
		for _, keys := range []int{100, 200, 500} {
			f := HandBatched(pool, inFlight, keys)
			rate, err := f(500 * time.Millisecond)
			if err != nil {
				return "", nil, err
			}
			if rate > best {
				best, name, run = rate, fmt.Sprintf("%d keys, %d in flight", keys, inFlight), f
			}
		}
	}
	return name, run, nil
}
