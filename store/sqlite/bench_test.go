package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/fulcrumtest"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/sqlite"
)

const benchRows = 200_000

type profile struct {
	id               int64
	name, email, bio string
	updated          int64
}

var profileColumns = []string{"id", "name", "email", "bio", "updated"}

var profileQuery = sqlite.Query[int64, profile]{
	Table: "profiles", Key: []string{"id"}, Columns: profileColumns,
	Scan: func(r sqlite.Row) (profile, error) {
		return profile{r.Int(0), r.Text(1), r.Text(2), r.Text(3), r.Int(4)}, nil
	},
}

// benchFile makes rows of about 350 bytes, once for all benchmarks.
func benchFile(b *testing.B) string {
	b.Helper()
	path, err := makeBenchFile()
	if err != nil {
		b.Fatal(err)
	}
	return path
}

var benchDir string // removed by TestMain

var makeBenchFile = sync.OnceValues(func() (string, error) {
	path := filepath.Join(benchDir, "bench.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return "", err
	}
	defer func() { _ = db.Close() }()
	_, err = db.Exec(`pragma journal_mode = wal; pragma synchronous = off;
		create table profiles (id integer primary key, name text not null, email text not null, bio text not null, updated integer not null);
		with recursive n(i) as (select 1 union all select i+1 from n where i < ` + strconv.Itoa(benchRows) + `)
		insert into profiles select i, 'name ' || i, 'somebody' || i || '@example.com', '` + strings.Repeat("about me, ", 28) + `', i * 1000 from n;
		pragma wal_checkpoint(truncate);`)
	return path, err
})

func randomID() int64 { return 1 + rand.Int64N(benchRows) }

func openBench(b *testing.B) *sqlite.DB {
	b.Helper()
	db, err := sqlite.Open(b.Context(), sqlite.Config{Path: benchFile(b)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return db
}

// BenchmarkDirect is what a service does without this package: a prepared point
// select through database/sql.
func BenchmarkDirect(b *testing.B) {
	db, err := sql.Open("sqlite", benchFile(b))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	point, err := db.Prepare("select id, name, email, bio, updated from profiles where id = ?")
	if err != nil {
		b.Fatal(err)
	}
	background(b, func(ctx context.Context) error {
		var p profile
		return point.QueryRowContext(ctx, randomID()).Scan(&p.id, &p.name, &p.email, &p.bio, &p.updated)
	})
}

// background runs f alone and in parallel, each with a context that cannot end
// and with one that can.
func background(b *testing.B, f func(context.Context) error) {
	b.Helper()
	can, cancel := context.WithCancel(context.Background())
	defer cancel()
	for name, ctx := range map[string]context.Context{"background": context.Background(), "cancellable": can} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := f(ctx); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func BenchmarkOneTyped(b *testing.B) {
	cfg, err := sqlite.ReaderConfig(b.Context(), openBench(b), profileQuery)
	if err != nil {
		b.Fatal(err)
	}
	background(b, func(ctx context.Context) error {
		_, err := cfg.One(ctx, randomID())
		return err
	})
}

func openProfiles(b *testing.B) store.Table {
	b.Helper()
	t, err := openBench(b).Open(b.Context(), store.Resource{Name: "profiles", Table: "profiles", Key: []string{"id"}, Columns: profileColumns})
	if err != nil {
		b.Fatal(err)
	}
	return t
}

func BenchmarkOneJSON(b *testing.B) {
	t := openProfiles(b)
	background(b, func(ctx context.Context) error {
		_, err := t.One(ctx, store.Key(strconv.FormatInt(randomID(), 10)))
		return err
	})
}

func BenchmarkFetchTyped(b *testing.B) {
	cfg, err := sqlite.ReaderConfig(b.Context(), openBench(b), profileQuery)
	if err != nil {
		b.Fatal(err)
	}
	fetches(b, func() int64 { return randomID() }, cfg.Fetch)
}

func BenchmarkFetchJSON(b *testing.B) {
	t := openProfiles(b)
	fetches(b, func() store.Key { return store.Key(strconv.FormatInt(randomID(), 10)) }, t.Fetch)
}

// fetches measures one goroutine and reports rows a second. The keys of a batch
// stay, so that a few batches take turns.
func fetches[K comparable, V any](b *testing.B, key func() K, fetch func(context.Context, *fulcrum.Batch[K, V]) error) {
	b.Helper()
	for _, n := range []int{1, 10, 50, 200} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			const turns = 64
			var batches []*fulcrum.Batch[K, V]
			var collect func(context.Context, *fulcrum.Batch[K, V]) error
			collect = func(ctx context.Context, batch *fulcrum.Batch[K, V]) error {
				if batches = append(batches, batch); len(batches) < turns {
					_, err := fulcrumtest.Together(ctx, randomKeys(n, key), collect)
					return err
				}
				b.ResetTimer()
				for i := range b.N {
					if err := fetch(context.Background(), batches[i%turns]); err != nil {
						return err
					}
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
				return nil
			}
			if _, err := fulcrumtest.Together(context.Background(), randomKeys(n, key), collect); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func randomKeys[K comparable](n int, key func() K) []K {
	keys := make([]K, n)
	for i := range keys {
		keys[i] = key()
	}
	return keys
}

// BenchmarkReader is what many callers get: each asks for one key at a time.
func BenchmarkReader(b *testing.B) {
	cfg, err := sqlite.ReaderConfig(b.Context(), openBench(b), profileQuery)
	if err != nil {
		b.Fatal(err)
	}
	for _, callers := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			r, err := fulcrum.NewReader(cfg)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = r.Shutdown(context.Background()) }()
			var wg sync.WaitGroup
			for i := range callers {
				share := b.N / callers
				if i < b.N%callers {
					share++
				}
				wg.Go(func() {
					for range share {
						if _, err := r.Get(context.Background(), randomID()); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(r.Stats().MeanBatch(), "keys/batch")
		})
	}
}
