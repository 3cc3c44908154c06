package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/faultproxy"
	"github.com/fulcrum-data/fulcrum/internal/pgtest"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

// scissors cut one connection at a chosen piece of data, once.
type scissors struct {
	cuts   atomic.Int64 // made so far
	left   atomic.Int64 // pieces until the cut; 0 is never
	dir    atomic.Int64
	action atomic.Int64
}

func (s *scissors) arm(dir faultproxy.Direction, action faultproxy.Action, piece int64) {
	s.dir.Store(int64(dir))
	s.action.Store(int64(action))
	s.left.Store(piece)
}

func (s *scissors) onData(dir faultproxy.Direction, _ []byte) faultproxy.Action {
	if int64(dir) != s.dir.Load() || s.left.Load() <= 0 || s.left.Add(-1) != 0 {
		return faultproxy.Pass
	}
	s.cuts.Add(1)
	return faultproxy.Action(s.action.Load())
}

// cutter writes through scissors and compares what it is told with what is there.
type cutter struct {
	t     *testing.T
	w     store.Writable
	plain *pgxpool.Pool // past the scissors
	tally map[string]int
}

// Each row that is made leaves a trace, so that what is made twice can be told from what
// is made once.
const cutSQL = `create table cut (id bigint primary key, n bigint constraint positive check (n > 0), round bigint);
	create table traces (round bigint);
	create function trace() returns trigger language plpgsql as $$ begin insert into traces values (new.round); return new; end $$;
	create trigger trace after insert or update on cut for each row execute function trace()`

// The network is cut somewhere in a commit: in what goes there, in what comes back,
// before or after a piece of it. What a caller is told is true, always: it was made, it
// was not made, or nobody can tell.
func TestCutsAreToldTruthfully(t *testing.T) {
	s := &scissors{}
	proxy, err := faultproxy.New(server.Addr(), faultproxy.Options{OnData: s.onData})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	dsn, plain := schema(t)
	exec(t, plain, cutSQL)
	dsn = strings.Replace(dsn, server.Addr(), proxy.Addr(), 1) + "&application_name=cutwriter"
	db := open(t, postgres.Config{DSN: dsn, MinConns: -1, MaxConns: 1})
	if err := db.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := &cutter{t: t, plain: plain, tally: map[string]int{}, w: openWritable(t, db, store.Resource{Table: "cut", Columns: []string{"n", "round"}})}
	rnd := rand.New(rand.NewPCG(1, 0))
	const most = 3 // pieces from the beginning of a commit
	total := int64(rounds(100, 500))
	round := 0
	for ; s.cuts.Load() < total; round++ {
		before := s.cuts.Load()
		commit := c.commit(rnd, round)
		c.warm(commit)
		s.arm(faultproxy.Direction(rnd.IntN(2)), faultproxy.CutBefore+faultproxy.Action(rnd.IntN(2)), 1+rnd.Int64N(most))
		err := c.w.Apply(t.Context(), commit)
		s.left.Store(0)
		c.judge(commit, round, err)
		if s.cuts.Load() == before {
			c.tally["not cut"]++
		}
	}
	t.Logf("%d commits, %d cuts: %v", round, s.cuts.Load(), c.tally)
	for _, what := range []string{"made", "resolved: made", "resolved: not made", "nobody can tell"} {
		if c.tally[what] == 0 {
			t.Errorf("no round came out as %q", what)
		}
	}
}

// commit is one of the shapes that a commit can have: few rows or many, one of them
// bad, of a journal, once.
func (c *cutter) commit(rnd *rand.Rand, round int) *fulcrum.Commit[store.Change, store.Written] {
	rows := []int{1, 2, 30}[rnd.IntN(3)]
	var items []store.Change
	for i := range rows {
		n := i + 1
		if rows == 30 && i == 17 && round%2 == 0 {
			n = -1
		}
		change := put(fmt.Sprint(i), fmt.Sprintf(`{"n":%d,"round":%d}`, n, round))
		if round%5 == 1 && i == 0 {
			change = once(fmt.Sprint(round), "body", change)
		}
		items = append(items, change)
	}
	var at *fulcrum.Position
	if round%5 == 2 {
		at = &fulcrum.Position{Journal: fmt.Sprint("j", round), Offset: 1}
	}
	return fulcrum.NewCommit[store.Change, store.Written](items, at)
}

// The server ends sessions in the middle of what they do. Its last words may come before
// a commit or after it.
func TestTerminationsAreToldTruthfully(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, cutSQL)
	db := open(t, postgres.Config{DSN: dsn + "&application_name=cutwriter", MinConns: -1, MaxConns: 1})
	if err := db.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := &cutter{t: t, plain: plain, tally: map[string]int{}, w: openWritable(t, db, store.Resource{Table: "cut", Columns: []string{"n", "round"}})}
	rnd := rand.New(rand.NewPCG(2, 0))
	total := rounds(150, 2000)
	for round := range total {
		commit := c.commit(rnd, round)
		c.warm(commit)
		ended := make(chan error)
		go func() {
			_, err := plain.Exec(context.Background(), "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'cutwriter'")
			ended <- err
		}()
		for range rnd.IntN(300) { // the two begin at the same time, more or less
			runtime.Gosched()
		}
		err := c.w.Apply(t.Context(), commit)
		if ended := <-ended; ended != nil {
			t.Fatal(ended)
		}
		c.judge(commit, round, err)
	}
	t.Logf("%d rounds: %v", total, c.tally)
}

