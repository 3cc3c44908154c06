package gateway

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/prometheus/client_golang/prometheus"
)

// bounds are the upper bounds of the histograms' buckets: six in each decade from
// 10 µs to 10 s, so that a quantile read from them is at most 50 % off.
var bounds = makeBounds()

func makeBounds() (bounds []time.Duration) {
	for decade := 10 * time.Microsecond; decade < 10*time.Second; decade *= 10 {
		for _, tenths := range []time.Duration{10, 15, 20, 30, 50, 70} {
			bounds = append(bounds, decade*tenths/10)
		}
	}
	return append(bounds, 10*time.Second, 30*time.Second)
}

// collector translates Stats for Prometheus at the moment of a scrape.
type collector struct {
	g *Gateway

	mu    sync.Mutex
	saved map[place]uint64 // by Reader: the most that was told, since a counter never falls
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("fulcrum_"+name, help, labels, nil)
}

// The metrics.
var (
	admittedDesc  = describe("admitted_total", "Requests taken on.", "resource", "region")
	answeredDesc  = describe("answered_total", "Requests answered with a row or with not found.", "resource", "region")
	failedDesc    = describe("failed_total", "Requests answered with an error of the backend.", "resource", "region")
	cancelledDesc = describe("cancelled_total", "Requests whose caller left before the answer.", "resource", "region")
	joinedDesc    = describe("joined_total", "Requests that found their key queued already.", "resource", "region")
	savedDesc     = describe("saved_queries_total", "Queries that were not needed, because requests shared them.", "resource", "region")

	slotsDesc     = describe("slots_used_ratio", "Batches in flight against the slots for them.", "resource", "region", "class")
	queueDesc     = describe("queue_used_ratio", "Keys queued against the most that may be.", "resource", "region", "class")
	modelBaseDesc = describe("model_batch_seconds", "Measured cost of a batch, without its keys.", "resource", "region")
	modelKeyDesc  = describe("model_key_seconds", "Measured cost of each key in a batch.", "resource", "region")

	batchesDesc    = describe("batches_total", "Batches by the reason they left.", "resource", "region", "class", "reason")
	refusedDesc    = describe("refused_total", "Requests refused, by reason.", "resource", "region", "class", "reason")
	badBatchesDesc = describe("failed_batches_total", "Batches that failed as a whole.", "resource", "region", "class")

	queueTimeDesc    = describe("queue_seconds", "Time from admission to leaving in a batch.", "resource", "region", "class")
	responseTimeDesc = describe("response_seconds", "Time from admission to the answer.", "resource", "region", "class")
	serviceTimeDesc  = describe("service_seconds", "Time from a batch's leaving to its answer.", "resource", "region", "class")

	sizeDesc = describe("batch_keys", "Keys in a batch.", "resource", "region", "class")

	limitDesc    = describe("limit_slots", "Batches that may be in flight at the database: normal and bulk ones share K, U more are reserved.", "kind")
	flightDesc   = describe("used_slots", "Batches in flight at the database.", "kind")
	blockedDesc  = describe("blocked_total", "Normal and bulk requests that found no slot free.")
	decisionDesc = describe("tuner_decisions_total", "Decisions of the tuner.", "decision")
	modeDesc     = describe("mode_ratio", "1 for the mode that holds, 0 for the others.", "mode")
	circuitDesc  = describe("circuit_ratio", "1 for the state of the circuit, 0 for the others.", "state")
	changesDesc  = describe("changes_total", "Changes of mode, circuit, shedding and slots.", "change")
	reloadDesc   = describe("reloads_total", "Configurations that came while the gateway ran.", "result")

	statusDesc = describe("http_responses_total", "Answers of the data listener.", "status")
)

// Describe names all metrics.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		admittedDesc, answeredDesc, failedDesc, cancelledDesc, joinedDesc, savedDesc,
		slotsDesc, queueDesc, modelBaseDesc, modelKeyDesc,
		batchesDesc, refusedDesc, badBatchesDesc,
		queueTimeDesc, responseTimeDesc, serviceTimeDesc, statusDesc, sizeDesc,
		limitDesc, flightDesc, blockedDesc, decisionDesc, modeDesc, circuitDesc, changesDesc, reloadDesc,
	} {
		out <- d
	}
	for _, d := range cacheDescs {
		out <- d
	}
	for _, d := range sharedDescs {
		out <- d
	}
	for _, d := range writeDescs {
		out <- d
	}
}

// Collect reads every Reader's Stats.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	k := c.g.backend.Stats()
	c.g.live.Load().each(func(at place, r *reader) {
		s := sink{out, []string{at.resource, at.region}}
		stats := r.Stats()
		s.totals(stats, c.rising(at, stats.Saved))
		for class, cs := range stats.Classes {
			s.class(class, cs, stats.Policy, k)
		}
	})
	c.backend(sink{out: out}, k)
	sink{out: out}.copies(copiesOf(c.g.backend.Copies()))
	c.g.commits.collect(out)
	c.g.caches.collect(out)
	c.g.collectShared(out)
	for status := range c.g.statuses {
		if n := c.g.statuses[status].Load(); n > 0 {
			out <- prometheus.MustNewConstMetric(statusDesc, prometheus.CounterValue, float64(n), strconv.Itoa(status))
		}
	}
}

