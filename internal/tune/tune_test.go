package tune

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestNames(t *testing.T) {
	for n := range names + 1 {
		if (n.String() == "unknown") != (n == names) {
			t.Errorf("name %d is %q", n, n)
		}
	}
	for k := range kinds {
		if got, err := ParseKind(k.String()); got != k || err != nil {
			t.Errorf("%s parses as %s, %v", k, got, err)
		}
	}
	if _, err := ParseKind("magic"); err == nil || kinds.String() != "unknown" {
		t.Error("magic is no tuner")
	}
}

func TestDecisionSaysWhy(t *testing.T) {
	for _, c := range []struct {
		want string
		d    Decision
	}{
		{"start: K 4", Decision{InFlight: 4, From: 4}},
		{"double: m 1.02, e 0.10 <= e* 0.30, K 2→4", Decision{Name: Double, From: 2, InFlight: 4, Why: Why{M: 1.02, Tried: true, E: .1, Limit: .3}}},
		{"back: m 1.30, e 0.50 > e* 0.25, shedding, K 4→3", Decision{Name: Back, From: 4, InFlight: 3, Why: Why{M: 1.3, Tried: true, E: .5, Limit: .25, Stress: true}}},
		{"smaller batch: p95 250ms, 5000/s, max batch 100→70, K 4", Decision{
			Name: SmallerBatch, From: 4, InFlight: 4, MaxBatch: 70, Why: Why{P95: 250 * time.Millisecond, Rate: 5000, MaxBatchWas: 100},
		}},
	} {
		if got := c.d.String(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestDefaults(t *testing.T) {
	c := Config{}.withDefaults()
	if want := (Config{MinInFlight: 1, MaxInFlight: 64, InFlight: 4, MaxBatch: 200}); c != want {
		t.Errorf("got %+v, want %+v", c, want)
	}
	if c := (Config{MinInFlight: 100}).withDefaults(); c.MaxInFlight != 100 || c.InFlight != 100 {
		t.Errorf("bounds apart: %+v", c)
	}
}

// feed gives a tuner batches of a backend that queues beyond cores, and returns
// the last decision.
func feed(tu Tuner, batches, cores int, change func(i int, o *Observation)) Decision {
	random := rand.New(rand.NewPCG(1, 2))
	now, o := time.Duration(0), Observation{OK: true}
	for i := range batches {
		k := tu.Decision().InFlight
		o.Keys = 1 + random.IntN(40)
		load := max(1, float64(k)/float64(cores))
		o.Service = time.Duration((1e6 + 1e4*float64(o.Keys)) * load * (0.8 + 0.4*random.Float64()))
		now += o.Service / time.Duration(k)
		o.Left, o.InFlight = now-o.Service, k
		o.Arrived += uint64(o.Keys)
		o.Blocked = o.Arrived
		if change != nil {
			change(i, &o)
		}
		tu.Step(now, &o)
	}
	return tu.Decision()
}

func auto64(t testing.TB) Tuner {
	t.Helper()
	tu, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	return tu
}

func TestFindsTheCores(t *testing.T) {
	for _, cores := range []int{1, 2, 8, 32} {
		if d := feed(auto64(t), 20_000, cores, nil); d.InFlight < cores*7/10 || d.InFlight > cores*3/2 {
			t.Errorf("%d cores: %s", cores, d)
		}
	}
}

func TestLearnsTheCost(t *testing.T) {
	w := feed(auto64(t), 20_000, 4, nil).Why
	if w.A < 0.7e6 || w.A > 1.3e6 || w.B < 0.7e4 || w.B > 1.3e4 {
		t.Errorf("a %.0f ns, b %.0f ns; want 1,000,000 and 10,000", w.A, w.B)
	}
}

// TestSurvivesNonsense: whatever it is told, it stays within its bounds.
func TestSurvivesNonsense(t *testing.T) {
	d := feed(auto64(t), 50_000, 4, func(i int, o *Observation) {
		switch i % 7 {
		case 0:
			o.Service = 0
		case 1:
			o.Keys = 0
		case 2:
			o.Service = time.Hour
		case 3:
			o.OK = false
		case 4:
			o.Arrived, o.Blocked = 0, 0
		case 5:
			o.Left = -time.Hour
		}
	})
	if d.InFlight < 1 || d.InFlight > 64 || !(d.Why.M >= 0) {
		t.Errorf("%s", d)
	}
}

func TestStepDoesNotAllocate(t *testing.T) {
	tu := auto64(t)
	if n := testing.AllocsPerRun(3, func() { feed(tu, 3000, 4, nil) }); n > 2 { // feed's random numbers
		t.Errorf("%v allocations in 3,000 steps", n)
	}
}

func BenchmarkStep(b *testing.B) {
	b.ReportAllocs()
	tu := auto64(b)
	now, o := time.Duration(0), Observation{OK: true, Keys: 10, InFlight: 1}
	random := rand.New(rand.NewPCG(1, 2))
	var times [1024]time.Duration
	for i := range times {
		times[i] = time.Millisecond + time.Duration(random.IntN(int(time.Millisecond)))
	}
	for i := 0; b.Loop(); i++ {
		now += 50 * time.Microsecond
		o.Service, o.Left = times[i%len(times)], now-100*time.Microsecond
		o.Keys = 1 + i%40
		o.Arrived += 10
		o.Blocked += 5
		tu.Step(now, &o)
	}
}
