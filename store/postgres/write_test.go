package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

func openWritable(t testing.TB, db store.DB, r store.Resource) store.Writable {
	t.Helper()
	r.Name, r.Writable = r.Table, true
	if r.Key == nil {
		r.Key = []string{"id"}
	}
	return openTable(t, db, r).(store.Writable)
}

func put(key, body string) store.Change {
	return store.Change{Op: store.Put, Key: store.Key(key), Body: []byte(body)}
}

// apply makes changes in one commit, and wants no error of the commit.
func apply(t testing.TB, w store.Writable, changes ...store.Change) *fulcrum.Commit[store.Change, store.Written] {
	t.Helper()
	c, err := tryApply(t, t.Context(), w, changes...)
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	return c
}

func tryApply(t testing.TB, ctx context.Context, w store.Writable, changes ...store.Change) (*fulcrum.Commit[store.Change, store.Written], error) {
	t.Helper()
	for i, c := range changes {
		var err error
		if changes[i], err = w.ParseChange(c); err != nil {
			t.Fatalf("ParseChange: %v", err)
		}
	}
	c := fulcrum.NewCommit[store.Change, store.Written](changes, nil)
	return c, w.Apply(ctx, c)
}

// allMade wants no change to have failed.
func allMade(t testing.TB, c *fulcrum.Commit[store.Change, store.Written]) {
	t.Helper()
	for i := range c.Len() {
		if _, err := c.Result(i); err != nil {
			t.Errorf("change %d: %v", i, err)
		}
	}
}

func failed(t testing.TB, c *fulcrum.Commit[store.Change, store.Written], i int) *store.RowError {
	t.Helper()
	_, err := c.Result(i)
	var wrong *store.RowError
	if !errors.As(err, &wrong) {
		t.Fatalf("change %d: got %v; want a *RowError", i, err)
	}
	return wrong
}

// query reads one text past the store.
func query(t testing.TB, plain *pgxpool.Pool, sql string) string {
	t.Helper()
	var text string
	if err := plain.QueryRow(t.Context(), sql).Scan(&text); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return text
}

// What a row shows can be written, and is then what it was.
func TestValuesComeBack(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, typesSQL)
	db := open(t, postgres.Config{DSN: dsn})
	for i, v := range values {
		name := fmt.Sprintf("back%d", i)
		exec(t, plain, fmt.Sprintf("create table %s (id bigint primary key, v %s)", name, v.typ))
		exec(t, plain, fmt.Sprintf("insert into %s values (0, %s)", name, v.sql))
		w := openWritable(t, db, store.Resource{Table: name, Columns: []string{"v"}})
		shown, err := w.One(t.Context(), "0")
		if err != nil {
			t.Fatal(err)
		}
		body := string(shown)
		allMade(t, apply(t, w, put("1", body)))
		allMade(t, apply(t, w, put("2", body), put("3", body), put("4", `{"v":null}`)))
		allMade(t, apply(t, w, store.Change{Op: store.Patch, Key: "4", Body: shown}))
		if v.want == "null" {
			continue // null of jsonb is shown like no value
		}
		if n := query(t, plain, fmt.Sprintf(`select count(*)::text from %s a join %s b on b.id = 0 and a.v::text = regexp_replace(b.v::text, '^\[[^{]*=', '')`, name, name)); n != "4" && n != "5" { // where the indices of arrays begin is not shown
			t.Errorf("%s: %s: %s rows are the same: %s", v.typ, body, n,
				query(t, plain, fmt.Sprintf("select string_agg(v::text, ' | ') from %s", name)))
		}
	}
}

func statements(t *testing.T) int { return calls(t, "%") }

