package experience

import (
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// truth is what simulated people do: logit P(converted) = intercept + slope·seconds.
type truth struct{ intercept, slope float64 }

func (p truth) probability(seconds float64) float64 {
	return 1 / (1 + math.Exp(-p.intercept-p.slope*seconds))
}

// visits draws people whose waits are spread as pages' are: lognormal, median 1.2 s.
func (p truth) visits(seed uint64, n int) []Visit {
	rnd := rand.New(rand.NewPCG(seed, 0x6665656c))
	all := make([]Visit, n)
	for i := range all {
		wait := 1.2 * math.Exp(.6*rnd.NormFloat64())
		all[i] = Visit{Wait: time.Duration(wait * float64(time.Second))}
		all[i].Converted = rnd.Float64() < p.probability(wait)
	}
	return all
}

// cost is what these very people would not have bought had they waited longer.
func (p truth) cost(visits []Visit, longer time.Duration) float64 {
	now, then := 0.0, 0.0
	for _, v := range visits {
		now += p.probability(v.Wait.Seconds())
		then += p.probability((v.Wait + longer).Seconds())
	}
	return 1 - then/now
}

// bucket is the mean probability of those in a bucket; the last includes its end.
func (p truth) bucket(visits []Visit, b Bucket, last bool) float64 {
	sum, n := 0.0, 0
	for _, v := range visits {
		if v.Wait >= b.Low && (v.Wait < b.High || last && v.Wait == b.High) {
			sum += p.probability(v.Wait.Seconds())
			n++
		}
	}
	return sum / float64(n)
}

// planted is how many seeds, and how far from its nominal share a count may be.
func planted() (seeds int, cover, significant Interval) {
	if os.Getenv("FULCRUM_LONG") != "" {
		return 1000, Interval{.92, .985}, Interval{.03, .07}
	}
	return 100, Interval{.88, 1}, Interval{.0, .12} // three standard deviations
}

// Intervals of 95 % hold what was planted in 92 to 98.5 % of 1,000 samples: the slope's,
// that of what 100 ms cost, and each bucket's.
func TestPlantedEffect(t *testing.T) {
	seeds, cover, _ := planted()
	p := truth{-1.2, -.35}
	held := map[string]int{}
	tried := map[string]int{}
	for seed := range uint64(seeds) {
		visits := p.visits(seed, 3000)
		r, err := Analyse(visits, Config{})
		if err != nil || r.Conversions.Err != nil {
			t.Fatal(seed, err, r.Conversions.Err)
		}
		count := func(name string, in bool) {
			tried[name]++
			if in {
				held[name]++
			}
		}
		fit := r.Conversions.Fit
		count("slope", fit.Interval.Contains(p.slope))
		count("cost of 100 ms", fit.Cost(100*time.Millisecond).Interval.Contains(p.cost(visits, 100*time.Millisecond)))
		for i, b := range r.Buckets {
			count("bucket "+string(rune('1'+i)), b.Conversions.Interval.Contains(p.bucket(visits, b, i == len(r.Buckets)-1)))
		}
	}
	if len(tried) != 7 {
		t.Errorf("tried %v", tried)
	}
	for name, n := range tried {
		share := float64(held[name]) / float64(n)
		t.Logf("%s: %.1f %% of %d", name, share*100, n)
		if !cover.Contains(share) {
			t.Errorf("%s: %.1f %%, want %v", name, share*100, cover)
		}
	}
}

// Where nothing was planted, a trend is found in 3 to 7 % of 1,000 samples, and the slope
// is told from 0 as often.
func TestPlantedNothing(t *testing.T) {
	seeds, _, significant := planted()
	p := truth{-1.5, 0}
	trends, slopes := 0, 0
	for seed := range uint64(seeds) {
		r, err := Analyse(p.visits(seed, 3000), Config{})
		if err != nil || r.Conversions.Err != nil {
			t.Fatal(seed, err, r.Conversions.Err)
		}
		if r.Conversions.Trend.P < .05 {
			trends++
		}
		if !r.Conversions.Fit.Interval.Contains(0) {
			slopes++
		}
	}
	for name, n := range map[string]int{"trend": trends, "slope": slopes} {
		share := float64(n) / float64(seeds)
		t.Logf("%s: significant in %.1f %% of %d", name, share*100, seeds)
		if !significant.Contains(share) {
			t.Errorf("%s: significant in %.1f %%, want %v", name, share*100, significant)
		}
	}
}
