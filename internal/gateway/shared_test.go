//go:build unix

package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/cache/shared"
	"github.com/fulcrum-data/fulcrum/internal/redistest"
)

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for begin := time.Now(); !is(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatal("it never came: ", what)
		}
	}
}

// twoGateways are in front of one database, and share a Redis.
func twoGateways(t *testing.T, r *redistest.Server) (a, b *Gateway) {
	t.Helper()
	cfg, _ := cachedConfig(t)
	cfg.Shared = &Shared{Link: shared.LinkConfig{URL: r.URL(), Timeout: time.Second, Settle: 50 * time.Millisecond, Heartbeat: time.Second}}
	return served(t, cfg), served(t, cfg)
}

func together(g *Gateway) func() bool {
	return func() bool { h, ok := g.Shared(); return ok && h.Away.IsZero() && h.Tracking }
}

func row(t *testing.T, g *Gateway, path string) (body string) {
	t.Helper()
	w := httptest.NewRecorder()
	g.Data().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	if w.Code != http.StatusOK && w.Code != http.StatusNotFound {
		t.Fatalf("GET %s: %d %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

// What one gateway has read the other one finds; what one changes the other one hears of.
func TestGatewaysShare(t *testing.T) {
	r := redistest.Start(t)
	a, b := twoGateways(t, r)
	eventually(t, "Redis", together(a))
	eventually(t, "Redis", together(b))
	if !strings.Contains(row(t, a, "/v1/users/1"), "Ada") {
		t.Fatal("there is no Ada")
	}
	eventually(t, "a fill", func() bool { return a.caches["users"].tier.Stats().Fills == 1 })
	row(t, b, "/v1/users/1")
	if s := b.stats().Resources["users"]; s.Cache.Shared.Hits != 1 || s.Cache.Misses != 1 {
		t.Errorf("%+v, %+v", s.Cache, s.Cache.Shared)
	}
	row(t, b, "/v1/users/1")
	if s := b.stats().Resources["users"]; s.Cache.Hits != 1 {
		t.Errorf("what Redis had is not kept in memory: %+v", s.Cache)
	}
	steps(t, a.Data(), []step{
		{"change", "PATCH", "/v1/users/1", `{"name":"Bea"}`, nil, 204, "", nil},
		{"see it", "GET", "/v1/users/1", "", nil, 200, `{"id":1,"name":"Bea","email":"ada@example.org","version":2}`, nil},
	})
	eventually(t, "the other gateway hears of it", func() bool { return strings.Contains(row(t, b, "/v1/users/1"), "Bea") })
	if s := b.stats(); !s.Redis.There || !s.Redis.Tracking || s.Redis.Heard == 0 {
		t.Errorf("%+v", s.Redis)
	}
	w := httptest.NewRecorder()
	b.Admin().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{`fulcrum_shared_cache_keys_total{resource="users",result="hit"} `, "fulcrum_shared_cache_up_ratio 1", "fulcrum_shared_cache_tracking_ratio 1"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

// Without Redis all is served, and nothing is kept.
func TestGatewayWithoutRedis(t *testing.T) {
	r := redistest.Start(t)
	a, b := twoGateways(t, r)
	eventually(t, "Redis", together(a))
	eventually(t, "Redis", together(b))
	row(t, b, "/v1/users/1")
	r.Kill()
	steps(t, a.Data(), []step{
		{"change", "PATCH", "/v1/users/1", `{"name":"Bea"}`, nil, 204, "", nil},
		{"see it", "GET", "/v1/users/1", "", nil, 200, `{"id":1,"name":"Bea","email":"ada@example.org","version":2}`, nil},
	})
	eventually(t, "the other gateway keeps nothing", func() bool { return strings.Contains(row(t, b, "/v1/users/1"), "Bea") })
	if s := a.stats().Redis; s.There || s.Trouble == "" || s.Pending == 0 {
		t.Errorf("%+v", s)
	}
	r.Start()
	eventually(t, "Redis again", together(a))
	row(t, a, "/v1/users/1")
}

// What is wrong with Shared, and that its password is in no error.
func TestSharedConfig(t *testing.T) {
	cfg, _ := cachedConfig(t)
	cfg.Shared = &Shared{Link: shared.LinkConfig{URL: "redis://:secret@127.0.0.1:1", Namespace: "a b"}}
	if _, err := New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "Namespace") || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
	cfg.Shared.Link.Namespace, cfg.Caches = "", nil
	if _, err := New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "name Caches") {
		t.Error(err)
	}
	if text := cfg.Shared.String() + (*Shared)(nil).String(); strings.Contains(text, "secret") {
		t.Error(text)
	}
}
