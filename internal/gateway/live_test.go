package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/region"
	"github.com/fulcrum-data/fulcrum/store"
)

// theFour are the regions of the example, and the default.
func theFour() []region.Region {
	of := func(name string, mode fulcrum.Mode, batch int) region.Region {
		return region.Region{Name: name, Policy: region.Policy{Mode: mode, MaxBatch: batch}}
	}
	return []region.Region{
		of("default", fulcrum.ModeBalanced, 0), of("us-east", fulcrum.ModeThroughput, 100), of("us-west", fulcrum.ModeLatency, 10),
		of("europe", fulcrum.ModeBalanced, 50), of("asia", fulcrum.ModeThroughput, 200),
	}
}

// Each source gives the right policy, and an answer says which, if it is asked for.
func TestRegionOfARequest(t *testing.T) {
	cfg := testConfig(&memory{})
	cfg.Regions = theFour()
	cfg.Proxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} // where httptest comes from
	trusted := newGateway(t, cfg).Data()
	cfg.Proxies = nil
	untrusted := newGateway(t, cfg).Data()
	for _, c := range []struct {
		headers []string
		trusted string
		plain   string
	}{
		{nil, "region=default", "region=default"},
		{[]string{"Fulcrum-Region", "us-west"}, "latency, batches up to 10; region=us-west by Fulcrum-Region", "region=us-west by Fulcrum-Region"},
		{[]string{"Fulcrum-Region", "mars"}, "region=default", `ignored Fulcrum-Region "mars": there is no such region`},
		{[]string{"Cf-Ipcountry", "DE"}, "balanced, batches up to 50, linger 2ms; region=europe by CF-IPCountry", `region=default by default`},
		{[]string{"Cloudfront-Viewer-Country", "JP"}, "throughput, batches up to 200, linger 2ms; region=asia", "not come from a trusted proxy"},
		{[]string{"Fly-Region", "fra"}, "region=europe by Fly-Region", "not come from a trusted proxy"},
	} {
		for _, side := range []struct {
			name string
			want string
			a    answer
		}{
			{"trusted", c.trusted, ask(t, trusted, "GET", "/v1/users/1", "", append(c.headers, "Fulcrum-Debug", "1")...)},
			{"untrusted", c.plain, ask(t, untrusted, "GET", "/v1/users/1", "", append(c.headers, "Fulcrum-Debug", "1")...)},
		} {
			if got := side.a.Header.Get("Fulcrum-Policy"); side.a.StatusCode != 200 || !strings.Contains(got, side.want) {
				t.Errorf("%v, %s proxy: %q, want %q", c.headers, side.name, got, side.want)
			}
		}
	}
	if a := ask(t, trusted, "GET", "/v1/users/1", "", "Fulcrum-Region", "asia"); a.Header.Get("Fulcrum-Policy") != "" {
		t.Error("nobody asked for the policy")
	}
}

// Two regions under one load, in one run: one shares more and waits longer.
func TestRegionsAreServedDifferently(t *testing.T) {
	cfg := testConfig(&memory{fetch: func(ctx context.Context, keys []store.Key) error {
		time.Sleep(2 * time.Millisecond)
		return nil
	}})
	cfg.Backend = fulcrum.BackendConfig{Tuner: fulcrum.TunerFixed, InFlight: 2}
	cfg.Regions = []region.Region{
		{Name: "shared", Policy: region.Policy{Mode: fulcrum.ModeThroughput, MaxBatch: 100, Linger: 20 * time.Millisecond, SLO: region.SLO{Percentile: 99, Target: time.Second}}},
		{Name: "quick", Policy: region.Policy{Mode: fulcrum.ModeLatency, MaxBatch: 4, SLO: region.SLO{Percentile: 50, Target: time.Millisecond}}},
	}
	g := newGateway(t, cfg)
	h := g.Data()
	var wg sync.WaitGroup
	for caller := range 40 {
		for _, name := range []string{"shared", "quick"} {
			wg.Go(func() {
				for i := range 15 {
					if a := ask(t, h, "GET", fmt.Sprintf("/v1/users/%d", caller*100+i), "", "Fulcrum-Region", name); a.StatusCode != 200 {
						t.Errorf("%s: %d %s", name, a.StatusCode, a.text)
					}
				}
			})
		}
	}
	wg.Wait()
	users := g.stats().Resources["users"]
	shared, quick := users.Regions["shared"], users.Regions["quick"]
	if shared.MeanBatch < 2*quick.MeanBatch || quick.MeanBatch > 4 {
		t.Errorf("mean batches: %.1f shared, %.1f quick", shared.MeanBatch, quick.MeanBatch)
	}
	if a, b := shared.Classes["normal"].Response.P50, quick.Classes["normal"].Response.P50; a == b || a == 0 {
		t.Errorf("median response: %v shared, %v quick", a, b)
	}
	if users.Answered != 1200 || shared.Answered != 600 || users.Classes["normal"].Response.Count != 1200 {
		t.Errorf("all %d, shared %d", users.Answered, shared.Answered)
	}
	if s := shared.SLO; s == nil || !s.Kept || s.Burn != 0 || s.Promise != "p99=1s" {
		t.Errorf("shared SLO %+v", s)
	}
	if s := quick.SLO; s == nil || s.Kept || s.Burn < 1.5 {
		t.Errorf("quick SLO %+v", s)
	}
}

