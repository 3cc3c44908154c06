package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/benchmarks/duel"
	"github.com/fulcrum-data/fulcrum/internal/pgtest"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

const (
	pooled  = 50 // connections of who commits each row alone: 10 are slower
	byHand  = 2  // statements of 1,000 rows at once: the best of 1, 2 and 4
	batched = 1000
)

// pgWrites is a PostgreSQL that makes its commits last, with one table for each side.
type pgWrites struct {
	server *pgtest.Server
	pool   *pgxpool.Pool
	ours   *gathered
	values *fulcrum.Writer[user, struct{}] // over the statement of who batches by hand
}

// user is a row as a program has it.
type user struct {
	id               int64
	name, email, bio string
}

func pgCells() ([]duel.Cell, func(), error) {
	ctx := context.Background()
	server, err := pgtest.Launch(ctx, pgtest.Config{MaxConnections: 200, Durable: true, Settings: map[string]string{
		"synchronous_commit": "on", "shared_buffers": "1GB", "max_wal_size": "4GB",
	}})
	if err != nil {
		return nil, nil, err
	}
	p := &pgWrites{server: server}
	if err := p.open(ctx); err != nil {
		return nil, nil, errors.Join(err, p.close())
	}
	cell := func(name string, callers int, gate, target float64, theirs duel.Load) duel.Cell {
		return duel.Cell{
			Name: name, Gate: gate, Target: target, Alone: callers == 1,
			Ours: duel.Load{Callers: callers, Op: p.ours.write}.Run, Theirs: theirs.Run,
		}
	}
	byHandLoad := duel.Load{Callers: byHand, Op: p.batch}
	// Like beside like: the same statement. The store adds JSON on its way in, and an answer
	// for each row.
	hand := cell("256 callers, by hand, from JSON", 256, 0, 0, byHandLoad)
	hand.Theirs = func(d time.Duration) (float64, error) {
		statements, err := byHandLoad.Run(d)
		return statements * batched, err
	}
	library := hand
	library.Name, library.Gate, library.Target = "256 callers, by hand, the same statement", 0.7, 0.85
	library.Ours = duel.Load{Callers: 256, Op: p.typed}.Run
	return []duel.Cell{
		cell("1 caller, single commits", 1, 0.93, 0, duel.Load{Callers: 1, Op: p.single}),
		cell("16 callers, single commits", 16, 0, 0, duel.Load{Callers: 16, Op: p.single}),
		cell("256 callers, single commits", 256, 4.5, 0, duel.Load{Callers: 256, Op: p.single}),
		hand,
		library,
	}, func() { _ = p.close() }, nil
}

func (p *pgWrites) open(ctx context.Context) (err error) {
	config, err := pgxpool.ParseConfig(p.server.DSN())
	if err != nil {
		return err
	}
	config.MaxConns = pooled
	if p.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return err
	}
	for _, name := range []string{"users", "theirs"} {
		_, err := p.pool.Exec(ctx, fmt.Sprintf(`create table %s (id bigint primary key, name text not null, email text not null, bio text not null);
			insert into %[1]s select i, 'user ' || i, 'user' || i || '@example.org', '%s' from generate_series(0, %d) i`, name, bio, keys-1))
		if err != nil {
			return err
		}
	}
	if _, err := p.pool.Exec(ctx, "vacuum analyze"); err != nil {
		return err
	}
	db, err := postgres.Open(ctx, postgres.Config{DSN: p.server.DSN(), MaxConns: 10})
	if err != nil {
		return err
	}
	if p.ours, err = gather(db, 4, 1); err != nil {
		return err
	}
	p.values, err = fulcrum.NewWriter(fulcrum.WriterConfig[user, struct{}]{
		OrderBy: func(u user) string { return strconv.FormatInt(u.id, 10) },
		Apply: func(ctx context.Context, c *fulcrum.Commit[user, struct{}]) error {
			var b rows
			for _, u := range c.Items() {
				b.add(u.id, u.name, u.email)
			}
			return b.exec(ctx, p.pool)
		},
		Policy: fulcrum.Policy{MaxBatch: 1000},
	})
	return err
}

func (p *pgWrites) typed(caller, i int) error {
	_, err := p.values.Write(context.Background(), user{rand.Int64N(keys), "user " + strconv.Itoa(i), "user" + strconv.Itoa(caller) + "@example.org", bio})
	return err
}

// rows are the arrays of a statement for many.
type rows struct {
	ids                 []int64
	names, emails, bios []string
}

func (b *rows) add(id int64, name, email string) {
	b.ids, b.names, b.emails, b.bios = append(b.ids, id), append(b.names, name), append(b.emails, email), append(b.bios, bio)
}

func (b *rows) exec(ctx context.Context, pool *pgxpool.Pool) error {
	_, err := pool.Exec(ctx, "insert into theirs select * from unnest($1::bigint[], $2::text[], $3::text[], $4::text[])"+upsert, b.ids, b.names, b.emails, b.bios)
	return err
}

const upsert = " on conflict (id) do update set name = excluded.name, email = excluded.email, bio = excluded.bio"

// single is what a service does by itself: an upsert, committed, for each row.
func (p *pgWrites) single(caller, i int) error {
	_, err := p.pool.Exec(context.Background(), "insert into theirs values ($1, $2, $3, $4)"+upsert,
		rand.Int64N(keys), "user "+strconv.Itoa(i), "user"+strconv.Itoa(caller)+"@example.org", bio)
	return err
}

// batch is what one writes by hand where many rows are at hand: one statement, sorted.
func (p *pgWrites) batch(caller, i int) error {
	ids := make([]int64, 0, batched)
	seen := make(map[int64]bool, batched)
	for len(ids) < batched {
		if id := rand.Int64N(keys); !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	var b rows
	for _, id := range ids {
		b.add(id, "user "+strconv.Itoa(i), "user"+strconv.Itoa(caller)+"@example.org")
	}
	return b.exec(context.Background(), p.pool)
}

func (p *pgWrites) close() error {
	var all []error
	if p.values != nil {
		all = append(all, p.values.Shutdown(context.Background()))
	}
	if p.ours != nil {
		all = append(all, p.ours.close())
	}
	if p.pool != nil {
		p.pool.Close()
	}
	return errors.Join(append(all, p.server.Close())...)
}
