package postgres_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

func once(key, body string, c store.Change) store.Change {
	c.Once = &store.Once{Scope: "s", Key: key, Body: sha256.Sum256([]byte(body))}
	return c
}

// Answers are told for a day, and taken away in passing.
func TestFirstAnswersAge(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, "create table r (id bigint primary key, n bigint)")
	db := open(t, postgres.Config{DSN: dsn})
	if err := db.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := openWritable(t, db, store.Resource{Table: "r", Columns: []string{"n"}})
	allMade(t, apply(t, w, once("old", "1", put("1", `{"n":1}`)), once("older", "1", put("2", `{"n":1}`)), once("young", "1", put("3", `{"n":1}`))))
	exec(t, plain, "update fulcrum_once set at = now() - interval '24 hours 1 second' where key like 'old%'")
	exec(t, plain, "update fulcrum_once set at = now() - interval '23 hours 59 minutes' where key = 'young'")
	c := apply(t, w, once("old", "another body", put("1", `{"n":2}`)), once("young", "1", put("3", `{"n":2}`)))
	allMade(t, c)
	first, _ := c.Result(0)
	second, _ := c.Result(1)
	if first.Replayed || !second.Replayed {
		t.Errorf("a day later: replayed %t; before that: %t", first.Replayed, second.Replayed)
	}
	if got := query(t, plain, "select string_agg(key, ' ' order by key) from fulcrum_once"); got != "old young" {
		t.Errorf("kept: %s", got)
	}
	if got := query(t, plain, "select string_agg(n::text, ' ' order by id) from r"); got != "2 1 1" {
		t.Errorf("rows %s", got)
	}
}

// What is made once, a journal's commit and bad rows, in any order, come out right with
// constraints that are checked at the end and with policies.
func TestEverythingInOneCommit(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, fmt.Sprintf(`create table parts (id bigint primary key, tenant text not null, n bigint check (n > 0),
			whole bigint references parts (id) deferrable initially deferred);
		alter table parts enable row level security;
		create policy tenant on parts using (tenant = current_setting('app.tenant', true));
		grant usage, create on schema %s to app; grant all on parts to app`, currentSchema(t, dsn)))
	db := open(t, postgres.Config{DSN: dsn + "&role=app", ScopeSetting: "app.tenant", Tokens: true})
	if err := db.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := openWritable(t, db, store.Resource{Table: "parts", Columns: []string{"tenant", "n", "whole"}})
	ctx := fulcrum.WithScope(t.Context(), "a")
	items := []store.Change{
		put("1", `{"tenant":"a","n":1,"whole":2}`),
		once("k", "2", put("2", `{"tenant":"a","n":1,"whole":1}`)),
		put("3", `{"tenant":"b","n":1,"whole":null}`),
		once("l", "4", put("4", `{"tenant":"a","n":-1,"whole":null}`)),
		put("5", `{"tenant":"a","n":1,"whole":404}`),
		once("k", "2", put("6", `{"tenant":"a","n":1,"whole":null}`)),
		{Op: store.Put, Key: "7", Body: []byte(`{"n"`)},
		put("8", `{"tenant":"a","n":1,"whole":null}`),
	}
	at := &fulcrum.Position{Journal: "j", Shard: 1, Offset: 100}
	c := fulcrum.NewCommit[store.Change, store.Written](items, at)
	if err := w.Apply(ctx, c); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"23503", "", "42501", "23514", "23503", "", "body", ""} {
		_, err := c.Result(i)
		var row *store.RowError
		var body *store.BodyError
		switch {
		case errors.As(err, &row) && row.Code == want, errors.As(err, &body) && want == "body":
		case err == nil && want == "":
		case (i <= 1 || i == 5) && err != nil: // 1 and 2 need each other, and 5 made the database look at each by itself
		default:
			t.Errorf("change %d: got %v, want %q", i, err, want)
		}
	}
	letters, err := db.DeadLetters(t.Context(), 0, 100)
	if err != nil || len(letters) < 4 || letters[0].Scope != "a" {
		t.Errorf("%d dead letters, %v; want 4 or more of scope a", len(letters), err)
	}
	if applied, err := db.Applied(t.Context(), "j"); err != nil || applied[1] != 100 {
		t.Errorf("applied %v, %v", applied, err)
	}
	if c.Token() == "" || c.ID() == "" {
		t.Errorf("token %q, ID %q", c.Token(), c.ID())
	}
	if fate, err := w.Resolve(t.Context(), c.ID()); fate != fulcrum.FateCommitted || err != nil {
		t.Errorf("fate %d, %v", fate, err)
	}
}

// Idempotency keys that a text cannot hold may be the same to the database: their
// changes fail alone. What is to be tried again after a failure is.
func TestKeysOfOnce(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, "create table r (id bigint primary key, n bigint)")
	db := open(t, postgres.Config{DSN: dsn})
	if err := db.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := openWritable(t, db, store.Resource{Table: "r", Columns: []string{"n"}})
	c := apply(t, w, put("1", `{"n":1}`), once("\xff", "2", put("2", `{"n":1}`)), once("\xfe", "3", put("3", `{"n":1}`)))
	for i, want := range []error{nil, nil, store.ErrOnceReused} {
		if _, err := c.Result(i); !errors.Is(err, want) {
			t.Errorf("change %d: %v, want %v", i, err, want)
		}
	}
	again := once("again", "4", store.Change{Op: store.Patch, Key: "4", Body: []byte(`{"n":2}`)})
	again.Once.Again = true
	for round, want := range []error{fulcrum.ErrNotFound, fulcrum.ErrNotFound, nil, nil} {
		if round == 2 {
			exec(t, plain, "insert into r values (4, 1)")
		}
		written, err := apply(t, w, again).Result(0)
		if !errors.Is(err, want) || written.Replayed != (round == 3) {
			t.Errorf("round %d: %v, want %v; replayed %t", round, err, want, written.Replayed)
		}
	}
}

// One position, many at once: it is applied once.
func TestOnePositionByMany(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, "create table r (id bigint primary key, n bigint); create table log (id bigint)")
	exec(t, plain, `create function note() returns trigger language plpgsql as $$ begin insert into log values (new.id); return new; end $$;
		create trigger note after insert or update on r for each row execute function note()`)
	db := open(t, postgres.Config{DSN: dsn})
	if err := db.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := openWritable(t, db, store.Resource{Table: "r", Columns: []string{"n"}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for offset := range int64(10) {
				c := fulcrum.NewCommit[store.Change, store.Written]([]store.Change{put("1", `{"n":1}`), put("2", `{"n":1}`)}, &fulcrum.Position{Journal: "j", After: offset - 1, Offset: offset})
				if err := w.Apply(t.Context(), c); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := query(t, plain, "select count(*)::text from log"); n == "0" || len(n) > 2 {
		t.Errorf("%s rows were written, want at most 20", n)
	}
	if applied, err := db.Applied(t.Context(), "j"); err != nil || applied[0] != 9 {
		t.Errorf("applied %v, %v", applied, err)
	}
}
