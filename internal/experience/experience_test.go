package experience

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func near(a, b, by float64) bool { return math.Abs(a-b) <= by }

// Figures of Wilson's interval (1927), to four places, by its formula by hand.
func TestShareOf(t *testing.T) {
	for _, c := range []struct {
		hits, n   int
		low, high float64
	}{
		{10, 100, .0552, .1744}, {0, 10, 0, .2775}, {10, 10, .7225, 1}, {1, 2, .0945, .9055}, {0, 0, 0, 1}, {500, 1000, .4691, .5309},
	} {
		s := ShareOf(c.hits, c.n)
		if !near(s.Interval.Low, c.low, 5e-5) || !near(s.Interval.High, c.high, 5e-5) {
			t.Errorf("%d of %d: %v", c.hits, c.n, s.Interval)
		}
	}
	if s := ShareOf(0, 7); s.Interval.Low != 0 || !s.Interval.Contains(0) {
		t.Errorf("none: %v", s.Interval)
	}
	defer func() {
		if recover() == nil {
			t.Error("3 of 2 is a share")
		}
	}()
	ShareOf(3, 2)
}

func TestSurvivors(t *testing.T) {
	for _, c := range []struct {
		hits, n, started int
		want             Bounds
	}{
		{20, 80, 100, Bounds{20, .2, .4}}, {20, 80, 80, Bounds{0, .25, .25}}, {20, 80, 0, Bounds{0, .25, .25}}, {0, 0, 0, Bounds{0, 0, 1}}, {0, 0, 5, Bounds{5, 0, 1}},
	} {
		if got := Survivors(ShareOf(c.hits, c.n), c.started); got != c.want {
			t.Errorf("%d of %d, %d started: %+v, want %+v", c.hits, c.n, c.started, got, c.want)
		}
	}
}

func TestSummarize(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		vital   Vital
		samples []float64
		p75     float64
		rating  Rating
		n       int
	}{
		{TTFB, []float64{.1, .2, .3, .9}, .3, Good, 4},
		{TTFB, []float64{.1, .2, .3, .9, 1}, .9, NeedsImprovement, 5},
		{LCP, []float64{nan, 4.1}, 4.1, Poor, 1},
		{CLS, []float64{.1}, .1, Good, 1},
		{INP, []float64{.5, .5, .5}, .5, NeedsImprovement, 3},
	} {
		s := Summarize(c.vital, c.samples)
		if s.P75 != c.p75 || s.Rating != c.rating || s.Samples != c.n || s.Ratings[0]+s.Ratings[1]+s.Ratings[2] != c.n {
			t.Errorf("%s of %v: %+v", c.vital, c.samples, s)
		}
	}
	if s := Summarize(FCP, nil); s.Samples != 0 || !math.IsNaN(s.P75) {
		t.Errorf("nothing: %+v", s)
	}
	if FCP.String() != "FCP" || Vital(9).String() != "unknown" || NeedsImprovement.String() != "needs improvement" {
		t.Error("names")
	}
}

func TestApdex(t *testing.T) {
	waits := []time.Duration{time.Second, 4 * time.Second, 5 * time.Second, time.Millisecond}
	if a := Apdex(waits, 0, time.Second); a != 2.5/4 {
		t.Error(a)
	}
	if a := Apdex(waits, 1, time.Second); a != .5 {
		t.Error(a)
	}
	if a := Apdex(nil, 0, time.Second); !math.IsNaN(a) {
		t.Error(a)
	}
}

