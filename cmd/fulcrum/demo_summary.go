package main

import (
	"time"

	"github.com/fulcrum-data/fulcrum/internal/hist"
)

// snapshot is all of the traffic's counts at one moment, or between two.
type snapshot struct {
	at                        time.Duration // since the start, or between
	offered, answered, failed uint64
	batches, keys, saved      uint64
	response                  [3]hist.Snapshot // by fulcrum.Class
	written                   uint64
	writing                   hist.Snapshot
}

func (t *traffic) snapshot() snapshot {
	s := snapshot{at: time.Since(t.started)}
	for class := range t.classes {
		c := &t.classes[class]
		s.offered += c.offered.Load()
		s.answered += c.answered.Load()
		s.failed += c.failed.Load()
		s.response[class] = c.response.Snapshot()
	}
	s.written, s.writing = t.writes.answered.Load(), t.writes.response.Snapshot()
	s.failed += t.writes.failed.Load()
	stats := t.reader.Stats()
	s.batches, s.keys, s.saved = stats.Batches, stats.Keys, stats.Saved
	return s
}

// since is what happened after an earlier snapshot.
func (s snapshot) since(earlier snapshot) snapshot {
	d := snapshot{
		at:      s.at - earlier.at,
		offered: s.offered - earlier.offered, answered: s.answered - earlier.answered, failed: s.failed - earlier.failed,
		batches: s.batches - earlier.batches, keys: s.keys - earlier.keys,
		saved: s.saved - min(earlier.saved, s.saved), // a batch whose callers left saves nothing
	}
	d.written, d.writing = s.written-earlier.written, s.writing.Sub(earlier.writing)
	for class := range s.response {
		d.response[class] = s.response[class].Sub(earlier.response[class])
	}
	return d
}

// summary is what the demo says at its end; with --json, in this form. Requests
// count keys.
type summary struct {
	Seconds       float64                 `json:"seconds"`
	Requests      uint64                  `json:"requests"`
	Answered      uint64                  `json:"answered"`
	Errors        uint64                  `json:"errors"`
	FirstErrors   []string                `json:"first_errors"`
	OfferedRPS    float64                 `json:"offered_rps"`
	ThroughputRPS float64                 `json:"throughput_rps"`
	MeanBatch     float64                 `json:"mean_batch"`
	Queries       uint64                  `json:"queries"`
	Saved         uint64                  `json:"saved_queries"`
	SavedRatio    float64                 `json:"saved_ratio"`
	Classes       map[string]classSummary `json:"classes"`
	Writes        classSummary            `json:"writes"`
}

// classSummary is the part of one class.
type classSummary struct {
	Requests uint64      `json:"requests"`
	Answered uint64      `json:"answered"`
	Errors   uint64      `json:"errors"`
	Response timeSummary `json:"response_seconds"`

	response hist.Snapshot
}

// timeSummary has times in seconds. Unsure names the quantiles with fewer than ten
// samples beyond them.
type timeSummary struct {
	Samples uint64   `json:"samples"`
	P50     float64  `json:"p50"`
	P95     float64  `json:"p95"`
	P99     float64  `json:"p99"`
	Max     float64  `json:"max"`
	Unsure  []string `json:"unsure"`
}

// summary sums up the whole run. The traffic has ended.
func (t *traffic) summary() summary {
	s := t.snapshot()
	seconds := max(time.Duration(t.elapsed.Load()), time.Millisecond).Seconds()
	sum := summary{
		Seconds: seconds, Requests: s.offered, Answered: s.answered, Errors: s.failed, FirstErrors: t.errs.list(),
		OfferedRPS: float64(s.offered) / seconds, ThroughputRPS: float64(s.answered) / seconds,
		MeanBatch: ratio(s.keys, s.batches), Queries: s.batches, Saved: s.saved, SavedRatio: ratio(s.saved, s.saved+s.batches),
		Classes: make(map[string]classSummary),
		Writes: classSummary{
			Requests: t.writes.offered.Load(), Answered: s.written, Errors: t.writes.failed.Load(), Response: timesOf(s.writing), response: s.writing,
		},
	}
	for _, class := range classOrder {
		c, h := &t.classes[class], s.response[class]
		sum.Classes[class.String()] = classSummary{
			Requests: c.offered.Load(), Answered: c.answered.Load(), Errors: c.failed.Load(),
			Response: timesOf(h), response: h,
		}
	}
	return sum
}

func timesOf(h hist.Snapshot) timeSummary {
	unsure := []string{}
	for _, q := range []struct {
		name string
		q    float64
	}{{"p50", .50}, {"p95", .95}, {"p99", .99}} {
		if !h.Sufficient(q.q) {
			unsure = append(unsure, q.name)
		}
	}
	return timeSummary{
		Samples: h.Count(), Unsure: unsure, Max: h.Max().Seconds(),
		P50: h.Quantile(.50).Seconds(), P95: h.Quantile(.95).Seconds(), P99: h.Quantile(.99).Seconds(),
	}
}
