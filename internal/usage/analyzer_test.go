package usage

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// poisson has arrivals of a rate, per second, for so many seconds.
func poisson(random *rand.Rand, rate, until float64, add func(at int64)) {
	for at := random.ExpFloat64() / rate; at < until; at += random.ExpFloat64() / rate {
		add(int64(at * 1e9))
	}
}

func near(t *testing.T, what string, got *float64, want, within float64) {
	t.Helper()
	if got == nil || math.Abs(*got-want) > within {
		shown := "unknown"
		if got != nil {
			shown = fmt.Sprint(*got)
		}
		t.Errorf("%s: %s, want %v", what, shown, want)
	}
}

// A Poisson process is 1 by every measure, with exact times and with whole seconds.
func TestPoissonIsOneByEveryMeasure(t *testing.T) {
	for _, resolution := range []time.Duration{0, time.Second} {
		a := New(Config{Resolution: resolution})
		poisson(rand.New(rand.NewPCG(1, 1)), 50, 20_000, func(at int64) {
			if resolution > 0 {
				at -= at % int64(resolution)
			}
			a.Add(&Record{Time: at, Took: -1})
		})
		r := a.Report()
		near(t, "dispersion at 1 s", r.Burst.Dispersion1, 1, .05)
		near(t, "dispersion at 10 s", r.Burst.Dispersion10, 1, .1)
		near(t, "dispersion at 60 s", r.Burst.Dispersion60, 1, .3)
		for _, w := range r.Together {
			near(t, fmt.Sprintf("clustering at %v s", w.Window), &w.Clustering, 1, .02)
			near(t, fmt.Sprintf("delay at %v s", w.Window), &w.AddedDelay, w.Window*(1-50*w.Window/2/(1+50*w.Window)), .02*w.Window)
		}
		if resolution == 0 {
			near(t, "variation of gaps", r.Burst.CV, 1, .01)
			if len(r.Together) != len(lingers) {
				t.Errorf("%d windows", len(r.Together))
			}
		} else if r.Burst.CV != nil || len(r.Together) == 0 || r.Together[0].Window != 1 || !strings.Contains(strings.Join(r.Notes, ""), "whole seconds") {
			t.Errorf("claims within a second: %+v %v %v", r.Burst, r.Together, r.Notes)
		}
	}
}

// Requests in pairs are clustered, however short the window.
func TestPairsAreClustered(t *testing.T) {
	a := New(Config{})
	poisson(rand.New(rand.NewPCG(1, 1)), 1, 20_000, func(at int64) {
		a.Add(&Record{Time: at + 1e5, Took: -1}) // slightly out of order, too
		a.Add(&Record{Time: at, Took: -1})
	})
	first := a.Report().Together[0]
	near(t, "mean batch within 1 ms", &first.MeanBatch, 2, .01)
	near(t, "clustering within 1 ms", &first.Clustering, 2, .02)
}

// However few hours are kept, what is told stays the same.
func TestForgottenHours(t *testing.T) {
	for _, resolution := range []time.Duration{0, time.Second} {
		all, few := New(Config{Resolution: resolution}), New(Config{Resolution: resolution, MaxHours: 2})
		n := 0
		poisson(rand.New(rand.NewPCG(1, 1)), .5, 40*3600, func(at int64) {
			n++
			r := Record{Time: at - at%1e9 - int64(n%3)*1e9, Took: -1} // out of order
			all.Add(&r)
			few.Add(&r)
		})
		a, b := all.Report(), few.Report()
		if len(few.times.chunks) > 2 || few.times.late > 0 {
			t.Errorf("%d hours kept, %d requests too late", len(few.times.chunks), few.times.late)
		}
		if *a.Peak.RPS60 != *b.Peak.RPS60 || *a.Shape != *b.Shape {
			t.Error("peaks or shape differ")
		}
		near(t, "dispersion at 60 s", b.Burst.Dispersion60, *a.Burst.Dispersion60, 1e-9)
		near(t, "company", &b.Together[0].MeanBatch, a.Together[0].MeanBatch, .01)
	}
	a := New(Config{MaxHours: 1})
	for _, hour := range []int64{5, 9, 2} {
		a.Add(&Record{Time: hour * 3600e9, Took: -1})
	}
	if r := a.Report(); a.times.late != 1 || !strings.Contains(strings.Join(r.Notes, ""), "1 requests came out of order") {
		t.Errorf("%d late, %q", a.times.late, r.Notes)
	}
}

