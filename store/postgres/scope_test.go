package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/fulcrumtest"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

const tenantRows = 400

// tenants makes a table in which odd rows belong to tenant a and even ones to
// tenant b, and opens it as a role that sees its tenant's rows alone.
func tenants(t *testing.T) *postgres.DB {
	t.Helper()
	dsn, plain := schema(t)
	exec(t, plain, fmt.Sprintf(`create table orders (id bigint primary key, tenant text not null, n bigint not null);
		insert into orders select i, case i %% 2 when 1 then 'a' else 'b' end, i * 7 from generate_series(1, %d) i;
		alter table orders enable row level security;
		create policy tenant on orders using (tenant = current_setting('app.tenant', true));
		grant usage on schema %s to app; grant select on orders to app`, tenantRows, currentSchema(t, dsn)))
	return open(t, postgres.Config{DSN: dsn + "&role=app", ScopeSetting: "app.tenant", MaxConns: 8})
}

// Two tenants read each other's keys at random; nobody ever sees a row that is
// not its own.
func TestScopesDoNotLeak(t *testing.T) {
	db := tenants(t)
	table := openTable(t, db, store.Resource{Name: "orders", Table: "orders", Key: []string{"id"}, Columns: []string{"tenant", "n"}})
	r, err := fulcrum.NewReader(fulcrum.ReaderConfig[store.Key, []byte]{Fetch: table.Fetch, One: table.One})
	if err != nil {
		t.Fatal(err)
	}
	const readers = 16
	var wg sync.WaitGroup
	for seed := range uint64(readers) {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, 0))
			for range rounds(6_000, 100_000) / readers {
				id, scope := 1+rnd.IntN(tenantRows), []string{"a", "b"}[rnd.IntN(2)]
				want := ""
				if owner := []string{"b", "a"}[id%2]; owner == scope {
					want = fmt.Sprintf(`{"tenant":%q,"n":%d}`, owner, id*7)
				}
				ctx := fulcrum.WithScope(t.Context(), scope)
				if rnd.IntN(10) == 0 {
					ctx = fulcrum.WithOptions(ctx, fulcrum.Urgent)
				}
				row, err := r.Get(ctx, store.Key(fmt.Sprint(id)))
				if string(row) != want || (want == "") != errors.Is(err, fulcrum.ErrNotFound) || want != "" && err != nil {
					t.Errorf("tenant %s, row %d: got %s, %v; want %s", scope, id, row, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := r.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestScopesReachEveryWay(t *testing.T) {
	db := tenants(t)
	table := openTable(t, db, store.Resource{Name: "orders", Table: "orders", Key: []string{"id"}, Columns: []string{"id"}})
	typed, err := postgres.ReaderConfig(t.Context(), db, postgres.Query[int64, int64]{
		Table: "orders", Key: []string{"id"}, Columns: []string{"n"}, Scan: pgx.RowTo[int64],
	})
	if err != nil {
		t.Fatal(err)
	}
	for scope, want := range map[string][2]bool{"": {}, "a": {true, false}, "b": {false, true}, "c": {}, "a' or 'a'='a": {}, "ä\"\\": {}} {
		ctx := fulcrum.WithScope(t.Context(), scope)
		rows, err := fulcrumtest.Together(ctx, []store.Key{"1", "2"}, table.Fetch)
		numbers, typedErr := fulcrumtest.Together(ctx, []int64{1, 2}, typed.Fetch)
		if err != nil || typedErr != nil {
			t.Errorf("scope %q: %v, %v", scope, err, typedErr)
		}
		for i, seen := range want {
			key := store.Key(fmt.Sprint(i + 1))
			_, oneErr := table.One(ctx, key)
			_, numErr := typed.One(ctx, int64(i+1))
			_, numSeen := numbers[int64(i+1)]
			if (oneErr == nil) != seen || (numErr == nil) != seen || (rows[key] != nil) != seen || numSeen != seen {
				t.Errorf("scope %q, key %s: One %v, %v; Fetch %t, %t; want %t", scope, key, oneErr, numErr, rows[key] != nil, numSeen, seen)
			}
		}
	}
	if _, err := table.One(fulcrum.WithScope(context.Background(), "a\x00"), "1"); err == nil || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a scope that the database cannot hold: %v", err)
	}
	if _, err := table.One(fulcrum.WithScope(context.Background(), "a"), "1"); err != nil {
		t.Errorf("after that: %v", err)
	}
}
