package hist

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// worst is the error that the package comment promises, 1/2^(S+1).
const worst = 1.0 / (2 * perOctave)

var quantiles = []float64{0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1}

// near reports whether got is within the promised error of want, plus the half
// nanosecond of rounding and a relative slack for the oracle's own error.
func near(got, want time.Duration, slack float64) bool {
	return math.Abs(float64(got-want)) <= float64(want)*(worst+slack)+0.5
}

func samples(n int, draw func(*rand.Rand) float64) []time.Duration {
	r := rand.New(rand.NewPCG(7, 11))
	values := make([]time.Duration, n)
	for i := range values {
		values[i] = time.Duration(draw(r))
	}
	return values
}

func TestScale(t *testing.T) {
	// first and last values around every change of width, and the design's own formula
	for _, v := range []time.Duration{0, 1, 126, 127, 128, 129, 255, 256, 257, 511, 512, 1e3, 1e6, 1e9, top - 1, top} {
		want := int(v)
		if v >= perOctave {
			e := 0
			for v>>e >= 2*perOctave {
				e++
			}
			want = (e+1)*perOctave + int(v>>e) - perOctave
		}
		if got := index(v); got != want {
			t.Errorf("index(%d) = %d, want %d", v, got, want)
		}
	}
	for i := range buckets {
		if got := index(lower(i)); got != i {
			t.Fatalf("index(lower(%d)) = %d", i, got)
		}
		if got := index(upper(i)); got != i {
			t.Fatalf("index(upper(%d)) = %d", i, got)
		}
		if m := midpoint(i); index(m) != i || !near(m, lower(i), 0) {
			t.Fatalf("midpoint(%d) = %d", i, m)
		}
	}
}

func TestEmpty(t *testing.T) {
	s := New().Snapshot()
	if s.Count() != 0 || s.Min() != 0 || s.Max() != 0 || s.Mean() != 0 || s.SumSeconds() != 0 || s.Quantile(0.5) != 0 {
		t.Errorf("an empty snapshot has figures: %+v", s)
	}
	if s.Sufficient(0) || s.AtMost(time.Hour) != 0 {
		t.Error("an empty snapshot claims to know something")
	}
	for range s.Buckets() {
		t.Error("an empty snapshot has a bucket")
	}
	if !same(s.Merge(s), Snapshot{}) || !same(s.Sub(s), Snapshot{}) {
		t.Error("nothing and nothing is not nothing")
	}
}

func TestExtremesAreExact(t *testing.T) {
	s := filled([]time.Duration{123_457, 9_876_543, 77_777_777}).Snapshot()
	if s.Min() != 123_457 || s.Max() != 77_777_777 {
		t.Errorf("min %d, max %d", s.Min(), s.Max())
	}
	if one := filled([]time.Duration{123_457}).Snapshot(); one.Mean() != 123_457 || one.Quantile(0.5) != 123_457 {
		t.Errorf("a single value is not exact: mean %d, median %d", one.Mean(), one.Quantile(0.5))
	}
}

func TestNegativeCountsAsZero(t *testing.T) {
	s := filled([]time.Duration{-5, math.MinInt64}).Snapshot()
	if s.Count() != 2 || s.Min() != 0 || s.Max() != 0 || s.Quantile(1) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestBeyondTheScale(t *testing.T) {
	s := filled([]time.Duration{time.Second, 2 * time.Hour, math.MaxInt64}).Snapshot()
	if s.Count() != 3 || s.Max() != math.MaxInt64 || s.Quantile(0.9) != math.MaxInt64 {
		t.Errorf("count %d, max %v, p90 %v", s.Count(), s.Max(), s.Quantile(0.9))
	}
	if got, want := s.SumSeconds(), 1+2*(1<<topBits)/1e9; math.Abs(got-want) > want*worst {
		t.Errorf("sum %v s, want %v s", got, want)
	}
	var last time.Duration
	for last = range s.Buckets() {
	}
	if last != math.MaxInt64 {
		t.Errorf("last bucket ends at %v", last)
	}
}

func TestRecordN(t *testing.T) {
	once, many := New(), New()
	for range 1000 {
		once.Record(3 * time.Millisecond)
	}
	many.RecordN(3*time.Millisecond, 1000)
	many.RecordN(time.Hour, 0)
	if !same(once.Snapshot(), many.Snapshot()) {
		t.Errorf("%+v and %+v", once.Snapshot(), many.Snapshot())
	}
}

func TestRank(t *testing.T) {
	for _, c := range []struct {
		q    float64
		n    uint64
		want uint64
	}{
		{0.07, 100, 7}, {0.29, 100, 29}, {0.57, 100, 57}, // products that come out too large
		{0.5, 1, 1}, {0.5, 2, 1}, {0.5, 3, 2}, {0.99, 100, 99}, {0.991, 100, 100}, {0.999, 1000, 999},
		{0, 9, 1}, {-1, 9, 1}, {1, 9, 9}, {2, 9, 9}, {math.NaN(), 9, 1}, {1e-300, 9, 1},
	} {
		if got := rank(c.q, c.n); got != c.want {
			t.Errorf("rank(%v, %d) = %d, want %d", c.q, c.n, got, c.want)
		}
	}
}

func TestSufficient(t *testing.T) {
	for _, c := range []struct {
		q float64
		n uint64
	}{{0.5, 20}, {0.9, 100}, {0.95, 200}, {0.99, 1000}, {0.999, 10_000}, {0.9999, 100_000}} {
		h := New()
		if h.RecordN(1, c.n-1); h.Snapshot().Sufficient(c.q) {
			t.Errorf("%d values are said to be enough for %v", c.n-1, c.q)
		}
		if h.Record(1); !h.Snapshot().Sufficient(c.q) {
			t.Errorf("%d values are said not to be enough for %v", c.n, c.q)
		}
	}
}

// The oracle keeps five significant digits, so its own error does not matter.
func TestAgreesWithHdrHistogram(t *testing.T) {
	for name, draw := range map[string]func(*rand.Rand) float64{
		"uniform":   func(r *rand.Rand) float64 { return 1e5 + r.Float64()*1e8 },
		"lognormal": func(r *rand.Rand) float64 { return 2e6 * math.Exp(0.8*r.NormFloat64()) },
		"bimodal": func(r *rand.Rand) float64 {
			if r.Float64() < 0.97 {
				return 4e5 * (1 + 0.1*r.Float64())
			}
			return 9e7 * (1 + 0.3*r.Float64())
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, oracle := New(), hdrhistogram.New(1, int64(time.Minute), 5)
			for _, d := range samples(100_000, draw) {
				h.Record(d)
				if err := oracle.RecordValue(int64(d)); err != nil {
					t.Fatal(err)
				}
			}
			s := h.Snapshot()
			for _, q := range quantiles {
				want := time.Duration(oracle.ValueAtPercentile(100 * q))
				if got := s.Quantile(q); !near(got, want, 1e-5) {
					t.Errorf("q%v: %v, the oracle says %v", q, got, want)
				}
			}
			if got := float64(s.Mean()); math.Abs(got/oracle.Mean()-1) > 1e-4 {
				t.Errorf("mean %v, the oracle says %v", got, oracle.Mean())
			}
		})
	}
}