// A report may be asked for at any time, and changes nothing.
func TestReportsRepeat(t *testing.T) {
	once, often := New(Config{}), New(Config{})
	random := rand.New(rand.NewPCG(2, 1))
	poisson(random, 100, 30, func(at int64) {
		r := Record{Time: at, Took: time.Duration(random.IntN(1e9)), Aborted: random.IntN(9) == 0, Client: fmt.Appendf(nil, "%d", random.IntN(50)), Path: fmt.Appendf(nil, "/users/%d", random.IntN(500))}
		once.Add(&r)
		often.Add(&r)
		if random.IntN(100) == 0 {
			often.Report()
		}
	})
	if a, b := Fragment(once.Report()), Fragment(often.Report()); a != b {
		t.Errorf("%s\n%s", a, b)
	}
	if a, b := fmt.Sprint(*once.Report().Patience.Wait5, once.Report().Keys.Top), fmt.Sprint(*often.Report().Patience.Wait5, often.Report().Keys.Top); a != b {
		t.Errorf("%s\n%s", a, b)
	}
}

func TestQuantilesNeedTenBeyond(t *testing.T) {
	for _, exact := range []bool{true, false} {
		a := New(Config{})
		if !exact {
			a.latency.rough.add(0, 0) // as after a million
		}
		for i := range 999 {
			a.Add(&Record{Time: NoTime, Took: time.Duration(i+1) * time.Millisecond})
		}
		r := a.Report()
		near(t, "p50", r.Latency.P50, .5, .0005)
		near(t, "p95", r.Latency.P95, .95, .0005)
		if r.Latency.P99 != nil {
			t.Error("a p99 of 999 requests")
		}
		near(t, "Apdex", r.Apdex.Score, (300+699./2)/999, 1e-9)
	}
}

// M. Gehan's leukaemia data, the textbook example (Biometrika 52, 1965): weeks of
// remission under 6-MP, + censored. Kaplan-Meier: 0.857 at 6, 0.807 at 7, 0.753 at
// 10, 0.690 at 13, 0.627 at 16, 0.538 at 22, 0.448 at 23.
func TestKaplanMeierOfATextbook(t *testing.T) {
	var p patience
	for _, weeks := range []int{6, 6, 6, 7, 10, 13, 16, 22, 23} {
		p.add(&Record{Took: time.Duration(weeks)*time.Microsecond + 1, Aborted: true}, 1)
	}
	for _, weeks := range []int{6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35} {
		p.add(&Record{Took: time.Duration(weeks)*time.Microsecond + 1}, 1)
	}
	e := p.estimate()
	want := []float64{.857, .807, .753, .690, .627, .538, .448}
	if len(e.Survival) != len(want) {
		t.Fatalf("%+v", e.Survival)
	}
	for i, s := range e.Survival {
		near(t, fmt.Sprintf("step %d", i), &s.Share, want[i], .0005)
		if s.Low >= s.Share || s.High <= s.Share {
			t.Errorf("%+v", s)
		}
	}
}

// A client with a limit of 30 s does not run out of patience, however often.
func TestTimeoutsAreNotPatience(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 1))
	var p patience
	for range 2000 {
		p.add(&Record{Took: time.Duration(random.ExpFloat64() * 200e9), Aborted: true}, 1)
	}
	for range 300 {
		p.add(&Record{Took: 30*time.Second + time.Duration(random.IntN(20e6)), Aborted: true}, 1)
	}
	e := p.estimate()
	if e.Timeouts < 295 || e.Timeouts > 310 || e.Abandoned+e.Timeouts != 2300 {
		t.Errorf("%d time-outs of 300, %d left", e.Timeouts, e.Abandoned)
	}
}

func TestKeyTemplates(t *testing.T) {
	for _, c := range []struct{ template, path, want string }{
		{"", "/a?b=1", "/a?b=1"},
		{"auto", "/users/42/orders?x=1", "/users/42"},
		{"auto", "/about?x=1", "/about"},
		{"/users/{key}", "/users/42?x", "/users/42"},
		{"/users/{key}", "/users/42/orders", "-"},
		{"/users/{key}", "/users/", "-"},
		{"/users/{key}/*", "/users/42/orders", "/users/42"},
		{"/*/{key}", "/orders/7", "/orders/7"},
		{"/users?id={key}", "/users?a=1&id=42", "/users?42"},
		{"/users?id={key}", "/users?a=1", "-"},
		{"/users?id={key}", "/orders?id=1", "-"},
	} {
		k, err := ParseKeyTemplate(c.template)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := k.key([]byte(c.path), nil)
		if !ok {
			got = []byte("-")
		}
		if string(got) != c.want {
			t.Errorf("%q of %s is %q, want %q", c.template, c.path, got, c.want)
		}
	}
}