// The commit of 1,000 rows is two statements, the question for the token among them.
// One bad row among them, wherever it stands, costs fewer than 25 more, with
// savepoints and all.
func TestOneBadRowCostsFewStatements(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, "create table bad (id bigint primary key, n bigint constraint positive check (n > 0))")
	db := open(t, postgres.Config{DSN: dsn, MinConns: -1, MaxConns: 1}) // each connection asks who the server is
	w := openWritable(t, db, store.Resource{Table: "bad", Columns: []string{"n"}})
	const rows = 1000
	try := func(bad int) (count int) {
		changes := make([]store.Change, rows)
		for i := range changes {
			n := i + 1
			if i == bad {
				n = -1
			}
			changes[i] = put(fmt.Sprint(i), fmt.Sprintf(`{"n":%d}`, n))
		}
		before := statements(t)
		c := apply(t, w, changes...)
		count = statements(t) - before
		for i := range rows {
			if i != bad {
				if _, err := c.Result(i); err != nil {
					t.Fatalf("row %d beside bad row %d: %v", i, bad, err)
				}
			}
		}
		if bad >= 0 && failed(t, c, bad).Constraint != "positive" {
			t.Errorf("row %d: %v", bad, failed(t, c, bad))
		}
		return count
	}
	try(-1) // learns who the server is
	good := try(-1)
	if good != 1 {
		t.Errorf("%d statements for %d rows, want 1", good, rows)
	}
	worst := 0
	for _, bad := range []int{0, 1, 333, 499, 500, 617, 998, 999} {
		worst = max(worst, try(bad)-good)
	}
	if worst >= 25 {
		t.Errorf("%d further statements for one bad row, want fewer than 25", worst)
	}
	t.Logf("one bad row among %d: at most %d further statements", rows, worst)
}

// 1,000 callers at once, one of them with a bad row: it gets its own error, the others
// are made, and finding it costs fewer than 25 statements more than their commits do.
func TestOneBadRowAmongConcurrentOnes(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, "create table crowd (id bigint primary key, n bigint constraint positive check (n > 0))")
	db := open(t, postgres.Config{DSN: dsn, MinConns: -1, MaxConns: 6}) // a pool that fills itself would be counted
	w := openWritable(t, db, store.Resource{Table: "crowd", Columns: []string{"n"}})
	writer, err := fulcrum.NewWriter(fulcrum.WriterConfig[store.Change, store.Written]{
		Apply: w.Apply, Resolve: w.Resolve, OrderBy: func(c store.Change) string { return string(c.Key) }, Policy: fulcrum.Policy{MaxBatch: 1000},
	})
	if err != nil {
		t.Fatal(err)
	}
	const callers, bad = 1000, 617
	errs := make([]error, callers)
	before := statements(t)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			n := i + 1
			if i == bad {
				n = -1
			}
			_, errs[i] = writer.Write(t.Context(), put(fmt.Sprint(i), fmt.Sprintf(`{"n":%d}`, n)))
		})
	}
	wg.Wait()
	count := statements(t) - before
	if err := writer.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, err := range errs {
		var wrong *store.RowError
		switch {
		case i == bad && (!errors.As(err, &wrong) || wrong.Constraint != "positive"):
			t.Errorf("the bad row: %v", err)
		case i != bad && err != nil:
			t.Errorf("row %d: %v", i, err)
		}
	}
	commits := int(writer.Stats().Batches)
	if extra := count - commits; extra >= 25 {
		t.Errorf("%d statements for %d commits, want fewer than 25 more", count, commits)
	}
	if n := query(t, plain, "select count(*)::text from crowd"); n != fmt.Sprint(callers-1) {
		t.Errorf("%s rows are there, want %d", n, callers-1)
	}
	t.Logf("%d statements for %d commits", count, commits)
}

// Constraints that are checked at the end keep off those alone who break them, and
// let rows need each other.
func TestDeferredConstraints(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, `create table parts (id bigint primary key, n bigint check (n > 0),
		whole bigint constraint belongs references parts (id) deferrable initially deferred)`)
	w := openWritable(t, open(t, postgres.Config{DSN: dsn}), store.Resource{Table: "parts", Columns: []string{"n", "whole"}})
	allMade(t, apply(t, w, put("1", `{"n":1,"whole":2}`), put("2", `{"n":1,"whole":1}`)))
	c := apply(t, w, put("3", `{"n":1,"whole":1}`), put("4", `{"n":1,"whole":404}`), put("5", `{"n":1,"whole":null}`), put("6", `{"n":1,"whole":404}`))
	if failed(t, c, 1).Constraint != "belongs" || failed(t, c, 3).Code != "23503" {
		t.Errorf("got %v, %v", failed(t, c, 1), failed(t, c, 3))
	}
	if c := apply(t, w, put("7", `{"n":1,"whole":404}`)); failed(t, c, 0).Constraint != "belongs" {
		t.Errorf("alone: %v", failed(t, c, 0))
	}
	// Beside a row that is wrong at once, rows may still need each other.
	c = apply(t, w, put("8", `{"n":1,"whole":9}`), put("9", `{"n":1,"whole":8}`), put("10", `{"n":-1,"whole":8}`))
	_ = failed(t, c, 2)
	c = apply(t, w, put("11", `{"n":-1,"whole":1}`), put("12", `{"n":1,"whole":404}`), put("13", `{"n":1,"whole":1}`))
	_ = failed(t, c, 0)
	_ = failed(t, c, 1)
	if got := query(t, plain, "select string_agg(id::text, ' ' order by id) from parts"); got != "1 2 3 5 8 9 13" {
		t.Errorf("rows %s", got)
	}
}

