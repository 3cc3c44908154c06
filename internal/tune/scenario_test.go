package tune_test

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/dispatch"
	"github.com/fulcrum-data/fulcrum/internal/sim"
	"github.com/fulcrum-data/fulcrum/internal/tune"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// TestScenarios plays the files in testdata in virtual time, through the simulator.
// A line that starts with ">" is what the tuner decided; all others are input:
//
//	tuner auto|fixed|threshold [min=1] [max=64] [k=4] [batch=1000] [p99=20ms] [cost]
//	backend rtt=1ms c0=660us c1=15us cores=4 [sigma=.25] [fifo] [heavy=.01x100]
//	slow 5s 15s .33           its speed between two times; 0 is a pause
//	fail .6 [4s 6s]           that part of batches fails fast
//	hang .005 100ms           that part of batches hangs for so long
//	load 10% [4s 90%]…        of capacity, from times on; or 100/s
//	square 20% 90% 200ms      alternating load
//	bursts 3 .05 20ms         modulates the load: times, otherwise, length
//	callers 64 [10ms]         a closed loop, with think time
//	keep                      sheds only what exceeds the queue's cap
//	run 9s [seed=1]           prints each change of K, and what came of it each second
//
// Run with -update to rewrite.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			t.Parallel()
			play(t, f)
		})
	}
}

func play(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "# ") {
		t.Error("the first line should say what the scenario shows")
	}
	s := &stage{setup: sim.Setup{Yield: 5 * time.Microsecond, Every: time.Second}}
	s.do(strings.Fields("tuner auto"))
	s.do(strings.Fields("backend rtt=1ms c0=660us c1=15us cores=4 sigma=.25"))
	var got strings.Builder
	for sc := bufio.NewScanner(strings.NewReader(string(text))); sc.Scan(); {
		line := sc.Text()
		if strings.HasPrefix(line, ">") {
			continue
		}
		fmt.Fprintln(&got, line)
		if input, _, _ := strings.Cut(line, "#"); strings.TrimSpace(input) != "" {
			for _, out := range s.do(strings.Fields(input)) {
				fmt.Fprintln(&got, ">", out)
			}
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got.String() != string(text) {
		t.Errorf("%s: the tuner decided otherwise (-update rewrites the file):\n%s", file, diff(string(text), got.String()))
	}
}

// diff names the first line that differs.
func diff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range w {
		if i >= len(g) || w[i] != g[i] {
			return fmt.Sprintf("line %d: want %q, got %q", i+1, w[i], append(g, "")[min(i, len(g))])
		}
	}
	return fmt.Sprintf("line %d: want the end, got %q", len(w)+1, g[len(w)])
}

// stage holds what a scenario has set up.
type stage struct {
	setup sim.Setup
	tuner tune.Config
}

func (s *stage) do(f []string) []string {
	o := options(f[1:])
	b, l := &s.setup.Backend, &s.setup.Load
	switch f[0] {
	case "tuner":
		s.setTuner(f[1], o)
	case "backend":
		b.RoundTrip, b.PerBatch, b.PerKey = o.span("rtt"), o.span("c0"), o.span("c1")
		b.Cores, b.Sigma, b.FIFO = int(o.number("cores", 1)), o.number("sigma", 0), o.has("fifo")
		b.Crowding = .02
		if share, times, ok := strings.Cut(o["heavy"], "x"); ok {
			b.HeavyShare, b.HeavyTimes = number(share), number(times)
		}
		s.setup.Cost = dispatch.Cost{A: b.PerBatch, B: b.PerKey}
	case "slow":
		b.Slow = append(b.Slow, sim.Slow{From: span(f[1]), To: span(f[2]), Speed: number(f[3])})
	case "fail":
		b.FailShare = number(f[1])
		if len(f) > 2 {
			b.FailFrom, b.FailTo = span(f[2]), span(f[3])
		}
	case "hang":
		b.HangShare, b.HangTime = number(f[1]), span(f[2])
	case "load":
		l.Rate = []sim.Rate{{PerSecond: s.rate(f[1])}}
		for i := 2; i < len(f); i += 2 {
			l.Rate = append(l.Rate, sim.Rate{From: span(f[i]), PerSecond: s.rate(f[i+1])})
		}
	case "square":
		*l = sim.Square(s.rate(f[1]), s.rate(f[2]), span(f[3]), time.Minute)
	case "bursts":
		l.Bursts = sim.Bursts{Times: number(f[1]), Otherwise: number(f[2]), Length: span(f[3])}
	case "keep":
		s.setup.KeepAll = true
	case "callers":
		*l = sim.Load{Callers: int(number(f[1]))}
		if len(f) > 2 {
			l.Think = span(f[2])
		}
		s.setup.KeepAll = true
	case "run":
		return s.run(span(f[1]), uint64(o.number("seed", 1)))
	default:
		panic("unknown input " + f[0])
	}
	return nil
}

func (s *stage) setTuner(kind string, o opts) {
	k, err := tune.ParseKind(kind)
	if err != nil {
		panic(err)
	}
	s.tuner = tune.Config{
		Kind: k, MinInFlight: int(o.number("min", 0)), MaxInFlight: int(o.number("max", 0)), InFlight: int(o.number("k", 0)),
		MaxBatch: int(o.number("batch", 1000)), P99: o.span("p99"),
	}
	if o.has("cost") {
		s.tuner.Prefer = tune.PreferCost
	}
}

// rate is a load: 40% of capacity, or 100/s.
func (s *stage) rate(text string) float64 {
	if percent, ok := strings.CutSuffix(text, "%"); ok {
		return number(percent) / 100 * s.setup.Backend.Capacity(s.tuner.MaxBatch)
	}
	return number(strings.TrimSuffix(text, "/s"))
}

func (s *stage) run(until time.Duration, seed uint64) []string {
	tuner, err := tune.New(s.tuner)
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	last := 0
	u := s.setup
	u.To, u.Seed, u.Tuner = until, seed, tuner
	u.Twin = s.tuner.Prefer != tune.PreferCost // the twin is faster, but does not hold
	u.Decided = func(now time.Duration, d tune.Decision) {
		changed := d.Changed() || d.Why.MaxBatchWas != d.MaxBatch
		if second := int(now / time.Second); second != last {
			last = second
		} else if !changed {
			return
		}
		out = append(out, fmt.Sprintf("%.3fs %s", now.Seconds(), d))
	}
	r := sim.Run(u)
	for i, s := range r.Slices {
		out = append(out, fmt.Sprintf("second %d: %d answered, %d shed, mean %.1f ms, K %d", i+1, s.Good, s.Shed, 1e3*s.Mean.Seconds(), s.K))
	}
	return out
}

// opts are the words and name=value pairs of an input line.
type opts map[string]string

func options(fields []string) opts {
	o := opts{}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		o[name] = value
	}
	return o
}

func (o opts) has(name string) bool { _, ok := o[name]; return ok }

func (o opts) span(name string) time.Duration {
	if !o.has(name) {
		return 0
	}
	return span(o[name])
}

func (o opts) number(name string, otherwise float64) float64 {
	if !o.has(name) {
		return otherwise
	}
	return number(o[name])
}

func number(text string) float64 {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func span(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return d
}
