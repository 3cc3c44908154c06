package usage

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Counts per window are those of a plain list, in whatever order requests come.
func TestTimelineOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(t, "requests")
		span := rapid.SampledFrom([]int64{3, 100, 5000, 20_000}).Draw(t, "seconds")
		l := timeline{maxHours: 1000}
		var seconds []int64
		start := int64(0)
		for i := range n {
			at := rapid.Int64Range(0, span*second-1).Draw(t, "at")
			if i == 0 {
				start = at
			}
			l.add(at, 1)
			seconds = append(seconds, floorDiv(at-start, second))
		}
		s := l.shape()
		for i, w := range windows {
			counts := map[int64]uint64{}
			for _, at := range seconds {
				counts[floorDiv(at, int64(w))]++
			}
			most := uint64(0)
			for _, c := range counts {
				most = max(most, c)
			}
			if s.most[i] != most {
				t.Fatalf("peak over %d s: %d, want %d", w, s.most[i], most)
			}
			want := plainDispersion(seconds, int64(w))
			if got := s.dispersion[i]; (got == nil) != math.IsNaN(want) || got != nil && math.Abs(*got-want) > 1e-9*(1+want) {
				t.Fatalf("dispersion at %d s: %v, want %v", w, got, want)
			}
		}
	})
}

// plainDispersion is the variance by the mean of the counts in whole windows, or in
// all where there are no more than two; NaN if it is not known.
func plainDispersion(seconds []int64, w int64) float64 {
	from, to := slices.Min(seconds), slices.Max(seconds)
	first, last := floorDiv(from, w), floorDiv(to, w)
	if last-first+1 > 2 {
		if (to+1)%w != 0 {
			last--
		}
		if from%w != 0 {
			first++
		}
	}
	counts := make([]float64, last-first+1)
	sum := 0.0
	for _, at := range seconds {
		if i := floorDiv(at, w) - first; i >= 0 && i < int64(len(counts)) {
			counts[i]++
			sum++
		}
	}
	if len(counts) < 2 || sum == 0 {
		return math.NaN()
	}
	mean, squares := sum/float64(len(counts)), 0.0
	for _, c := range counts {
		squares += (c - mean) * (c - mean)
	}
	return squares / float64(len(counts)) / mean
}

// Metwally's guarantees: a counter is too high by at most its err, and a key with
// more than N/counters requests has one.
func TestSpaceSavingKeepsItsPromise(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 1))
	const counters, draws = 50, 20_000
	s := newSpaceSaving(counters)
	truth := map[uint64]uint64{}
	for _, key := range zipfKeys(random, 1, 2000, draws) {
		s.add(key+1, fmt.Appendf(nil, "%d", key), 1)
		truth[key+1]++
	}
	for hash, n := range truth {
		c := s.places[hash]
		if c == nil {
			if n > draws/counters {
				t.Errorf("a key with %d requests has no counter", n)
			}
			continue
		}
		if c.count < n || c.count-c.err > n || c.key != fmt.Sprint(hash-1) {
			t.Errorf("%+v, in truth %d", c, n)
		}
	}
	if len(s.places) != counters || len(s.order) != counters {
		t.Errorf("%d places, %d counters", len(s.places), len(s.order))
	}
}

func TestSkewOfLittle(t *testing.T) {
	for _, counts := range [][]uint32{nil, {1}, {5, 5}, slices.Repeat([]uint32{1}, 1000), {1 << 30}} {
		if k, ok := fitSkew(counts); ok {
			t.Errorf("%d keys: %+v", len(counts), k)
		}
		if s, _, ok := headSkew(counts); ok {
			t.Errorf("%d keys: head skew %v", len(counts), s)
		}
	}
	// Exactly after the law, the head's skew is the law's.
	var counts []uint32
	for r := 1; r <= 200; r++ {
		counts = append(counts, uint32(1e6*math.Pow(float64(r), -.9)))
	}
	if s, misfit, ok := headSkew(counts); !ok || math.Abs(s-.9) > 1e-3 || misfit > 1e-3 {
		t.Errorf("%v, misfit %v", s, misfit)
	}
}

// A tally tells numbers within 0.1 %.
func TestTallySteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.Uint64Range(0, 1<<40).Draw(t, "d")
		low, high := stepRange(step(d))
		if float64(d) < low || float64(d) >= high || high-low > 1 && (high-low)/low > 1./steps {
			t.Fatalf("%d is in the step from %v to %v", d, low, high)
		}
	})
}
