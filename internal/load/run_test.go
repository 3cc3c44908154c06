package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"pgregory.net/rapid"
)

// virtual waits in the time of a synctest bubble.
type virtual struct{}

func (virtual) wait(d time.Duration) { time.Sleep(d) }
func (virtual) close()               {}

// simulate runs a step in virtual time.
func simulate(t testing.TB, cfg Config) *Step {
	t.Helper()
	cfg.waiter = func() waiter { return virtual{} }
	s, err := either(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// idleFor lets virtual time pass, unless ctx ends before.
func idleFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// never answers.
func never(ctx context.Context, _ *Request) error {
	<-ctx.Done()
	return ctx.Err()
}

// freezing is a service that answers within 100 µs, except while it stands still.
func freezing(from, until time.Duration) CallerFunc {
	epoch := time.Now()
	return func(ctx context.Context, _ *Request) error {
		work := 100 * time.Microsecond
		if at := time.Since(epoch); at >= from && at < until {
			work += until - at
		}
		return idleFor(ctx, work)
	}
}

// single is a service that does one request at a time, in order.
type single struct {
	mu    sync.Mutex
	work  time.Duration
	ready time.Time
}

func (s *single) Caller() Caller { return CallerFunc(s.call) }

func (s *single) call(ctx context.Context, _ *Request) error {
	s.mu.Lock()
	now := time.Now()
	if s.ready.Before(now) {
		s.ready = now
	}
	s.ready = s.ready.Add(s.work)
	left := s.ready.Sub(now)
	s.mu.Unlock()
	return idleFor(ctx, left)
}

// A freeze of 1 s in 10 s at 1,000 requests/s: the tenth that is due meanwhile waits
// 0 to 1 s, evenly. The mean is 50 ms, p95 the middle of the freeze, p99 nine tenths
// of it. Who measures one caller from sending sees one slow request in ten thousand.
func TestStallIsSeen(t *testing.T) {
	for _, arrivals := range []string{"constant", "poisson"} {
		for _, freeze := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				from, until := 4*time.Second, 5*time.Second
				if !freeze {
					until = from
				}
				s := simulate(t, Config{Target: freezing(from, until), Rate: 1000, Arrivals: mustArrivals(t, arrivals), Seed: 5})
				if v := s.Verdict(); v != "" {
					t.Fatal(v)
				}
				p50, _ := s.Quantile(.5)
				if !freeze {
					p99, _ := s.Quantile(.99)
					if p50 > 500*time.Microsecond || p99 > 500*time.Microsecond {
						t.Errorf("%s: p50 %s, p99 %s without a freeze", arrivals, p50, p99)
					}
					return
				}
				tolerance := .02
				if arrivals == "poisson" { // the number in the freeze varies by 3 %
					tolerance = .1
				}
				p95, _ := s.Quantile(.95)
				p99, _ := s.Quantile(.99)
				for name, c := range map[string]struct{ got, want time.Duration }{
					"mean": {s.Response.Mean(), 50 * time.Millisecond}, "p95": {p95, 500 * time.Millisecond}, "p99": {p99, 900 * time.Millisecond},
				} {
					if !nearly(float64(c.got), float64(c.want), tolerance) {
						t.Errorf("%s: %s %s, want %s", arrivals, name, c.got, c.want)
					}
				}
			})
		}
	}
}

// The same stall in a closed loop of one caller: the load stops with the service,
// which is why such steps are labelled.
func TestClosedLoopHidesTheStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, Config{Target: freezing(4*time.Second, 5*time.Second), Callers: 1})
		p99, known := s.Quantile(.99)
		if s.Callers != 1 || s.Offered() != 0 || !known || p99 > time.Millisecond || s.Response.Max() < time.Second || s.Verdict() != "" {
			t.Errorf("p99 %s, max %s, %q", p99, s.Response.Max(), s.Verdict())
		}
		if got := s.Throughput(); !nearly(got, 9000, .01) {
			t.Errorf("throughput %.0f, want 9000", got)
		}
	})
}

func TestClosedLoopCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, Config{Target: &single{work: time.Millisecond}, Callers: 8, Duration: 5 * time.Second, Warmup: time.Second})
		if p50, _ := s.Quantile(.5); !nearly(s.Throughput(), 1000, .01) || !nearly(float64(p50), 8e6, .02) || s.Verdict() != "" {
			t.Errorf("throughput %.0f, p50 %s, %q", s.Throughput(), p50, s.Verdict())
		}
	})
}

