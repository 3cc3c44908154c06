package target

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/load"
	"github.com/fulcrum-data/fulcrum/internal/pgtest"
	"github.com/fulcrum-data/fulcrum/store"
)

const rows = 200

// schema has a table of the usual kind, one with a key of two parts, and one without
// a key. The name is odd on purpose.
var schema = []string{
	`create table users (id bigint primary key, name text not null, "select" text)`,
	`create table memberships (tenant text, id bigint, role text, primary key (id, tenant))`,
	`create table notes (id bigint, text text)`,
	`create view shown as select * from users`,
	`insert into memberships values ('acme', 1, 'owner'), ('acme', 2, 'guest')`,
}

func filled() []string {
	values := make([]string, rows)
	for i := range values {
		values[i] = fmt.Sprintf("(%d, 'user %d', null)", i+1, i+1)
	}
	return append(slices.Clone(schema), "insert into users values "+strings.Join(values, ", "))
}

// databases are a SQLite file and a PostgreSQL server with the same rows.
func databases(t *testing.T) map[string]string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	server := pgtest.Start(t, pgtest.MaxConnections(200))
	for _, statement := range filled() {
		_, err := db.ExecContext(t.Context(), statement)
		if err = errors.Join(err, server.Exec(t.Context(), statement)); err != nil {
			t.Fatal(err)
		}
	}
	return map[string]string{"sqlite": "sqlite:" + path, "postgres": server.DSN()}
}

