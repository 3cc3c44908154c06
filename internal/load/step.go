package load

import (
	"time"

	"github.com/fulcrum-data/fulcrum/internal/hist"
)

// Step is what came of a load. Its counts are of keys whose requests were due in
// the window, and Due = Good + Failed + Censored.
type Step struct {
	Callers  int           // of a closed loop; 0: open loop
	Duration time.Duration // of the window

	Due      uint64 // scheduled
	Sent     uint64 // Due − Unsent
	Good     uint64 // answered without error
	Failed   uint64 // answered with an error
	Censored uint64 // not sent, or not answered before the drain was over
	Unsent   uint64 // of the censored: not even sent

	Completed uint64        // good answers within the window, whenever they were due
	Sending   time.Duration // from the window's begin to its end or the last sending, whichever was later

	Response  hist.Snapshot // of good answers: due to end
	Service   hist.Snapshot // of good answers: sent to end
	FirstByte hist.Snapshot // of good answers, from sent, where the target says it
	Lag       hist.Snapshot // sent − due; of the unsent, what it was at least
	Least     hist.Snapshot // of the censored: what the response was at least

	Errors      []ErrorCount  // the most frequent first
	CPU         time.Duration // processor time of this process within the window; 0 if interrupted
	Interrupted bool          // the context ended before the step did
}

func (r *run) step(interrupted bool) *Step {
	rec := &r.rec
	s := &Step{
		Callers: r.cfg.Callers, Duration: r.cfg.Duration,
		Sent: rec.sent.Load(), Unsent: rec.unsent.Load(), Good: rec.good.Load(), Failed: rec.failed.Load(),
		Censored: rec.unsent.Load() + rec.unfinished.Load(), Completed: rec.completed.Load(),
		Sending:  max(r.cfg.Duration, time.Duration(rec.lastSent.Load())-r.begin),
		Response: rec.response.Snapshot(), Service: rec.service.Snapshot(), FirstByte: rec.firstByte.Snapshot(),
		Lag: rec.lag.Snapshot(), Least: rec.censored.Snapshot(),
		Errors: rec.errors.sorted(), CPU: max(0, time.Duration(rec.cpuEnd.Load()-rec.cpuBegin.Load())), Interrupted: interrupted,
	}
	s.Due = s.Sent + s.Unsent
	return s
}

// Add takes another round of the same load into account.
func (s *Step) Add(o *Step) {
	s.Duration += o.Duration
	s.Due += o.Due
	s.Sent += o.Sent
	s.Good += o.Good
	s.Failed += o.Failed
	s.Censored += o.Censored
	s.Unsent += o.Unsent
	s.Completed += o.Completed
	s.Sending += o.Sending
	s.CPU += o.CPU
	s.Interrupted = s.Interrupted || o.Interrupted
	s.Response = s.Response.Merge(o.Response)
	s.Service = s.Service.Merge(o.Service)
	s.FirstByte = s.FirstByte.Merge(o.FirstByte)
	s.Lag = s.Lag.Merge(o.Lag)
	s.Least = s.Least.Merge(o.Least)
	var log errorLog
	for _, e := range append(s.Errors, o.Errors...) {
		log.count(e.Text, e.Count)
	}
	s.Errors = log.sorted()
}

// Offered is the load that was scheduled, in keys per second; 0 of a closed loop,
// which has none.
func (s *Step) Offered() float64 {
	if s.Callers > 0 {
		return 0
	}
	return float64(s.Due) / s.Duration.Seconds()
}

// SentRate is what was sent, in keys per second.
func (s *Step) SentRate() float64 { return float64(s.Sent) / s.Sending.Seconds() }

// Throughput is the rate of good answers, in keys per second.
func (s *Step) Throughput() float64 { return float64(s.Completed) / s.Duration.Seconds() }
