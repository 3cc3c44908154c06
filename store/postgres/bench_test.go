package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/fulcrumtest"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

const benchRows = 1_000_000 // about 350 bytes each

var (
	benchOnce  sync.Once
	benchUsers = store.Resource{
		Name: "users", Table: "bench_users", Key: []string{"id"}, Columns: []string{"id", "name", "email", "bio", "updated_at"},
	}
)

// bench makes the users once, and two ways to them.
func bench(b *testing.B, setting string) (*postgres.DB, store.Table, *pgxpool.Pool) {
	b.Helper()
	benchOnce.Do(func() {
		err := server.Exec(b.Context(), fmt.Sprintf(`create table bench_users as select i as id, 'name ' || i as name, 'user' || i || '@example.com' as email,
			repeat('bio ', 70) as bio, now() as updated_at from generate_series(1, %d) i;
			alter table bench_users alter column id type bigint, add primary key (id); analyze bench_users; checkpoint`, benchRows))
		if err != nil {
			b.Fatal(err)
		}
	})
	db := open(b, postgres.Config{DSN: server.DSN(), ScopeSetting: setting})
	plain, err := pgxpool.New(b.Context(), server.DSN()+"&pool_max_conns=10")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(plain.Close)
	return db, openTable(b, db, benchUsers), plain
}

// inFlight runs f as often as it takes for b.N rows, from n goroutines. An
// operation is one row.
func inFlight(b *testing.B, n, rows int, f func(r *rand.Rand)) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64((b.N + rows - 1) / rows))
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(rand.Uint64(), 0))
			for left.Add(-1) >= 0 {
				f(r)
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

type benchUser struct {
	id               int64
	name, email, bio string
	updated          time.Time
}

func BenchmarkOne(b *testing.B) {
	_, table, plain := bench(b, "")
	r, err := fulcrum.NewReader(fulcrum.ReaderConfig[store.Key, []byte]{Fetch: table.Fetch, One: table.One})
	if err != nil {
		b.Fatal(err)
	}
	fail := func(err error) {
		if err != nil {
			b.Error(err)
		}
	}
	ctx := context.Background()
	for _, n := range []int{1, 4} {
		b.Run(fmt.Sprintf("pgx/%d", n), func(b *testing.B) {
			inFlight(b, n, 1, func(r *rand.Rand) {
				var u benchUser
				fail(plain.QueryRow(ctx, "select id, name, email, bio, updated_at from bench_users where id = $1", 1+r.Int64N(benchRows)).
					Scan(&u.id, &u.name, &u.email, &u.bio, &u.updated))
			})
		})
		b.Run(fmt.Sprintf("One/%d", n), func(b *testing.B) {
			inFlight(b, n, 1, func(r *rand.Rand) {
				_, err := table.One(ctx, benchKey(r))
				fail(err)
			})
		})
		b.Run(fmt.Sprintf("Reader/%d", n), func(b *testing.B) {
			inFlight(b, n, 1, func(rnd *rand.Rand) {
				_, err := r.Get(ctx, benchKey(rnd))
				fail(err)
			})
		})
	}
}

func benchKey(r *rand.Rand) store.Key { return store.Key(fmt.Sprint(1 + r.IntN(benchRows))) }

// The hand-written loop over = ANY($1) that scans into structs, against Fetch,
// which writes JSON.
func BenchmarkFetch(b *testing.B) {
	_, table, plain := bench(b, "")
	_, scoped, _ := bench(b, "app.tenant")
	for _, slots := range []int{1, 4} {
		for _, size := range []int{1, 10, 100, 200, 500} {
			ids, batches := benchBatches(b, size)
			b.Run(fmt.Sprintf("any/%d/%d", slots, size), func(b *testing.B) {
				inFlight(b, slots, size, func(r *rand.Rand) {
					if err := anyLoop(plain, ids[r.IntN(len(ids))]); err != nil {
						b.Error(err)
					}
				})
			})
			for name, table := range map[string]store.Table{"Fetch": table, "scoped": scoped} {
				b.Run(fmt.Sprintf("%s/%d/%d", name, slots, size), func(b *testing.B) {
					inFlight(b, slots, size, func(r *rand.Rand) {
						if err := table.Fetch(context.Background(), <-batches); err != nil {
							b.Error(err)
						}
					})
				})
			}
		}
	}
}

// benchBatches are many batches of a size, made by Readers and kept. Whoever takes
// one is alone with it, for there are enough of them.
func benchBatches(b *testing.B, size int) ([][]int64, <-chan *fulcrum.Batch[store.Key, []byte]) {
	const count = 200
	rnd := rand.New(rand.NewPCG(1, uint64(size)))
	ids := make([][]int64, count)
	kept := make([]*fulcrum.Batch[store.Key, []byte], 0, count)
	for i := range ids {
		var keys []store.Key
		for range size {
			id := 1 + rnd.Int64N(benchRows)
			ids[i], keys = append(ids[i], id), append(keys, store.Key(fmt.Sprint(id)))
		}
		_, err := fulcrumtest.Together(b.Context(), keys, func(_ context.Context, batch *fulcrum.Batch[store.Key, []byte]) error {
			kept = append(kept, batch)
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	next := make(chan *fulcrum.Batch[store.Key, []byte])
	go func() {
		for i := 0; ; i++ {
			select {
			case next <- kept[i%count]:
			case <-b.Context().Done():
				return
			}
		}
	}()
	return ids, next
}

func anyLoop(plain *pgxpool.Pool, ids []int64) error {
	rows, err := plain.Query(context.Background(), "select id, name, email, bio, updated_at from bench_users where id = any($1)", ids)
	if err != nil {
		return err
	}
	defer rows.Close()
	users := make(map[int64]benchUser, len(ids))
	for rows.Next() {
		var u benchUser
		if err := rows.Scan(&u.id, &u.name, &u.email, &u.bio, &u.updated); err != nil {
			return err
		}
		users[u.id] = u
	}
	return rows.Err()
}
