package fulcrum_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/pgtest"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

const (
	monitorPairs   = 15
	monitorCallers = 1024
	monitorFor     = 500 * time.Millisecond
)

// BenchmarkMonitor measures what statistics cost on PostgreSQL at 1,024 callers: rows/s
// with them (and somebody who reads them every second) over rows/s without, in pairs
// whose order is random. Run it with -benchtime 1x; it takes half a minute.
func BenchmarkMonitor(b *testing.B) {
	ctx := context.Background()
	server, err := pgtest.Launch(ctx, pgtest.Config{MaxConnections: 50, Settings: map[string]string{"shared_buffers": "512MB"}})
	if err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() { _ = server.Close() })
	conn, err := pgx.Connect(ctx, server.DSN())
	if err != nil {
		b.Fatal(err)
	}
	if _, err := conn.PgConn().Exec(ctx, `create table users (id bigint primary key, name text not null);
		insert into users select i, 'user ' || i from generate_series(1, 100000) i; analyze users`).ReadAll(); err != nil {
		b.Fatal(err)
	}
	_ = conn.Close(ctx)
	db, err := postgres.Open(ctx, postgres.Config{DSN: server.DSN(), MinConns: 10, MaxConns: 10})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	for range b.N {
		ratios := make([]float64, 0, monitorPairs)
		for range monitorPairs {
			var rates [2]float64 // without, with
			for _, with := range rand.Perm(2) {
				rates[with] = monitored(b, db, with == 1)
			}
			ratios = append(ratios, rates[1]/rates[0])
		}
		slices.Sort(ratios)
		b.ReportMetric(ratios[monitorPairs/2], "with/without")
		b.ReportMetric(ratios[monitorPairs/4], "q1")
		b.ReportMetric(ratios[monitorPairs*3/4], "q3")
	}
}

// monitored is a closed loop's rows per second.
func monitored(b *testing.B, db *postgres.DB, with bool) float64 {
	backend, err := fulcrum.NewBackend(fulcrum.BackendConfig{Tuner: fulcrum.TunerFixed, Reserved: -1})
	if err != nil {
		b.Fatal(err)
	}
	cfg, err := postgres.ReaderConfig(context.Background(), db, postgres.Query[int64, string]{
		Table: "users", Key: []string{"id"}, Columns: []string{"name"},
		Scan: func(row pgx.CollectableRow) (name string, err error) { err = row.Scan(&name); return name, err },
	})
	if err != nil {
		b.Fatal(err)
	}
	cfg.Backend = backend
	r, err := fulcrum.NewReader(cfg)
	if err != nil {
		b.Fatal(err)
	}
	if !with {
		r.Unmeasured()
	}
	ctx, stop := context.WithTimeout(context.Background(), monitorFor)
	defer stop()
	var done atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for range monitorCallers {
		wg.Go(func() {
			for ctx.Err() == nil {
				id := rand.Int64N(100_000) + 1
				if name, err := r.Get(context.Background(), id); err != nil || name != fmt.Sprint("user ", id) {
					b.Errorf("%d: %q, %v", id, name, err)
					return
				}
				done.Add(1)
			}
		})
	}
	if with {
		_, _ = r.Stats(), backend.Stats()
	}
	wg.Wait()
	rate := float64(done.Load()) / time.Since(begin).Seconds()
	if err := r.Shutdown(context.Background()); err != nil {
		b.Fatal(err)
	}
	return rate
}