func open(t *testing.T, cfg StoreConfig) *Store {
	t.Helper()
	s, err := OpenStore(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStores(t *testing.T) {
	for name, dsn := range databases(t) {
		t.Run(name, func(t *testing.T) {
			t.Run("strategies", func(t *testing.T) { testStrategies(t, dsn) })
			t.Run("shared queries", func(t *testing.T) { testSharedQueries(t, dsn) })
			t.Run("cache", func(t *testing.T) { testCache(t, dsn) })
			t.Run("compound key", func(t *testing.T) { testCompoundKey(t, dsn) })
			t.Run("guesses", func(t *testing.T) { testGuesses(t, dsn) })
			t.Run("errors", func(t *testing.T) { testErrors(t, dsn) })
			t.Run("writes", func(t *testing.T) { testWrites(t, dsn) })
			t.Run("write errors", func(t *testing.T) { testWriteErrors(t, dsn) })
		})
	}
}

// Each strategy finds what is there, misses what is not, and refuses what is no key,
// and counts a query for each request that is alone.
func testStrategies(t *testing.T, dsn string) {
	s := open(t, StoreConfig{DSN: dsn, Window: WindowConfig{Wait: time.Millisecond}})
	for _, name := range Strategies {
		target, chunk, err := s.Strategy(name)
		if err != nil {
			t.Fatal(err)
		}
		found := make([]string, chunk)
		for i := range found {
			found[i] = fmt.Sprint(i + 1)
		}
		missing := slices.Clone(found)
		missing[chunk-1] = fmt.Sprint(rows + 1)
		before := s.Usage()
		if err := ask(t.Context(), target, found...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if used := s.Usage().Sub(before); used.Queries != 1 || used.Rows != uint64(chunk) {
			t.Errorf("%s: %d queries, %d rows for %d keys", name, used.Queries, used.Rows, chunk)
		}
		if err := ask(t.Context(), target, missing...); !errors.Is(err, fulcrum.ErrNotFound) {
			t.Errorf("%s: %v of a key without a row", name, err)
		}
		missing[0] = "x"
		if err := ask(t.Context(), target, missing...); err == nil || errors.Is(err, fulcrum.ErrNotFound) && name != "dial" {
			t.Errorf("%s: %v of what is no key", name, err)
		}
	}
}

// Requests at the same time share queries where the strategy says so.
func testSharedQueries(t *testing.T, dsn string) {
	s := open(t, StoreConfig{DSN: dsn, Connections: 6, Window: WindowConfig{Keys: 40, Wait: time.Minute}})
	for _, c := range []struct {
		strategy string
		least    uint64
		most     uint64
	}{{"direct", rows, rows}, {"single", rows, rows}, {"window", rows / 40, rows / 40}, {"fulcrum", 1, rows}} {
		target, _, err := s.Strategy(c.strategy)
		if err != nil {
			t.Fatal(err)
		}
		before := s.Usage()
		var all sync.WaitGroup
		for i := range rows {
			all.Go(func() {
				if err := ask(t.Context(), target, fmt.Sprint(i+1)); err != nil {
					t.Errorf("%s: %v", c.strategy, err)
				}
			})
		}
		all.Wait()
		if used := s.Usage().Sub(before); used.Queries < c.least || used.Queries > c.most || used.Rows != rows {
			t.Errorf("%s: %d queries for %d rows", c.strategy, used.Queries, used.Rows)
		}
	}
}

// A key of two parts, whose order is that of the key and not of the table.
func testCompoundKey(t *testing.T, dsn string) {
	s := open(t, StoreConfig{DSN: dsn, Table: "memberships", Columns: []string{"role"}})
	for _, name := range Strategies {
		target, chunk, err := s.Strategy(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := ask(t.Context(), target, slices.Repeat([]string{"1/acme"}, chunk)...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := ask(t.Context(), target, slices.Repeat([]string{"1/none"}, chunk)...); !errors.Is(err, fulcrum.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	keys, err := s.Keys(t.Context())
	if err != nil || keys.String() != "uniform among 2 keys of the table" || s.Probe(t.Context(), keys) != nil {
		t.Errorf("%v %v", keys, err)
	}
}

// What is left open is looked up.
func testGuesses(t *testing.T, dsn string) {
	s := open(t, StoreConfig{DSN: dsn})
	if s.Table() != "users" || fmt.Sprint(s.cfg.Key, s.cfg.Columns) != "[id] [id name select]" {
		t.Errorf("%s %v %v", s.Table(), s.cfg.Key, s.cfg.Columns)
	}
	keys, err := s.Keys(t.Context())
	if err != nil || keys.String() != "uniform among 200 keys of the table" {
		t.Errorf("%v %v", keys, err)
	}
	if err := s.Probe(t.Context(), keys); err != nil {
		t.Error(err)
	}
}

func testErrors(t *testing.T, dsn string) {
	for _, c := range []struct {
		cfg  StoreConfig
		want string
	}{
		{StoreConfig{Table: "nobody"}, "no table nobody: there is memberships, notes, shown, users"},
		{StoreConfig{Table: "notes"}, "table notes has no primary key: name the columns of a unique key"},
		{StoreConfig{Table: "users", Columns: []string{"age"}}, "age"},
		{StoreConfig{Table: "users", Key: []string{"name"}}, "unique"},
	} {
		c.cfg.DSN = dsn
		_, err := OpenStore(t.Context(), c.cfg)
		contains(t, err, c.want)
		var wrong *store.ConfigError
		if errors.As(err, &wrong) != (c.cfg.Key != nil || c.cfg.Columns != nil) {
			t.Errorf("%T", err)
		}
	}
	s := open(t, StoreConfig{DSN: dsn})
	contains(t, s.Probe(t.Context(), mustKeys(t, "hot:0:1000:2000")), "not found")
	_, _, err := s.Strategy("magic")
	contains(t, err, `strategy "magic" is none of dial, direct, single, window, bulk, fulcrum`)
}

func mustKeys(t *testing.T, spec string) load.Keys {
	t.Helper()
	k, err := load.ParseKeys(spec)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestStoreConfigRefuses(t *testing.T) {
	for _, c := range []struct {
		cfg  StoreConfig
		want string
	}{
		{StoreConfig{DSN: "mongodb://secret@x"}, "a store of no kind that is known: want sqlite:FILE or postgres://…"},
		{StoreConfig{DSN: "sqlite:x", Connections: 5}, "5 connections are not between 6 and 10000"},
		{StoreConfig{DSN: "sqlite:x", Window: WindowConfig{Keys: -1}}, "a window of -1 keys"},
		{StoreConfig{DSN: "sqlite:x", Window: WindowConfig{Wait: time.Hour}}, "a window of 1h0m0s"},
	} {
		contains(t, c.cfg.Check(), c.want)
		_, err := OpenStore(t.Context(), c.cfg)
		contains(t, err, c.want)
	}
	_, err := OpenStore(t.Context(), StoreConfig{DSN: "sqlite:" + filepath.Join(t.TempDir(), "none.db")})
	contains(t, err, "none.db")
}

// The processor time of a server on this machine is known, and only there.
func TestDatabaseCPU(t *testing.T) {
	dsn := databases(t)
	if u := open(t, StoreConfig{DSN: dsn["sqlite"]}).Usage(); u.CPUKnown {
		t.Error("SQLite is a part of this process")
	}
	s := open(t, StoreConfig{DSN: dsn["postgres"], Connections: 6})
	before := s.Usage()
	if !before.CPUKnown {
		t.Skip("processor times of others are not known on this system")
	}
	direct, _, err := s.Strategy("dial")
	if err != nil {
		t.Fatal(err)
	}
	var used Usage
	for range 2000 { // each a new process of the server; counted in ticks of 10 ms
		if err := ask(t.Context(), direct, "1"); err != nil {
			t.Fatal(err)
		}
		if used = s.Usage().Sub(before); used.CPU >= 50*time.Millisecond {
			return
		}
	}
	t.Errorf("%s for %d queries", used.CPU, used.Queries)
}

// Writes are committed as the strategy says, to a table of the bench's own, which is gone
// afterwards; reads still read.
func testWrites(t *testing.T, dsn string) {
	s := open(t, StoreConfig{DSN: dsn, Window: WindowConfig{Keys: 40, Wait: time.Minute}})
	if err := s.OpenWrites(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := s.rowsOf(t, "users")
	for _, c := range []struct {
		strategy    string
		least, most uint64
	}{{"single", rows, rows}, {"window", rows / 40, rows / 40}, {"fulcrum", 1, rows}} {
		target, chunk, err := s.Strategy(c.strategy)
		if err != nil || chunk != 1 {
			t.Fatal(chunk, err)
		}
		start := s.Usage()
		var all sync.WaitGroup
		for i := range rows {
			all.Go(func() {
				r := &load.Request{Seq: uint64(i), Keys: []string{fmt.Sprint(10_001 + i)}, Class: fulcrum.ClassNormal, Write: true}
				if err := target.Caller().Call(t.Context(), r); err != nil {
					t.Errorf("%s: %v", c.strategy, err)
				}
			})
		}
		all.Wait()
		if used := s.Usage().Sub(start); used.Queries < c.least || used.Queries > c.most || used.Rows != rows {
			t.Errorf("%s: %d commits for %d rows", c.strategy, used.Queries, used.Rows)
		}
		if err := target.Caller().Call(t.Context(), &load.Request{Keys: []string{"x"}, Write: true}); err == nil {
			t.Errorf("%s: what is no key was written", c.strategy)
		}
		if c.strategy == "window" {
			continue // it would wait for a minute
		}
		if err := ask(t.Context(), target, "1"); err != nil {
			t.Errorf("%s: %v", c.strategy, err)
		}
		if err := ask(t.Context(), target, "10001"); !errors.Is(err, fulcrum.ErrNotFound) {
			t.Errorf("%s: %v: a row that is read was written", c.strategy, err)
		}
	}
	if after := s.rowsOf(t, "users"); after != before {
		t.Errorf("%d rows are read, there were %d", after, before)
	}
	if n := s.rowsOf(t, ScratchTable); n != 2*rows {
		t.Errorf("%d rows were written, want those that were there and as many", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if again := open(t, StoreConfig{DSN: dsn, Table: "users"}); again.rowsOf(t, ScratchTable) >= 0 {
		t.Error("the table that was written to is still there")
	}
}

// rowsOf counts; -1 if there is no such table.
func (s *Store) rowsOf(t *testing.T, table string) int {
	t.Helper()
	shapes, err := s.backend.shapes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(shapes, func(s shape) bool { return s.name == table }) {
		return -1
	}
	found, err := s.backend.sample(t.Context(), StoreConfig{Table: table, Key: []string{"id"}}, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

// Of two writes of one key within a window the later one is made, and both are answered.
func TestWindowOfOneKey(t *testing.T) {
	for name, dsn := range databases(t) {
		s := open(t, StoreConfig{DSN: dsn, Window: WindowConfig{Keys: 2, Wait: time.Minute}})
		if err := s.OpenWrites(t.Context()); err != nil {
			t.Fatal(err)
		}
		g := &gatherer{writing: s.writes, config: s.cfg.Window}
		var heaps []*heap
		for i, key := range []string{"2", "2", "1"} {
			change, err := s.writes.change(&load.Request{Seq: uint64(i), Keys: []string{key}})
			if err != nil {
				t.Fatal(err)
			}
			h, _ := g.add(change)
			heaps = append(heaps, h)
		}
		<-heaps[0].done
		if heaps[0] != heaps[1] || heaps[0] != heaps[2] || len(heaps[0].changes) != 2 || heaps[0].err != nil {
			t.Errorf("%s: %v", name, heaps)
		}
		key, _ := s.writes.table.ParseKey([]string{"2"})
		row, err := s.writes.table.One(t.Context(), key)
		if err != nil || !strings.Contains(string(row), `"user 2"`) { // the second body
			t.Errorf("%s: %s, %v", name, row, err)
		}
		_ = s.Close()
	}
}

func testWriteErrors(t *testing.T, dsn string) {
	s := open(t, StoreConfig{DSN: dsn})
	if err := s.OpenWrites(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dial", "direct", "bulk", "magic"} {
		_, _, err := s.Strategy(name)
		contains(t, err, fmt.Sprintf("strategy %q does not write: want one of single, window, fulcrum", name))
	}
}

// Behind a cache a row that was read costs no query.
func testCache(t *testing.T, dsn string) {
	s := open(t, StoreConfig{DSN: dsn, Table: "users", Cache: 100})
	target, _, err := s.Strategy("fulcrum")
	if err != nil {
		t.Fatal(err)
	}
	before := s.Usage()
	for _, key := range []string{"1", "2", "1", "1"} {
		if err := ask(t.Context(), target, key); err != nil {
			t.Fatal(err)
		}
	}
	if used := s.Usage().Sub(before); used.Queries != 2 || used.Rows != 2 {
		t.Errorf("%+v, want 2 queries", used)
	}
}
