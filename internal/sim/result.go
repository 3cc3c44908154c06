package sim

import (
	"math"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/hist"
	"github.com/fulcrum-data/fulcrum/internal/tune"
)

// Result is what a simulation found. All but Slices is of the time that was measured.
type Result struct {
	Measured time.Duration
	Good     uint64 // requests answered
	Failed   uint64 // requests answered with an error
	Shed     uint64 // requests refused
	Batches  uint64
	Response hist.Snapshot // of good answers: from due to answered
	K        float64       // mean over time
	KSpread  float64       // its standard deviation, as a part of the mean
	Slices   []Slice
	Shares   []float64 // of the batches, by copy, warm-up included; one if there are no copies

	mean float64 // s
}

// Slice is a part of the run, of Setup.Every.
type Slice struct {
	Good, Shed uint64
	Mean       time.Duration // response
	K          int           // at its end
}

// Goodput is good answers per second.
func (r Result) Goodput() float64 { return float64(r.Good) / r.Measured.Seconds() }

// Mean is the mean response time of good answers.
func (r Result) Mean() time.Duration { return time.Duration(r.mean * float64(time.Second)) }

// P99 is that of response times.
func (r Result) P99() time.Duration { return r.Response.Quantile(0.99) }

// KeysPerBatch is the mean batch.
func (r Result) KeysPerBatch() float64 {
	return float64(r.Good+r.Failed) / float64(max(1, r.Batches))
}

// recorder adds up.
type recorder struct {
	from, to  time.Duration
	good      uint64
	failed    uint64
	refused   uint64
	batches   uint64
	sum       float64 // ns, of good responses
	response  hist.Histogram
	k         int
	kAt       time.Duration
	kSum, kSq float64

	slices slices
	recent recent
}

// slices are the parts of a run.
type slices struct {
	every time.Duration
	all   []Slice
	now   Slice
	sum   float64
	end   time.Duration
}

func (rec *recorder) init(s Setup) {
	rec.from, rec.to = s.From, s.To
	rec.slices.every, rec.slices.end = s.Every, s.Every
	if s.Every == 0 {
		rec.slices.end = never
	}
	rec.recent.next = recentEvery
}

// setK adds up the time that the K before was held.
func (rec *recorder) setK(now time.Duration, k int) {
	if from := max(rec.kAt, rec.from); now > from {
		d, was := float64(now-from), float64(rec.k)
		rec.kSum += d * was
		rec.kSq += d * was * was
	}
	rec.k, rec.kAt = k, now
}

func (rec *recorder) inWindow(now time.Duration) bool { return now >= rec.from }

func (rec *recorder) shed(now time.Duration) {
	rec.slices.roll(now, rec.k)
	rec.slices.now.Shed++
	if rec.inWindow(now) {
		rec.refused++
	}
}

func (rec *recorder) batch(now time.Duration, _ int) {
	rec.slices.roll(now, rec.k)
	if rec.inWindow(now) {
		rec.batches++
	}
}

func (rec *recorder) answered(now, due time.Duration, ok bool) {
	t := now - due
	rec.recent.add(t)
	if ok {
		rec.slices.now.Good++
		rec.slices.sum += float64(t)
	}
	switch {
	case !rec.inWindow(now):
	case ok:
		rec.good++
		rec.sum += float64(t)
		rec.response.Record(t)
	default:
		rec.failed++
	}
}

func (s *slices) roll(now time.Duration, k int) {
	for now >= s.end {
		s.now.K = k
		if s.now.Good > 0 {
			s.now.Mean = time.Duration(s.sum / float64(s.now.Good))
		}
		s.all = append(s.all, s.now)
		s.now, s.sum = Slice{}, 0
		s.end += s.every
	}
}

func (r *run) result() Result {
	rec := &r.rec
	rec.setK(r.To, rec.k)
	rec.slices.roll(r.To, rec.k)
	res := Result{
		Measured: rec.to - rec.from, Good: rec.good, Failed: rec.failed, Shed: rec.refused, Batches: rec.batches,
		Response: rec.response.Snapshot(), Slices: rec.slices.all,
		mean: rec.sum / float64(max(1, rec.good)) / float64(time.Second),
	}
	all := uint64(0)
	for _, s := range r.copies.all {
		all += s.batches
	}
	for _, s := range r.copies.all {
		res.Shares = append(res.Shares, float64(s.batches)/float64(max(1, all)))
	}
	whole := float64(res.Measured)
	res.K = rec.kSum / whole
	res.KSpread = math.Sqrt(max(0, rec.kSq/whole-res.K*res.K)) / res.K
	return res
}

// recent knows the response times of the last half second, as the library's sliding
// window does.
type recent struct {
	counts [recentBuckets]uint32
	n      int
	next   time.Duration
}

const (
	recentEvery   = 500 * time.Millisecond
	recentSub     = 4 // bits: 16 buckets an octave, 6 % apart
	recentBuckets = 48 << recentSub
)

func (s *recent) add(t time.Duration) {
	s.counts[recentIndex(t)]++
	s.n++
}

func recentIndex(t time.Duration) int {
	f := math.Float64bits(float64(max(1, t)))
	return min(recentBuckets-1, int(f>>(52-recentSub))-1023<<recentSub)
}

func (s *recent) quantile(q float64) time.Duration {
	rank, below := int(q*float64(s.n)), 0
	for i, c := range s.counts {
		if below += int(c); below > rank {
			return time.Duration(math.Float64frombits(uint64(i+1023<<recentSub) << (52 - recentSub)))
		}
	}
	return 0
}

// observe hands the tuner what is known, anew every half second.
func (rec *recorder) observe(now time.Duration, o *tune.Observation) {
	s := &rec.recent
	if now < s.next {
		return
	}
	o.P95, o.P99 = s.quantile(0.95), s.quantile(0.99)
	o.Rate = float64(s.n) / (recentEvery + now - s.next).Seconds()
	*s = recent{next: now + recentEvery}
}
