package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/pgtest"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

const writtenRows = 100_000

// durable is a server that waits for the disk, with rows to write, and two ways there.
func durable(b *testing.B) (store.Writable, *pgxpool.Pool) {
	b.Helper()
	pg := pgtest.Start(b, pgtest.Durable(), pgtest.Setting("max_wal_size", "4GB"))
	err := pg.Exec(b.Context(), fmt.Sprintf(`create table written as select i::bigint as id, 'name ' || i as name, 'user' || i || '@example.com' as email,
		repeat('bio ', 40) as bio, i as n from generate_series(1, %d) i;
		alter table written add primary key (id); analyze written; checkpoint`, writtenRows))
	if err != nil {
		b.Fatal(err)
	}
	db := open(b, postgres.Config{DSN: pg.DSN()})
	plain, err := pgxpool.New(b.Context(), pg.DSN()+"&pool_max_conns=10")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(plain.Close)
	r := store.Resource{Name: "written", Table: "written", Key: []string{"id"}, Columns: []string{"id", "name", "email", "bio", "n"}, Writable: true}
	return openTable(b, db, r).(store.Writable), plain
}

const (
	bio       = "bio bio bio bio bio bio bio bio bio bio bio bio bio bio bio bio bio bio bio bio bio bio bio bio bio bio "
	upsertSQL = `insert into written (id, name, email, bio, n) values ($1, $2, $3, $4, $5)
		on conflict (id) do update set name = excluded.name, email = excluded.email, bio = excluded.bio, n = excluded.n`
	unnestSQL = `insert into written (id, name, email, bio, n) select * from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[])
		on conflict (id) do update set name = excluded.name, email = excluded.email, bio = excluded.bio, n = excluded.n`
)

func benchChange(id int64) store.Change {
	return store.Change{
		Op: store.Put, Key: store.Key(fmt.Sprint(id)),
		Body: fmt.Appendf(nil, `{"id":%d,"name":"name %d","email":"user%d@example.com","bio":%q,"n":%d}`, id, id, id, bio, id),
	}
}

// A lone write beside a plain upsert that commits by itself.
func BenchmarkWriteOne(b *testing.B) {
	w, plain := durable(b)
	ctx := context.Background()
	b.Run("pgx", func(b *testing.B) {
		inFlight(b, 1, 1, func(r *rand.Rand) {
			id := 1 + r.Int64N(writtenRows)
			if _, err := plain.Exec(ctx, upsertSQL, id, fmt.Sprint("name ", id), fmt.Sprintf("user%d@example.com", id), bio, id); err != nil {
				b.Error(err)
			}
		})
	})
	b.Run("Apply", func(b *testing.B) {
		inFlight(b, 1, 1, func(r *rand.Rand) {
			applyBench(b, w, []store.Change{benchChange(1 + r.Int64N(writtenRows))})
		})
	})
}

func applyBench(b *testing.B, w store.Writable, changes []store.Change) {
	c := fulcrum.NewCommit[store.Change, store.Written](changes, nil)
	err := w.Apply(context.Background(), c)
	if err == nil {
		_, err = c.Result(0)
	}
	if err != nil || c.Token() == "" || c.ID() == "" {
		b.Error(err, c.Token(), c.ID())
	}
}

// Many writes in one commit beside the statement that one would write by hand. Those
// in flight at a time have no keys in common, as a Writer sees to it.
func BenchmarkWriteMany(b *testing.B) {
	w, plain := durable(b)
	ctx := context.Background()
	for _, slots := range []int64{1, 2} {
		for _, size := range []int{10, 100, 1000} {
			var lane atomic.Int64
			ids := func(r *rand.Rand) []int64 {
				mine := lane.Add(1) % (2 * slots) // two turns apart, nobody is at it any more
				seen := map[int64]bool{}
				for len(seen) < size {
					seen[1+mine+2*slots*r.Int64N(writtenRows/(2*slots)-1)] = true
				}
				all := make([]int64, 0, size)
				for id := range seen {
					all = append(all, id)
				}
				slices.Sort(all)
				return all
			}
			b.Run(fmt.Sprintf("unnest/%d/%d", slots, size), func(b *testing.B) {
				inFlight(b, int(slots), size, func(r *rand.Rand) {
					all := ids(r)
					names, emails, bios := make([]string, size), make([]string, size), make([]string, size)
					for i, id := range all {
						names[i], emails[i], bios[i] = fmt.Sprint("name ", id), fmt.Sprintf("user%d@example.com", id), bio
					}
					if _, err := plain.Exec(ctx, unnestSQL, all, names, emails, bios, all); err != nil {
						b.Error(err)
					}
				})
			})
			b.Run(fmt.Sprintf("Apply/%d/%d", slots, size), func(b *testing.B) {
				inFlight(b, int(slots), size, func(r *rand.Rand) {
					all := ids(r)
					changes := make([]store.Change, size)
					for i, id := range all {
						changes[i] = benchChange(id)
					}
					applyBench(b, w, changes)
				})
			})
		}
	}
}