// A trigger may change rows, refuse them, and keep them from being made.
func TestTriggers(t *testing.T) {
	for _, returns := range []bool{true, false} {
		t.Run(fmt.Sprintf("return=%t", returns), func(t *testing.T) { testTriggers(t, returns) })
	}
}

func testTriggers(t *testing.T, returns bool) {
	dsn, plain := schema(t)
	exec(t, plain, `create table guarded (id bigint primary key, n bigint);
		create function guard() returns trigger language plpgsql as $$ begin
			if new.n = 13 then raise exception 'unlucky'; end if;
			if new.n = 14 then return null; end if;
			new.n := new.n * 10;
			return new;
		end $$;
		create trigger guard before insert or update on guarded for each row execute function guard()`)
	w := openWritable(t, open(t, postgres.Config{DSN: dsn}), store.Resource{Table: "guarded", Columns: []string{"n"}})
	var changes []store.Change
	for i := range 20 {
		c := put(fmt.Sprint(i), fmt.Sprintf(`{"n":%d}`, i))
		c.Return = returns
		changes = append(changes, c)
	}
	c := apply(t, w, changes...)
	for i := range 20 {
		got, err := c.Result(i)
		switch i {
		case 13:
			if wrong := failed(t, c, i); wrong.Code != "P0001" || wrong.Message != "unlucky" {
				t.Errorf("refused: %#v", wrong)
			}
		case 14:
			if wrong := failed(t, c, i); !strings.Contains(wrong.Message, "trigger") {
				t.Errorf("suppressed: %#v", wrong)
			}
		default:
			want := ""
			if returns {
				want = fmt.Sprintf(`{"n":%d}`, i*10)
			}
			if err != nil || string(got.Row) != want {
				t.Errorf("row %d: got %s, %v; want %s", i, got.Row, err, want)
			}
		}
	}
}

// What may pass is tried again.
func TestTransientErrorsAreRetried(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, `create table rough (id bigint primary key, n text); create sequence tries;
		create function pass() returns trigger language plpgsql as $$ begin
			if nextval('tries') % 4 <> 0 then raise exception using errcode = new.n; end if;
			return new;
		end $$;
		create trigger pass after insert or update on rough for each row execute function pass()`)
	w := openWritable(t, open(t, postgres.Config{DSN: dsn}), store.Resource{Table: "rough", Columns: []string{"n"}})
	for i, code := range []string{"40001", "40P01", "53200", "57P03", "55P03"} {
		allMade(t, apply(t, w, put(fmt.Sprint(i), fmt.Sprintf(`{"n":%q}`, code))))
		if tries := query(t, plain, "select last_value::text from tries"); tries != fmt.Sprint(4*(i+1)) {
			t.Errorf("%s: %s tries so far, want %d", code, tries, 4*(i+1))
		}
	}
	exec(t, plain, "alter sequence tries restart with 1 increment by 4") // never divisible by 4
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := tryApply(t, ctx, w, put("9", `{"n":"40001"}`)); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, fulcrum.ErrAmbiguous) {
		t.Errorf("got %v", err)
	}
}

