package sim

import (
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/dispatch"
	"github.com/fulcrum-data/fulcrum/internal/tune"
)

// setup is that of TUNER's grid: a round trip, cores, q = c0/c1, and a load.
func setup(rtt time.Duration, cores int, q int, load float64) Setup {
	perKey := map[int]time.Duration{2: 10, 4: 15, 16: 40}[cores] * time.Microsecond
	b := Backend{RoundTrip: rtt, PerBatch: time.Duration(q) * perKey, PerKey: perKey, Cores: cores, Sigma: 0.25, Crowding: 0.02}
	return Setup{
		Backend: b, Load: Steady(load * b.Capacity(1000)), Cost: dispatch.Cost{A: b.PerBatch, B: b.PerKey},
		From: 3 * time.Second, To: 7 * time.Second, Seed: 1,
	}
}

func tuner(t testing.TB, c tune.Config) tune.Tuner {
	t.Helper()
	tu, err := tune.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return tu
}

// The fast twin's totals are the dispatcher's, to the last digit.
func TestTwin(t *testing.T) {
	for _, load := range []float64{0.05, 0.5, 0.9, 1.3} {
		s := setup(time.Millisecond, 4, 44, load)
		s.From, s.To, s.Every = 0, 200*time.Millisecond, 20*time.Millisecond
		var got [2]Result
		for i, twin := range []bool{false, true} {
			s.Twin = twin
			s.Tuner = tuner(t, tune.Config{MaxBatch: 1000})
			got[i] = Run(s)
		}
		a, b := got[0], got[1]
		if a.Good != b.Good || a.Shed != b.Shed || a.mean != b.mean || a.Batches != b.Batches || a.K != b.K || a.P99() != b.P99() {
			t.Errorf("load %v: dispatcher %d good %d shed %s %s K %.2f, twin %d good %d shed %s %s K %.2f", load,
				a.Good, a.Shed, a.Mean(), a.P99(), a.K, b.Good, b.Shed, b.Mean(), b.P99(), b.K)
		}
		t.Logf("load %v good %d shed %d mean %s p99 %s K %.2f", load, a.Good, a.Shed, a.Mean(), a.P99(), a.K)
	}
}

func BenchmarkRun(b *testing.B) {
	for _, twin := range []bool{false, true} {
		name := map[bool]string{false: "dispatcher", true: "twin"}[twin]
		b.Run(name, func(b *testing.B) {
			requests := uint64(0)
			for b.Loop() {
				s := setup(time.Millisecond, 4, 44, 0.9)
				s.From, s.To, s.Twin = 0, time.Second, twin
				s.Tuner = tuner(b, tune.Config{MaxBatch: 1000})
				requests += Run(s).Good
			}
			b.ReportMetric(float64(requests)/b.Elapsed().Seconds(), "requests/s")
		})
	}
}
