package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
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

// until asks until the answer is yes: for what no channel tells.
func until(t *testing.T, what string, yes func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			buf := make([]byte, 1<<20)
			t.Fatalf("%s: not within 30 s\n%s", what, buf[:runtime.Stack(buf, true)])
		}
	}
}

const (
	callTimeout = 200 * time.Millisecond
	lateness    = 50 * time.Millisecond // that a call may take beyond its deadline
)

// callers ask for rows all the time, each call with a deadline.
type callers struct {
	t        *testing.T
	stop     chan struct{}
	wg       sync.WaitGroup
	answered []atomic.Int64 // by caller
	stalled  atomic.Int64   // ns for which the machine let nobody run, so far
	refused  atomic.Int64   // calls that failed with store.ErrUnavailable
	late     atomic.Int64   // calls that failed at their deadline
}

// start begins n callers of get, in turn.
func startCallers(t *testing.T, n int, gets ...func(context.Context, store.Key) ([]byte, error)) *callers {
	c := &callers{t: t, stop: make(chan struct{}), answered: make([]atomic.Int64, n)}
	c.wg.Go(c.watchMachine)
	for i := range n {
		c.wg.Go(func() { c.call(i, gets[i%len(gets)]) })
	}
	return c
}

// watchMachine adds up for how long a ticker was late: a busy machine's fault is
// not that of a call.
func (c *callers) watchMachine() {
	const beat = 2 * time.Millisecond
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-c.stop:
			return
		case <-tick.C:
		}
		now := time.Now()
		if gap := now.Sub(last); gap > 2*beat {
			c.stalled.Add(int64(gap - beat))
		}
		last = now
	}
}

func (c *callers) call(i int, get func(context.Context, store.Key) ([]byte, error)) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for n := i; ; n++ {
		select {
		case <-c.stop:
			return
		case <-tick.C:
		}
		key := store.Key(fmt.Sprint(1 + n%100))
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		began, stalled := time.Now(), c.stalled.Load()
		row, err := get(ctx, key)
		took := time.Since(began)
		cancel()
		if took > callTimeout+lateness && c.lateAllTheSame(took, stalled) {
			c.t.Errorf("a call with a deadline of %s took %s", callTimeout, took)
		}
		switch {
		case err == nil && string(row) == `{"id":`+string(key)+`}`:
			c.answered[i].Add(1)
		case errors.Is(err, store.ErrUnavailable):
			c.refused.Add(1)
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, fulcrum.ErrShed):
			c.late.Add(1)
		default:
			c.t.Errorf("key %s: got %s, %v", key, row, err)
		}
	}
}

// lateAllTheSame says whether a call was late even if the machine's stalls since
// it began are taken off. The watch may have to catch up with a stall that has
// only just ended.
func (c *callers) lateAllTheSame(took time.Duration, before int64) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	<-tick.C
	return took-time.Duration(c.stalled.Load()-before) > callTimeout+lateness
}

func (c *callers) end() {
	close(c.stop)
	c.wg.Wait()
}

// awaitAnswers waits until each caller has got further answers.
func (c *callers) awaitAnswers() {
	c.t.Helper()
	for i := range c.answered {
		seen := c.answered[i].Load()
		until(c.t, "an answer after the fault", func() bool { return c.answered[i].Load() > seen+1 })
	}
}

// awaitFailures waits until n more calls have failed.
func (c *callers) awaitFailures(count *atomic.Int64, n int64) {
	c.t.Helper()
	seen := count.Load()
	until(c.t, "failing calls", func() bool { return count.Load() >= seen+n })
}

