package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/fulcrum-data/fulcrum/fulcrumtest"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

// The shared query finds its rows by the index, planned for any array or for one
// of 200 keys, in a table with statistics or without.
func TestTheIndexIsUsed(t *testing.T) {
	dsn, plain := schema(t)
	rows := rounds(100_000, 1_000_000)
	exec(t, plain, fmt.Sprintf(`create table big as select i as id, i %% 100 as tenant, i / 20 as owner, 'name ' || i as name,
		('name ' || i)::citext as email, now() + i * interval '1 second' as at from generate_series(1, %d) i`, rows))
	exec(t, plain, `alter table big add column ci text collate nocase; update big set ci = name where id <= 1000;
		alter table big add primary key (id); create unique index on big (tenant, id); create unique index on big (email);
		create unique index on big (ci); create index big_owner on big (owner, at desc);
		create view totals as select owner, count(*) as n from big group by owner`)
	db := open(t, postgres.Config{DSN: dsn})
	resources := []store.Resource{
		{Name: "id", Table: "big", Key: []string{"id"}, Columns: []string{"name"}},
		{Name: "composite", Table: "big", Key: []string{"tenant", "id"}, Columns: []string{"name"}},
		{Name: "citext", Table: "big", Key: []string{"email"}, Columns: []string{"name"}},
		{Name: "collation", Table: "big", Key: []string{"ci"}, Columns: []string{"name"}},
		{Name: "many", Table: "big", Key: []string{"owner"}, Columns: []string{"id"}, Many: true, Order: "at desc", Limit: 5},
		{Name: "view", Table: "totals", Key: []string{"owner"}, Columns: []string{"n"}, Many: true},
	}
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			exec(t, plain, "analyze big")
		}
		for _, r := range resources {
			sql := postgres.FetchSQL(openTable(t, db, r))
			for _, mode := range []string{"force_generic_plan", "force_custom_plan"} {
				plan := explain(t, dsn, mode, sql, len(r.Key))
				if !strings.Contains(plan, "Nested Loop") || strings.Contains(plan, "Seq Scan") || !strings.Contains(plan, "Index") ||
					r.Name == "many" && strings.Contains(plan, "Sort") {
					t.Errorf("%s, analyzed %t, %s:\n%s\n%s", r.Name, analyzed, mode, sql, plan)
				}
			}
		}
	}
}

// explain says how the server would run a statement with 200 keys.
func explain(t *testing.T, dsn, mode, sql string, arrays int) string {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn+"&plan_cache_mode="+mode)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if _, err := c.Exec(t.Context(), "prepare q as "+sql); err != nil {
		t.Fatal(err)
	}
	keys := make([]string, 200)
	for i := range keys {
		keys[i] = fmt.Sprint(i)
	}
	array := "'{" + strings.Join(keys, ",") + "}'"
	rows, _ := c.Query(t.Context(), "explain execute q("+strings.Repeat(array+",", arrays-1)+array+")", pgx.QueryExecModeSimpleProtocol)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// One batch is one query, and its plan is made once: the planner's share shows in
// what PostgreSQL counts.
func TestABatchIsOneQuery(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, "create table counted_once (id bigint primary key); insert into counted_once select generate_series(1, 1000)")
	db := open(t, postgres.Config{DSN: dsn, MaxConns: 1})
	table := openTable(t, db, store.Resource{Name: "r", Table: "counted_once", Key: []string{"id"}, Columns: []string{"id"}})
	const batches, size = 20, 50
	for i := range batches {
		var keys []store.Key
		for j := range size {
			keys = append(keys, store.Key(fmt.Sprint(i*size+j+1)))
		}
		rows, err := fulcrumtest.Together(t.Context(), keys, table.Fetch)
		if err != nil || len(rows) != size {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
	}
	if got := calls(t, "%unnest%counted_once%"); got != batches {
		t.Errorf("%d queries for %d batches", got, batches)
	}
}

// calls is how often statements like a pattern were run on the shared server.
func calls(t *testing.T, pattern string) int {
	t.Helper()
	value, err := server.Value(t.Context(), "select coalesce(sum(calls), 0) from pg_stat_statements where query like '"+pattern+"' and query not like '%pg_stat_statements%'")
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if _, err := fmt.Sscan(value, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
