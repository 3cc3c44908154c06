package model

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// backend answers a batch of n in a + b·n, times noise.
type backend struct {
	a, b  time.Duration
	sigma float64 // of the lognormal noise, whose median is 1
	slow  float64 // share of batches that take ten times as long
	rand  *rand.Rand
}

func newBackend(a, b time.Duration, sigma, slow float64) *backend {
	return &backend{a: a, b: b, sigma: sigma, slow: slow, rand: rand.New(rand.NewPCG(3, 5))}
}

func (s *backend) serve(n int) time.Duration {
	t := float64(s.a+time.Duration(n)*s.b) * math.Exp(s.sigma*s.rand.NormFloat64())
	if s.rand.Float64() < s.slow {
		t *= 10
	}
	return time.Duration(t)
}

// feed lets the backend serve batches of sizes drawn by n, one every ms.
func feed(m *Model, s *backend, from time.Duration, batches int, n func(*rand.Rand) int) time.Duration {
	for range batches {
		from += time.Millisecond
		size := n(s.rand)
		m.Observe(from, size, s.serve(size))
	}
	return from
}

func always(n int) func(*rand.Rand) int { return func(*rand.Rand) int { return n } }

func uniform(from, to int) func(*rand.Rand) int {
	return func(r *rand.Rand) int { return from + r.IntN(to-from+1) }
}

// spreadOut draws all magnitudes from 1 to limit equally often.
func spreadOut(limit int) func(*rand.Rand) int {
	return func(r *rand.Rand) int { return int(math.Pow(float64(limit+1), r.Float64())) }
}

func expect(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance*want {
		t.Errorf("%s = %.0f ns, want %.0f ± %.0f %%", what, got, want, 100*tolerance)
	}
}

func TestRecoversTheLine(t *testing.T) {
	const us = time.Microsecond
	for _, c := range []struct {
		name      string
		backend   *backend
		n         func(*rand.Rand) int
		tolerance float64
	}{
		{"without noise", newBackend(500*us, 10*us, 0, 0), spreadOut(1000), 0.02},
		{"without noise, in two buckets", newBackend(500*us, 10*us, 0, 0), uniform(16, 63), 0.05},
		{"with noise", newBackend(500*us, 10*us, 0.25, 0), spreadOut(1000), 0.15},
		{"with noise and outliers", newBackend(500*us, 10*us, 0.25, 0.1), spreadOut(1000), 0.2},
		{"dear to ask", newBackend(5000*us, 2*us, 0.1, 0), spreadOut(10_000), 0.1},
		{"dear by item", newBackend(200*us, 100*us, 0.1, 0.05), spreadOut(100), 0.1},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := New()
			feed(m, c.backend, 0, 5000, c.n)
			a, b, ok := m.Fit()
			if !ok {
				t.Fatal("nothing is known")
			}
			// the 20th percentile of the noise; outliers move it to the 22nd or so
			p20 := math.Exp(-0.8416 * c.backend.sigma)
			expect(t, "a", a, p20*float64(c.backend.a), c.tolerance)
			expect(t, "b", b, p20*float64(c.backend.b), c.tolerance)
		})
	}
}

func TestNothingKnown(t *testing.T) {
	m := New()
	m.Observe(0, 0, time.Second)
	m.Observe(0, -1, time.Second)
	m.Observe(0, 1, 0)
	m.Observe(0, 1, -time.Second)
	if a, b, ok := m.Fit(); ok || a != 0 || b != 0 {
		t.Errorf("a %v, b %v, ok %v out of nothing", a, b, ok)
	}
	if m.Predict(10) != 0 || m.Trusted(0) {
		t.Error("predicts or is trusted without a sample")
	}
}

func TestOneSizePutsAllInA(t *testing.T) {
	m := New()
	feed(m, newBackend(time.Millisecond, 10*time.Microsecond, 0, 0), 0, 100, always(50))
	a, b, ok := m.Fit()
	if !ok || b != 0 {
		t.Errorf("b = %v, ok %v", b, ok)
	}
	expect(t, "a", a, 1.5e6, 1e-9)
}

func TestNearlyOneSizeMakesNoSlope(t *testing.T) {
	m := New() // 15 and 16 are neighbours in different buckets
	feed(m, newBackend(time.Millisecond, 10*time.Microsecond, 0.25, 0), 0, 500, uniform(15, 16))
	if _, b, _ := m.Fit(); b != 0 {
		t.Errorf("b = %v out of noise", b)
	}
}

