package curve

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/hist"
	"github.com/fulcrum-data/fulcrum/internal/load"
)

// queue is a server with exponential service times behind a queue, M/M/1: its
// response at load λ is exponential with rate μ − λ.
type queue struct {
	mu    float64 // requests/s
	rnd   *rand.Rand
	after map[int]func(*load.Step) // what disturbs the n-th step
	steps int
}

func (q *queue) step(rate float64) *load.Step {
	const seconds = 10
	n := uint64(rate * seconds)
	s := &load.Step{Duration: seconds * time.Second, Sending: seconds * time.Second, Due: n, Sent: n}
	response, least := hist.New(), hist.New()
	if rate >= q.mu { // the queue grows all the time; what is beyond the drain is censored
		s.Good, s.Completed = uint64(q.mu*seconds), uint64(q.mu*seconds)
		s.Censored = n - s.Good
		least.RecordN(3*time.Second, s.Censored)
		response.RecordN(time.Second, s.Good)
	} else {
		s.Good, s.Completed = n, n
		for range n {
			response.Record(time.Duration(q.rnd.ExpFloat64() / (q.mu - rate) * 1e9))
		}
	}
	s.Response, s.Least = response.Snapshot(), least.Snapshot()
	if disturb := q.after[q.steps]; disturb != nil {
		disturb(s)
	}
	q.steps++
	return s
}

func newQueue(mu float64) *queue {
	return &queue{mu: mu, rnd: rand.New(rand.NewPCG(1, 1)), after: map[int]func(*load.Step){}}
}

// find searches to the end.
func (q *queue) find(t *testing.T, cfg SearchConfig) (*Search, Result) {
	t.Helper()
	s := NewSearch(cfg)
	for rate, ok := s.Next(); ok; rate, ok = s.Next() {
		if q.steps > 100 || s.Left() < 0 {
			t.Fatal("no end")
		}
		s.Add(q.step(rate))
	}
	return s, Analyse(s.Points(), cfg.SLO)
}

var slo20 = SLO{.99, 20 * time.Millisecond}

// For M/M/1 all four answers are known: p99 = ln 100/(μ−λ), λ(μ−λ) is largest at
// μ/2, the capacity is μ, and the knee is at 90 % of it.
func TestAnswersForAQueue(t *testing.T) {
	for _, mu := range []float64{900, 5000, 20_000} {
		q := newQueue(mu)
		s, r := q.find(t, SearchConfig{SLO: slo20})
		if want := mu - math.Log(100)/.02; !nearly(r.SLORate, want, .06) || r.SLORate > want*1.01 {
			t.Errorf("μ %.0f: SLO rate %.0f, want %.0f", mu, r.SLORate, want)
		}
		if power := r.PowerRate * (mu - r.PowerRate); power < .95*mu*mu/4 { // flat around its top
			t.Errorf("μ %.0f: power point %.0f, want %.0f or nearly as good", mu, r.PowerRate, mu/2)
		}
		if !nearly(r.Capacity, mu, .05) || !nearly(r.KneeRate, .9*mu, .05) {
			t.Errorf("μ %.0f: capacity %.0f, knee %.0f (%s), want %.0f and %.0f", mu, r.Capacity, r.KneeRate, r.NoKnee, mu, .9*mu)
		}
		if q.steps > 40 || len(s.Points()) > 30 || !strings.Contains(r.SLOLimit, "p99 up to ") {
			t.Errorf("μ %.0f: %d steps, %q", mu, q.steps, r.SLOLimit)
		}
		if !slices.IsSortedFunc(s.Points(), func(a, b Point) int { return int(a.Rate - b.Rate) }) {
			t.Error("not sorted")
		}
	}
}

// The first load can be too much already.
func TestSearchDescends(t *testing.T) {
	q := newQueue(1000)
	if _, r := q.find(t, SearchConfig{SLO: slo20, From: 50_000}); !nearly(r.SLORate, 770, .06) {
		t.Errorf("%.0f %q", r.SLORate, r.SLOLimit)
	}
	hopeless := newQueue(10)
	s, r := hopeless.find(t, SearchConfig{SLO: slo20, From: 50_000})
	if r.SLORate != 0 || r.SLOLimit == "" {
		t.Errorf("%.0f %q", r.SLORate, r.SLOLimit)
	}
	// A p99 needs 299 requests, 29.9/s for 10 s: lower loads could not tell.
	if lowest := s.Points()[0]; lowest.Rate < 29.9/2 || lowest.Rate > 2*29.9 {
		t.Errorf("it went down to %.1f/s", lowest.Rate)
	}
}