// Each of these must say why it has no numbers.
func TestInvalidSteps(t *testing.T) {
	failing := func(share float64) CallerFunc {
		return func(_ context.Context, r *Request) error {
			if rand.New(rand.NewPCG(9, r.Seq)).Float64() < share {
				return errors.New("connection reset")
			}
			return nil
		}
	}
	dropping := func(share float64) CallerFunc {
		fail := failing(share)
		return func(ctx context.Context, r *Request) error {
			if fail(ctx, r) != nil {
				return never(ctx, r)
			}
			return idleFor(ctx, time.Millisecond)
		}
	}
	for _, c := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"overloaded, not all outstanding fit", Config{Target: &single{work: 2 * time.Millisecond}, Rate: 1000, Outstanding: 100}, "of the offered load was sent"},
		{"overloaded", Config{Target: &single{work: 2 * time.Millisecond}, Rate: 1000}, "requests without answer reach into the p99, which is at least 5.92 s"},
		{"never answers", Config{Target: CallerFunc(never), Rate: 1000}, "requests without answer reach into the p99, which is at least 11.9 s"},
		{"drops 2 %", Config{Target: dropping(.02), Rate: 1000}, "requests without answer reach into the p99"},
		{"fails 2 %", Config{Target: failing(.02), Rate: 1000}, "of the requests failed: connection reset"},
		{"fails all", Config{Target: failing(1), Rate: 1000}, "100.0 % of the requests failed"},
		{"nothing due", Config{Target: failing(0), Rate: .001, Duration: time.Second}, "nothing was due"},
		{"closed loop, never answers", Config{Target: CallerFunc(never), Callers: 3}, "3 requests without answer reach into the p99"},
		{"drops 0.5 %", Config{Target: dropping(.005), Rate: 1000}, ""},
		{"fails 0.5 %", Config{Target: failing(.005), Rate: 1000}, ""},
		{"saturated but answered", Config{Target: &single{work: 1010 * time.Microsecond}, Rate: 1000, Arrivals: mustArrivals(t, "constant")}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := simulate(t, c.cfg)
				if v := s.Verdict(); !strings.Contains(v, c.want) || (v == "") != (c.want == "") {
					t.Errorf("%q, want %q", v, c.want)
				}
				conserved(t, s)
			})
		})
	}
}

func conserved(t interface{ Errorf(string, ...any) }, s *Step) {
	if s.Due != s.Good+s.Failed+s.Censored || s.Due != s.Sent+s.Unsent ||
		s.Response.Count() != s.Good || s.Service.Count() != s.Good || s.Least.Count() != s.Censored || s.Lag.Count() != s.Due {
		t.Errorf("due %d = good %d (%d, %d) + failed %d + censored %d (%d)? sent %d + unsent %d? lags %d",
			s.Due, s.Good, s.Response.Count(), s.Service.Count(), s.Failed, s.Censored, s.Least.Count(), s.Sent, s.Unsent, s.Lag.Count())
	}
}

// The generator itself is late: its clock stands still for a while, as when the
// machine is taken away from it.
type sleepy struct{ naps int }

func (w *sleepy) wait(d time.Duration) {
	if d == 0 {
		return
	}
	w.naps++
	if w.naps%100 == 0 {
		d += 20 * time.Millisecond
	}
	time.Sleep(d)
}

func (*sleepy) close() {}

func TestLateGeneratorSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := either(t.Context(), Config{
			Target: CallerFunc(func(ctx context.Context, _ *Request) error { return idleFor(ctx, 5*time.Millisecond) }),
			Rate:   1000, waiter: func() waiter { return new(sleepy) },
		})
		if err != nil || !strings.Contains(s.Verdict(), "the generator was late: lag p99 1") {
			t.Errorf("%v: %q", err, s.Verdict())
		}
		// What is measured from due is right nevertheless: late sending is in it.
		// So is late noticing, in a loop, which then tells more service and never less.
		if p99, _ := s.Quantile(.99); p99 < 20*time.Millisecond || s.Service.Max() > 6*time.Millisecond && !inLoop {
			t.Errorf("p99 %s, longest service %s", p99, s.Service.Max())
		}
	})
}