func TestConstraints(t *testing.T) {
	t.Run("larger is faster", func(t *testing.T) {
		m := New()
		m.Observe(0, 1, 4*time.Millisecond)
		m.Observe(0, 100, time.Millisecond)
		if a, b, _ := m.Fit(); b != 0 || a < 1e6 || a > 4e6 {
			t.Errorf("a %v, b %v", a, b)
		}
	})
	t.Run("faster than in proportion", func(t *testing.T) {
		m := New()
		m.Observe(0, 1, time.Microsecond)
		m.Observe(0, 100, time.Millisecond)
		if a, b, _ := m.Fit(); a != floor || b < 1e3 || b > 1e4 {
			t.Errorf("a %v, b %v", a, b)
		}
	})
	t.Run("always", rapid.MakeCheck(func(t *rapid.T) {
		m := New()
		now := time.Duration(0)
		for range rapid.IntRange(1, 100).Draw(t, "batches") {
			now += time.Duration(rapid.Int64Range(-1e9, 5e9).Draw(t, "gap"))
			n := rapid.IntRange(1, 1<<rapid.IntRange(0, 40).Draw(t, "bits of n")).Draw(t, "n")
			took := rapid.Int64Range(1, 1<<rapid.IntRange(0, 62).Draw(t, "bits of T")).Draw(t, "T")
			m.Observe(now, n, time.Duration(took))
			a, b, ok := m.Fit()
			if !ok || !(a > 0) || !(b >= 0) || math.IsInf(a+b, 0) {
				t.Fatalf("a %v, b %v, ok %v", a, b, ok)
			}
			if p, q := m.Predict(n), m.Predict(n+1); p < 0 || q < p {
				t.Fatalf("T(%d) = %d, T(%d) = %d", n, p, n+1, q)
			}
		}
	}))
}

func TestPredict(t *testing.T) {
	m := New()
	feed(m, newBackend(time.Millisecond, 10*time.Microsecond, 0, 0), 0, 1000, spreadOut(1000))
	for n, want := range map[int]float64{-3: 1.01e6, 0: 1.01e6, 1: 1.01e6, 100: 2e6, 1000: 11e6} {
		expect(t, "T", float64(m.Predict(n)), want, 0.02)
	}
	m.Observe(time.Hour, 1, 1<<40)
	m.Observe(time.Hour, 2, 1<<41)
	if got := m.Predict(math.MaxInt); got != math.MaxInt64 {
		t.Errorf("the largest prediction is %d", got)
	}
}

// After the backend has changed its speed, the model follows within the samples
// that it keeps, or within 10 s for sizes that come no more.
func TestFollowsTheBackend(t *testing.T) {
	for _, factor := range []float64{3, 1.0 / 3} {
		m := New()
		s := newBackend(time.Millisecond, 10*time.Microsecond, 0.1, 0)
		now := feed(m, s, 0, 2000, spreadOut(1000))
		a, b, _ := m.Fit()
		s.a, s.b = time.Duration(factor*float64(s.a)), time.Duration(factor*float64(s.b))
		feed(m, s, now, 2000, spreadOut(1000))
		a2, b2, _ := m.Fit()
		expect(t, "a", a2, factor*a, 0.1)
		expect(t, "b", b2, factor*b, 0.1)
	}
}

// When only one size is left, the slope cannot be measured: the level follows it
// and the proportion stays.
func TestFollowsTheBackendByOneSize(t *testing.T) {
	m := New()
	s := newBackend(time.Millisecond, 10*time.Microsecond, 0.1, 0)
	now := feed(m, s, 0, 2000, spreadOut(1000))
	a, b, _ := m.Fit()
	s.a, s.b = 3*s.a, 3*s.b
	feed(m, s, now+horizon, 200, always(64))
	a2, b2, _ := m.Fit()
	expect(t, "a", a2, 3*a, 0.15)
	expect(t, "b", b2, 3*b, 0.15)
	if p := a2 / b2; math.Abs(p*b/a-1) > 1e-9 {
		t.Errorf("a/b was %v and became %v", a/b, p)
	}
}