func TestSearchEndsAtTheMost(t *testing.T) {
	q := newQueue(1e6)
	_, r := q.find(t, SearchConfig{SLO: slo20, From: 1000, Most: 5000})
	if r.SLORate != 5000 || r.SLOLimit != "no larger load was measured" || r.KneeRate != 0 || r.NoKnee == "" {
		t.Errorf("%+v", r)
	}
}

// A disturbance of the machine, once, does not end the search: whether it made the
// generator late or the responses slow.
func TestOneDisturbanceIsForgiven(t *testing.T) {
	late := hist.New()
	late.RecordN(time.Second, 10_000)
	for name, disturb := range map[string]func(*load.Step){
		"late": func(s *load.Step) { s.Lag = late.Snapshot() },
		"slow": func(s *load.Step) {
			s.Response = s.Response.Merge(slowTail(int(s.Good) / 80))
			s.Good += s.Good / 80
			s.Due = s.Good
		},
		"stops": func(s *load.Step) { s.Interrupted = false; s.Lag = late.Snapshot() },
	} {
		q := newQueue(5000)
		q.after[4] = disturb
		if _, r := q.find(t, SearchConfig{SLO: slo20}); !nearly(r.SLORate, 4770, .06) {
			t.Errorf("%s: %.0f, %s", name, r.SLORate, r.SLOLimit)
		}
	}
}

func slowTail(n int) hist.Snapshot {
	h := hist.New()
	h.RecordN(30*time.Millisecond, uint64(n))
	return h.Snapshot()
}

// A generator that is always late finds no limit of the target, and says so.
func TestLateGeneratorIsNamed(t *testing.T) {
	late := hist.New()
	late.RecordN(time.Second, 10_000)
	q := newQueue(1e9)
	for i := 5; i < 100; i++ {
		q.after[i] = func(s *load.Step) { s.Lag = late.Snapshot() }
	}
	if _, r := q.find(t, SearchConfig{SLO: slo20}); !strings.Contains(r.SLOLimit, "the generator was late") || r.SLORate < 400 {
		t.Errorf("%.0f: %s", r.SLORate, r.SLOLimit)
	}
}

func TestTooFewRequestsForTheSLO(t *testing.T) {
	s := newQueue(100).step(20) // 200 requests
	if b := slo20.Breach(s); b != "200 requests, of which 0 failed, are too few to be sure of the p99" {
		t.Error(b)
	}
	if b := (SLO{.5, time.Second}).Breach(s); b != "" {
		t.Error(b)
	}
}

func TestParseSLO(t *testing.T) {
	for spec, want := range map[string]SLO{"p99=20ms": slo20, "p50=1s": {.5, time.Second}, "p99.9=1m": {.999, time.Minute}} {
		got, err := ParseSLO(spec)
		if err != nil || math.Abs(got.Quantile-want.Quantile) > 1e-12 || got.Limit != want.Limit {
			t.Errorf("%s: %+v %v", spec, got, err)
		}
		if again, err := ParseSLO(got.String()); err != nil || again != got {
			t.Errorf("%s is written %s", spec, got)
		}
	}
	for _, spec := range []string{"", "p99", "99=20ms", "p0=1s", "p100=1s", "pNaN=1s", "p99=0s", "p99=-1s", "p99=20", "px=1s"} {
		if _, err := ParseSLO(spec); err == nil || !strings.Contains(err.Error(), "such as") {
			t.Errorf("%q: %v", spec, err)
		}
	}
}

func FuzzParseSLO(f *testing.F) {
	f.Add("p99=20ms")
	f.Fuzz(func(t *testing.T, spec string) {
		s, err := ParseSLO(spec)
		if err == nil && (s.Limit <= 0 || !(s.Quantile > 0 && s.Quantile < 1)) {
			t.Fatal(errors.New(s.String()))
		}
	})
}

func TestNoPoints(t *testing.T) {
	if r := Analyse(nil, slo20); r.SLORate != 0 || r.USL != nil || r.NoUSL == "" || r.NoKnee == "" || r.PowerRate != 0 {
		t.Errorf("%+v", r)
	}
}