func TestBuckets(t *testing.T) {
	s := filled([]time.Duration{5, 5, 127, 300, 1000}).Snapshot()
	var got []string
	for edge, n := range s.Buckets() {
		got = append(got, fmt.Sprintf("%d:%d", edge, n))
	}
	if want := []string{"5:2", "127:3", "301:4", "1003:5"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for range s.Buckets() {
		break // must be allowed
	}
}

func TestAtMost(t *testing.T) {
	s := filled([]time.Duration{5, 5, 127, 300, 1000}).Snapshot()
	for d, want := range map[time.Duration]uint64{-1: 0, 0: 0, 4: 0, 5: 2, 126: 2, 127: 3, 299: 3, 300: 4, 999: 4, 1000: 5, time.Hour: 5, math.MaxInt64: 5} {
		if got := s.AtMost(d); got != want {
			t.Errorf("at most %d: %d, want %d", d, got, want)
		}
	}
}

func TestSnapshotIsCompact(t *testing.T) {
	if n := len(filled([]time.Duration{time.Millisecond, 2 * time.Millisecond}).Snapshot().counts); n > perOctave+1 {
		t.Errorf("%d buckets are kept for one octave", n)
	}
}

func TestSubExtremesAreBounds(t *testing.T) {
	h := filled([]time.Duration{1e6, 50e6})
	before := h.Snapshot()
	h.Record(2e6)
	h.Record(3e6)
	d := h.Snapshot().Sub(before)
	if d.Count() != 2 || d.Min() > 2e6 || !near(d.Min(), 2e6, worst) || d.Max() < 3e6 || !near(d.Max(), 3e6, worst) {
		t.Errorf("count %d, min %v, max %v", d.Count(), d.Min(), d.Max())
	}
	if d := before.Sub(h.Snapshot()); !same(d, Snapshot{}) {
		t.Errorf("a difference the wrong way round is %+v", d)
	}
}

func TestRecordDoesNotAllocate(t *testing.T) {
	h, w := filled(typical[:]), NewWindow(time.Second, 10)
	for _, d := range typical {
		w.Record(0, d)
	}
	i := 0
	allocs := testing.AllocsPerRun(1000, func() {
		i++
		h.Record(typical[i%len(typical)])
		w.Record(0, typical[i%len(typical)])
	})
	if allocs != 0 {
		t.Errorf("%v allocations for a value", allocs)
	}
}

// Snapshots taken while others record must agree with themselves and only grow.
func TestConcurrentRecords(t *testing.T) {
	const goroutines, each = 4, 20_000
	h := New()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 0))
			for range each {
				h.Record(time.Duration(1 + r.ExpFloat64()*1e6))
			}
		})
	}
	var before Snapshot
	for range 200 {
		s := h.Snapshot()
		if s.Count() < before.Count() || s.SumSeconds() < before.SumSeconds() || s.Max() < before.Max() {
			t.Fatalf("shrunk from %d to %d values", before.Count(), s.Count())
		}
		if d := s.Sub(before); d.Count() != s.Count()-before.Count() {
			t.Fatalf("the difference has %d values, want %d", d.Count(), s.Count()-before.Count())
		}
		before = s
	}
	wg.Wait()
	if n := h.Snapshot().Count(); n != goroutines*each {
		t.Errorf("%d values, want %d", n, goroutines*each)
	}
}

// What Values yields is all there is, each value as a quantile tells it.
func TestValues(t *testing.T) {
	h := New()
	for _, d := range []time.Duration{0, 3, 3, 1000, 77_777, 5_000_000, 5_000_001, 1 << 50} {
		h.Record(d)
	}
	s, below := h.Snapshot(), uint64(0)
	for v, n := range s.Values() {
		below += n
		if q := s.Quantile(float64(below) / float64(s.Count())); q != v {
			t.Errorf("value %d after %d: the quantile is %d", v, below, q)
		}
	}
	if below != s.Count() {
		t.Errorf("%d values of %d", below, s.Count())
	}
	for range s.Values() {
		break // may end early
	}
	for range (Snapshot{}).Values() {
		t.Error("an empty snapshot has a value")
	}
}
