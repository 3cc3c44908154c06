package postgres_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/pgtest"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

const writtenRows = 100_000

// durable is a server that waits for the disk, with rows to write, and two ways there.
func durable(b *testing.B, tokens bool) (store.Writable, *pgxpool.Pool) {
	b.Helper()
	pg := pgtest.Start(b, pgtest.Durable(), pgtest.Setting("max_wal_size", "4GB"))
	err := pg.Exec(b.Context(), fmt.Sprintf(`create table written as select i::bigint as id, 'name ' || i as name, 'user' || i || '@example.com' as email,
		repeat('bio ', 40) as bio, i as n from generate_series(1, %d) i;
		alter table written add primary key (id); analyze written; checkpoint`, writtenRows))
	if err != nil {
		b.Fatal(err)
	}
	db := open(b, postgres.Config{DSN: pg.DSN(), Tokens: tokens})
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

// A lone write beside a plain upsert that commits by itself, in turn.
func BenchmarkWriteOne(b *testing.B) {
	for name, tokens := range map[string]bool{"plain": false, "tokens": true} {
		b.Run(name, func(b *testing.B) {
			w, plain := durable(b, tokens)
			compare(b, loads(1, 1), 100, func(l *load) {
				id := l.ids[0]
				if _, err := plain.Exec(context.Background(), upsertSQL, id, l.names[0], l.emails[0], l.bios[0], id); err != nil {
					b.Error(err)
				}
			}, func(l *load) { applyBench(b, w, l.changes) })
		})
	}
}

func applyBench(b *testing.B, w store.Writable, changes []store.Change) {
	c := fulcrum.NewCommit[store.Change, store.Written](changes, nil)
	err := w.Apply(context.Background(), c)
	if err == nil {
		_, err = c.Result(0)
	}
	if err != nil || (c.ID() == "") != (len(changes) == 1) {
		b.Error(err, c.ID())
	}
}

// A load is the same rows for both ways of writing them.
type load struct {
	ids                 []int64
	names, emails, bios []string
	changes             []store.Change
}

// loads makes many, of sorted rows. Those of different lanes have no row in common, as
// a Writer sees to it for commits in flight at a time.
func loads(lanes, size int) [][]load {
	const each = 8
	rnd := rand.New(rand.NewPCG(1, uint64(size)))
	all := make([][]load, lanes)
	for lane := range all {
		for range each {
			var l load
			seen := map[int64]bool{}
			for len(seen) < size {
				seen[1+int64(lane)+int64(lanes)*rnd.Int64N(writtenRows/int64(lanes)-1)] = true
			}
			l.ids = slices.Sorted(maps.Keys(seen))
			for _, id := range l.ids {
				l.names, l.emails, l.bios = append(l.names, fmt.Sprint("name ", id)), append(l.emails, fmt.Sprintf("user%d@example.com", id)), append(l.bios, bio)
				l.changes = append(l.changes, benchChange(id))
			}
			all[lane] = append(all[lane], l)
		}
	}
	return all
}

// Many writes in one commit beside the statement that one would write by hand, in
// turn: an operation is a row of each, and the ratio is that of their rates.
func BenchmarkWriteMany(b *testing.B) {
	w, plain := durable(b, false)
	byHand := func(l *load) {
		if _, err := plain.Exec(context.Background(), unnestSQL, l.ids, l.names, l.emails, l.bios, l.ids); err != nil {
			b.Error(err)
		}
	}
	for _, lanes := range []int{1, 2, 4} {
		for _, size := range []int{10, 100, 1000} {
			all := loads(lanes, size)
			b.Run(fmt.Sprintf("%d/%d", lanes, size), func(b *testing.B) {
				compare(b, all, max(1, 4000/size), byHand, func(l *load) { applyBench(b, w, l.changes) })
			})
		}
	}
}

// compare has both write the same loads in turn, for as many rows as b.N.
func compare(b *testing.B, all [][]load, turns int, theirs, ours func(*load)) {
	rows := turns * len(all) * len(all[0][0].ids)
	var hand, apply, ratios []float64 // seconds a turn
	for done := 0; done < b.N; done += rows {
		hand = append(hand, timeTurns(all, turns, theirs))
		apply = append(apply, timeTurns(all, turns, ours))
		ratios = append(ratios, hand[len(hand)-1]/apply[len(apply)-1])
	}
	median := func(values []float64) float64 {
		slices.Sort(values)
		return values[len(values)/2]
	}
	b.ReportMetric(float64(rows)/median(hand), "hand_rows/s")
	b.ReportMetric(float64(rows)/median(apply), "apply_rows/s")
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(float64(len(ratios)), "pairs")
}

// timeTurns has each lane write some loads, side by side.
func timeTurns(all [][]load, turns int, write func(*load)) float64 {
	began := time.Now()
	var wg sync.WaitGroup
	for lane := range all {
		wg.Go(func() {
			for turn := range turns {
				write(&all[lane][turn%len(all[lane])])
			}
		})
	}
	wg.Wait()
	return time.Since(began).Seconds()
}
