package fulcrumtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/pgtest"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

type writeCommit = fulcrum.Commit[store.Change, store.Written]

// A writeFault is a bug that somebody could write: it stands in front of a good
// store's Apply.
type writeFault func(ctx context.Context, w store.Writable, c *writeCommit) error

// writeFactory makes databases on one server, behind a fault.
func writeFactory(t *testing.T, pg *pgtest.Server, fault writeFault) Factory {
	n := 0
	return Factory{
		Types: Types{
			Int: "bigint", Text: "text", Bytes: "bytea", Float: "double precision", Time: "timestamptz", NoCase: "citext",
			MadeKey: "bigint generated always as identity primary key",
		},
		Placeholder: func(i int) string { return fmt.Sprintf("$%d", i) },
		New: func(tb testing.TB) Database {
			n++
			name := fmt.Sprintf("%s_%d", strings.ToLower(strings.Map(letters, t.Name())), n)
			if err := pg.Exec(context.Background(), "create schema "+name); err != nil {
				tb.Fatal(err)
			}
			dsn := pg.DSN() + "&search_path=" + name + ",public"
			plain, err := pgxpool.New(context.Background(), dsn)
			if err != nil {
				tb.Fatal(err)
			}
			t.Cleanup(plain.Close)
			db, err := postgres.Open(context.Background(), postgres.Config{DSN: dsn, MinConns: -1, MaxConns: 8})
			if err != nil {
				tb.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			return Database{Store: faultyWrites{db, fault}, Exec: func(sql string, args ...any) error {
				_, err := plain.Exec(context.Background(), sql, args...)
				return err
			}}
		},
	}
}

func letters(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
		return r
	}
	return '_'
}

type faultyWrites struct {
	store.Keeper
	fault writeFault
}

func (f faultyWrites) Open(ctx context.Context, r store.Resource) (store.Table, error) {
	t, err := f.Keeper.Open(ctx, r)
	w, ok := t.(store.Writable)
	if err != nil || !ok || f.fault == nil {
		return t, err
	}
	return faultyTable{w, f.fault}, nil
}

type faultyTable struct {
	store.Writable
	fault writeFault
}

func (f faultyTable) Apply(ctx context.Context, c *writeCommit) error {
	return f.fault(ctx, f.Writable, c)
}

// through applies changes and copies the outcomes of those that pass.
func through(ctx context.Context, w store.Writable, c *writeCommit, items []store.Change, to func(i int) int) error {
	inner := fulcrum.NewCommit[store.Change, store.Written](items, c.Position())
	if err := w.Apply(ctx, inner); err != nil {
		return err
	}
	for i := range items {
		if result, err := inner.Result(i); err != nil {
			c.Fail(to(i), err)
		} else {
			c.Set(to(i), result)
		}
	}
	return nil
}

func same(i int) int { return i }

// each changes every change on its way.
func each(how func(*store.Change)) writeFault {
	return func(ctx context.Context, w store.Writable, c *writeCommit) error {
		items := slices.Clone(c.Items())
		for i := range items {
			how(&items[i])
			items[i].Prepared = nil
		}
		return through(ctx, w, c, items, same)
	}
}

// allOrNothing lets one bad row sink its neighbours.
func allOrNothing(ctx context.Context, w store.Writable, c *writeCommit) error {
	if err := w.Apply(ctx, c); err != nil {
		return err
	}
	for i := range c.Len() {
		if _, err := c.Result(i); err != nil {
			for n := range c.Len() {
				c.Fail(n, err)
			}
			return nil
		}
	}
	return nil
}

// swallowed reports success whatever happened.
func swallowed(ctx context.Context, w store.Writable, c *writeCommit) error {
	err := w.Apply(ctx, c)
	for i := range c.Len() {
		if _, failed := c.Result(i); failed != nil {
			c.Set(i, store.Written{Key: c.Items()[i].Key})
		}
	}
	return err
}

// shortened forgets what is beyond the thousandth change, and reports success.
func shortened(ctx context.Context, w store.Writable, c *writeCommit) error {
	return through(ctx, w, c, c.Items()[:min(c.Len(), 1000)], same)
}

// rotated gives each change its neighbour's outcome.
func rotated(ctx context.Context, w store.Writable, c *writeCommit) error {
	return through(ctx, w, c, c.Items(), func(i int) int { return (i + 1) % c.Len() })
}

// deafWrites does not look at its context.
func deafWrites(_ context.Context, w store.Writable, c *writeCommit) error {
	return through(context.Background(), w, c, c.Items(), same)
}

