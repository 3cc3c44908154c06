package fulcrum

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/dispatch"
	"github.com/fulcrum-data/fulcrum/internal/hist"
)

// StatsWindow is the span that the quantiles of Stats look back over.
const StatsWindow = 10 * time.Second

// Stats is what a Reader has done. Counts are since its start, in requests unless
// they say otherwise, and hold at every moment:
// Admitted = Answered + Failed + Cancelled + Queued + InFlight. What a Cache answered, and
// who waited for another's fill, is in none of them.
type Stats struct {
	Name      string
	Policy    Policy
	Admitted  uint64 // taken on
	Answered  uint64 // with a value or ErrNotFound
	Failed    uint64 // with another error
	Cancelled uint64 // left before their answer
	Queued    int    // waiting for a batch
	InFlight  int    // in a batch on its way

	Joined  uint64 // found their key queued already and shared its place
	Batches uint64 // that were answered
	Keys    uint64 // in those batches
	Queries uint64 // calls to Fetch or One: more than Batches if guilty keys were looked for
	Saved   uint64 // queries that callers did not cost: their number less Queries

	Model   ModelStats
	Classes map[string]ClassStats // by class: urgent, normal, bulk
}

// ModelStats is the measured cost of a batch of n keys: A + n·B.
type ModelStats struct {
	A, B time.Duration // 0 until something was learnt
}

// ClassStats is what became of the requests of one class.
type ClassStats struct {
	QueuedKeys      int               // queued now
	InFlightBatches int               // now; normal and bulk share theirs and both show the sum
	Left            map[string]uint64 // batches by the reason they left
	Refused         map[string]uint64 // requests by the reason they were refused
	BatchKeys       uint64            // keys in all batches of the class
	Sizes           []uint64          // batches of at most 1, 2, 4, 8, … keys that are in none before; none at the end are left out
	FailedBatches   uint64            // batches that failed as a whole
	Queue           Latency           // from admission to leaving
	Response        Latency           // from admission to the answer
	Service         Latency           // of batches: from leaving to the answer
}

// MeanBatch is the mean number of keys in a batch, 0 if there was none.
func (s Stats) MeanBatch() float64 {
	if s.Batches == 0 {
		return 0
	}
	return float64(s.Keys) / float64(s.Batches)
}

// Latency sums up durations: quantiles over the last StatsWindow, count and sum
// since the start. A quantile with fewer than ten samples beyond it is unsure.
type Latency struct {
	Samples       uint64 // in the window
	P50, P95, P99 time.Duration
	Max           time.Duration
	Count         uint64        // since the start
	Sum           time.Duration // since the start

	recent, total hist.Snapshot
}

// Buckets calls f for each upper bound with the number of durations since the
// start that were at most that long, in rising order.
func (l Latency) Buckets(f func(upper time.Duration, cumulative uint64)) {
	for upper, cumulative := range l.total.Buckets() {
		f(upper, cumulative)
	}
}

// Quantile is one of the last StatsWindow, 0 to 1.
func (l Latency) Quantile(q float64) time.Duration { return l.recent.Quantile(q) }

// Over is the share of the last StatsWindow that took longer than d.
func (l Latency) Over(d time.Duration) float64 {
	if l.Samples == 0 {
		return 0
	}
	return float64(l.Samples-min(l.Samples, l.recent.AtMost(d))) / float64(l.Samples)
}

// recorder keeps what Stats tells beyond the dispatcher's own ledger.
type recorder struct {
	lanes [dispatch.Lanes]laneRecorder
	off   bool // set by benchmarks of what it costs
}

type laneRecorder struct {
	left      [dispatch.Reasons]atomic.Uint64
	refused   [dispatch.Reasons]atomic.Uint64
	batchKeys atomic.Uint64
	sizes     [sizes]atomic.Uint64
	callers   atomic.Uint64
	calls     atomic.Uint64
	failed    atomic.Uint64
	queue     *hist.Window
	response  *hist.Window
	service   *hist.Window
}

// windowParts is how finely the window slides.
const windowParts = 10

func (rec *recorder) init() {
	for i := range rec.lanes {
		l := &rec.lanes[i]
		l.queue = hist.NewWindow(StatsWindow, windowParts)
		l.response = hist.NewWindow(StatsWindow, windowParts)
		l.service = hist.NewWindow(StatsWindow, windowParts)
	}
}

