package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/fulcrumtest"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

type person struct {
	ID   int64
	Name string
	Born time.Time
}

func TestTypedRows(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, `create table people (id bigint primary key, name citext unique, born timestamptz);
		insert into people select i, 'Name ' || i, to_timestamp(i) from generate_series(1, 500) i;
		insert into people values (501, null, now())`)
	db := open(t, postgres.Config{DSN: dsn})
	cfg, err := postgres.ReaderConfig(t.Context(), db, postgres.Query[int64, person]{
		Table: "people", Key: []string{"id"}, Columns: []string{"id", "name", "born"}, Scan: pgx.RowToStructByName[person],
	})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Name != "people" {
		t.Errorf("name %q", cfg.Name)
	}
	r, err := fulcrum.NewReader(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var keys []int64
	for i := range int64(600) {
		keys = append(keys, i+1)
	}
	for _, read := range []func() (map[int64]person, error){
		func() (map[int64]person, error) { return r.GetMany(t.Context(), keys) },
		func() (map[int64]person, error) { return fulcrumtest.Together(t.Context(), keys, cfg.Fetch) },
	} {
		got, err := read()
		var errs fulcrum.KeyErrors[int64]
		if !errors.As(err, &errs) || len(errs) != 1 || errs[501] == nil || len(got) != 500 { // null is no string
			t.Fatalf("%d rows, %v", len(got), err)
		}
		for id, p := range got {
			if p.ID != id || p.Name != fmt.Sprint("Name ", id) || p.Born.Unix() != id {
				t.Errorf("key %d: got %v", id, p)
			}
		}
	}
	if p, err := cfg.One(t.Context(), 7); p.Name != "Name 7" || err != nil {
		t.Errorf("One: %v, %v", p, err)
	}
	if _, err := cfg.One(t.Context(), 600); !errors.Is(err, fulcrum.ErrNotFound) {
		t.Errorf("One: %v", err)
	}
	byName, err := postgres.ReaderConfig(t.Context(), db, postgres.Query[string, int64]{
		Table: "people", Key: []string{"name"}, Columns: []string{"id"}, Scan: pgx.RowTo[int64],
	})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := fulcrumtest.Together(t.Context(), []string{"NAME 7", "name 7", "name x", "Name 8"}, byName.Fetch)
	if err != nil || fmt.Sprint(ids) != "map[NAME 7:7 Name 8:8 name 7:7]" {
		t.Errorf("by name: %v, %v", ids, err)
	}
}

func TestTypedCompositeKeys(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, "create table roles (tenant text, id integer, role text, primary key (tenant, id)); insert into roles values ('a', 1, 'a1'), ('b', 1, 'b1')")
	db := open(t, postgres.Config{DSN: dsn})
	type member struct {
		tenant string
		id     int
	}
	q := postgres.Query[member, string]{
		Name: "roles of members", Table: "roles", Key: []string{"tenant", "id"}, Columns: []string{"role"}, Scan: pgx.RowTo[string],
		Parts: func(m member) []any { return []any{m.tenant, m.id} },
	}
	cfg, err := postgres.ReaderConfig(t.Context(), db, q)
	if err != nil {
		t.Fatal(err)
	}
	got, err := fulcrumtest.Together(t.Context(), []member{{"a", 1}, {"b", 1}, {"a", 2}}, cfg.Fetch)
	if err != nil || len(got) != 2 || got[member{"a", 1}] != "a1" || got[member{"b", 1}] != "b1" {
		t.Errorf("got %v, %v", got, err)
	}
	if role, err := cfg.One(t.Context(), member{"b", 1}); role != "b1" || err != nil {
		t.Errorf("got %q, %v", role, err)
	}
	// A key that does not fit its column fails alone, and says why.
	got, err = fulcrumtest.Together(t.Context(), []member{{"a", 1}, {"b", 1 << 40}, {"b", 1}}, cfg.Fetch)
	var errs fulcrum.KeyErrors[member]
	if !errors.As(err, &errs) || len(errs) != 1 || len(got) != 2 || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, %v", got, err)
	}
	q.Parts = func(m member) []any { return []any{m.id} }
	short, err := postgres.ReaderConfig(t.Context(), db, q)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := short.One(t.Context(), member{}); err == nil || !strings.Contains(err.Error(), "Parts gave 1 values for 2 key columns") {
		t.Errorf("got %v", err)
	}
}

func TestTypedRefusals(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, "create table r (id bigint primary key, n bigint)")
	db := open(t, postgres.Config{DSN: dsn})
	ok := postgres.Query[int64, int64]{Table: "r", Key: []string{"id"}, Columns: []string{"n"}, Scan: pgx.RowTo[int64]}
	for field, change := range map[string]func(*postgres.Query[int64, int64]){
		"scan":    func(q *postgres.Query[int64, int64]) { q.Scan = nil },
		"parts":   func(q *postgres.Query[int64, int64]) { q.Key = []string{"id", "n"} },
		"key":     func(q *postgres.Query[int64, int64]) { q.Key = []string{"n"} },
		"columns": func(q *postgres.Query[int64, int64]) { q.Columns = []string{"m"} },
		"table":   func(q *postgres.Query[int64, int64]) { q.Table = "s" },
	} {
		q := ok
		change(&q)
		_, err := postgres.ReaderConfig(t.Context(), db, q)
		var wrong *store.ConfigError
		if !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
}
