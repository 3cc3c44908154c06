package postgres_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/fulcrumtest"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

func TestConfigRefusals(t *testing.T) {
	for _, c := range []struct {
		cfg  postgres.Config
		want string
	}{
		{postgres.Config{}, "Config.DSN is missing"},
		{postgres.Config{DSN: "x", MaxConns: -1}, "Config.MaxConns: -1 is not between 1 and 10000"},
		{postgres.Config{DSN: "x", MaxConns: 10_001}, "Config.MaxConns: 10001 is not between 1 and 10000"},
		{postgres.Config{DSN: "x", MinConns: 51}, "Config.MinConns: 51 is neither -1 nor between 1 and MaxConns (50)"},
		{postgres.Config{DSN: "x", MinConns: -2}, "Config.MinConns: -2 is neither"},
		{postgres.Config{DSN: "x", Timeout: -1}, "Config.Timeout: -1ns is negative"},
		{postgres.Config{DSN: "x", ScopeSetting: "tenant"}, `Config.ScopeSetting: "tenant" is not two or more names`},
		{postgres.Config{DSN: "x", ScopeSetting: "app.t-1"}, `Config.ScopeSetting: "app.t-1" is not`},
		{postgres.Config{DSN: "x", ScopeSetting: "app."}, `Config.ScopeSetting: "app." is not`},
		{postgres.Config{DSN: "postgres://h/d?pool_max_conns=3"}, "Config.DSN: pool_max_conns belongs into Config"},
		{postgres.Config{DSN: "postgres://u:secret@h:port/d"}, "Config.DSN: invalid port"},
		{postgres.Config{DSN: "postgres://u:sec%zzret@h/d"}, "Config.DSN: failed to parse as URL"},
		{postgres.Config{DSN: "host=h password='secret"}, "Config.DSN: failed to parse as keyword/value"},
		{postgres.Config{DSN: "postgres://u:secret@h/d?sslmode=perhaps"}, "Config.DSN: failed to configure TLS"},
		{postgres.Config{DSN: "postgres://u:secret@h/d?connect_timeout=secret"}, "Config.DSN: invalid connect_timeout"},
		{postgres.Config{DSN: "secret"}, "Config.DSN"},
	} {
		_, err := postgres.Open(t.Context(), c.cfg)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: got %v; want …%s…", c.cfg, err, c.want)
		}
	}
}

// A database that cannot be reached is a clear error without the password.
func TestOpenErrors(t *testing.T) {
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = refusing.Close()
	for _, c := range []struct{ name, dsn, want string }{
		{"nobody listens", "postgres://u:secret@" + refusing.Addr().String() + "/d?sslmode=disable", "connection refused"},
		{"no such database", strings.Replace(server.DSN(), "/test?", "/nothing?", 1), `database "nothing" does not exist`},
		{"no such role", strings.Replace(server.DSN(), "postgres@", "nobody:secret@", 1), `role "nobody" does not exist`},
		{"no such host", "postgres://u:secret@host.invalid/d", "host.invalid"},
	} {
		_, err := postgres.Open(t.Context(), postgres.Config{DSN: c.dsn})
		if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v; want …%s…", c.name, err, c.want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if _, err := postgres.Open(ctx, postgres.Config{DSN: "postgres://u:secret@" + silent.Addr().String() + "/d?sslmode=disable&connect_timeout=1"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("silent server: %v", err)
	}
}

func TestResourceRefusals(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, `create table users (id bigint primary key, user_name text, doc jsonb, n integer, deleted boolean);
		create unique index on users (user_name) where not deleted; create unique index on users ((n + 1));
		create unique index on users (doc);
		create view names as select user_name from users; create sequence numbers; create role reader;
		create table ci (k text collate nocase); create unique index on ci (k collate "C")`)
	t.Cleanup(func() { _ = server.Exec(context.Background(), "drop role reader") })
	db := open(t, postgres.Config{DSN: dsn})
	users := store.Resource{Name: "r", Table: "users", Key: []string{"id"}, Columns: []string{"id"}}
	for name, c := range map[string]struct {
		change func(*store.Resource)
		want   string
	}{
		"near column":   {func(r *store.Resource) { r.Columns = []string{"username"} }, `resource "r": columns: users has no column "username"; did you mean "user_name"?`},
		"other case":    {func(r *store.Resource) { r.Key = []string{"ID"} }, `resource "r": key: users has no column "ID"; did you mean "id"?`},
		"far column":    {func(r *store.Resource) { r.Columns = []string{"zzzzzzz"} }, `there are id, user_name, doc, n, deleted`},
		"near table":    {func(r *store.Resource) { r.Table = "user" }, `resource "r": table: the database has no table "user"; did you mean "users"?`},
		"other schema":  {func(r *store.Resource) { r.Table = "public.users" }, `the database has no table "public.users"`},
		"sequence":      {func(r *store.Resource) { r.Table = "numbers" }, `resource "r": table: numbers is neither a table nor a view`},
		"partial index": {func(r *store.Resource) { r.Key = []string{"user_name"} }, `key: several rows may have the same user_name: set many, or create unique index users_user_name on users (user_name)`},
		"expression":    {func(r *store.Resource) { r.Key = []string{"n"} }, `key: several rows may have the same n`},
		"odd key":       {func(r *store.Resource) { r.Key = []string{"doc"} }, `key: column "doc" is of type jsonb, which cannot be a key`},
		"view": {func(r *store.Resource) {
			r.Table, r.Key, r.Columns = "names", []string{"user_name"}, []string{"user_name"}
		}, `key: names is a view`},
		"other collation": {func(r *store.Resource) { r.Table, r.Key, r.Columns = "ci", []string{"k"}, []string{"k"} }, `key: several rows may have the same k`},
	} {
		r := users
		c.change(&r)
		_, err := db.Open(t.Context(), r)
		var wrong *store.ConfigError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\n got %v\nwant %s", name, err, c.want)
		}
	}
	poor := open(t, postgres.Config{DSN: dsn + "&role=reader", MaxConns: 1})
	if _, err := poor.Open(t.Context(), users); err == nil || !strings.Contains(err.Error(), `resource "r": table: `) {
		t.Errorf("without privileges: %v", err)
	}
}