// lastAlike makes only the last of the changes whose keys differ in case alone.
func lastAlike(ctx context.Context, w store.Writable, c *writeCommit) error {
	last := map[string]int{}
	for i, item := range c.Items() {
		last[strings.ToLower(string(item.Key))] = i
	}
	var items []store.Change
	var from []int
	for i, item := range c.Items() {
		if last[strings.ToLower(string(item.Key))] == i {
			items, from = append(items, item), append(from, i)
		}
	}
	return through(ctx, w, c, items, func(i int) int { return from[i] })
}

// vague hides what the database says.
func vague(ctx context.Context, w store.Writable, c *writeCommit) error {
	err := w.Apply(ctx, c)
	for i := range c.Len() {
		var wrong *store.RowError
		if _, failed := c.Result(i); errors.As(failed, &wrong) {
			c.Fail(i, errors.New("it did not work"))
		}
	}
	return err
}

var writeFaults = map[string]struct {
	fault writeFault
	check string
}{
	"one bad row sinks all":   {allOrNothing, "one bad row among 1,000"},
	"errors are swallowed":    {swallowed, "rows that break constraints"},
	"no detail of errors":     {vague, "rows that break constraints"},
	"large commits cut":       {shortened, "1 to 10,000 rows"},
	"outcomes by place":       {rotated, "insert"},
	"versions are not looked": {each(func(c *store.Change) { c.IfVersion = "" }), "a version asked for twice"},
	"absence is not looked":   {each(func(c *store.Change) { c.IfAbsent = false }), "only if absent"},
	"inserts replace": {each(func(c *store.Change) {
		if c.Op == store.Insert && c.Key != "" {
			c.Op = store.Put
		}
	}), "random changes"},
	"rows are not returned": {each(func(c *store.Change) { c.Return = false }), "returned rows"},
	"context is not looked": {deafWrites, "ended contexts of writes"},
	"alike keys are one":    {lastAlike, "keys that are alike"},
}

// unpositioned forgets where a commit stands in its journal.
func unpositioned(ctx context.Context, w store.Writable, c *writeCommit) error {
	inner := fulcrum.NewCommit[store.Change, store.Written](c.Items(), nil)
	err := w.Apply(ctx, inner)
	for i := range c.Len() {
		if result, failed := inner.Result(i); failed != nil {
			c.Fail(i, failed)
		} else {
			c.Set(i, result)
		}
	}
	return err
}

// forgetful tells first answers as if they were new.
func forgetful(ctx context.Context, w store.Writable, c *writeCommit) error {
	err := w.Apply(ctx, c)
	for i := range c.Len() {
		if result, failed := c.Result(i); failed == nil {
			result.Replayed = false
			c.Set(i, result)
		}
	}
	return err
}

var keeperFaults = map[string]struct {
	fault writeFault
	check string
}{
	"keys are not looked at":  {each(func(c *store.Change) { c.Once = nil }), "asked again"},
	"failures are not kept":   {each(func(c *store.Change) { c.Once = nil }), "failed again"},
	"made once for each":      {each(func(c *store.Change) { c.Once = nil }), "asked by many at once"},
	"bodies are not compared": {each(sameBody), "asked twice in a commit"},
	"answers look new":        {forgetful, "asked again"},
	"positions are forgotten": {unpositioned, "positions"},
	"failures are lost":       {unpositioned, "dead letters"},
}

func sameBody(c *store.Change) {
	if c.Once != nil {
		c.Once = &store.Once{Scope: c.Once.Scope, Key: c.Once.Key}
	}
}

// A kit that passes everything shows nothing: each fault must fail its check.
func TestWriteKitSeesFaults(t *testing.T) {
	pg := pgtest.Start(t)
	if err := pg.Exec(t.Context(), "create extension citext"); err != nil {
		t.Fatal(err)
	}
	for name, c := range writeFaults {
		t.Run(name, func(t *testing.T) {
			if failingOf(t, writeChecks, writeFactory(t, pg, c.fault), c.check) == nil {
				t.Errorf("check %q did not see it", c.check)
			}
		})
	}
	for name, c := range keeperFaults {
		t.Run(name, func(t *testing.T) {
			if failingOf(t, keeperChecks, writeFactory(t, pg, c.fault), c.check) == nil {
				t.Errorf("check %q did not see it", c.check)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		if names := failingOf(t, slices.Concat(writeChecks, keeperChecks), writeFactory(t, pg, nil), ""); names != nil {
			t.Errorf("a good store failed %q", names)
		}
	})
}