// Tenants write their own rows alone, and one that is not theirs fails alone.
func TestWritesUnderPolicies(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, fmt.Sprintf(`create table orders (id bigint primary key, tenant text not null);
		insert into orders values (100, 'b');
		alter table orders enable row level security;
		create policy tenant on orders using (tenant = current_setting('app.tenant', true));
		grant usage on schema %s to app; grant select, insert, update, delete on orders to app`, currentSchema(t, dsn)))
	db := open(t, postgres.Config{DSN: dsn + "&role=app", ScopeSetting: "app.tenant"})
	w := openWritable(t, db, store.Resource{Table: "orders", Columns: []string{"tenant"}})
	ctx := fulcrum.WithScope(t.Context(), "a")
	c, err := tryApply(t, ctx, w, put("1", `{"tenant":"a"}`), put("2", `{"tenant":"b"}`), put("3", `{"tenant":"a"}`), put("100", `{"tenant":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{1, 3} {
		if wrong := failed(t, c, i); wrong.Code != "42501" {
			t.Errorf("change %d: %v", i, wrong)
		}
	}
	c, err = tryApply(t, ctx, w, store.Change{Op: store.Delete, Key: "100"}, store.Change{Op: store.Delete, Key: "3"})
	if _, foreign := c.Result(0); err != nil || !errors.Is(foreign, fulcrum.ErrNotFound) {
		t.Errorf("deletes: %v, %v", err, foreign)
	}
	if got := query(t, plain, "select string_agg(id || tenant, ' ' order by id) from orders"); got != "1a 100b" {
		t.Errorf("rows %s", got)
	}
}

// Tables change while they are open: what can go on goes on, the rest says what to do.
func TestTableChangesUnderWrites(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, "create table t (id bigint primary key, n integer, v integer); grant usage on schema "+currentSchema(t, dsn)+" to app; grant all on t to app")
	db := open(t, postgres.Config{DSN: dsn + "&role=app", MinConns: -1, MaxConns: 2})
	w := openWritable(t, db, store.Resource{Table: "t", Columns: []string{"n"}, Version: "v"})
	back := func() {
		t.Helper()
		c := put("1", `{"n":"1"}`) // understood by all types that n has here
		c.Return = true
		done := apply(t, w, c)
		if got, err := done.Result(0); err != nil || string(got.Row) != `{"n":1}` && string(got.Row) != `{"n":"1"}` {
			t.Errorf("got %s, %v", got.Row, err)
		}
	}
	back()
	exec(t, plain, "alter table t alter n type bigint, add column more text default 'x'")
	back()
	exec(t, plain, "alter table t alter v type bigint")
	back()
	exec(t, plain, "alter table t alter n type text")
	back()
	exec(t, plain, "revoke update on t from app")
	for range 2 {
		_, err := tryApply(t, t.Context(), w, store.Change{Op: store.Delete, Key: "1"}, store.Change{Op: store.Delete, Key: "2"})
		if err != nil {
			t.Errorf("what is still allowed: %v", err)
		}
	}
	c := fulcrum.NewCommit[store.Change, store.Written]([]store.Change{put("1", `{"n":"1"}`)}, nil)
	err := w.Apply(t.Context(), c)
	if err == nil || errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "table t cannot be written") || !strings.Contains(err.Error(), "grant") {
		t.Errorf("got %v; want the table, and what to do", err)
	}
}

// Partitions, keys that are always made, and computed columns.
func TestUnusualTables(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, `create table p (id bigint primary key, n bigint) partition by range (id);
		create table p1 partition of p for values from (0) to (100); create table p2 partition of p for values from (100) to (200);
		create table a (id bigint generated always as identity primary key, n bigint, twice bigint generated always as (n * 2) stored);
		create table loose (id numeric primary key, n bigint);
		create table lone (id bigint primary key);
		create table late (id bigint primary key deferrable, n bigint);
		create table wide (id bigint primary key, part bigint, n bigint); create unique index on wide (id, part)`)
	db := open(t, postgres.Config{DSN: dsn})
	p := openWritable(t, db, store.Resource{Table: "p", Columns: []string{"n"}})
	c := apply(t, p, put("1", `{"n":1}`), put("101", `{"n":1}`), put("201", `{"n":1}`))
	if failed(t, c, 2).Code != "23514" { // no partition
		t.Errorf("got %v", failed(t, c, 2))
	}
	asked := func(c store.Change) store.Change { c.AskCreated = true; return c }
	c = apply(t, p, asked(put("1", `{"n":2}`)), asked(put("102", `{"n":2}`)))
	first, _ := c.Result(0)
	second, _ := c.Result(1)
	if first.Created || !second.Created {
		t.Errorf("created: %t, %t", first.Created, second.Created)
	}
	a := openWritable(t, db, store.Resource{Table: "a", Columns: []string{"id", "n", "twice"}})
	insert := store.Change{Op: store.Insert, Body: []byte(`{"n":4}`), Return: true}
	got, err := apply(t, a, insert).Result(0)
	if err != nil || string(got.Row) != `{"id":1,"n":4,"twice":8}` || got.Key != "1" {
		t.Errorf("got %+v, %v", got, err)
	}
	allMade(t, apply(t, a, put("50", `{"id":50,"n":1}`), put("51", `{"n":1}`)))
	for _, body := range []string{`{"n":1,"twice":2}`, `{"id":7,"n":1}`} {
		if _, err := a.ParseChange(store.Change{Op: store.Insert, Body: []byte(body)}); err == nil {
			t.Errorf("%s: no error", body)
		}
	}
	loose := openWritable(t, db, store.Resource{Table: "loose", Columns: []string{"n"}})
	allMade(t, apply(t, loose, put("1", `{"n":1}`), put("1.0", `{"n":2}`), put("2", `{"n":3}`)))
	lone := openWritable(t, db, store.Resource{Table: "lone", Columns: []string{"id"}})
	allMade(t, apply(t, lone, put("1", `{}`), put("2", `{"id":2}`)))
	allMade(t, apply(t, lone, put("1", `{}`), put("2", `{"id":2}`)))
	for _, table := range []string{"late", "wide"} {
		r := store.Resource{Name: table, Table: table, Key: []string{"id"}, Columns: []string{"n"}, Writable: true}
		if table == "wide" {
			r.Key = []string{"part", "id"}
			exec(t, plain, "drop index wide_id_part_idx")
		}
		var wrong *store.ConfigError
		if _, err := db.Open(t.Context(), r); !errors.As(err, &wrong) || wrong.Field != "writable" {
			t.Errorf("%s: got %v", table, err)
		}
	}
}

// Whoever names other columns each time fills nobody's memory.
func TestManySetsOfColumns(t *testing.T) {
	dsn, plain := schema(t)
	var columns []string
	for i := range 8 {
		columns = append(columns, fmt.Sprintf("c%d", i))
	}
	exec(t, plain, "create table sets (id bigint primary key, "+strings.Join(columns, " bigint, ")+" bigint)")
	db := open(t, postgres.Config{DSN: dsn, MinConns: -1, MaxConns: 1})
	w := openWritable(t, db, store.Resource{Table: "sets", Columns: columns})
	var all []store.Change
	for i := 1; i < 256; i++ {
		var fields []string
		for bit, c := range columns {
			if i&(1<<bit) != 0 {
				fields = append(fields, fmt.Sprintf("%q:%d", c, i))
			}
		}
		all = append(all, store.Change{Op: store.Insert, Key: store.Key(fmt.Sprint(i)), Body: []byte("{" + strings.Join(fields, ",") + "}")})
	}
	allMade(t, apply(t, w, all...))
	for i := range all {
		all[i].Op = store.Patch
		allMade(t, apply(t, w, all[i]))
	}
	for i := 1; i < 256; i++ {
		row, err := w.One(t.Context(), store.Key(fmt.Sprint(i)))
		for bit, c := range columns {
			want := fmt.Sprintf("%q:null", c)
			if i&(1<<bit) != 0 {
				want = fmt.Sprintf("%q:%d", c, i)
			}
			if err != nil || !strings.Contains(string(row), want) {
				t.Fatalf("row %d: %s, %v; want %s", i, row, err, want)
			}
		}
	}
}

// Connections that died while nobody used them leave no doubt about a write.
func TestWritesOnDeadConnections(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, "create table r (id bigint primary key, n bigint)")
	db := open(t, postgres.Config{DSN: dsn + "&application_name=doomedwriter", MaxConns: 20})
	w := openWritable(t, db, store.Resource{Table: "r", Columns: []string{"n"}})
	for i := range 5 {
		until(t, "connections", func() bool { total, _ := db.Stat(); return total >= 5 })
		exec(t, plain, "select pg_terminate_backend(pid, 10000) from pg_stat_activity where application_name = 'doomedwriter'")
		for n := range 10 {
			allMade(t, apply(t, w, put(fmt.Sprint(n), fmt.Sprintf(`{"n":%d}`, i))))
		}
	}
}