// Names that only quotes can hold, schemas, and views.
func TestOddNames(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, `create table "Select ""from" ("Wh""ere" integer primary key, "ü b" text); insert into "Select ""from" values (1, 'x');
		create view few as select "Wh""ere" as id, 10 / ("Wh""ere" - 2) as n from "Select ""from";
		insert into "Select ""from" values (2, 'y'), (3, 'z')`)
	db := open(t, postgres.Config{DSN: dsn})
	name := currentSchema(t, dsn) + `.Select "from`
	table := openTable(t, db, store.Resource{Name: "r", Table: name, Key: []string{`Wh"ere`}, Columns: []string{"ü b", `Wh"ere`}})
	if row, err := table.One(t.Context(), "1"); string(row) != `{"ü b":"x","Wh\"ere":1}` {
		t.Errorf("got %s, %v", row, err)
	}
	// A row of a view that cannot be computed fails its own key.
	few := openTable(t, db, store.Resource{Name: "few", Table: "few", Key: []string{"id"}, Columns: []string{"n"}, Many: true})
	rows, err := fulcrumtest.Together(t.Context(), []store.Key{"1", "2", "3", "4"}, few.Fetch)
	var errs fulcrum.KeyErrors[store.Key]
	if !errors.As(err, &errs) || len(errs) != 1 || !strings.Contains(errs["2"].Error(), "division by zero") ||
		string(rows["1"]) != `[{"n":-10}]` || string(rows["3"]) != `[{"n":10}]` || len(rows) != 2 {
		t.Errorf("got %s, %v", rows, err)
	}
	if _, err := few.One(t.Context(), "2"); err == nil || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("One: %v", err)
	}
}

func currentSchema(t *testing.T, dsn string) string {
	t.Helper()
	_, after, _ := strings.Cut(dsn, "search_path=")
	name, _, _ := strings.Cut(after, ",")
	return name
}

// A table may change while it is open; its rows follow.
func TestSchemaChanges(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, "create table moving (id integer primary key, v integer); insert into moving values (1, 1), (2, 2)")
	for _, setting := range []string{"", "app.tenant"} {
		db := open(t, postgres.Config{DSN: dsn, MaxConns: 2, ScopeSetting: setting})
		table := openTable(t, db, store.Resource{Name: "r", Table: "moving", Key: []string{"id"}, Columns: []string{"id", "v"}})
		look := func(id, v string) {
			t.Helper()
			want := `{"id":` + id + `,"v":` + v + `}`
			for range 3 { // on each connection, and once more
				row, err := table.One(t.Context(), store.Key(strings.Trim(id, `"`)))
				rows, fetchErr := fulcrumtest.Together(t.Context(), []store.Key{store.Key(strings.Trim(id, `"`)), "77"}, table.Fetch)
				if got := string(rows[store.Key(strings.Trim(id, `"`))]); string(row) != want || got != want {
					t.Errorf("One %s, %v; Fetch %s, %v; want %s", row, err, got, fetchErr, want)
				}
			}
		}
		look("1", "1")
		exec(t, plain, "alter table moving alter column v type text using 'v' || v")
		look("1", `"v1"`)
		exec(t, plain, "alter table moving add column w integer, alter column v type numeric using 7")
		look("1", `"7"`)
		exec(t, plain, "alter table moving alter column id type bigint; insert into moving values (9007199254740993, 3)")
		look("2", `"7"`)
		exec(t, plain, "alter table moving drop column v")
		if _, err := table.One(t.Context(), "1"); err == nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, fulcrum.ErrNotFound) {
			t.Errorf("a column is gone: %v", err)
		}
		exec(t, plain, "delete from moving where id > 2; alter table moving alter column id type integer; alter table moving add column v integer; update moving set v = id; alter table moving drop column w")
		look("2", "2")
	}
}

func TestPingIsBounded(t *testing.T) {
	db := open(t, postgres.Config{DSN: server.DSN(), MaxConns: 1})
	if err := db.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if n := db.Conns(); n != 1 {
		t.Errorf("%d connections", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Ping(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