// modes and states of the circuit that there are.
var (
	modeTexts    = []string{"balanced", "latency", "throughput", "degraded"}
	circuitTexts = []string{"closed", "open", "half-open"}
)

func (c *collector) backend(s sink, k fulcrum.BackendStats) {
	s.gauge(limitDesc, float64(k.InFlight), "shared")
	s.gauge(limitDesc, float64(k.Reserved), "reserved")
	s.gauge(flightDesc, float64(k.Shared), "shared")
	s.gauge(flightDesc, float64(k.Urgent), "urgent")
	s.count(blockedDesc, k.Blocked)
	for name, n := range k.Decisions {
		s.count(decisionDesc, n, name)
	}
	for _, name := range modeTexts {
		s.gauge(modeDesc, oneIf(name == k.Modes.Mode), name)
	}
	for _, name := range circuitTexts {
		s.gauge(circuitDesc, oneIf(name == k.Modes.Circuit), name)
	}
	for change, n := range k.Modes.Changes {
		s.count(changesDesc, n, change)
	}
	counts := &c.g.monitor.counts
	s.count(reloadDesc, counts[countedReloads].Load(), "ok")
	s.count(reloadDesc, counts[countedRefusedReloads].Load(), "refused")
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// rising is n, or what was told before if that was more.
func (c *collector) rising(at place, n uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.saved == nil {
		c.saved = make(map[place]uint64)
	}
	c.saved[at] = max(c.saved[at], n)
	return c.saved[at]
}

// sink takes the metrics of one Reader, or of none.
type sink struct {
	out chan<- prometheus.Metric
	who []string // resource and region
}

func (s sink) labels(more []string) []string { return append(slices.Clip(s.who), more...) }

func (s sink) count(d *prometheus.Desc, n uint64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), s.labels(labels)...)
}

func (s sink) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, s.labels(labels)...)
}

func (s sink) totals(stats fulcrum.Stats, saved uint64) {
	s.count(admittedDesc, stats.Admitted)
	s.count(answeredDesc, stats.Answered)
	s.count(failedDesc, stats.Failed)
	s.count(cancelledDesc, stats.Cancelled)
	s.count(joinedDesc, stats.Joined)
	s.count(savedDesc, saved)
	s.gauge(modelBaseDesc, stats.Model.A.Seconds())
	s.gauge(modelKeyDesc, stats.Model.B.Seconds())
}

func (s sink) class(class string, cs fulcrum.ClassStats, p fulcrum.Policy, k fulcrum.BackendStats) {
	slots := k.InFlight
	if class == fulcrum.ClassUrgent.String() {
		slots += k.Reserved
	}
	s.gauge(slotsDesc, float64(cs.InFlightBatches)/float64(slots), class)
	s.gauge(queueDesc, float64(cs.QueuedKeys)/float64(p.MaxQueued), class)
	for reason, n := range cs.Left {
		s.count(batchesDesc, n, class, reason)
	}
	for reason, n := range cs.Refused {
		s.count(refusedDesc, n, class, reason)
	}
	s.sizes(cs, class)
	s.count(badBatchesDesc, cs.FailedBatches, class)
	s.histogram(queueTimeDesc, cs.Queue, class)
	s.histogram(responseTimeDesc, cs.Response, class)
	s.histogram(serviceTimeDesc, cs.Service, class)
}

// sizes are the batches by their keys.
func (s sink) sizes(cs fulcrum.ClassStats, class string) {
	buckets, n := make(map[float64]uint64, len(cs.Sizes)), uint64(0)
	for i, count := range cs.Sizes {
		n += count
		buckets[float64(uint64(1)<<i)] = n
	}
	s.out <- prometheus.MustNewConstHistogram(sizeDesc, n, float64(cs.BatchKeys), buckets, s.labels([]string{class})...)
}

func (s sink) histogram(d *prometheus.Desc, l fulcrum.Latency, class string) {
	s.out <- prometheus.MustNewConstHistogram(d, l.Count, l.Sum.Seconds(), coarse(l.Buckets), s.labels([]string{class})...)
}

// coarse sums up many buckets into those of bounds. A bucket that lies across a
// bound counts above it: it is less than 1 % wide.
func coarse(buckets func(func(time.Duration, uint64))) map[float64]uint64 {
	counts := make([]uint64, len(bounds))
	buckets(func(upper time.Duration, cumulative uint64) {
		if i, _ := slices.BinarySearch(bounds, upper); i < len(counts) {
			counts[i] = cumulative
		}
	})
	m := make(map[float64]uint64, len(bounds))
	most := uint64(0)
	for i, b := range bounds {
		most = max(most, counts[i])
		m[b.Seconds()] = most
	}
	return m
}
