//go:build unix

package pgtest

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// value is Server.Value for tests that expect no error.
func value(t *testing.T, s *Server, sql string) string {
	t.Helper()
	v, err := s.Value(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// must fails the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// session opens a connection that the test closes.
func session(t *testing.T, s *Server) *pgconn.PgConn {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), s.DSN())
	must(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func TestStartAppliesItsOptions(t *testing.T) {
	t.Parallel()
	s := Start(t, Databases("shop", "other one"), MaxConnections(37), Durable(), Setting("work_mem", "3MB"))
	for sql, want := range map[string]string{
		"select current_database()": "shop",
		"show max_connections":      "37",
		"show fsync":                "on",
		"show full_page_writes":     "on",
		"show work_mem":             "3MB",
		"show server_encoding":      "UTF8",
		"show lc_collate":           "C",
		"select count(*) from pg_database where datname='other one'": "1",
	} {
		if got := value(t, s, sql); got != want {
			t.Errorf("%s: got %q, want %q", sql, got, want)
		}
	}
}

func TestDefaultsForgetOnPowerLossOnly(t *testing.T) {
	t.Parallel()
	s := Start(t)
	for sql, want := range map[string]string{
		"show fsync":                "off",
		"show synchronous_commit":   "on",
		"select current_database()": "postgres",
	} {
		if got := value(t, s, sql); got != want {
			t.Errorf("%s: got %q, want %q", sql, got, want)
		}
	}
}

func TestDataSurvivesEveryWayToStop(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := Start(t)
	must(t, s.Exec(ctx, "create table t (n int)"))
	port := s.Port()
	for name, stop := range map[string]func() error{
		"fast":      func() error { return s.Stop(Fast) },
		"smart":     func() error { return s.Stop(Smart) },
		"immediate": func() error { return s.Stop(Immediate) },
		"kill":      s.Kill,
		"kill while paused": func() error {
			return errors.Join(s.Pause(), s.Kill())
		},
		"stop while paused": func() error {
			return errors.Join(s.Pause(), s.Stop(Fast))
		},
	} {
		before := value(t, s, "insert into t values (1); select count(*) from t")
		must(t, stop())
		if err := s.Exec(ctx, "select 1"); err == nil {
			t.Errorf("%s: it still answers", name)
		}
		must(t, s.StartAgain(ctx))
		if after := value(t, s, "select count(*) from t"); after != before {
			t.Errorf("%s: %s rows before, %s after", name, before, after)
		}
	}
	must(t, s.Restart(ctx))
	if s.Port() != port {
		t.Errorf("the port changed from %d to %d", port, s.Port())
	}
}

func TestAStoppedServerSaysSo(t *testing.T) {
	t.Parallel()
	s := Start(t)
	if err := s.StartAgain(t.Context()); err == nil {
		t.Error("StartAgain of a running server: no error")
	}
	must(t, s.Stop(Fast))
	for name, call := range map[string]func() error{
		"Stop":  func() error { return s.Stop(Fast) },
		"Kill":  s.Kill,
		"Pause": s.Pause,
	} {
		if err := call(); !errors.Is(err, ErrNotRunning) {
			t.Errorf("%s: got %v, want ErrNotRunning", name, err)
		}
	}
	must(t, s.Resume())
	if _, ok := s.CPU(); ok {
		t.Error("CPU of a stopped server: ok")
	}
}

func TestKillSaysNothingToClients(t *testing.T) {
	t.Parallel()
	s := Start(t)
	conn := session(t, s)
	answered := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "select pg_sleep(60)").ReadAll()
		answered <- err
	}()
	for value(t, s, "select count(*) from pg_stat_activity where query like 'select pg_sleep%'") != "1" {
		t.Log("the query has not arrived yet")
	}
	must(t, s.Kill())
	err := <-answered
	var said *pgconn.PgError
	if err == nil || errors.As(err, &said) {
		t.Errorf("got %v, want a broken connection without a server's message", err)
	}
}

func TestPauseFreezesAndResumeGoesOn(t *testing.T) {
	t.Parallel()
	s := Start(t)
	conn := session(t, s)
	must(t, s.Pause())
	must(t, s.Pause())

	answered := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "select 1").ReadAll()
		answered <- err
	}()
	// A new session hangs too. By the time it gives up, the old one would have
	// been answered long ago if the server were awake.
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := s.Exec(ctx, "select 1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a new session while paused: got %v, want a time-out", err)
	}
	select {
	case err := <-answered:
		t.Errorf("a paused server answered: %v", err)
	default:
	}
	must(t, s.Resume())
	must(t, <-answered)
	must(t, s.Exec(t.Context(), "select 1"))
}

func TestCPUCountsWorkOfLivingAndDeadBackends(t *testing.T) {
	t.Parallel()
	s := Start(t)
	before, ok := s.CPU()
	if !ok {
		t.Skip("not known on this system")
	}
	const burn = "select count(*) from generate_series(1, 1000000)"
	must(t, s.Exec(t.Context(), burn)) // this backend is gone afterwards
	conn := session(t, s)
	if _, err := conn.Exec(t.Context(), burn).ReadAll(); err != nil {
		t.Fatal(err)
	}
	after, ok := s.CPU()
	if !ok || after <= before {
		t.Errorf("before %v, after %v (%v)", before, after, ok)
	}
}

func TestAFailedStartShowsTheLog(t *testing.T) {
	t.Parallel()
	_, err := Launch(t.Context(), Config{Settings: map[string]string{"work_mem": "lots"}})
	if err == nil || !strings.Contains(err.Error(), `invalid value for parameter "work_mem"`) {
		t.Errorf("got %v, want the server's own words", err)
	}
}

func TestCloseRemovesEverything(t *testing.T) {
	t.Parallel()
	s, err := Launch(t.Context(), Config{})
	must(t, err)
	pid := s.process.pid()
	must(t, s.Close())
	must(t, s.Close())
	if exists(s.folder.path) {
		t.Errorf("%s is still there", s.folder.path)
	}
	if _, ok := find(pid); ok {
		t.Errorf("process %d is still there", pid)
	}
	if err := s.StartAgain(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("StartAgain after Close: got %v", err)
	}
}

func TestMain(m *testing.M) {
	if os.Getenv(helperVariable) != "" {
		os.Exit(helper())
	}
	os.Exit(m.Run())
}
