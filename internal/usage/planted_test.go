package usage

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

// Truths are planted in made-up traffic; intervals of 95 % must hold them 95 % of the
// time. make test-long tries 1,000 seeds each, make test 20.

func seeds() int {
	if os.Getenv("FULCRUM_LONG") != "" {
		return 1000
	}
	return 20
}

// coverage counts how often an interval held the truth, and how wide it was.
type coverage struct {
	n, held int
	width   float64
}

func (c *coverage) add(truth, low, high float64) {
	c.n++
	c.width += high - low
	if low <= truth && truth <= high {
		c.held++
	}
}

// check allows 92 to 98.5 %; of few seeds, what chance makes of that.
func (c *coverage) check(t *testing.T, what string) {
	t.Helper()
	share := float64(c.held) / float64(c.n)
	slack := 0.0
	if c.n < 1000 {
		slack = 2.5 * math.Sqrt(.95*.05/float64(c.n))
	}
	t.Logf("%s: %d of %d intervals hold it (%.1f %%), mean width %.4g", what, c.held, c.n, 100*share, c.width/float64(c.n))
	if share < .92-slack || share > .985+slack {
		t.Errorf("%s: the coverage is %.3f", what, share)
	}
}

func TestPlantedSkew(t *testing.T) {
	for _, s := range []float64{0, .2, .4, .6, .8, 1, 1.2} {
		var c coverage
		fits := 0
		for seed := range seeds() {
			random := rand.New(rand.NewPCG(uint64(seed), uint64(1000*s)))
			n := 500 << random.IntN(4) // keys
			counts := countsOf(zipfKeys(random, s, n, n*(5+random.IntN(20))))
			k, ok := fitSkew(counts)
			if !ok {
				t.Fatalf("skew %v, seed %d: no fit", s, seed)
			}
			c.add(s, k.Low, k.High)
			if k.Fits {
				fits++
			}
		}
		c.check(t, fmt.Sprintf("skew %.1f", s))
		if float64(fits) < .97*float64(c.n) {
			t.Errorf("skew %v: only %d of %d are found to be Zipf", s, fits, c.n)
		}
	}
}

func countsOf(keys []uint64) []uint32 {
	counts := map[uint64]uint32{}
	for _, k := range keys {
		counts[k]++
	}
	all := make([]uint32, 0, len(counts))
	for _, n := range counts {
		all = append(all, n)
	}
	slices.Sort(all)
	slices.Reverse(all)
	return all
}

// What is no Zipf law is found to be none: two classes of keys, and a Zipf law whose
// tail is cut into pieces.
func TestSkewOfWhatIsNotZipf(t *testing.T) {
	for seed := range seeds() / 10 {
		random := rand.New(rand.NewPCG(uint64(seed), 7))
		keys := make([]uint64, 40_000)
		for i := range keys {
			keys[i] = uint64(random.IntN(20))
			if i%2 == 0 {
				keys[i] = uint64(20 + random.IntN(2000))
			}
		}
		if k, ok := fitSkew(countsOf(keys)); ok && k.Fits {
			t.Errorf("seed %d: %+v", seed, k)
		}
	}
}

// People leave after an exponential time or are served, whichever is first; bots and
// clients with a time limit are among them.
func TestPlantedHazard(t *testing.T) {
	for _, hazard := range []float64{.01, .1, 1} {
		var c, wait coverage
		for seed := range seeds() {
			random := rand.New(rand.NewPCG(uint64(seed), uint64(1e4*hazard)))
			a := New(Config{})
			for range 3000 {
				r := Record{Time: NoTime, Agent: []byte("Mozilla/5.0")}
				served := random.ExpFloat64() * 2 / hazard * random.Float64()
				left := random.ExpFloat64() / hazard
				r.Aborted = left < served
				r.Took = time.Duration(min(left, served) * 1e9)
				if random.IntN(10) == 0 {
					r.Agent, r.Aborted = []byte("Googlebot/2.1"), true
				}
				a.Add(&r)
			}
			p := a.patience.estimate()
			c.add(hazard, p.Hazard.Low, p.Hazard.High)
			if p.Wait5Low != nil && p.Wait5High != nil {
				wait.add(-math.Log(.95)/hazard, *p.Wait5Low, *p.Wait5High)
			}
		}
		c.check(t, fmt.Sprintf("hazard %v/s", hazard))
		wait.check(t, fmt.Sprintf("wait until 5 %% have left at %v/s", hazard))
	}
}

// Visits ask for one row, or one after the other for a list of them.
func TestPlantedNPlusOne(t *testing.T) {
	for _, rate := range []float64{.02, .2, .6} {
		var c coverage
		for seed := range seeds() {
			random := rand.New(rand.NewPCG(uint64(seed), uint64(1e4*rate)))
			a := New(Config{})
			at := int64(0)
			for visit := range 1000 {
				at += int64(random.ExpFloat64() * 1e8)
				client := fmt.Appendf(nil, "10.0.%d.%d", visit/256, visit%256)
				n := 1 + random.IntN(longRun-1)
				if random.Float64() < rate {
					n = longRun + random.IntN(20)
				}
				first := random.IntN(1e6)
				for i := range n {
					a.Add(&Record{Time: at + int64(i)*2e7, Took: -1, Client: client, Path: fmt.Appendf(nil, "/users/%d/avatar?size=1", first+i)})
				}
			}
			e := a.runs.estimate()
			c.add(rate, e.Rate.Low, e.Rate.High)
			if e.Path != "/users/{id}/avatar" {
				t.Fatalf("path %q", e.Path)
			}
		}
		c.check(t, fmt.Sprintf("N+1 rate %v", rate))
	}
}
