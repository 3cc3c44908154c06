package postgres_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fulcrum-data/fulcrum/internal/pgtest"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

// server is what all tests share that do not hurt it.
var server *pgtest.Server

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	ctx := context.Background()
	server, err = pgtest.Launch(ctx, pgtest.Config{
		Databases: []string{"test"}, MaxConnections: 400,
		Settings: map[string]string{"shared_preload_libraries": "pg_stat_statements"},
	})
	if err != nil {
		return 1, err
	}
	defer func() {
		if e := server.Close(); err == nil {
			err = e
		}
	}()
	err = server.Exec(ctx, `create extension citext; create extension pg_stat_statements; create role app;
		create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`)
	if err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// long says whether there is time for the long tests.
func long() bool { return os.Getenv("FULCRUM_LONG") != "" }

// rounds is n, or more of them if there is time.
func rounds(n, ifLong int) int {
	if long() {
		return ifLong
	}
	return n
}

var schemas atomic.Int64

// schema makes an empty place of its own for a test, and a DSN that leads there.
func schema(t testing.TB) (dsn string, plain *pgxpool.Pool) {
	t.Helper()
	name := fmt.Sprintf("s%d", schemas.Add(1))
	dsn = server.DSN() + "&search_path=" + name + ",public"
	plain, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(plain.Close)
	exec(t, plain, "create schema "+name)
	return dsn, plain
}

func exec(t testing.TB, plain *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := plain.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func open(t testing.TB, cfg postgres.Config) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func openTable(t testing.TB, db store.DB, r store.Resource) store.Table {
	t.Helper()
	table, err := db.Open(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return table
}