// Whatever happens to the database: no call outlives its deadline, the database
// is used again when it is back, and nothing is left behind.
func TestFaults(t *testing.T) {
	pg := pgtest.Start(t)
	if err := pg.Exec(t.Context(), "create table r (id bigint primary key); insert into r select generate_series(1, 100)"); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	proxy, err := faultproxy.New(pg.Addr(), faultproxy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	const most = 8
	db, err := postgres.Open(t.Context(), postgres.Config{DSN: pg.DSNVia(proxy.Addr()), MinConns: 2, MaxConns: most})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	table := openTable(t, db, store.Resource{Name: "r", Table: "r", Key: []string{"id"}, Columns: []string{"id"}})
	r, err := fulcrum.NewReader(fulcrum.ReaderConfig[store.Key, []byte]{Fetch: table.Fetch, One: table.One})
	if err != nil {
		t.Fatal(err)
	}
	shared := func(ctx context.Context, key store.Key) ([]byte, error) { return r.Get(ctx, key) }
	c := startCallers(t, 6, shared, shared, table.One)
	faults := allFaults(t, c, pg, proxy)
	for i := range rounds(10, 100) {
		f := faults[i%len(faults)]
		began := time.Now()
		f.run()
		c.awaitAnswers()
		if total, _ := db.Stat(); total > most {
			t.Errorf("%s: %d connections, more than %d", f.name, total, most)
		}
		t.Logf("%s: %s", f.name, time.Since(began).Round(time.Millisecond))
	}
	c.end()
	if err := errors.Join(r.Shutdown(t.Context()), db.Close()); err != nil {
		t.Error(err)
	}
	until(t, "the proxy's connections to end", func() bool { return proxy.Connections() == 0 })
	proxy.Close()
	until(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

type fault struct {
	name string
	run  func() // hurts, waits for the effect, and heals
}

func allFaults(t *testing.T, c *callers, pg *pgtest.Server, proxy *faultproxy.Proxy) []fault {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	return []fault{
		{"stopped", func() {
			must(pg.Stop(pgtest.Fast))
			c.awaitFailures(&c.refused, 20)
			must(pg.StartAgain(t.Context()))
		}},
		{"frozen", func() {
			must(pg.Pause())
			c.awaitFailures(&c.late, 10)
			must(pg.Resume())
		}},
		{"cut off", func() {
			proxy.Cut()
			c.awaitFailures(&c.refused, 20)
			must(proxy.Heal())
		}},
		{"silent", func() {
			proxy.Hang()
			c.awaitFailures(&c.late, 10)
			must(proxy.Heal())
		}},
		{"killed", func() {
			must(pg.Kill())
			c.awaitFailures(&c.refused, 20)
			must(pg.StartAgain(t.Context()))
		}},
		{"restarted", func() { must(pg.Restart(t.Context())) }},
	}
}

// Connections that died while nobody used them cost no caller an error.
func TestDeadConnectionsAreReplaced(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, "create table r (id bigint primary key); insert into r values (1)")
	db := open(t, postgres.Config{DSN: dsn + "&application_name=doomed", MaxConns: 20})
	table := openTable(t, db, store.Resource{Name: "r", Table: "r", Key: []string{"id"}, Columns: []string{"id"}})
	for range 5 {
		until(t, "connections", func() bool { total, _ := db.Stat(); return total >= 5 })
		exec(t, plain, "select pg_terminate_backend(pid, 10000) from pg_stat_activity where application_name = 'doomed'")
		for range 10 {
			if row, err := table.One(t.Context(), "1"); err != nil {
				t.Fatalf("got %s, %v", row, err)
			}
		}
	}
}

// lock keeps everybody from reading a table until release.
func lock(t *testing.T, plain *pgxpool.Pool, table string) (release func()) {
	t.Helper()
	tx, err := plain.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "lock table "+table+" in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := tx.Commit(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A thousand callers behind a lock become a handful of queries.
func TestQueriesBehindALock(t *testing.T) {
	const callers, slots, maxBatch = 1024, 4, 200
	dsn, plain := schema(t)
	exec(t, plain, fmt.Sprintf("create table behind_a_lock (id bigint primary key); insert into behind_a_lock select generate_series(0, %d)", callers-1))
	db := open(t, postgres.Config{DSN: dsn})
	table := openTable(t, db, store.Resource{Name: "r", Table: "behind_a_lock", Key: []string{"id"}, Columns: []string{"id"}})
	r, err := fulcrum.NewReader(fulcrum.ReaderConfig[store.Key, []byte]{
		Fetch: table.Fetch, One: table.One, Policy: fulcrum.Policy{InFlight: slots, MaxBatch: maxBatch},
	})
	if err != nil {
		t.Fatal(err)
	}
	release := lock(t, plain, "behind_a_lock")
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			key := store.Key(fmt.Sprint(i))
			if row, err := r.Get(t.Context(), key); err != nil || string(row) != `{"id":`+string(key)+`}` {
				t.Errorf("key %s: got %s, %v", key, row, err)
			}
		})
	}
	until(t, "all callers to be admitted", func() bool { return r.Stats().Admitted == callers })
	release()
	wg.Wait()
	most := slots + (callers-slots+maxBatch-1)/maxBatch + slots
	got := calls(t, `select%behind_a_lock%where t."id"%`)
	if got == 0 || got > most {
		t.Errorf("%d queries for %d callers, want at most %d", got, callers, most)
	}
	t.Logf("%d queries for %d callers, at most %d allowed", got, callers, most)
	if err := r.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// Who leaves, leaves at once; Close ends who stays.
func TestLeavingALockedTable(t *testing.T) {
	for _, setting := range []string{"", "app.tenant"} {
		dsn, plain := schema(t)
		exec(t, plain, "create table l (id bigint primary key)")
		db := open(t, postgres.Config{DSN: dsn, MaxConns: 3, ScopeSetting: setting})
		table := openTable(t, db, store.Resource{Name: "r", Table: "l", Key: []string{"id"}, Columns: []string{"id"}})
		release := lock(t, plain, "l")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		ask := func(ctx context.Context) {
			_, err := table.One(ctx, "1")
			ended <- err
		}
		waiting := func() bool {
			_, acquired := db.Stat()
			return acquired == 1
		}
		go ask(ctx)
		until(t, "the call to wait", waiting)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		until(t, "the connection to be given back", func() bool { _, acquired := db.Stat(); return acquired == 0 })
		go ask(context.Background())
		until(t, "the call to wait", waiting)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("closed: %v", err)
		}
		release()
	}
}

// Without a deadline of its own a call has Config.Timeout.
func TestTimeout(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, "create table l (id bigint primary key)")
	db := open(t, postgres.Config{DSN: dsn, MaxConns: 3, Timeout: time.Second})
	table := openTable(t, db, store.Resource{Name: "r", Table: "l", Key: []string{"id"}, Columns: []string{"id"}})
	release := lock(t, plain, "l")
	began := time.Now()
	if _, err := table.One(context.Background(), "1"); !errors.Is(err, store.ErrUnavailable) || time.Since(began) < time.Second {
		t.Errorf("got %v after %s", err, time.Since(began))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := table.One(ctx, "1"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	release()
	if _, err := table.One(context.Background(), "1"); !errors.Is(err, fulcrum.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