// A generator that stands still until its time is over has sent nothing.
type frozen struct{}

func (frozen) wait(time.Duration) { time.Sleep(20 * time.Second) }
func (frozen) close()             {}

func TestFrozenGeneratorSentNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := either(t.Context(), Config{Target: freezing(0, 0), Rate: 1000, Arrivals: mustArrivals(t, "constant"), waiter: func() waiter { return frozen{} }})
		if err != nil || s.Verdict() != "only 0.0 % of the offered load was sent" || s.Due != 10_000 {
			t.Errorf("%v: %q, %d due", err, s.Verdict(), s.Due)
		}
		conserved(t, s)
	})
}

func TestInterruptedStepIsInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		s, err := either(ctx, Config{Target: CallerFunc(never), Rate: 100, waiter: func() waiter { return virtual{} }})
		if err != nil || s.Verdict() != "interrupted" || time.Since(begin) > 4*time.Second {
			t.Errorf("%v: %q after %s", err, s.Verdict(), time.Since(begin))
		}
	})
}

// Requests of the warm-up are sent and not counted.
func TestWarmup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, Config{
			Target: freezing(0, 2*time.Second), Rate: 1000, Arrivals: mustArrivals(t, "constant"),
			Warmup: 2 * time.Second, Duration: time.Second,
		})
		if s.Due != 1000 || s.Response.Max() > time.Millisecond || s.Verdict() != "" {
			t.Errorf("%d due, max %s, %q", s.Due, s.Response.Max(), s.Verdict())
		}
	})
}

func TestTraceEndsTheStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := mustArrivals(t, "trace:"+slice+"@10")
		s := simulate(t, Config{Target: freezing(0, 0), Arrivals: a, Duration: time.Minute, Warmup: time.Second})
		if s.Due != 1200 || s.Duration != a.Span() || s.Verdict() != "" || !nearly(s.Offered(), a.Rate(), .001) {
			t.Errorf("%d due in %s at %.1f/s, %q", s.Due, s.Duration, s.Offered(), s.Verdict())
		}
	})
}

// What is asked depends on the seed, not on who asks and when.
func TestSameSeedSameRequests(t *testing.T) {
	asked := func(seed uint64, work time.Duration) map[string]int {
		counts := map[string]int{}
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			mix, _ := ParseMix("urgent=1,bulk=1")
			simulate(t, Config{Rate: 500, Duration: time.Second, Seed: seed, Keys: mustKeys(t, "zipf:1:1000"), Mix: mix, Chunk: 3,
				Target: CallerFunc(func(ctx context.Context, r *Request) error {
					mu.Lock()
					counts[fmt.Sprint(r.Seq, r.Class, r.Keys)]++
					mu.Unlock()
					if r.Class == fulcrum.ClassUrgent {
						return nil
					}
					return idleFor(ctx, work)
				})})
		})
		return counts
	}
	one, two, other := asked(1, time.Millisecond), asked(1, 100*time.Millisecond), asked(2, time.Millisecond)
	same := func(a, b map[string]int) int {
		n := 0
		for k := range a {
			if b[k] == 1 {
				n++
			}
		}
		return n
	}
	if len(one) < 100 || same(one, two) != len(one) || len(one) != len(two) || same(one, other) > len(one)/10 {
		t.Errorf("%d requests, %d the same with another service, %d with another seed", len(one), same(one, two), same(one, other))
	}
}

// Whatever the service does, every request is accounted for.
func TestNothingIsLost(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rate := rapid.Float64Range(1, 3000).Draw(rt, "rate")
		slowest := time.Duration(rapid.IntRange(1000, 3_000_000).Draw(rt, "µs")) * time.Microsecond
		outstanding := rapid.IntRange(1, 500).Draw(rt, "outstanding")
		chunk := rapid.IntRange(1, 3).Draw(rt, "chunk")
		callers := rapid.SampledFrom([]int{0, 0, 1, 7}).Draw(rt, "callers")
		synctest.Test(t, func(t *testing.T) {
			s := simulate(t, Config{
				Rate: rate, Callers: callers, Outstanding: outstanding, Chunk: chunk, Duration: time.Second, Warmup: 100 * time.Millisecond, Drain: time.Second,
				Target: CallerFunc(func(ctx context.Context, r *Request) error {
					rnd := rand.New(rand.NewPCG(1, r.Seq))
					if rnd.IntN(10) == 0 {
						return errors.New("no")
					}
					return idleFor(ctx, slowest/2+time.Duration(rnd.Int64N(int64(slowest))))
				}),
			})
			conserved(rt, s)
			if p, known := s.Quantile(.9); known && s.Good > 0 && p > s.Response.Max() && p > s.Least.Max() {
				rt.Errorf("p90 %s", p)
			}
		})
	})
}

