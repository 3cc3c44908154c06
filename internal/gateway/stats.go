package gateway

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

// statsJSON is the answer of /api/v1/stats. Times are in seconds.
type statsJSON struct {
	Version   string                  `json:"version"`
	Uptime    float64                 `json:"uptime_seconds"`
	Draining  bool                    `json:"draining"`
	Resources map[string]resourceJSON `json:"resources"`
}

// resourceJSON counts since the start, in requests unless a name says otherwise.
type resourceJSON struct {
	Admitted  uint64               `json:"admitted"`
	Answered  uint64               `json:"answered"`
	Failed    uint64               `json:"failed"`
	Cancelled uint64               `json:"cancelled"`
	Queued    int                  `json:"queued"`
	InFlight  int                  `json:"in_flight"`
	Joined    uint64               `json:"joined"`
	Batches   uint64               `json:"batches"`
	Keys      uint64               `json:"batch_keys"`
	MeanBatch float64              `json:"mean_batch"`
	Saved     uint64               `json:"saved_queries"`
	Model     modelJSON            `json:"model"`
	Policy    policyJSON           `json:"policy"`
	Classes   map[string]classJSON `json:"classes"`
}

type modelJSON struct {
	Batch float64 `json:"batch_seconds"`
	Key   float64 `json:"key_seconds"`
}

type policyJSON struct {
	Mode       string  `json:"mode"`
	InFlight   int     `json:"in_flight"`
	Reserved   int     `json:"reserved"`
	MaxBatch   int     `json:"max_batch"`
	Linger     float64 `json:"linger_seconds"`
	MaxQueued  int     `json:"max_queued"`
	MaxWaiters int     `json:"max_waiters"`
}

type classJSON struct {
	QueuedKeys      int               `json:"queued_keys"`
	InFlightBatches int               `json:"in_flight_batches"`
	Left            map[string]uint64 `json:"batches_by_reason"`
	Refused         map[string]uint64 `json:"refused_by_reason"`
	BatchKeys       uint64            `json:"batch_keys"`
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

// stats answers /api/v1/stats.
func stats(x *exchange) {
	s := statsJSON{
		Version: x.g.cfg.Version, Uptime: time.Since(x.g.started).Seconds(),
		Draining: x.g.draining.Load(), Resources: make(map[string]resourceJSON),
	}
	for name, res := range x.g.resources {
		s.Resources[name] = resourceOf(res.reader.Stats())
	}
	body, err := json.Marshal(s)
	if err != nil {
		panic(err) // numbers and strings always can be marshalled
	}
	x.send(http.StatusOK, rowType, append(body, '\n'))
}

func resourceOf(s fulcrum.Stats) resourceJSON {
	r := resourceJSON{
		Admitted: s.Admitted, Answered: s.Answered, Failed: s.Failed, Cancelled: s.Cancelled,
		Queued: s.Queued, InFlight: s.InFlight, Joined: s.Joined,
		Batches: s.Batches, Keys: s.Keys, MeanBatch: s.MeanBatch(), Saved: s.Saved,
		Model: modelJSON{Batch: s.Model.A.Seconds(), Key: s.Model.B.Seconds()},
		Policy: policyJSON{
			Mode: s.Policy.Mode.String(), InFlight: s.Policy.InFlight, Reserved: max(0, s.Policy.Reserved), MaxBatch: s.Policy.MaxBatch,
			Linger: s.Policy.Linger.Seconds(), MaxQueued: s.Policy.MaxQueued, MaxWaiters: s.Policy.MaxWaiters,
		},
		Classes: make(map[string]classJSON, len(s.Classes)),
	}
	for name, c := range s.Classes {
		r.Classes[name] = classJSON{
			QueuedKeys: c.QueuedKeys, InFlightBatches: c.InFlightBatches,
			Left: c.Left, Refused: c.Refused, BatchKeys: c.BatchKeys, FailedBatches: c.FailedBatches,
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
