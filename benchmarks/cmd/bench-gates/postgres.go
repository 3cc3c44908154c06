package main

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
)

// pgRows is the size of the table that is read.
const pgRows = 1_000_000

// profile is a row of about 350 bytes.
type profile struct {
	ID               int64
	Name, Email, Bio string
	UpdatedAt        time.Time
}

const profileColumns = "u.id, u.name, u.email, u.bio, u.updated_at"

// pgTable makes the table, with statistics, in the server's memory.
const pgTable = `
create table users (id bigint primary key, name text not null, email text not null, bio text not null, updated_at timestamptz not null);
insert into users select i, 'user ' || i, 'user' || i || '@example.org', repeat(md5(i::text), 8), now() - i * interval '1 second'
  from generate_series(1, %d) i`

// pgBench is a PostgreSQL with rows in it and pools on it.
type pgBench struct {
	server *pgtest.Server
	close  []func()
}

func newPGBench() (*pgBench, error) {
	ctx := context.Background()
	server, err := pgtest.Launch(ctx, pgtest.Config{MaxConnections: 200, Settings: map[string]string{"shared_buffers": "1GB"}})
	if err != nil {
		return nil, err
	}
	b := &pgBench{server: server, close: []func(){func() { _ = server.Close() }}}
	if err := b.fill(ctx); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (b *pgBench) fill(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, b.server.DSN())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range []string{fmt.Sprintf(pgTable, pgRows), "vacuum analyze users", "checkpoint"} {
		if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			return err
		}
	}
	return nil
}

// Close stops what was started, last first.
func (b *pgBench) Close() {
	for i := len(b.close) - 1; i >= 0; i-- {
		b.close[i]()
	}
}

// pool connects through addr, which may be a proxy's.
func (b *pgBench) pool(addr string, conns int) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(b.server.DSNVia(addr))
	if err != nil {
		return nil, err
	}
	cfg.MaxConns, cfg.MinConns = int32(conns), int32(conns)
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err == nil {
		b.close = append(b.close, pool.Close)
	}
	return pool, err
}

// reader is Fulcrum over a pool, with its policy.
func (b *pgBench) reader(pool *pgxpool.Pool, policy fulcrum.Policy) (*fulcrum.Reader[int64, profile], error) {
	r, err := fulcrum.NewReader(fulcrum.ReaderConfig[int64, profile]{
		Name:   "users",
		Policy: policy,
		Fetch: func(ctx context.Context, batch *fulcrum.Batch[int64, profile]) error {
			return fetchMany(ctx, pool, batch)
		},
		One: func(ctx context.Context, id int64) (profile, error) {
			p, err := one(ctx, pool, id)
			if err == pgx.ErrNoRows { //nolint:errorlint // Scan returns it bare
				err = fulcrum.ErrNotFound
			}
			return p, err
		},
	})
	if err == nil {
		b.close = append(b.close, func() { _ = r.Shutdown(context.Background()) })
	}
	return r, err
}

func fetchMany(ctx context.Context, pool *pgxpool.Pool, batch *fulcrum.Batch[int64, profile]) error {
	rows, err := pool.Query(ctx, `select k.i, `+profileColumns+` from unnest($1::bigint[]) with ordinality k(id, i) join users u on u.id = k.id`, batch.Keys())
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var i int
		var p profile
		if err := rows.Scan(&i, &p.ID, &p.Name, &p.Email, &p.Bio, &p.UpdatedAt); err != nil {
			return err
		}
		batch.SetAt(i-1, p)
	}
	return rows.Err()
}

func one(ctx context.Context, pool *pgxpool.Pool, id int64) (p profile, err error) {
	err = pool.QueryRow(ctx, `select `+profileColumns+` from users u where u.id = $1`, id).Scan(&p.ID, &p.Name, &p.Email, &p.Bio, &p.UpdatedAt)
	return p, err
}

