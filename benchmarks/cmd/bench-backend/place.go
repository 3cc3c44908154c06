package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/benchmarks/duel"
	"github.com/fulcrum-data/fulcrum/benchmarks/pgusers"
	"github.com/fulcrum-data/fulcrum/internal/load"
)

// microsPerRow is what each row costs the database.
const microsPerRow = 500

// place is the database, at a distance.
type place struct {
	pool  *pgxpool.Pool
	delay time.Duration
	turns atomic.Int64 // of a loop that the database turns for each row
	fair  int64        // as many as take microsPerRow
}

const conns = 40

func (b *bench) away(delay time.Duration) (*place, error) {
	addr, err := b.db.Away(delay)
	if err != nil {
		return nil, err
	}
	pool, err := b.db.Pool(addr, conns)
	if err != nil {
		return nil, err
	}
	p := &place{pool: pool, delay: delay}
	return p, p.calibrate()
}

// calibrate finds how many turns take microsPerRow.
func (p *place) calibrate() error {
	ids := make([]int64, 200)
	for i := range ids {
		ids[i] = int64(i + 1)
	}
	time20 := func(turns int64) (time.Duration, error) {
		p.turns.Store(turns)
		begin := time.Now()
		for range 5 {
			if _, err := p.many(context.Background(), ids); err != nil {
				return 0, err
			}
		}
		return time.Since(begin) / 5 / time.Duration(len(ids)), nil
	}
	if _, err := time20(100); err != nil { // plans are made
		return err
	}
	few, err := time20(100)
	if err != nil {
		return err
	}
	many, err := time20(2100)
	if err != nil {
		return err
	}
	each := float64(many-few) / 2000
	if each <= 0 {
		return errors.New("the database's loop takes no time")
	}
	p.fair = max(1, int64(float64(microsPerRow*time.Microsecond-few)/each)+100)
	p.turns.Store(p.fair)
	return nil
}

// many reads rows, each at its price.
func (p *place) many(ctx context.Context, ids []int64) (map[int64]pgusers.Profile, error) {
	rows, err := p.pool.Query(ctx, `select id, name, (select count(*) from generate_series(1, $2 + (u.id & 1))) from users u where id = any($1::bigint[])`, ids, p.turns.Load())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[int64]pgusers.Profile, len(ids))
	for rows.Next() {
		var row pgusers.Profile
		var turns int64
		if err := rows.Scan(&row.ID, &row.Name, &turns); err != nil {
			return nil, err
		}
		found[row.ID] = row
	}
	return found, rows.Err()
}

// reader is a Reader on a new Backend.
type reader struct {
	*fulcrum.Reader[int64, pgusers.Profile]
	backend *fulcrum.Backend
}

func (p *place) reader(cfg fulcrum.BackendConfig, policy fulcrum.Policy) (*reader, error) {
	cfg.MaxInFlight = min(32, conns-2)
	backend, err := fulcrum.NewBackend(cfg)
	if err != nil {
		return nil, err
	}
	r, err := fulcrum.NewReader(fulcrum.ReaderConfig[int64, pgusers.Profile]{Fetch: fulcrum.FetchMap(p.many), Policy: policy, Backend: backend})
	return &reader{r, backend}, err
}

func (r *reader) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	return r.Shutdown(ctx)
}

// patience is how long a caller waits for its answer.
const patience = 2 * time.Second

// target asks for random rows.
func (r *reader) target() load.Target {
	return load.CallerFunc(func(ctx context.Context, _ *load.Request) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return r.ask(ctx)
	})
}

func (r *reader) ask(ctx context.Context, opts ...fulcrum.Option) error {
	id := pgusers.RandomID()
	p, err := r.Get(ctx, id, opts...)
	return pgusers.MustBe(p, id, err)
}

// capacity is the most rows per second that any K of a closed loop reaches.
func (p *place) capacity() (float64, error) {
	best := 0.0
	for _, k := range fixedKs {
		r, err := p.reader(fulcrum.BackendConfig{Tuner: fulcrum.TunerFixed, InFlight: k}, fulcrum.Policy{})
		if err != nil {
			return 0, err
		}
		rate, err := duel.Load{Callers: 1024, Op: func(int, int) error { return r.ask(context.Background()) }}.Run(time.Second)
		if err := errors.Join(err, r.close()); err != nil {
			return 0, err
		}
		best = max(best, rate)
	}
	return best, nil
}

// open offers a load for a while.
func (r *reader) open(rate float64, warmup, lasting time.Duration, seed uint64) (*load.Step, error) {
	return load.Run(context.Background(), load.Config{
		Target: r.target(), Rate: rate, Warmup: warmup, Duration: lasting, Drain: patience + time.Second, Seed: seed, Outstanding: 100_000,
	})
}

func millis(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond)) }