func TestOldSamplesDoNotCount(t *testing.T) {
	m := New()
	m.Observe(0, 1, time.Hour)
	m.Observe(horizon, 1, time.Hour)
	m.Observe(2*horizon, 1, time.Millisecond) // the second is just in, the first is not
	m.Observe(2*horizon+1, 1, time.Millisecond)
	if a, _, _ := m.Fit(); a != 1e6 {
		t.Errorf("a = %v", a)
	}
}

// The order that a bucket keeps is the one that sorting would make.
func TestBucketAgainstSorting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b bucket
		var all []sample
		for _, took := range rapid.SliceOfN(rapid.Int64Range(1, 20), 1, 3*kept).Draw(t, "times") {
			s := sample{at: time.Duration(len(all)), t: time.Duration(took), n: len(all) + 1}
			b.add(s)
			all = append(all, s)
		}
		since := time.Duration(rapid.IntRange(0, len(all)).Draw(t, "since"))
		var want []time.Duration
		for _, s := range all[max(0, len(all)-kept):] {
			if s.at >= since {
				want = append(want, s.t)
			}
		}
		slices.Sort(want)
		got := b.since(since)
		if got.count != len(want) {
			t.Fatalf("%d samples, want %d", got.count, len(want))
		}
		if got.count > 0 && got.t != float64(want[(len(want)-1)/fifth]) {
			t.Fatalf("p20 is %v of %v", got.t, want)
		}
		if later := b.since(since + 1); later.count > got.count || got.count > 0 && got.oldest < since {
			t.Fatalf("%d samples since %d, oldest %d, but %d since the next moment", got.count, since, got.oldest, later.count)
		}
	})
}

func TestTrusted(t *testing.T) {
	m := New()
	for i := range trusted {
		if m.Trusted(time.Duration(i) * time.Second / 2) {
			t.Errorf("trusted after %d samples", i)
		}
		m.Observe(time.Duration(i)*time.Second/2, 1, time.Millisecond)
	}
	for now, want := range map[time.Duration]bool{
		9500 * time.Millisecond: true,
		horizon:                 true, // the first sample, at 0, is 10 s old
		horizon + 1:             false,
		time.Hour:               false,
	} {
		if m.Trusted(now) != want {
			t.Errorf("at %v: trusted %v", now, !want)
		}
	}
}

func TestTrustedUntil(t *testing.T) {
	m := New()
	for i := range 2 * trusted {
		now := time.Duration(i) * time.Second / 4
		m.Observe(now, 1, time.Millisecond)
		until := m.TrustedUntil()
		if !m.Trusted(now) {
			if until != 0 {
				t.Errorf("after %d samples: trusted until %v", i+1, until)
			}
			continue
		}
		if !m.Trusted(until) || m.Trusted(until+1) {
			t.Errorf("after %d samples: trust does not end at %v", i+1, until)
		}
	}
}

func TestTimeRunsBackwards(t *testing.T) {
	m := New()
	m.Observe(time.Hour, 1, time.Millisecond)
	for range trusted {
		m.Observe(0, 1, time.Millisecond)
	}
	if !m.Trusted(time.Hour) {
		t.Error("samples that come late are lost")
	}
}

func TestDoesNotAllocate(t *testing.T) {
	m, now := New(), time.Duration(0)
	allocs := testing.AllocsPerRun(1000, func() {
		now += time.Millisecond
		m.Observe(now, int(now/time.Millisecond)%100+1, time.Millisecond)
		m.Predict(10)
	})
	if allocs != 0 {
		t.Errorf("%v allocations for a batch", allocs)
	}
}

func BenchmarkObserve(b *testing.B) {
	m, now := New(), time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		now += 100 * time.Microsecond
		m.Observe(now, int(now/1024)%100+1, time.Millisecond)
	}
}

// One prediction for every batch: the dearest use.
func BenchmarkObserveAndPredict(b *testing.B) {
	m, now := New(), time.Duration(0)
	s := newBackend(time.Millisecond, 10*time.Microsecond, 0.25, 0)
	var times [1024]time.Duration
	for i := range times {
		times[i] = s.serve(i)
	}
	b.ReportAllocs()
	for i := 1; b.Loop(); i++ {
		now += 100 * time.Microsecond
		m.Observe(now, i%1023+1, times[i%1023+1])
		m.Predict(100)
	}
}

func BenchmarkPredict(b *testing.B) {
	m := New()
	feed(m, newBackend(time.Millisecond, 10*time.Microsecond, 0.25, 0), 0, 1000, spreadOut(1000))
	for b.Loop() {
		m.Predict(100)
	}
}
