package sim

import (
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/dispatch"
	"github.com/fulcrum-data/fulcrum/internal/tune"
)

const ms = time.Millisecond

// serve puts batches of the given work on a CPU at 0 and returns when each is done.
func serve(b Backend, work ...time.Duration) []time.Duration {
	s := newServer(b, 1)
	done := make([]time.Duration, len(work))
	for i, w := range work {
		s.start(0, int32(i), float64(w))
	}
	for range 100 {
		now := s.next()
		if now == never {
			break
		}
		if s.change() == now {
			s.turn(now)
			continue
		}
		done[s.take(now)] = now
	}
	return done
}

func TestBackend(t *testing.T) {
	for _, c := range []struct {
		name    string
		backend Backend
		work    []time.Duration
		want    []time.Duration
	}{
		{"a core each", Backend{Cores: 2}, []time.Duration{3 * ms, 1 * ms}, []time.Duration{3 * ms, 1 * ms}},
		{"one core shared", Backend{Cores: 1}, []time.Duration{3 * ms, 1 * ms}, []time.Duration{4 * ms, 2 * ms}},
		{"crowded", Backend{Cores: 1, Crowding: .5}, []time.Duration{ms, ms}, []time.Duration{3 * ms, 3 * ms}},
		{"in order", Backend{Cores: 1, FIFO: true}, []time.Duration{3 * ms, ms, ms}, []time.Duration{3 * ms, 4 * ms, 5 * ms}},
		{"in order on two", Backend{Cores: 2, FIFO: true}, []time.Duration{3 * ms, ms, ms}, []time.Duration{3 * ms, ms, 2 * ms}},
		{"slow for a while", Backend{Cores: 1, Slow: []Slow{{ms, 3 * ms, .5}}}, []time.Duration{3 * ms}, []time.Duration{4 * ms}},
		{"paused", Backend{Cores: 1, Slow: []Slow{{ms, 3 * ms, 0}}}, []time.Duration{3 * ms}, []time.Duration{5 * ms}},
	} {
		for i, got := range serve(c.backend, c.work...) {
			if off := got - c.want[i]; off < -10 || off > 10 { // ns
				t.Errorf("%s: batch %d is done at %s, want %s", c.name, i, got, c.want[i])
			}
		}
	}
}

func TestArrivalRates(t *testing.T) {
	count := func(l Load, until time.Duration) (n int) {
		for a := newArrivals(l, 3); a.next() < until; {
			n++
		}
		return n
	}
	within := func(what string, got, want int) {
		t.Helper()
		if got < want*9/10 || got > want*11/10 {
			t.Errorf("%s: %d arrivals, want about %d", what, got, want)
		}
	}
	within("steady", count(Steady(10_000), time.Second), 10_000)
	within("square", count(Square(1000, 9000, 100*ms, 2*time.Second), 2*time.Second), 10_000)
	bursts := Steady(10_000)
	bursts.Bursts = Bursts{Times: 3, Otherwise: .05, Length: 20 * ms}
	within("bursts", count(bursts, 20*time.Second), 200_000)
	within("trace", count(Load{Trace: []time.Duration{0, ms, ms, 2 * ms}}, time.Second), 4)
	if n := count(Load{}, time.Second); n != 0 {
		t.Errorf("%d arrivals of no load", n)
	}
}

func TestSameSeedSameResult(t *testing.T) {
	once := func(seed uint64) Result {
		s := setup(ms, 4, 44, .9)
		s.From, s.To, s.Seed, s.Twin = 0, 300*ms, seed, true
		s.Backend.FailShare, s.Backend.HangShare, s.Backend.HangTime, s.Backend.HeavyShare, s.Backend.HeavyTimes = .3, .01, 10*ms, .001, 50
		s.Tuner = tuner(t, tune.Config{MaxBatch: 1000})
		return Run(s)
	}
	a, b, c := once(1), once(1), once(2)
	if a.Good != b.Good || a.mean != b.mean || a.Failed != b.Failed || a.Failed == 0 {
		t.Errorf("%d and %d answered, %d and %d failed", a.Good, b.Good, a.Failed, b.Failed)
	}
	if a.mean == c.mean {
		t.Error("another seed gave the same")
	}
}

// TestClosedLoop: 64 callers, one slot, a backend that takes 1 ms a batch and nothing a
// key. The first caller to come back finds nobody and goes alone; the other 63 share
// the next batch.
func TestClosedLoop(t *testing.T) {
	s := Setup{
		Backend: Backend{PerBatch: ms, Cores: 1}, Load: Load{Callers: 64}, KeepAll: true, Yield: 5 * time.Microsecond,
		Cost: dispatch.Cost{A: ms}, To: time.Second, Seed: 1, Tuner: tuner(t, tune.Config{Kind: tune.Fixed, InFlight: 1}),
	}
	if r := Run(s); r.Good < 30_000 || r.Good > 33_000 || r.Shed > 0 {
		t.Errorf("%d answered, %d shed in 1 s", r.Good, r.Shed)
	}
	s.Load.Think = 10 * ms
	if r := Run(s); r.Good < 5000 || r.Good > 6000 {
		t.Errorf("%d answered with 10 ms of thought, want about 64/(10 + 1.5 ms)", r.Good)
	}
}
