package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

func TestHealth(t *testing.T) {
	db := &memory{}
	g := newGateway(t, testConfig(db))
	h := g.Admin()
	for _, page := range []string{"/healthz", "/readyz"} {
		if a := ask(t, h, "GET", page, ""); a.StatusCode != 200 {
			t.Errorf("%s: %d %s", page, a.StatusCode, a.text)
		}
		wantProblem(t, ask(t, h, "POST", page, ""), 405, "method_not_allowed")
	}
	gone := errors.New("the file has vanished")
	db.ping.Store(&gone)
	a := ask(t, h, "GET", "/readyz", "")
	wantProblem(t, a, 503, "unavailable")
	if !strings.Contains(a.text, "the file has vanished") {
		t.Errorf("no reason: %s", a.text)
	}
	if a := ask(t, h, "GET", "/healthz", ""); a.StatusCode != 200 {
		t.Errorf("not healthy without a database: %d", a.StatusCode)
	}
	db.ping.Store(nil)
	g.draining.Store(true)
	wantProblem(t, ask(t, h, "GET", "/readyz", ""), 503, "draining")
}

func TestAdminPages(t *testing.T) {
	h := newGateway(t, testConfig(&memory{})).Admin()
	wantProblem(t, ask(t, h, "GET", "/nothing", ""), 404, "unknown_path")
	if a := ask(t, h, "GET", "/debug/pprof/", ""); a.StatusCode != 200 || !strings.Contains(a.text, "goroutine") {
		t.Errorf("pprof: %d", a.StatusCode)
	}
}

// used makes some traffic of every kind.
func used(t *testing.T) *Gateway {
	g := newGateway(t, testConfig(&memory{fetch: func(_ context.Context, keys []store.Key) error {
		if slices.Contains(keys, "13") {
			return errors.New("bad luck")
		}
		return nil
	}}))
	h := g.Data()
	for i := range 20 {
		for _, class := range []string{"urgent", "normal", "bulk"} {
			ask(t, h, "GET", fmt.Sprintf("/v1/users/%d", i), "", "Fulcrum-Class", class)
		}
	}
	ask(t, h, "POST", "/v1/users:batchGet", `{"keys":[1,2,3,-4]}`)
	if err := g.Reader("things").Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask(t, h, "GET", "/v1/things/refused", "")
	return g
}

func TestStats(t *testing.T) {
	a := ask(t, used(t).Admin(), "GET", "/api/v1/stats", "")
	m := a.json(t)
	if m["version"] != "v0.0.0-test" || m["draining"] != false || m["uptime_seconds"].(float64) <= 0 {
		t.Errorf("head: %s", a.text)
	}
	users := m["resources"].(map[string]any)["users"].(map[string]any)
	if users["admitted"] != 64. || users["answered"] != 61. || users["failed"] != 3. || users["mean_batch"].(float64) < 1 {
		t.Errorf("users: %v", users)
	}
	bulk := users["classes"].(map[string]any)["bulk"].(map[string]any)
	response := bulk["response_seconds"].(map[string]any)
	if response["samples"] != 20. || response["window_seconds"] != 10. || response["count"] != 20. {
		t.Errorf("response: %v", response)
	}
	if p99 := response["p99"].(float64); p99 <= 0 || p99 > 10 {
		t.Errorf("p99 %v s", p99)
	}
	if unsure := fmt.Sprint(response["unsure"]); unsure != "[p95 p99]" {
		t.Errorf("unsure: %s", unsure)
	}
	for _, name := range regexp.MustCompile(`"(\w+)":`).FindAllStringSubmatch(a.text, -1) {
		if name[1] != strings.ToLower(name[1]) {
			t.Errorf("%s is not in snake_case", name[1])
		}
	}
}

func TestMetrics(t *testing.T) {
	h := used(t).Admin()
	text := ask(t, h, "GET", "/metrics", "").text
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
	name := regexp.MustCompile(`^fulcrum_[a-z_]+_(seconds|total|ratio|bytes|slots|keys)$`)
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (fulcrum\S+)`).FindAllStringSubmatch(text, -1) {
		if !name.MatchString(m[1]) {
			t.Errorf("metric %s: no unit at its end", m[1])
		}
	}
	for _, line := range []string{
		`fulcrum_admitted_total{region="default",resource="users"} 64`,
		`fulcrum_failed_total{region="default",resource="users"} 3`,
		`fulcrum_batches_total{class="urgent",reason="urgent",region="default",resource="users"} 20`,
		`fulcrum_failed_batches_total{class="bulk",region="default",resource="users"} 1`,
		`fulcrum_refused_total{class="normal",reason="closed",region="default",resource="things"} 1`,
		`fulcrum_response_seconds_count{class="urgent",region="default",resource="users"} 20`,
		`fulcrum_response_seconds_bucket{class="urgent",region="default",resource="users",le="30"} 20`,
		`fulcrum_batch_keys_count{class="urgent",region="default",resource="users"} 20`,
		`fulcrum_batch_keys_bucket{class="urgent",region="default",resource="users",le="1"} 20`,
		`fulcrum_limit_slots{kind="reserved"} 2`,
		`fulcrum_mode_ratio{mode="balanced"} 1`,
		`fulcrum_circuit_ratio{state="open"} 0`,
		`fulcrum_reloads_total{result="ok"} 0`,
		`fulcrum_http_responses_total{status="500"} 3`,
		`fulcrum_http_responses_total{status="503"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if t.Failed() {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "fulcrum") && !strings.Contains(line, "_bucket") {
				t.Log(strings.TrimSpace(line))
			}
		}
	}
}

// The coarse buckets say of each bound how many durations were at most that long.
func TestCoarse(t *testing.T) {
	m := coarse(func(f func(time.Duration, uint64)) {
		f(5*time.Microsecond, 1)
		f(10*time.Microsecond, 3)
		f(11*time.Microsecond, 4)
		f(14*time.Microsecond, 6)
		f(time.Millisecond, 7)
		f(time.Minute, 9)
	})
	if len(m) != len(bounds) || !slices.IsSorted(bounds) {
		t.Fatalf("bounds %v", bounds)
	}
	for bound, want := range map[time.Duration]uint64{
		10 * time.Microsecond: 3, 15 * time.Microsecond: 6, 700 * time.Microsecond: 6, time.Millisecond: 7, 30 * time.Second: 7,
	} {
		if got := m[bound.Seconds()]; got != want {
			t.Errorf("up to %s: %d, want %d", bound, got, want)
		}
	}
	last := uint64(0)
	for _, bound := range slices.Sorted(maps.Keys(m)) {
		if m[bound] < last {
			t.Errorf("falls at %v", bound)
		}
		last = m[bound]
	}
}

func TestSavedNeverFalls(t *testing.T) {
	var c collector
	for _, step := range []struct{ n, want uint64 }{{3, 3}, {2, 3}, {5, 5}} {
		if got := c.rising(place{resource: "users"}, step.n); got != step.want {
			t.Errorf("%d, want %d", got, step.want)
		}
	}
	if got := c.rising(place{resource: "things"}, 1); got != 1 {
		t.Errorf("%d", got)
	}
}

func TestLatencyIsSure(t *testing.T) {
	for samples, want := range map[uint64]string{0: "[p50 p95 p99]", 20: "[p95 p99]", 200: "[p99]", 1000: "[]"} {
		if got := fmt.Sprint(latencyOf(fulcrum.Latency{Samples: samples}).Unsure); got != want {
			t.Errorf("%d samples: unsure %s, want %s", samples, got, want)
		}
	}
}