// A hundred reloads under load, half of them wrong: no request fails, and the wrong
// ones leave everything as it was.
func TestReloadUnderLoad(t *testing.T) {
	cfg := testConfig(&memory{})
	cfg.Regions = theFour()
	g, _ := start(t, cfg)
	client := newClient(t)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var answered atomic.Int64
	for caller := range 8 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				status, body, err := getFrom(client, fmt.Sprintf("http://%s/v1/users/%d", g.Addr(), caller), []string{"us-east", "moving", "asia"}[i%3])
				if err != nil || status != 200 {
					t.Errorf("%d %s %v", status, body, err)
				}
				answered.Add(1)
			}
		})
	}
	for i := range 100 {
		before := answered.Load()
		next := cfg
		next.Regions = theFour()
		next.Regions[1].Policy.MaxBatch = 1 + i
		if i%4 == 0 {
			next.Regions = append(next.Regions, region.Region{Name: "moving"})
		}
		if i%2 == 1 {
			next.Regions[2].Policy.Linger = time.Hour
		}
		err := g.Reload(next)
		if wrong := i%2 == 1; wrong != (err != nil) {
			t.Fatalf("reload %d: %v", i, err)
		}
		if got, want := g.Regions()[1].Policy.MaxBatch, 1+i-i%2; got != want {
			t.Fatalf("after reload %d: batches up to %d, want %d", i, got, want)
		}
		waitFor(t, func() bool { return answered.Load() > before+10 })
	}
	stop()
	wg.Wait()
}

func TestReloadRefuses(t *testing.T) {
	cfg := guarded(&memory{})
	g := newGateway(t, cfg)
	for want, change := range map[string]func(*Config){
		"Listen: cannot change":    func(c *Config) { c.Listen = "127.0.0.1:99" },
		"Resources: cannot change": func(c *Config) { c.Resources = c.Resources[:2] },
		"Backend: cannot change":   func(c *Config) { c.Backend.MaxInFlight = 3 },
		"MaxKeys: cannot change":   func(c *Config) { c.MaxKeys = 7 },
		"Tokens: ":                 func(c *Config) { c.Tokens[0].Allow = []string{"nothing:read"} },
		"Policy.Linger":            func(c *Config) { c.Policy.Linger = time.Hour },
		"regions, at most 100 may be": func(c *Config) {
			for i := range 101 {
				c.Regions = append(c.Regions, region.Region{Name: fmt.Sprint("r", i)})
			}
		},
	} {
		next := guarded(&memory{})
		change(&next)
		if err := g.Reload(next); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if a := ask(t, g.Data(), "GET", "/v1/users/1", "", "Authorization", "Bearer shop-secret"); a.StatusCode != 200 {
		t.Errorf("after all that: %d", a.StatusCode)
	}
	next := guarded(&memory{})
	next.Tokens = next.Tokens[1:]
	if err := g.Reload(next); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, ask(t, g.Data(), "GET", "/v1/users/1", "", "Authorization", "Bearer shop-secret"), 401, "unauthorized")
	if err := g.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := g.Reload(next); !errors.Is(err, fulcrum.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// Readers of a region that went are kept for a while, and used again if it comes back.
func TestRetire(t *testing.T) {
	cfg := testConfig(&memory{})
	g := newGateway(t, cfg)
	with := cfg
	with.Regions = []region.Region{{Name: "brief"}}
	at := place{"users", "brief"}
	reload := func(c Config) {
		t.Helper()
		if err := g.Reload(c); err != nil {
			t.Fatal(err)
		}
	}
	reload(with)
	first := g.readers[at].reader
	reload(cfg)
	if o := g.readers[at]; o.reader != first || o.gone.IsZero() {
		t.Errorf("%+v", o)
	}
	reload(with)
	if o := g.readers[at]; o.reader != first || !o.gone.IsZero() {
		t.Errorf("it came back: %+v", o)
	}
	reload(cfg)
	g.retire(g.live.Load(), time.Now().Add(2*retired))
	if _, there := g.readers[at]; there {
		t.Error("it is kept for ever")
	}
	waitFor(t, func() bool {
		_, err := first.Get(t.Context(), "1")
		return errors.Is(err, fulcrum.ErrClosed)
	})
}

func TestCircuitOpenOverHTTP(t *testing.T) {
	var broken atomic.Bool
	db := &memory{fetch: func(context.Context, []store.Key) error {
		if broken.Load() {
			return fmt.Errorf("gone: %w", store.ErrUnavailable)
		}
		return nil
	}}
	g := newGateway(t, testConfig(db))
	h := g.Data()
	broken.Store(true)
	var a answer
	for range 20 {
		if a = ask(t, h, "GET", "/v1/users/1", ""); strings.Contains(a.text, "circuit_open") {
			break
		}
		wantProblem(t, a, 503, "unavailable")
	}
	wantProblem(t, a, 503, "circuit_open")
	if a.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
	}
	wantProblem(t, ask(t, h, "POST", "/v1/users:batchGet", `{"keys":[1,2]}`), 503, "circuit_open")
	list := ask(t, g.Admin(), "GET", "/api/v1/events?kind=circuit", "")
	if !strings.Contains(list.text, `"from":"closed","to":"open","cause":"failures"`) {
		t.Errorf("events: %s", list.text)
	}
	broken.Store(false)
	stop := g.observe() // pings, though nobody asks
	defer stop()
	waitFor(t, func() bool { return g.backend.Stats().Modes.Circuit == "closed" })
	if a := ask(t, h, "GET", "/v1/users/1", ""); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}