func TestConfigRefuses(t *testing.T) {
	ok := Config{Target: CallerFunc(never), Rate: 1}
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Target = nil }, "Config.Target is missing"},
		{func(c *Config) { c.Rate = 0 }, "Config.Rate: 0 is not over 0"},
		{func(c *Config) { c.Rate = -1 }, "Config.Rate: -1"},
		{func(c *Config) { c.Rate = math.NaN() }, "Config.Rate: NaN"},
		{func(c *Config) { c.Rate = 2e7 }, "up to 10000000"},
		{func(c *Config) { c.Callers = -1 }, "Config.Callers: -1 is not between 0 and 100000"},
		{func(c *Config) { c.Callers = 100_001 }, "Config.Callers"},
		{func(c *Config) { c.Duration = -1 }, "Config.Duration: -1ns"},
		{func(c *Config) { c.Duration = 25 * time.Hour }, "Config.Duration: 25h"},
		{func(c *Config) { c.Warmup = -1 }, "Config.Warmup"},
		{func(c *Config) { c.Drain = 2 * time.Hour }, "Config.Drain"},
		{func(c *Config) { c.Chunk = -1 }, "Config.Chunk: -1 is not between 1 and 100000"},
		{func(c *Config) { c.Outstanding = -1 }, "Config.Outstanding: -1"},
	} {
		cfg := ok
		c.change(&cfg)
		if _, err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// What a step costs elsewhere is read at the edges of its window.
func TestWindowIsTold(t *testing.T) {
	for _, c := range []struct {
		name      string
		cfg       Config
		interrupt time.Duration
		want      string
	}{
		{"open loop", Config{Rate: 100, Duration: 2 * time.Second, Warmup: time.Second}, time.Hour, "[true 1s false 3s]"},
		{"closed loop", Config{Callers: 3, Duration: 2 * time.Second}, time.Hour, "[true 0s false 2s]"},
		{"interrupted", Config{Rate: 100, Duration: 2 * time.Second, Warmup: time.Second}, 2 * time.Second, "[true 1s]"},
		{"interrupted at once", Config{Rate: 100, Duration: 2 * time.Second, Warmup: time.Second}, time.Millisecond, "[]"},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), c.interrupt)
			defer cancel()
			epoch := time.Now()
			told := []any{}
			cfg := c.cfg
			cfg.Target, cfg.waiter = freezing(0, 0), func() waiter { return virtual{} }
			cfg.Window = func(begins bool) { told = append(told, begins, time.Since(epoch).Round(10*time.Millisecond)) }
			if _, err := either(ctx, cfg); err != nil || fmt.Sprint(told) != c.want {
				t.Errorf("%s: %v %v, want %s", c.name, err, told, c.want)
			}
		})
	}
}

// A trace is as bursty at the target as it was recorded, whatever its speed: the
// requests that leave together within a tenth of a millisecond do not change that.
func TestTraceArrivesAsRecorded(t *testing.T) {
	for _, speed := range []string{"1", "10"} {
		synctest.Test(t, func(t *testing.T) {
			a := mustArrivals(t, "trace:"+slice+"@"+speed)
			var mu sync.Mutex
			var came []time.Duration
			epoch := time.Now()
			simulate(t, Config{Arrivals: a, Duration: time.Hour, Target: CallerFunc(func(context.Context, *Request) error {
				mu.Lock()
				defer mu.Unlock()
				came = append(came, time.Since(epoch))
				return nil
			})})
			var due []time.Duration
			next := a.Schedule(0, 1, 0)
			for at, ok := next(); ok; at, ok = next() {
				due = append(due, at)
			}
			slices.Sort(came)
			want, _ := variation(due)
			if got, _ := variation(came); len(came) != len(due) || !nearly(got, want, .02) {
				t.Errorf("%sx: %d arrivals with CV %.4f, want %d with %.4f", speed, len(came), got, len(due), want)
			}
		})
	}
}