// Alcohol and malformation: Agresti, Categorical Data Analysis (scores 0, 0.5,
// 1.5, 4, 7): z² = 6.57, P = 0.010.
func TestTrendOf(t *testing.T) {
	var groups []Group
	for i, hits := range []int{48, 38, 5, 1, 1} {
		groups = append(groups, Group{[]float64{0, .5, 1.5, 4, 7}[i], ShareOf(hits, hits+[]int{17066, 14464, 788, 126, 37}[i])})
	}
	if got := TrendOf(groups); !near(got.Z*got.Z, 6.57, .005) || got.Z < 0 || !near(got.P, .0104, .0001) {
		t.Errorf("%+v", got)
	}
	for name, groups := range map[string][]Group{
		"none": nil, "no hits": {{1, ShareOf(0, 9)}, {2, ShareOf(0, 9)}}, "one score": {{1, ShareOf(1, 9)}, {1, ShareOf(8, 9)}}, "empty": {{1, ShareOf(0, 0)}},
	} {
		if got := TrendOf(groups); got != (Trend{P: 1}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// study is hours and exams passed, the example that textbooks and encyclopedias work
// through: intercept -4.0777, slope 1.5046, standard error 0.6287.
func study() []Outcome {
	var all []Outcome
	for i, hours := range []float64{.5, .75, 1, 1.25, 1.5, 1.75, 1.75, 2, 2.25, 2.5, 2.75, 3, 3.25, 3.5, 4, 4.25, 4.5, 4.75, 5, 5.5} {
		all = append(all, Outcome{time.Duration(hours * float64(time.Second)), "00000010101010111111"[i] == '1'})
	}
	return all
}

func TestLogistic(t *testing.T) {
	f, err := Logistic(study())
	if err != nil || !near(f.Intercept, -4.0777, 5e-5) || !near(f.Slope, 1.5046, 5e-5) ||
		!near(f.Interval.Low, 1.5046-z95*.6287, 2e-4) || !near(f.Interval.High, 1.5046+z95*.6287, 2e-4) {
		t.Errorf("%+v %v", f, err)
	}
	if c := f.Cost(0); c.Lost != 0 || c.Interval != (Interval{}) {
		t.Errorf("waiting no longer costs %+v", c)
	}
	if c := f.Cost(-time.Second); c.Lost < .1 || !c.Interval.Contains(c.Lost) {
		t.Errorf("an hour less of study: %+v", c)
	}
}

func TestNoSlope(t *testing.T) {
	parted := make([]Outcome, 40)
	same := make([]Outcome, 40)
	for i := range parted {
		parted[i] = Outcome{time.Duration(i) * time.Millisecond, i >= 20}
		same[i] = Outcome{time.Second, i%2 == 0}
	}
	for _, c := range []struct {
		name     string
		outcomes []Outcome
		want     error
	}{{"none", nil, ErrTooFew}, {"few hits", parted[:29], ErrTooFew}, {"few misses", parted[15:], ErrTooFew}, {"same", same, ErrSameWait}, {"parted", parted, ErrSeparated}} {
		if _, err := Logistic(c.outcomes); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestAnalyse(t *testing.T) {
	visit := func(region string, wait time.Duration, satisfaction int, converted bool) Visit {
		v := Visit{Region: region, Lane: "normal", Wait: wait, Satisfaction: satisfaction, Converted: converted}
		for i := range v.Vitals {
			v.Vitals[i] = math.NaN()
		}
		v.Vitals[LCP] = wait.Seconds()
		return v
	}
	visits := []Visit{
		visit("asia", 5*time.Second, 1, false), visit("europe", time.Second, 5, true), visit("europe", 2*time.Second, 4, true), visit("", 2*time.Second, 0, false),
	}
	r, err := Analyse(visits, Config{Started: 8, Edges: []time.Duration{2 * time.Second, 3 * time.Second, 4 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Buckets) != 3 || r.Buckets[1].Conversions.N != 2 || r.Buckets[1].Satisfaction.N != 1 || r.Buckets[1].Mean != 2*time.Second ||
		r.Buckets[0].Low != time.Second || r.Buckets[0].High != 2*time.Second || r.Buckets[2].Low != 4*time.Second || r.Buckets[2].High != 5*time.Second {
		t.Errorf("buckets %+v", r.Buckets)
	}
	if len(r.Parts) != 3 || r.Parts[0].Dimension != "lane" || r.Parts[0].Visits != 4 || r.Parts[1].Value != "asia" || r.Parts[1].Vitals[LCP].Rating != Poor || r.Parts[2].Apdex != .75 {
		t.Errorf("parts %+v", r.Parts)
	}
	if r.Survivors != (Bounds{4, .25, .75}) || !errors.Is(r.Conversions.Err, ErrTooFew) || r.Conversions.Trend.Z >= 0 || r.Satisfaction.Share.N != 3 {
		t.Errorf("%+v %+v %+v", r.Survivors, r.Conversions, r.Satisfaction)
	}
}

func TestAnalyseRefuses(t *testing.T) {
	one := []Visit{{Wait: time.Second}}
	for _, c := range []struct {
		visits []Visit
		c      Config
		want   string
	}{
		{nil, Config{}, "no visits"},
		{[]Visit{{}, {Wait: -1}}, Config{}, "visit 1 waited -1ns"},
		{[]Visit{{Satisfaction: 6}}, Config{}, "visit 0 has satisfaction 6"},
		{one, Config{Target: -1}, "Target -1ns"},
		{one, Config{Edges: []time.Duration{2, 2}}, "2ns comes after 2ns"},
	} {
		if _, err := Analyse(c.visits, c.c); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	if r, err := Analyse(one, Config{}); err != nil || len(r.Buckets) != 1 {
		t.Errorf("one visit: %+v %v", r, err)
	}
}

// Whatever comes, there is a report or an error, and shares lie in their intervals.
func FuzzAnalyse(f *testing.F) {
	f.Add([]byte("some visits, some of which converted, of which nobody knows"), 20)
	f.Fuzz(func(t *testing.T, data []byte, started int) {
		var visits []Visit
		for _, b := range data {
			visits = append(visits, Visit{Wait: time.Duration(b%32) * time.Second, Satisfaction: int(b>>5) % 6, Converted: b%3 == 0, Region: string(rune('a' + b%2))})
		}
		r, err := Analyse(visits, Config{Started: started})
		if err != nil {
			if len(data) > 0 {
				t.Fatal(err)
			}
			return
		}
		n := 0
		for _, b := range r.Buckets {
			n += b.Conversions.N
			if b.Conversions.N == 0 || !b.Conversions.Interval.Contains(b.Conversions.Value) || b.Mean < b.Low || b.Mean > b.High {
				t.Errorf("%+v", b)
			}
		}
		if n != len(visits) || !(r.Conversions.Trend.P >= 0 && r.Conversions.Trend.P <= 1) {
			t.Errorf("%d visits of %d in buckets; %+v", n, len(visits), r.Conversions.Trend)
		}
		if e := r.Conversions; e.Err == nil && !(e.Fit.Interval.Low < e.Fit.Interval.High) {
			t.Errorf("slope %v %+v", e.Fit.Slope, e.Fit.Interval)
		}
	})
}

func TestBatchText(t *testing.T) {
	for n, want := range map[int]string{-1: "", 0: "", 1: "1 alone", 2: "2 to 9", 9: "2 to 9", 10: "10 to 99", 99: "10 to 99", 100: "100 and more"} {
		if got := batchText(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	d := dimensions[0]
	var order []string
	for _, p := range d.parts([]Visit{{Batch: 200}, {Batch: 1}, {Batch: 20}, {Batch: 3}, {}}, time.Second) {
		order = append(order, p.Value)
	}
	if got := strings.Join(order, ", "); got != "1 alone, 2 to 9, 10 to 99, 100 and more" {
		t.Error(got)
	}
}
