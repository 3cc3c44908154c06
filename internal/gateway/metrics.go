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
	saved map[string]uint64 // by resource: the most that was told, since a counter never falls
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("fulcrum_"+name, help, labels, nil)
}

// The metrics.
var (
	admittedDesc  = describe("admitted_total", "Requests taken on.", "resource")
	answeredDesc  = describe("answered_total", "Requests answered with a row or with not found.", "resource")
	failedDesc    = describe("failed_total", "Requests answered with an error of the backend.", "resource")
	cancelledDesc = describe("cancelled_total", "Requests whose caller left before the answer.", "resource")
	joinedDesc    = describe("joined_total", "Requests that found their key queued already.", "resource")
	savedDesc     = describe("saved_queries_total", "Queries that were not needed, because requests shared them.", "resource")

	slotsDesc     = describe("slots_used_ratio", "Batches in flight against the slots for them.", "resource", "class")
	queueDesc     = describe("queue_used_ratio", "Keys queued against the most that may be.", "resource", "class")
	modelBaseDesc = describe("model_batch_seconds", "Measured cost of a batch, without its keys.", "resource")
	modelKeyDesc  = describe("model_key_seconds", "Measured cost of each key in a batch.", "resource")

	batchesDesc    = describe("batches_total", "Batches by the reason they left.", "resource", "class", "reason")
	refusedDesc    = describe("refused_total", "Requests refused, by reason.", "resource", "class", "reason")
	batchKeysDesc  = describe("batch_keys_total", "Keys in all batches.", "resource", "class")
	badBatchesDesc = describe("failed_batches_total", "Batches that failed as a whole.", "resource", "class")

	queueTimeDesc    = describe("queue_seconds", "Time from admission to leaving in a batch.", "resource", "class")
	responseTimeDesc = describe("response_seconds", "Time from admission to the answer.", "resource", "class")
	serviceTimeDesc  = describe("service_seconds", "Time from a batch's leaving to its answer.", "resource", "class")

	statusDesc = describe("http_responses_total", "Answers of the data listener.", "status")
)

// Describe names all metrics.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		admittedDesc, answeredDesc, failedDesc, cancelledDesc, joinedDesc, savedDesc,
		slotsDesc, queueDesc, modelBaseDesc, modelKeyDesc,
		batchesDesc, refusedDesc, batchKeysDesc, badBatchesDesc,
		queueTimeDesc, responseTimeDesc, serviceTimeDesc, statusDesc,
	} {
		out <- d
	}
}

// Collect reads every Reader's Stats.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	for name, res := range c.g.resources {
		s := sink{out, name}
		stats := res.reader.Stats()
		s.totals(stats, c.rising(name, stats.Saved))
		for class, cs := range stats.Classes {
			s.class(class, cs, stats.Policy)
		}
	}
	for status := range c.g.statuses {
		if n := c.g.statuses[status].Load(); n > 0 {
			out <- prometheus.MustNewConstMetric(statusDesc, prometheus.CounterValue, float64(n), strconv.Itoa(status))
		}
	}
}

// rising is n, or what was told before if that was more.
func (c *collector) rising(resource string, n uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.saved == nil {
		c.saved = make(map[string]uint64)
	}
	c.saved[resource] = max(c.saved[resource], n)
	return c.saved[resource]
}

// sink takes the metrics of one resource.
type sink struct {
	out      chan<- prometheus.Metric
	resource string
}

func (s sink) count(d *prometheus.Desc, n uint64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), append([]string{s.resource}, labels...)...)
}

func (s sink) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{s.resource}, labels...)...)
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

func (s sink) class(class string, cs fulcrum.ClassStats, p fulcrum.Policy) {
	slots := p.InFlight
	if class == fulcrum.ClassUrgent.String() {
		slots += max(0, p.Reserved)
	}
	s.gauge(slotsDesc, float64(cs.InFlightBatches)/float64(slots), class)
	s.gauge(queueDesc, float64(cs.QueuedKeys)/float64(p.MaxQueued), class)
	for reason, n := range cs.Left {
		s.count(batchesDesc, n, class, reason)
	}
	for reason, n := range cs.Refused {
		s.count(refusedDesc, n, class, reason)
	}
	s.count(batchKeysDesc, cs.BatchKeys, class)
	s.count(badBatchesDesc, cs.FailedBatches, class)
	s.histogram(queueTimeDesc, cs.Queue, class)
	s.histogram(responseTimeDesc, cs.Response, class)
	s.histogram(serviceTimeDesc, cs.Service, class)
}

func (s sink) histogram(d *prometheus.Desc, l fulcrum.Latency, class string) {
	s.out <- prometheus.MustNewConstHistogram(d, l.Count, l.Sum.Seconds(), coarse(l.Buckets), s.resource, class)
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
