package curve

import (
	"encoding/csv"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func readPairs(t *testing.T, file string) []Pair {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	rows, err := csv.NewReader(in).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var pairs []Pair
	for _, row := range rows[1:] {
		n, _ := strconv.ParseFloat(row[0], 64)
		x, _ := strconv.ParseFloat(row[1], 64)
		pairs = append(pairs, Pair{n, x})
	}
	return pairs
}

func nearly(got, want, tolerance float64) bool { return math.Abs(got-want) <= tolerance*math.Abs(want) }

// The coefficients are those published with the data: N. J. Gunther, "Guerrilla
// Capacity Planning", and the vignette of the R package usl.
func TestPublishedFits(t *testing.T) {
	for _, c := range []struct {
		file                     string
		gamma, alpha, beta, peak float64
	}{
		{"usl_specsdm91.csv", 89.9952, .0277285, 1.04365e-4, 96.5},
		{"usl_raytracer.csv", 21.908, .05802, 0, math.Inf(1)},
	} {
		u, err := FitUSL(readPairs(t, "testdata/"+c.file))
		if err != nil {
			t.Fatal(err)
		}
		if !nearly(u.Gamma.Value, c.gamma, .01) || !nearly(u.Alpha.Value, c.alpha, .01) || !nearly(u.Beta.Value, c.beta, .01) {
			t.Errorf("%s: γ %.6g, α %.6g, β %.6g, want %v, %v, %v", c.file, u.Gamma.Value, u.Alpha.Value, u.Beta.Value, c.gamma, c.alpha, c.beta)
		}
		if p := u.Peak(); p != c.peak && !nearly(p, c.peak, .01) {
			t.Errorf("%s: peak at %.2f, want %v", c.file, p, c.peak)
		}
		if u.Beta.Held != (c.beta == 0) || u.Gamma.Low >= c.gamma || u.Gamma.High <= c.gamma || u.Alpha.Low >= c.alpha || u.Alpha.High <= c.alpha {
			t.Errorf("%s: %+v", c.file, u)
		}
	}
}

// Pairs that follow the law exactly give its coefficients back, over the magnitudes
// that services have.
func TestFitRecoversTheLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := [3]float64{
			math.Pow(10, rapid.Float64Range(0, 6).Draw(t, "γ")),
			rapid.SampledFrom([]float64{0, .001, .03, .3, .9}).Draw(t, "α"),
			rapid.SampledFrom([]float64{0, 1e-6, 1e-4, .01}).Draw(t, "β"),
		}
		least := rapid.SampledFrom([]float64{.05, 1}).Draw(t, "least")
		var pairs []Pair
		for n := least; n < 600; n *= 1.7 {
			pairs = append(pairs, Pair{n, law(n, c)})
		}
		u, err := FitUSL(pairs)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pairs {
			if !nearly(u.At(p.N), p.X, 1e-4) {
				t.Fatalf("at %.3g: %.6g, want %.6g (%+v for %v)", p.N, u.At(p.N), p.X, u, c)
			}
		}
	})
}

// The intervals hold the truth in about 95 of 100 experiments.
func TestIntervalsCover(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	truth, held, experiments := [3]float64{1000, .05, 5e-4}, 0, 300
	for range experiments {
		var pairs []Pair
		for n := 1.0; n < 200; n *= 1.4 {
			pairs = append(pairs, Pair{n, law(n, truth) * (1 + .02*rnd.NormFloat64())})
		}
		u, err := FitUSL(pairs)
		if err != nil {
			t.Fatal(err)
		}
		if u.Alpha.Low <= truth[1] && truth[1] <= u.Alpha.High {
			held++
		}
	}
	if held < experiments*88/100 {
		t.Errorf("α is within its interval in %d of %d", held, experiments)
	}
}

func TestFitRefuses(t *testing.T) {
	for _, c := range []struct {
		pairs []Pair
		want  string
	}{
		{nil, "0 different concurrencies are too few for a fit, it needs 4"},
		{[]Pair{{1, 1}, {1, 2}, {1, 3}, {2, 2}, {3, 3}}, "3 different concurrencies are too few"},
		{[]Pair{{1, 1}, {2, 0}, {3, 3}, {4, 4}}, "both must be over 0"},
		{[]Pair{{-1, 1}, {2, 2}, {3, 3}, {4, 4}}, "both must be over 0"},
		{[]Pair{{math.NaN(), 1}, {2, 2}, {3, 3}, {4, 4}}, "both must be over 0"},
		{[]Pair{{math.Inf(1), 1}, {2, 2}, {3, 3}, {4, 4}}, "both must be over 0"},
	} {
		if _, err := FitUSL(c.pairs); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.pairs, err, c.want)
		}
	}
}

// Whatever the pairs are, a fit is finite, its intervals hold its values, and its
// capacity is what it never exceeds where it was fitted.
func TestFitOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pairs []Pair
		for range rapid.IntRange(4, 12).Draw(t, "pairs") {
			pairs = append(pairs, Pair{rapid.Float64Range(1, 1000).Draw(t, "n"), math.Pow(10, rapid.Float64Range(0, 6).Draw(t, "x"))})
		}
		u, err := FitUSL(pairs)
		if err != nil {
			return
		}
		for _, e := range []Estimate{u.Gamma, u.Alpha, u.Beta} {
			if !(e.Value >= 0) || math.IsInf(e.Value, 0) || !e.Held && !(e.Low <= e.Value && e.Value <= e.High) {
				t.Fatalf("%+v", u)
			}
		}
		if !(u.Peak() > 0) || !(u.Capacity() > 0) {
			t.Fatalf("peak %v, capacity %v: %+v", u.Peak(), u.Capacity(), u)
		}
		for _, p := range pairs {
			if x := u.At(p.N); !(x > 0) || x > u.Capacity()*(1+1e-6) {
				t.Fatalf("%v at %v exceeds the capacity %v: %+v", x, p.N, u.Capacity(), u)
			}
		}
	})
}

// The answers of laws at the edges: no cost at all, one that only falls, and one
// that stands still.
func TestEdgesOfTheLaw(t *testing.T) {
	for name, c := range map[string]struct {
		law            [3]float64
		peak, capacity float64
	}{
		"proportional": {[3]float64{100, 0, 0}, math.Inf(1), math.Inf(1)},
		"contention":   {[3]float64{100, .1, 0}, math.Inf(1), 1000},
		"coherence":    {[3]float64{100, 0, .01}, 10, law(10, [3]float64{100, 0, .01})},
		"serial":       {[3]float64{100, 1, 0}, 1, 100},
		"only falling": {[3]float64{100, 1.5, .01}, 1, 100},
	} {
		var pairs []Pair
		for n := 1.0; n <= 64; n *= 2 {
			pairs = append(pairs, Pair{n, law(n, c.law)})
		}
		u, err := FitUSL(pairs)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		close := func(got, want float64) bool { return got == want || nearly(got, want, 1e-3) || want > 1e9 && got > 1e6 }
		if !close(u.Capacity(), c.capacity) || u.Peak() != c.peak && !nearly(u.Peak(), c.peak, 1e-3) && !math.IsInf(c.capacity, 1) {
			t.Errorf("%s: peak %v, capacity %v, want %v and %v: %+v", name, u.Peak(), u.Capacity(), c.peak, c.capacity, u)
		}
	}
}