// warm makes the same rows once in peace, so that what follows is the commit alone: the
// connection is there, and knows the statements.
func (c *cutter) warm(commit *fulcrum.Commit[store.Change, store.Written]) {
	c.t.Helper()
	var items []store.Change
	for _, item := range commit.Items() {
		items = append(items, put(string(item.Key), `{"n":1,"round":-1}`))
	}
	until(c.t, "a connection after a cut", func() bool { // the last cut may not be noticed yet
		return c.w.Apply(c.t.Context(), fulcrum.NewCommit[store.Change, store.Written](items, nil)) == nil
	})
}

// judge compares what the caller was told with what is there.
func (c *cutter) judge(commit *fulcrum.Commit[store.Change, store.Written], round int, err error) {
	c.t.Helper()
	fate, what := fulcrum.FateAborted, "not made"
	switch {
	case err == nil:
		fate, what = fulcrum.FateCommitted, "made"
	case errors.Is(err, fulcrum.ErrAmbiguous) && commit.ID() == "":
		fate, what = fulcrum.FateUnknown, "nobody can tell"
	case errors.Is(err, fulcrum.ErrAmbiguous):
		fate, err = c.w.Resolve(c.t.Context(), commit.ID())
		if err != nil || fate == fulcrum.FateUnknown {
			c.t.Fatalf("round %d: the fate of %s: %d, %v", round, commit.ID(), fate, err)
		}
		what = map[fulcrum.Fate]string{fulcrum.FateCommitted: "resolved: made", fulcrum.FateAborted: "resolved: not made"}[fate]
	case !errors.Is(err, store.ErrUnavailable):
		c.t.Fatalf("round %d: %v", round, err)
	}
	c.tally[what]++
	until(c.t, "the server to be done", func() bool {
		return query(c.t, c.plain, "select count(*)::text from pg_stat_activity where application_name = 'cutwriter' and state <> 'idle'") == "0"
	})
	good := 0
	for i := range commit.Len() {
		_, failed := commit.Result(i)
		bad := strings.Contains(string(commit.Items()[i].Body), "-1")
		if fate == fulcrum.FateCommitted && bad != (failed != nil) {
			c.t.Errorf("round %d: %s: change %d: %v", round, what, i, failed)
		}
		if !bad {
			good++
		}
	}
	there := query(c.t, c.plain, fmt.Sprintf("select count(*)::text from traces where round = %d", round))
	switch {
	case fate == fulcrum.FateCommitted && there != fmt.Sprint(good),
		fate == fulcrum.FateAborted && there != "0",
		there != "0" && there != fmt.Sprint(good):
		c.t.Fatalf("round %d: told %q, but %s rows were made, of %d", round, what, there, good)
	}
}

// What the database says of a commit is believed as long as it can know.
func TestResolve(t *testing.T) {
	pg := pgtest.Start(t)
	if err := pg.Exec(t.Context(), "create table r (id bigint primary key, n bigint)"); err != nil {
		t.Fatal(err)
	}
	db := open(t, postgres.Config{DSN: pg.DSN(), MinConns: -1, MaxConns: 4})
	w := openWritable(t, db, store.Resource{Table: "r", Columns: []string{"n"}})
	c := apply(t, w, put("1", `{"n":1}`), put("2", `{"n":2}`))
	fate := func(id fulcrum.CommitID, want fulcrum.Fate) {
		t.Helper()
		if got, err := w.Resolve(t.Context(), id); got != want || err != nil {
			t.Errorf("Resolve(%s): %d, %v; want %d", id, got, err, want)
		}
	}
	fate(c.ID(), fulcrum.FateCommitted)
	at := strings.LastIndex(string(c.ID()), ":") + 1
	numbered := func(xid string) fulcrum.CommitID { return c.ID()[:at] + fulcrum.CommitID(xid) }
	fate(numbered("1000000000"), fulcrum.FateAborted) // not given out yet: forgotten in a crash

	plain, err := pgxpool.New(t.Context(), pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	tx, err := plain.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var xid string
	if err := tx.QueryRow(t.Context(), "select pg_current_xact_id()::text").Scan(&xid); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got, err := w.Resolve(short, numbered(xid)); got != fulcrum.FateUnknown || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("still running: %d, %v", got, err)
	}
	ended := make(chan fulcrum.Fate)
	go func() {
		got, _ := w.Resolve(t.Context(), numbered(xid))
		ended <- got
	}()
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-ended; got != fulcrum.FateAborted {
		t.Errorf("rolled back: %d", got)
	}

	// After a crash a number may stand for another transaction.
	if err := errors.Join(pg.Stop(pgtest.Immediate), pg.StartAgain(t.Context())); err != nil {
		t.Fatal(err)
	}
	fate(c.ID(), fulcrum.FateUnknown)
	fate(numbered(xid), fulcrum.FateAborted)
	fate(apply(t, w, put("3", `{"n":3}`), put("4", `{"n":4}`)).ID(), fulcrum.FateCommitted)
	for _, id := range []fulcrum.CommitID{"", "x", "pg:1:2:3", "pg:1:2:3:x"} {
		if got, err := w.Resolve(t.Context(), id); got != fulcrum.FateUnknown || err == nil {
			t.Errorf("Resolve(%q): %d, %v", id, got, err)
		}
	}
}
