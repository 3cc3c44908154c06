package gateway

import (
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/region"
)

// statsJSON is the answer of /api/v1/stats. Times are in seconds.
type statsJSON struct {
	Version   string                  `json:"version"`
	Uptime    float64                 `json:"uptime_seconds"`
	Draining  bool                    `json:"draining"`
	Rates     ratesJSON               `json:"rates"` // of all resources together
	Backend   backendJSON             `json:"backend"`
	Resources map[string]resourceJSON `json:"resources"`
	Commits   *backendJSON            `json:"commits,omitempty"` // how the database is written
	Writes    map[string]writesJSON   `json:"writes,omitempty"`  // by resource
	Redis     *redisJSON              `json:"redis,omitempty"`   // that gateways share
	Config    reloadsJSON             `json:"configuration"`
	Offers    []string                `json:"offers"` // what else the admin listener has, by path
}

// offers are the pages that only some gateways have.
func (g *Gateway) offers() []string {
	all := []string{}
	if g.cfg.Journal != "" {
		all = append(all, deadLetterPath)
	}
	if g.people != nil {
		all = append(all, "/api/v1/experience")
	}
	if g.tap != nil {
		all = append(all, "/api/v1/usage")
	}
	return all
}

// reloadsJSON counts the configurations that came while the gateway ran.
type reloadsJSON struct {
	Reloads uint64 `json:"reloads_total"`
	Refused uint64 `json:"refused_reloads_total"`
}

// backendJSON is how the database is asked.
type backendJSON struct {
	Modes     modeJSON          `json:"modes"`
	InFlight  int               `json:"in_flight_limit"` // K
	Reserved  int               `json:"reserved"`        // U
	MaxBatch  int               `json:"max_batch"`
	Hold      bool              `json:"hold"`
	Shared    int               `json:"in_flight_batches"`
	Urgent    int               `json:"urgent_batches"`
	Arrived   uint64            `json:"arrived"`
	Blocked   uint64            `json:"blocked"`
	Decision  string            `json:"decision"`
	Decisions map[string]uint64 `json:"decisions_total"`
	Copies    *copiesJSON       `json:"copies,omitempty"` // missing: there is one database
}

func backendOf(s fulcrum.BackendStats, up time.Duration) backendJSON {
	return backendJSON{
		Modes: modeOf(s.Modes, up), InFlight: s.InFlight, Reserved: s.Reserved, MaxBatch: s.MaxBatch, Hold: s.Hold,
		Shared: s.Shared, Urgent: s.Urgent, Arrived: s.Arrived, Blocked: s.Blocked, Decision: s.Decision, Decisions: s.Decisions,
	}
}

// resourceJSON counts since the start, in requests unless a name says otherwise. Where
// there are regions, it is all of them together, and each by itself.
type resourceJSON struct {
	Admitted  uint64                  `json:"admitted"`
	Answered  uint64                  `json:"answered"`
	Failed    uint64                  `json:"failed"`
	Cancelled uint64                  `json:"cancelled"`
	Queued    int                     `json:"queued"`
	InFlight  int                     `json:"in_flight"`
	Joined    uint64                  `json:"joined"`
	Batches   uint64                  `json:"batches"`
	Keys      uint64                  `json:"batch_keys"`
	MeanBatch float64                 `json:"mean_batch"`
	Saved     uint64                  `json:"saved_queries"`
	Rates     ratesJSON               `json:"rates"`
	Model     modelJSON               `json:"model"`
	Policy    policyJSON              `json:"policy"`
	Classes   map[string]classJSON    `json:"classes"`
	SLO       *sloJSON                `json:"slo,omitempty"`
	Cache     *cacheJSON              `json:"cache,omitempty"` // of all regions together
	Regions   map[string]resourceJSON `json:"regions,omitempty"`
}

// sloJSON is how a region's promise is kept over the window of the quantiles.
type sloJSON struct {
	Promise string  `json:"promise"`    // p99=20ms
	Actual  float64 `json:"seconds"`    // that percentile of the normal requests
	Kept    bool    `json:"kept"`       // or nobody asked
	Burn    float64 `json:"burn_ratio"` // share of slow requests against the share that may be; 1 is on budget
}

type modelJSON struct {
	Batch float64 `json:"batch_seconds"`
	Key   float64 `json:"key_seconds"`
}

type policyJSON struct {
	Mode       string  `json:"mode"`
	MaxBatch   int     `json:"max_batch"`
	Linger     float64 `json:"linger_seconds"`
	MaxQueued  int     `json:"max_queued"`
	MaxWaiters int     `json:"max_waiters"`
	MaxQueue   float64 `json:"max_queue_seconds"` // while there is overload; 0: three batches' time, -1: no bound
}

type classJSON struct {
	QueuedKeys      int               `json:"queued_keys"`
	InFlightBatches int               `json:"in_flight_batches"`
	Left            map[string]uint64 `json:"batches_by_reason"`
	Refused         map[string]uint64 `json:"refused_by_reason"`
	BatchKeys       uint64            `json:"batch_keys"`
	Sizes           []uint64          `json:"batches_by_size"` // of at most 1, 2, 4, … keys
	FailedBatches   uint64            `json:"failed_batches"`
	Queue           latencyJSON       `json:"queue_seconds"`
	Response        latencyJSON       `json:"response_seconds"`
	Service         latencyJSON       `json:"service_seconds"`
}