func (rec *recorder) refuse(lane dispatch.Class, reason dispatch.Reason) {
	rec.lanes[lane].refused[reason].Add(1)
}

func (rec *recorder) batch(end time.Duration, b BatchInfo, lane dispatch.Class, reason dispatch.Reason) {
	if rec.off {
		return
	}
	l := &rec.lanes[lane]
	l.left[reason].Add(1)
	l.batchKeys.Add(uint64(b.Keys))
	l.sizes[sizeOf(b.Keys)].Add(1)
	l.callers.Add(uint64(b.Callers))
	l.calls.Add(uint64(b.Calls))
	l.service.Record(end, b.Service)
	if b.Err != nil {
		l.failed.Add(1)
	}
}

// sizes are the powers of 2 that batches are counted by: the largest has 100,000 keys.
const sizes = 18

// sizeOf is the place of a batch in Sizes: the least i for which it has at most 2^i keys.
func sizeOf(keys int) int { return min(bits.Len(uint(max(1, keys)-1)), sizes-1) }

func (rec *recorder) answered(end time.Duration, lane dispatch.Class, queued, response time.Duration) {
	if rec.off {
		return
	}
	l := &rec.lanes[lane]
	l.queue.Record(end, queued)
	l.response.Record(end, response)
}

// Stats is a snapshot of counts and latencies.
func (r *Reader[K, V]) Stats() Stats {
	now := r.now()
	s := Stats{Name: r.cfg.Name, Policy: *r.policy.Load(), Classes: make(map[string]ClassStats, dispatch.Lanes)}
	var queued [dispatch.Lanes]int
	r.lock()
	c := r.dispatch.Counts()
	shared, urgent := r.dispatch.InFlight()
	for lane := range queued {
		queued[lane] = r.dispatch.Queued(dispatch.Class(lane))
	}
	cost := r.cost()
	s.Joined = r.joined
	r.unlock(now)
	s.Admitted, s.Answered, s.Failed, s.Cancelled = c.Admitted, c.Answered, c.Failed, c.Cancelled
	s.Queued, s.InFlight = c.Queued, c.InFlight
	s.Model = ModelStats{A: cost.A, B: cost.B}
	var callers uint64
	for lane := range queued {
		class := dispatch.Class(lane)
		cs := r.rec.lanes[lane].stats(now)
		cs.QueuedKeys, cs.InFlightBatches = queued[lane], shared
		if class == dispatch.Urgent {
			cs.InFlightBatches = urgent
		}
		s.Classes[class.String()] = cs
		s.Keys += cs.BatchKeys
		callers += r.rec.lanes[lane].callers.Load()
		s.Queries += r.rec.lanes[lane].calls.Load()
		for _, n := range cs.Left {
			s.Batches += n
		}
	}
	s.Saved = callers - min(callers, s.Queries)
	return s
}

func (l *laneRecorder) stats(now time.Duration) ClassStats {
	return ClassStats{
		BatchKeys:     l.batchKeys.Load(),
		FailedBatches: l.failed.Load(),
		Sizes:         bySize(&l.sizes),
		Left:          byReason(&l.left),
		Refused:       byReason(&l.refused),
		Queue:         latency(l.queue, now),
		Response:      latency(l.response, now),
		Service:       latency(l.service, now),
	}
}

func byReason(counts *[dispatch.Reasons]atomic.Uint64) map[string]uint64 {
	m := make(map[string]uint64)
	for i := range counts {
		if n := counts[i].Load(); n > 0 {
			m[dispatch.Reason(i).String()] = n
		}
	}
	return m
}

func bySize(counts *[sizes]atomic.Uint64) []uint64 {
	all, n := make([]uint64, sizes), 0
	for i := range counts {
		if all[i] = counts[i].Load(); all[i] > 0 {
			n = i + 1
		}
	}
	return all[:n]
}

func latency(w *hist.Window, now time.Duration) Latency {
	return latencyOf(w.Snapshot(now), w.Total())
}

func latencyOf(recent, total hist.Snapshot) Latency {
	return Latency{
		Samples: recent.Count(),
		P50:     recent.Quantile(.50),
		P95:     recent.Quantile(.95),
		P99:     recent.Quantile(.99),
		Max:     recent.Max(),
		Count:   total.Count(),
		Sum:     time.Duration(total.SumSeconds() * float64(time.Second)),
		recent:  recent,
		total:   total,
	}
}
