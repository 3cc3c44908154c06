package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// said is what the page's modules say of statistics, without the page.
type said struct {
	Tone     string  `json:"tone"`
	Text     string  `json:"text"`
	Load     float64 `json:"load"`
	Capacity float64 `json:"capacity"`
	Why      string  `json:"why"`
	Tuner    string  `json:"tuner"`
}

// quietStats are of a gateway at a tenth of its capacity: four slots of batches of
// 100, 1 ms + 10 µs for each key, make 200,000 rows a second.
func quietStats() statsJSON {
	normal := classJSON{Response: latencyJSON{Samples: 5000, P50: .001, P95: .002, P99: .003, Unsure: []string{}}, Queue: latencyJSON{P99: .001}}
	rates := ratesJSON{Window: 1, Offered: 20000, Throughput: 20000, Goodput: 20000, Rows: 20000}
	return statsJSON{
		Rates: rates,
		Backend: backendJSON{
			Modes:    modeJSON{Mode: "balanced", Circuit: "closed", Shed: "none", Cause: "started", Since: 30},
			InFlight: 4, MaxBatch: 1000, Decision: "hold: m 1.00, K 4",
		},
		Resources: map[string]resourceJSON{"users": {
			Rates: rates, Model: modelJSON{Batch: .001, Key: .00001}, Policy: policyJSON{MaxBatch: 100}, Classes: map[string]classJSON{"normal": normal},
		}},
	}
}

func TestDashboardWords(t *testing.T) {
	g, _ := start(t, testConfig(&memory{}))
	b := open(t, "http://"+g.AdminAddr()+"/", 800, 600)
	scale := func(s *statsJSON, by float64) {
		s.Rates.Offered, s.Rates.Throughput, s.Rates.Goodput, s.Rates.Rows = by, by, by, by
		r := s.Resources["users"]
		r.Rates = s.Rates
		s.Resources["users"] = r
	}
	for _, c := range []struct {
		name   string
		change func(*statsJSON)
		want   said
	}{
		{"light", func(*statsJSON) {}, said{Tone: "good", Text: "Nothing to do: 10 % of capacity.", Load: .1, Capacity: 200000, Why: "Nothing has asked for another one", Tuner: "It keeps K = 4: batches take no longer"}},
		{"busy", func(s *statsJSON) { scale(s, 120000) }, said{Tone: "good", Text: "Nothing yet: 60 %", Load: .6, Capacity: 200000}},
		{"nearly full", func(s *statsJSON) { scale(s, 180000) }, said{Tone: "warn", Text: "Make room soon: 90 %", Load: .9, Capacity: 200000}},
		{"slow backend", func(s *statsJSON) { s.Backend.Decision = "shrink: m 2.00, K 6→4" }, said{Tone: "good", Text: "20 %", Load: .2, Capacity: 100000, Tuner: "It lowered K to 4: batches take 100 % longer"}},
		{"overload", func(s *statsJSON) {
			s.Rates.Offered, s.Rates.Refused = 30000, 10000
			s.Resources["users"].Classes["bulk"] = classJSON{Refused: map[string]uint64{"queue_full": 7}}
		}, said{Tone: "bad", Text: "33 % of the requests are refused (mostly: queue full, bulk lane)", Load: 1.5, Capacity: 20000}},
		{"open circuit", func(s *statsJSON) {
			s.Backend.Modes.Circuit, s.Backend.Modes.Mode, s.Backend.Modes.RetryIn, s.Backend.Modes.Reason = "open", "degraded", 3, "all of 12 calls failed"
		}, said{Tone: "bad", Text: "Look at the database: it does not answer, so requests are refused at once. Fulcrum tries it again in 3 s.", Load: .1, Capacity: 200000, Why: "All of 12 calls failed."}},
		{"half-open", func(s *statsJSON) { s.Backend.Modes.Circuit = "half-open" }, said{Tone: "bad", Text: "Wait a moment", Load: .1, Capacity: 200000}},
		{"failures", func(s *statsJSON) { s.Rates.Goodput = 15000 }, said{Tone: "bad", Text: "25 % of the answers are failures", Load: .1, Capacity: 200000}},
		{"missed promise", func(s *statsJSON) {
			r := s.Resources["users"]
			r.SLO = &sloJSON{Promise: "p99=2ms", Actual: .003, Burn: 3}
			s.Resources["users"] = r
		}, said{Tone: "bad", Text: "Resource users misses its promise p99=2ms: it is 3 ms now. Pinning latency", Load: .1, Capacity: 200000}},
		{"pinned", func(s *statsJSON) { s.Backend.Modes.Until, s.Backend.Modes.Mode = 600, "latency" }, said{Tone: "warn", Text: "latency is pinned for another 10 min", Load: .1, Capacity: 200000, Why: "Pinned by hand for another 10 min."}},
		{"bursts", func(s *statsJSON) {
			c := s.Resources["users"].Classes["normal"]
			c.Response.P99, c.Queue.P99 = .3, .25
			s.Resources["users"].Classes["normal"] = c
		}, said{Tone: "warn", Text: "Look for bursts: one request in a hundred waits over 300 ms, most of it for a slot", Load: .1, Capacity: 200000}},
		{"nobody", func(s *statsJSON) { scale(s, 0) }, said{Tone: "good", Text: "nobody asks", Capacity: 200000}},
		{"nothing known", func(s *statsJSON) { *s = statsJSON{Backend: s.Backend, Resources: map[string]resourceJSON{}} }, said{Tone: "good", Text: "Send it some requests"}},
		{"draining", func(s *statsJSON) { s.Draining = true }, said{Tone: "warn", Text: "shutting down", Load: .1, Capacity: 200000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := quietStats()
			c.change(&s)
			text, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			var got said
			b.eval(t, fmt.Sprintf(`(async () => {
				const s = %s, words = await import('/dashboard/advice.js'), figures = await import('/dashboard/figures.js');
				for (const r of Object.values(s.resources)) for (const c of Object.values(r.classes)) c.refused_by_reason ??= {};
				const load = figures.loadOf(s);
				return { ...words.advise(s), load: load.load, capacity: load.capacity, why: words.modeWhy(s.backend.modes), tuner: words.tunerWords(s.backend) };
			})()`, text), &got)
			if got.Tone != c.want.Tone || !strings.Contains(got.Text, c.want.Text) || !strings.Contains(got.Why, c.want.Why) || !strings.Contains(got.Tuner, c.want.Tuner) {
				t.Errorf("%+v\nwant %+v", got, c.want)
			}
			if near := func(a, b float64) bool { return a > b*.999-1e-9 && a < b*1.001+1e-9 }; !near(got.Load, c.want.Load) || !near(got.Capacity, c.want.Capacity) {
				t.Errorf("load %v of %v, want %v of %v", got.Load, got.Capacity, c.want.Load, c.want.Capacity)
			}
		})
	}
	b.quiet(t)
}