// byHand is the ceiling: n keys in each query, nothing shared, nothing waited for.
func byHand(ctx context.Context, pool *pgxpool.Pool, ids []int64) error {
	rows, err := pool.Query(ctx, `select `+profileColumns+` from users u where u.id = any($1::bigint[])`, ids)
	if err != nil {
		return err
	}
	defer rows.Close()
	got := make(map[int64]profile, len(ids))
	for rows.Next() {
		var p profile
		if err := rows.Scan(&p.ID, &p.Name, &p.Email, &p.Bio, &p.UpdatedAt); err != nil {
			return err
		}
		got[p.ID] = p
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, id := range ids {
		if got[id].ID != id {
			return fmt.Errorf("key %d is missing", id)
		}
	}
	return nil
}

func randomID() int64 { return rand.Int64N(pgRows) + 1 }

// handBatched runs byHand with a number of queries in flight; its rate is in keys.
func handBatched(pool *pgxpool.Pool, inFlight, keys int) func(time.Duration) (float64, error) {
	load := duel.Load{Callers: inFlight, Op: func(int, int) error {
		ids := make([]int64, keys)
		for i := range ids {
			ids[i] = randomID()
		}
		return byHand(context.Background(), pool, ids)
	}}
	return func(d time.Duration) (float64, error) {
		rate, err := load.Run(d)
		return rate * float64(keys), err
	}
}

// through is a closed loop of single reads through Fulcrum.
func through(r *fulcrum.Reader[int64, profile], callers int) func(time.Duration) (float64, error) {
	ctx := context.Background()
	return duel.Load{Callers: callers, Op: func(int, int) error {
		id := randomID()
		p, err := r.Get(ctx, id)
		return mustBe(p, id, err)
	}}.Run
}

// direct is a closed loop of pooled point queries.
func direct(pool *pgxpool.Pool, callers int) func(time.Duration) (float64, error) {
	ctx := context.Background()
	return duel.Load{Callers: callers, Op: func(int, int) error {
		id := randomID()
		p, err := one(ctx, pool, id)
		return mustBe(p, id, err)
	}}.Run
}

func mustBe(p profile, id int64, err error) error {
	if err == nil && p.ID != id {
		err = fmt.Errorf("asked for %d, got %d", id, p.ID)
	}
	return err
}

// bestByHand finds the fastest way to batch by hand on this machine.
func bestByHand(pool *pgxpool.Pool) (name string, run func(time.Duration) (float64, error), err error) {
	best := 0.0
	for _, inFlight := range []int{2, 4} {
		for _, keys := range []int{100, 200, 500} {
			f := handBatched(pool, inFlight, keys)
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

// pgCells compares on loopback, and through delays of 1 and 5 ms.
func pgCells() ([]duel.Cell, func(), error) {
	b, err := newPGBench()
	if err != nil {
		return nil, nil, err
	}
	cells, err := b.cells()
	if err != nil {
		b.Close()
		return nil, nil, err
	}
	return cells, b.Close, nil
}

func (b *pgBench) cells() ([]duel.Cell, error) {
	pool, err := b.pool(b.server.Addr(), 10)
	if err != nil {
		return nil, err
	}
	r, err := b.reader(pool, fulcrum.Policy{})
	if err != nil {
		return nil, err
	}
	handName, hand, err := bestByHand(pool)
	if err != nil {
		return nil, err
	}
	cells := []duel.Cell{
		{Name: "1 caller, bare query", Ours: through(r, 1), Theirs: direct(pool, 1), Gate: .95},
		{Name: "64 callers, direct (pool 10)", Ours: through(r, 64), Theirs: direct(pool, 64), Gate: 3},
		{Name: "256 callers, direct (pool 10)", Ours: through(r, 256), Theirs: direct(pool, 256), Gate: 4},
		{Name: "1024 callers, direct (pool 10)", Ours: through(r, 1024), Theirs: direct(pool, 1024), Gate: 5},
		{Name: "1024 callers, by hand: " + handName, Ours: through(r, 1024), Theirs: hand, Gate: .65, Target: .85},
	}
	for _, delay := range []time.Duration{time.Millisecond, 5 * time.Millisecond} {
		c, err := b.delayed(delay)
		if err != nil {
			return nil, err
		}
		cells = append(cells, c)
	}
	return cells, nil
}

// delayed compares through a proxy that adds to each round trip.
func (b *pgBench) delayed(delay time.Duration) (duel.Cell, error) {
	proxy, err := faultproxy.New(b.server.Addr(), faultproxy.Options{Delay: delay})
	if err != nil {
		return duel.Cell{}, err
	}
	b.close = append(b.close, func() { _ = proxy.Close() })
	pool, err := b.pool(proxy.Addr(), 10)
	if err != nil {
		return duel.Cell{}, err
	}
	r, err := b.reader(pool, fulcrum.Policy{})
	if err != nil {
		return duel.Cell{}, err
	}
	return duel.Cell{
		Name: fmt.Sprintf("1024 callers, direct (pool 10), %s away", delay),
		Ours: through(r, 1024), Theirs: direct(pool, 1024), Gate: 12,
	}, nil
}