// latencyJSON has quantiles over a window, with the samples that they rest on, and
// count and sum since the start. Unsure names the quantiles with fewer than ten
// samples beyond them.
type latencyJSON struct {
	Window  float64  `json:"window_seconds"`
	Samples uint64   `json:"samples"`
	P50     float64  `json:"p50"`
	P95     float64  `json:"p95"`
	P99     float64  `json:"p99"`
	Max     float64  `json:"max"`
	Unsure  []string `json:"unsure"`
	Count   uint64   `json:"count"`
	Sum     float64  `json:"sum"`
}

// stats is the state of everything.
func (g *Gateway) stats() statsJSON {
	l := g.live.Load()
	return g.statsOf(l, l.snapshot())
}

func (g *Gateway) statsOf(l *live, readers map[place]fulcrum.Stats) statsJSON {
	up := time.Since(g.started)
	s := statsJSON{
		Version: g.cfg.Version, Uptime: up.Seconds(), Draining: g.draining.Load(),
		Backend: backendOf(g.backend.Stats(), up), Resources: make(map[string]resourceJSON),
		Offers: g.offers(),
		Config: reloadsJSON{Reloads: g.monitor.counts[countedReloads].Load(), Refused: g.monitor.counts[countedRefusedReloads].Load()},
	}
	s.Backend.Copies = copiesOf(g.backend.Copies())
	s.Commits, s.Writes = g.commits.stats(up)
	s.Redis = g.redisStats()
	for name := range l.resources {
		r := g.resourceStats(l, name, readers)
		r.Cache = g.caches.stats(name)
		s.Resources[name] = r
		s.Rates = s.Rates.plus(r.Rates)
	}
	return s
}

// resourceStats is a resource in all regions together and, if there are several, in each.
func (g *Gateway) resourceStats(l *live, name string, readers map[place]fulcrum.Stats) resourceJSON {
	var all fulcrum.Stats
	var rates ratesJSON
	var one resourceJSON
	regions := make(map[string]resourceJSON)
	for i, r := range l.table.Regions() {
		at := place{name, r.Name}
		s := readers[at]
		one = resourceOf(s)
		one.Rates = g.monitor.rate(at)
		one.SLO = sloOf(r.Policy.SLO, s.Classes[fulcrum.ClassNormal.String()].Response)
		regions[r.Name] = one
		rates = rates.plus(one.Rates)
		if i == 0 {
			all = s
		} else {
			all = all.Merge(s)
		}
	}
	if len(regions) == 1 {
		return one
	}
	sum := resourceOf(all)
	sum.Policy = regions[l.table.Default().Name].Policy
	sum.Rates, sum.Regions = rates, regions
	return sum
}

// sloOf says how a promise is kept.
func sloOf(slo region.SLO, l fulcrum.Latency) *sloJSON {
	if slo.Percentile == 0 {
		return nil
	}
	q := float64(slo.Percentile) / 100
	s := &sloJSON{Promise: slo.String(), Actual: l.Quantile(q).Seconds(), Kept: true}
	if l.Samples > 0 {
		s.Kept = l.Quantile(q) <= slo.Target
		s.Burn = l.Over(slo.Target) / (1 - q)
	}
	return s
}

func resourceOf(s fulcrum.Stats) resourceJSON {
	r := resourceJSON{
		Admitted: s.Admitted, Answered: s.Answered, Failed: s.Failed, Cancelled: s.Cancelled,
		Queued: s.Queued, InFlight: s.InFlight, Joined: s.Joined,
		Batches: s.Batches, Keys: s.Keys, MeanBatch: s.MeanBatch(), Saved: s.Saved,
		Model: modelJSON{Batch: s.Model.A.Seconds(), Key: s.Model.B.Seconds()},
		Policy: policyJSON{
			Mode: s.Policy.Mode.String(), MaxBatch: s.Policy.MaxBatch,
			Linger: s.Policy.Linger.Seconds(), MaxQueued: s.Policy.MaxQueued, MaxWaiters: s.Policy.MaxWaiters,
			MaxQueue: max(s.Policy.MaxQueueTime.Seconds(), min(0, float64(s.Policy.MaxQueueTime))),
		},
		Classes: make(map[string]classJSON, len(s.Classes)),
	}
	for name, c := range s.Classes {
		r.Classes[name] = classJSON{
			QueuedKeys: c.QueuedKeys, InFlightBatches: c.InFlightBatches,
			Left: c.Left, Refused: c.Refused, BatchKeys: c.BatchKeys, FailedBatches: c.FailedBatches, Sizes: c.Sizes,
			Queue: latencyOf(c.Queue), Response: latencyOf(c.Response), Service: latencyOf(c.Service),
		}
	}
	return r
}

func latencyOf(l fulcrum.Latency) latencyJSON {
	unsure := []string{}
	for _, q := range []struct {
		name string
		per  uint64 // one in so many lies beyond
	}{{"p50", 2}, {"p95", 20}, {"p99", 100}} {
		if l.Samples < 10*q.per {
			unsure = append(unsure, q.name)
		}
	}
	return latencyJSON{
		Window: fulcrum.StatsWindow.Seconds(), Samples: l.Samples,
		P50: l.P50.Seconds(), P95: l.P95.Seconds(), P99: l.P99.Seconds(), Max: l.Max.Seconds(),
		Unsure: unsure, Count: l.Count, Sum: l.Sum.Seconds(),
	}
}
