package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/faultproxy"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

// Several processes write the same few keys. Each sorts them, so nobody waits in a
// circle, and every commit is made.
func TestOverlappingCommits(t *testing.T) {
	const writers, keys, rows = 4, 2000, 100
	dsn, plain := schema(t)
	exec(t, plain, "create table hot (id bigint primary key, n bigint, v bigint)")
	before := deadlocks(t, plain)
	var all []*postgres.DB
	var wg sync.WaitGroup
	for writer := range writers {
		db := open(t, postgres.Config{DSN: dsn + "&application_name=hotwriter", MinConns: -1, MaxConns: 2})
		all = append(all, db)
		w := openWritable(t, db, store.Resource{Table: "hot", Columns: []string{"n"}, Version: "v"})
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(writer), 0))
			for range rounds(50, 1000) {
				ids := map[store.Key]bool{}
				for range rows {
					ids[store.Key(fmt.Sprint(rnd.IntN(keys)))] = true
				}
				var items []store.Change
				for _, key := range slices.Sorted(maps.Keys(ids)) {
					items = append(items, put(string(key), fmt.Sprintf(`{"n":%d}`, writer)))
				}
				c := fulcrum.NewCommit[store.Change, store.Written](items, nil)
				if err := w.Apply(t.Context(), c); err != nil {
					t.Error(err)
					return
				}
				allMade(t, c)
			}
		})
	}
	wg.Wait()
	for _, db := range all {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	until(t, "sessions to end", func() bool { // and tell what they have counted
		return query(t, plain, "select count(*)::text from pg_stat_activity where application_name = 'hotwriter'") == "0"
	})
	if after := deadlocks(t, plain); after != before {
		t.Errorf("%d deadlocks", after-before)
	}
}

// deadlocks are those that the server has ended so far.
func deadlocks(t *testing.T, plain *pgxpool.Pool) (n int) {
	t.Helper()
	if err := plain.QueryRow(t.Context(), "select pg_stat_get_db_deadlocks(oid) from pg_database where datname = current_database()").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Commits of several kinds may wait in a circle. The server ends one, and it is made
// again.
func TestDeadlocksAreTriedAgain(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, `create table d (id bigint primary key, n bigint); insert into d values (1, 0), (2, 0), (3, 0);
		create function slow() returns trigger language plpgsql as $$ begin perform nextval('touched'), pg_sleep(0.01); return new; end $$;
		create sequence touched;
		create trigger slow after update on d for each row execute function slow()`)
	db := open(t, postgres.Config{DSN: dsn + "&deadlock_timeout=10ms"})
	w := openWritable(t, db, store.Resource{Table: "d", Columns: []string{"n"}})
	patch := func(key string) store.Change {
		return store.Change{Op: store.Patch, Key: store.Key(key), Body: []byte(`{"n":1}`)}
	}
	const turns = 10
	var wg sync.WaitGroup
	for _, items := range [][]store.Change{{put("1", `{"n":1}`), patch("2"), put("3", `{"n":1}`)}, {put("2", `{"n":1}`), patch("3")}} {
		wg.Go(func() {
			for range turns {
				c := fulcrum.NewCommit[store.Change, store.Written](items, nil)
				if err := w.Apply(t.Context(), c); err != nil {
					t.Error(err)
					return
				}
				allMade(t, c)
			}
		})
	}
	wg.Wait()
	const asked = turns * 5
	if touched := query(t, plain, "select last_value::text from touched"); touched == fmt.Sprint(asked) {
		t.Errorf("%s rows were touched: no commit was made again", touched)
	}
}

// A database that is silent keeps nobody beyond the deadline, and what was sent to it
// is not called unmade.
func TestWritesIntoSilence(t *testing.T) {
	proxy, err := faultproxy.New(server.Addr(), faultproxy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	dsn, plain := schema(t)
	exec(t, plain, "create table s (id bigint primary key, n bigint)")
	db := open(t, postgres.Config{DSN: strings.Replace(dsn, server.Addr(), proxy.Addr(), 1), MinConns: -1, MaxConns: 2})
	w := openWritable(t, db, store.Resource{Table: "s", Columns: []string{"n"}})
	allMade(t, apply(t, w, put("1", `{"n":1}`)))
	proxy.Hang()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := tryApply(t, ctx, w, put("1", `{"n":2}`)); !errors.Is(err, fulcrum.ErrAmbiguous) {
		t.Errorf("got %v; want ErrAmbiguous", err)
	}
	late, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = tryApply(t, late, w, put("1", `{"n":3}`)) // no connection: nothing was sent
	if err == nil || errors.Is(err, fulcrum.ErrAmbiguous) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := proxy.Heal(); err != nil {
		t.Fatal(err)
	}
	until(t, "a write after the silence", func() bool {
		c := fulcrum.NewCommit[store.Change, store.Written]([]store.Change{put("1", `{"n":4}`)}, nil)
		return w.Apply(t.Context(), c) == nil
	})
	if n := query(t, plain, "select n::text from s"); n != "4" {
		t.Errorf("n is %s, want 4", n)
	}
}

// The database is away for a while: who waits long enough has the commit made.
func TestWritesWaitForTheDatabase(t *testing.T) {
	proxy, err := faultproxy.New(server.Addr(), faultproxy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	dsn, plain := schema(t)
	exec(t, plain, "create table s (id bigint primary key, n bigint)")
	db := open(t, postgres.Config{DSN: strings.Replace(dsn, server.Addr(), proxy.Addr(), 1), MinConns: -1, MaxConns: 2})
	w := openWritable(t, db, store.Resource{Table: "s", Columns: []string{"n"}})
	proxy.Cut()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := tryApply(t, ctx, w, put("1", `{"n":1}`)); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, fulcrum.ErrAmbiguous) {
		t.Errorf("while it is away: %v", err)
	}
	done := make(chan error)
	go func() {
		c := fulcrum.NewCommit[store.Change, store.Written]([]store.Change{put("1", `{"n":2}`)}, nil)
		done <- w.Apply(t.Context(), c)
	}()
	if err := proxy.Heal(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("after it came back: %v", err)
	}
}