func TestShapes(t *testing.T) {
	for path, want := range map[string]string{
		"/users/42": "/users/ ", "/users/42/orders?page=1": "/users/ /orders", "/users": "-", "/img/42.png": "-", "/a?id=3": "-", "/2024/x/9?y": "/ /x/9",
	} {
		prefix, rest, ok := shapeOf([]byte(path))
		got := string(prefix) + " " + string(rest)
		if !ok {
			got = "-"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// The advice follows from what the traffic needs.
func TestAdvice(t *testing.T) {
	for _, c := range []struct {
		name         string
		rate         float64
		keys         int
		advised, not string
	}{
		{"idle", 5, 100, "", "cache batching"},
		{"busy, all keys new", 5000, 1 << 40, "", "cache batching replicas"},
		{"busy, hot keys", 9000, 1000, "cache.entries", "batching replicas"},
		{"too busy for single queries", 30_000, 1 << 40, "policy.mode policy.max_batch", "cache replicas"},
		{"too busy for any", 400_000, 1 << 40, "policy.mode policy.max_batch replicas", "cache"},
	} {
		t.Run(c.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(6, 1))
			a := New(Config{})
			poisson(random, c.rate, min(10, 2e5/c.rate)+3000/c.rate, func(at int64) {
				a.Add(&Record{Time: at, Took: -1, Path: fmt.Appendf(nil, "/users/%d", random.IntN(c.keys))})
			})
			r := a.Report()
			names := func(all []Advice) string {
				var n []string
				for _, x := range all {
					n = append(n, x.Setting)
					if x.Evidence == "" || x.Gain == "" {
						t.Errorf("%+v has no reason", x)
					}
				}
				return strings.Join(n, " ")
			}
			if names(r.Advice) != c.advised || names(r.NotAdvised) != c.not {
				t.Errorf("advised %q, not %q:\n%s", names(r.Advice), names(r.NotAdvised), Fragment(r))
			}
			if nothing := strings.HasPrefix(Fragment(r), "# Nothing to change"); nothing != (c.advised == "") {
				t.Errorf("%s", Fragment(r))
			}
		})
	}
}

// What people were seen to put up with counts where it is less than their patience, and
// says nothing where it is kept already.
func TestSLOIsWhatPeopleFeel(t *testing.T) {
	felt := &Felt{Answer: .5, Evidence: "they told"}
	for _, c := range []struct {
		took    time.Duration
		felt    *Felt
		advised int
	}{{time.Second, felt, 1}, {100 * time.Millisecond, felt, 0}, {time.Second, nil, 0}} {
		a := New(Config{})
		for range 1000 {
			a.Add(&Record{Time: NoTime, Took: c.took})
		}
		a.Feel(c.felt)
		r := a.Report()
		if len(r.Advice) != c.advised || c.advised > 0 && (r.Advice[0].Setting != "slo.p99" || r.Advice[0].Value != "0.5s" || r.Advice[0].Evidence != "they told") {
			t.Errorf("%v: %+v", c, r.Advice)
		}
	}
}

func TestSLOIsWhatPeopleWaitFor(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 1))
	a := New(Config{})
	for range 20_000 {
		served, left := random.ExpFloat64()*.5, random.ExpFloat64()*20
		a.Add(&Record{Time: NoTime, Took: time.Duration(min(served, left) * 1e9), Aborted: left < served})
	}
	r := a.Report()
	if len(r.Advice) != 1 || r.Advice[0].Setting != "slo.p99" {
		t.Fatalf("%+v", r.Advice)
	}
	d, err := time.ParseDuration(r.Advice[0].Value)
	if want := -math.Log(.95) * 20; err != nil || d.Seconds() > want || d.Seconds() < .7*want {
		t.Errorf("%v, want a little less than %v s", r.Advice[0], want)
	}
}