// points are those of loads on a curve without noise.
func points(mu float64, rates ...float64) []Point {
	q := newQueue(mu)
	var all []Point
	for _, r := range rates {
		step := q.step(r)
		all = append(all, Point{r, step, slo20.Breach(step)})
	}
	return all
}

// What follows a load that fails does not count, whatever luck it had.
func TestSLORateEndsAtTheFirstBreach(t *testing.T) {
	all := points(5000, 1000, 2000, 3000, 4000)
	all[2].Breach = "p99 up to 25ms"
	if r := Analyse(all, slo20); r.SLORate != 2000 || r.SLOLimit != "at 3000/s: p99 up to 25ms" {
		t.Errorf("%.0f, %s", r.SLORate, r.SLOLimit)
	}
	all[0].Breach = "late"
	if r := Analyse(all, slo20); r.SLORate != 0 || r.SLOLimit != "at 1000/s: late" {
		t.Errorf("%.0f, %s", r.SLORate, r.SLOLimit)
	}
}

// A sweep that ended early says so instead of naming its last load a knee, and one
// that went far into saturation finds the same knee as one that did not.
func TestKneeDoesNotFollowTheSweep(t *testing.T) {
	if r := Analyse(points(5000, 250, 500, 1000, 1500, 2000), slo20); r.KneeRate != 0 || !strings.Contains(r.NoKnee, "far from the fitted capacity") {
		t.Errorf("%.0f, %q", r.KneeRate, r.NoKnee)
	}
	near := Analyse(points(5000, 500, 1000, 2000, 3000, 4000, 4400), slo20)
	far := Analyse(points(5000, 500, 1000, 2000, 3000, 4000, 4400, 4800, 4900, 4950, 6000), slo20)
	if !nearly(near.KneeRate, 4500, .05) || !nearly(far.KneeRate, near.KneeRate, .05) {
		t.Errorf("%.0f (%s) and %.0f (%s)", near.KneeRate, near.NoKnee, far.KneeRate, far.NoKnee)
	}
}

// Only valid points have a say.
func TestInvalidPointsSayNothing(t *testing.T) {
	all := points(5000, 500, 1000, 2000, 3000, 4000, 4700)
	want := Analyse(all, slo20)
	broken := *all[1].Step
	broken.Interrupted, broken.Completed = true, 1e9
	broken.Response = slowTail(5)
	got := Analyse(append(all, Point{9000, &broken, "interrupted"}), slo20)
	if got.PowerRate != want.PowerRate || got.Capacity != want.Capacity || got.SLORate != want.SLORate {
		t.Errorf("%+v, want %+v", got, want)
	}
	all = all[:3]
	for i := range all {
		all[i].Step.Interrupted = true
	}
	if r := Analyse(all, slo20); r.PowerRate != 0 || r.USL != nil || r.KneeRate != 0 || r.NoUSL == "" || r.NoKnee == "" {
		t.Errorf("%+v", r)
	}
}

// With noise on every throughput the answers stay where they are. Once in a while
// noise looks like a peak, even to a test with 95 % confidence.
func TestAnswersBearNoise(t *testing.T) {
	const seeds = 40
	near, quiet := 0, points(5000, 300, 600, 1000, 1500, 2200, 3000, 3800, 4300, 4600)
	for seed := range uint64(seeds) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		all := slices.Clone(quiet)
		for i, p := range all {
			step := *p.Step
			step.Completed = uint64(float64(step.Completed) * (1 + .01*rnd.NormFloat64()))
			all[i].Step = &step
		}
		r := Analyse(all, slo20)
		if nearly(r.Capacity, 5000, .1) && nearly(r.KneeRate, 4500, .1) {
			near++
		}
		if !nearly(r.Capacity, 5000, .15) || !nearly(r.KneeRate, 4500, .25) || r.PowerRate < 1500 || r.PowerRate > 3800 {
			t.Errorf("seed %d: capacity %.0f, knee %.0f (%s), power %.0f", seed, r.Capacity, r.KneeRate, r.NoKnee, r.PowerRate)
		}
	}
	if near < seeds*80/100 {
		t.Errorf("only %d of %d are within a tenth", near, seeds)
	}
	t.Logf("%d of %d are within a tenth", near, seeds)
}
