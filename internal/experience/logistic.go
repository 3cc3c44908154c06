package experience

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Why there is no slope.
var (
	// ErrTooFew says that there are fewer than ten hits or ten misses.
	ErrTooFew = errors.New("experience: a slope needs ten hits and ten misses at least")
	// ErrSameWait says that all waited equally long, so that nothing can depend on it.
	ErrSameWait = errors.New("experience: all waits are the same: no slope can be told")
	// ErrSeparated says that a wait parts hits from misses, so that no slope is steep enough.
	ErrSeparated = errors.New("experience: hits and misses are parted by the wait: the slope has no bound")
)

// Outcome is what one person waited, and whether they did what is asked about.
type Outcome struct {
	Wait time.Duration
	Hit  bool
}

// Fit is a logistic regression, logit P(hit) = Intercept + Slope·seconds.
type Fit struct {
	N         int
	Intercept float64
	Slope     float64  // in log odds a second
	Interval  Interval // of Slope

	// The parameters in the units of the fit, and their covariance: waits there are
	// (seconds − mean)/deviation.
	alpha, beta     float64
	va, vab, vb     float64
	mean, deviation float64
	waits           []float64
}

// leastOutcomes is how many of each kind a slope needs; with fewer, the interval, which
// is that of large samples, would be too narrow.
const leastOutcomes = 10

// Logistic fits by maximum likelihood. It returns ErrTooFew, ErrSameWait or
// ErrSeparated where there is no answer.
func Logistic(outcomes []Outcome) (Fit, error) {
	f := Fit{N: len(outcomes)}
	hits := 0
	for _, o := range outcomes {
		f.mean += o.Wait.Seconds() / float64(f.N)
		if o.Hit {
			hits++
		}
	}
	if hits < leastOutcomes || f.N-hits < leastOutcomes {
		return Fit{}, fmt.Errorf("%w: there are %d and %d", ErrTooFew, hits, f.N-hits)
	}
	for _, o := range outcomes {
		from := o.Wait.Seconds() - f.mean
		f.deviation += from * from / float64(f.N)
	}
	if f.deviation = math.Sqrt(f.deviation); !(f.deviation > 1e-9) {
		return Fit{}, ErrSameWait
	}
	f.waits = make([]float64, f.N)
	for i, o := range outcomes {
		f.waits[i] = (o.Wait.Seconds() - f.mean) / f.deviation
	}
	share := float64(hits) / float64(f.N)
	f.alpha = math.Log(share / (1 - share))
	if err := f.climb(outcomes); err != nil {
		return Fit{}, err
	}
	half := z95 * math.Sqrt(f.vb) / f.deviation
	f.Slope = f.beta / f.deviation
	f.Intercept = f.alpha - f.beta*f.mean/f.deviation
	f.Interval = Interval{f.Slope - half, f.Slope + half}
	return f, nil
}

// climb goes to the maximum of the likelihood by Newton's method. It is concave: what
// does not arrive within so many steps goes to infinity.
func (f *Fit) climb(outcomes []Outcome) error {
	const steps, steep = 50, 15
	for range steps {
		var ga, gb, haa, hab, hbb float64
		for i, x := range f.waits {
			p := f.probability(x)
			d, w := -p, p*(1-p)
			if outcomes[i].Hit {
				d++
			}
			ga, gb = ga+d, gb+d*x
			haa, hab, hbb = haa+w, hab+w*x, hbb+w*x*x
		}
		det := haa*hbb - hab*hab
		if !(det > 1e-12) || math.Abs(f.beta) > steep {
			return ErrSeparated
		}
		f.va, f.vab, f.vb = hbb/det, -hab/det, haa/det
		da, db := f.va*ga+f.vab*gb, f.vab*ga+f.vb*gb
		if longest := max(math.Abs(da), math.Abs(db)); longest > 2 { // not beyond where the curve is known
			da, db = da*2/longest, db*2/longest
		}
		f.alpha, f.beta = f.alpha+da, f.beta+db
		if math.Abs(da)+math.Abs(db) < 1e-9 {
			return nil
		}
	}
	return ErrSeparated
}

func (f *Fit) probability(x float64) float64 { return 1 / (1 + math.Exp(-f.alpha-f.beta*x)) }

// Cost is what share of the hits is lost if everybody waits longer.
type Cost struct {
	Longer   time.Duration
	Lost     float64 // of the hits; below 0: gained
	Interval Interval
}

// Cost says what longer waits go with: by how much the expected number of hits of these
// very visits falls if each waits longer by so much. Its interval follows from that of
// both parameters (delta method, on the logarithm of the ratio).
func (f *Fit) Cost(longer time.Duration) Cost {
	by := longer.Seconds() / f.deviation
	var now, then, ga0, gb0, ga1, gb1 float64
	for _, x := range f.waits {
		p, q := f.probability(x), f.probability(x+by)
		now, then = now+p, then+q
		w, v := p*(1-p), q*(1-q)
		ga0, gb0 = ga0+w, gb0+w*x
		ga1, gb1 = ga1+v, gb1+v*(x+by)
	}
	ga, gb := ga1/then-ga0/now, gb1/then-gb0/now
	half := z95 * math.Sqrt(max(0, ga*ga*f.va+2*ga*gb*f.vab+gb*gb*f.vb))
	ratio := math.Log(then / now)
	return Cost{longer, 1 - math.Exp(ratio), Interval{1 - math.Exp(ratio+half), 1 - math.Exp(ratio-half)}}
}

// String is the cost as a sentence, which names it for what it is.
func (c Cost) String() string {
	return fmt.Sprintf("%s cost %.1f %% [%.1f, %.1f]: association", c.Longer, c.Lost*100, c.Interval.Low*100, c.Interval.High*100)
}
