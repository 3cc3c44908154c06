package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

func waitFor(t testing.TB, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("waited 20 s in vain")
		}
	}
}

// What the backend's failures become, for one row and for many.
func TestBackendFailures(t *testing.T) {
	for _, c := range []struct {
		name   string
		fetch  func(context.Context, []store.Key) error
		status int
		code   string
	}{
		{"unavailable", func(context.Context, []store.Key) error { return fmt.Errorf("dial: %w", store.ErrUnavailable) }, 503, "unavailable"},
		{"any other", func(context.Context, []store.Key) error { return errors.New("secret") }, 500, "internal"},
		{"panic", func(context.Context, []store.Key) error { panic("secret") }, 500, "internal"},
		{"its own deadline", func(context.Context, []store.Key) error { return context.DeadlineExceeded }, 504, "deadline"},
		{"never", func(ctx context.Context, _ []store.Key) error { <-ctx.Done(); return ctx.Err() }, 504, "deadline"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newGateway(t, testConfig(&memory{fetch: c.fetch})).Data()
			wantSecret := func(a answer) {
				wantProblem(t, a, c.status, c.code)
				if strings.Contains(a.text, "secret") {
					t.Errorf("an inner error got out: %s", a.text)
				}
			}
			wantSecret(ask(t, h, "GET", "/v1/users/1", "", "Fulcrum-Timeout-Ms", "50"))
			wantSecret(ask(t, h, "POST", "/v1/users:batchGet", `{"keys":[1,2]}`, "Fulcrum-Timeout-Ms", "50"))
		})
	}
}

// The gateway's own deadline holds even where the database does not listen.
func TestDefaultDeadline(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	cfg := testConfig(&memory{fetch: func(context.Context, []store.Key) error { <-release; return nil }})
	cfg.Timeout = 20 * time.Millisecond
	h := newGateway(t, cfg).Data()
	wantProblem(t, ask(t, h, "GET", "/v1/users/1", ""), 504, "deadline")
	wantProblem(t, ask(t, h, "POST", "/v1/users:batchGet", `{"keys":[2]}`), 504, "deadline")
}

func TestShed(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	cfg := testConfig(&memory{fetch: func(context.Context, []store.Key) error {
		entered <- struct{}{}
		<-release
		return nil
	}})
	cfg.Backend = fulcrum.BackendConfig{Tuner: fulcrum.TunerFixed, InFlight: 1}
	cfg.Policy.MaxQueued = 1
	g := newGateway(t, cfg)
	h := g.Data()
	done := make(chan answer)
	go func() { done <- ask(t, h, "GET", "/v1/users/1", "") }()
	<-entered
	go func() { done <- ask(t, h, "GET", "/v1/users/2", "") }()
	waitFor(t, func() bool { return g.Reader("users").Stats().Queued == 1 })

	for _, a := range []answer{
		ask(t, h, "GET", "/v1/users/3", ""),
		ask(t, h, "POST", "/v1/users:batchGet", `{"keys":[4,5]}`),
	} {
		wantProblem(t, a, http.StatusTooManyRequests, "shed")
		if after := a.Header.Get("Retry-After"); after != "1" {
			t.Errorf("Retry-After %q", after)
		}
		if !strings.Contains(a.text, "queue_full") {
			t.Errorf("no reason: %s", a.text)
		}
	}
	release <- struct{}{}
	<-entered
	release <- struct{}{}
	for range 2 {
		if a := <-done; a.StatusCode != 200 {
			t.Error(a.StatusCode, a.text)
		}
	}
}

func TestRetrySeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "1", time.Millisecond: "1", time.Second: "1", time.Second + 1: "2", 90 * time.Second: "90",
	} {
		if got := (problem{kind: shed, retryAfter: d}).retrySeconds(); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

func TestDraining(t *testing.T) {
	g := newGateway(t, testConfig(&memory{}))
	if err := g.Reader("users").Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, ask(t, g.Data(), "GET", "/v1/users/1", ""), 503, "draining")
	wantProblem(t, ask(t, g.Data(), "POST", "/v1/users:batchGet", `{"keys":[1]}`), 503, "draining")
}

// A client that has left costs nothing more.
func TestClientLeft(t *testing.T) {
	g := newGateway(t, testConfig(&memory{}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := problemOf(func() error { _, err := g.Reader("users").Get(ctx, "1"); return err }())
	if p.kind != canceled {
		t.Errorf("%+v", p)
	}
}

func TestPanicInHandler(t *testing.T) {
	var log bytes.Buffer
	cfg := testConfig(&memory{})
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	wantProblem(t, ask(t, newGateway(t, cfg).Data(), "GET", "/v1/things/panic", ""), 500, "internal")
	if text := log.String(); !strings.Contains(text, "a key that panics") || !strings.Contains(text, "stack") {
		t.Errorf("log: %q", text)
	}
}

// An outage does not fill the log.
func TestQuiet(t *testing.T) {
	var log bytes.Buffer
	var q quiet
	for range 1000 {
		q.log(slog.New(slog.NewTextHandler(&log, nil)), "trouble")
	}
	if n := strings.Count(log.String(), "\n"); n < 1 || n > 3 {
		t.Errorf("%d lines", n)
	}
}

// Every kind of problem explains itself where its type points to.
func TestProblemPages(t *testing.T) {
	h := newGateway(t, testConfig(&memory{})).Data()
	for code, k := range kinds {
		a := ask(t, h, "GET", "/problems/"+code, "")
		if a.StatusCode != 200 || !strings.HasPrefix(a.text, code) || !strings.Contains(a.text, k.remedy) {
			t.Errorf("%s: %d %q", code, a.StatusCode, a.text)
		}
	}
}
