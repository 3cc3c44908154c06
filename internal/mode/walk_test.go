package mode

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// referee watches a switch from outside, by what it is told and what it tells.
type referee struct {
	s       *Switch
	cfg     Config
	circuit Circuit
	mode    Mode
	reports int           // calls since the circuit changed
	choice  time.Duration // when the mode was chosen last
	last    time.Duration // when something changed last
}

func newReferee(cfg Config) (*referee, error) {
	s, err := New(cfg)
	if err != nil {
		return nil, err
	}
	return &referee{s: s, cfg: s.cfg, mode: cfg.Mode, choice: -never / 4}, nil
}

// look checks the state against the events since the last look.
func (r *referee) look(now time.Duration, o Observation) error {
	if out := r.s.circuit.probesOut(); out > r.cfg.Probes {
		return fmt.Errorf("%d probes are out, at most %d may be", out, r.cfg.Probes)
	}
	d, events := r.s.Step(now, o)
	for _, e := range events {
		if e.From == e.To || e.Reason == "" || e.Time < r.last || math.IsNaN(e.Figures.Offered) {
			return fmt.Errorf("odd event %+v after %s", e, r.last)
		}
		r.last = e.Time
		if err := r.follow(e); err != nil {
			return err
		}
	}
	if d.Circuit != r.circuit || d.Mode != r.mode {
		return fmt.Errorf("%s, %s hold; the events say %s, %s", d.Circuit, d.Mode, r.circuit, r.mode)
	}
	if (d.Mode == Degraded) != (d.Circuit != Closed) {
		return fmt.Errorf("mode %s while the circuit is %s", d.Mode, d.Circuit)
	}
	if d.Circuit != Closed && d.Shed != ShedNone {
		return fmt.Errorf("shed %s while the circuit is %s", d.Shed, d.Circuit)
	}
	return nil
}

// follow takes one event in.
func (r *referee) follow(e Event) error {
	switch e.Kind {
	case CircuitChanged:
		if r.circuit.String() != e.From {
			return fmt.Errorf("circuit %s was %s", e, r.circuit)
		}
		if e.From == "closed" && (r.reports < r.cfg.MinCalls || e.Figures.Failed < 1) {
			return fmt.Errorf("%s after %d calls, the least is %d", e, r.reports, r.cfg.MinCalls)
		}
		for c := range HalfOpen + 1 {
			if c.String() == e.To {
				r.circuit = c
			}
		}
		r.reports = 0
	case ModeChanged:
		if r.mode.String() != e.From {
			return fmt.Errorf("mode %s was %s", e, r.mode)
		}
		r.mode = modeNamed(e.To)
		if e.Cause == Queueing || e.Cause == Service || e.Cause == Calm {
			if e.Time-r.choice < r.cfg.Dwell {
				return fmt.Errorf("%s at %s, %s after the last choice", e, e.Time, e.Time-r.choice)
			}
			r.choice = e.Time
		}
	}
	return nil
}

// probesOut is how many probes are out, by counting them.
func (c *circuit) probesOut() (out int) {
	if c.state != HalfOpen {
		return 0
	}
	for _, f := range c.flights {
		if f.serial != 0 && f.period == c.period && !f.counted {
			out++
		}
	}
	return out
}

// TestRandomWalk: whatever calls come to and whatever is observed, no two choices are
// closer than the dwell time, the circuit needs its least number of calls, half-open
// keeps to its bound, and degraded holds exactly while the circuit is not closed.
func TestRandomWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := func(name string, most int) int { return rapid.IntRange(1, most).Draw(t, name) }
		r, err := newReferee(Config{
			MinCalls: n("min", 6), Probes: n("probes", 3), CloseAfter: n("close", 3),
			Window: time.Duration(n("window", 10)) * time.Second, Dwell: time.Duration(n("dwell", 5)) * time.Second,
			Confirm: time.Duration(n("confirm", 20)) * 100 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		var out []Call
		var seen Observation
		now := time.Duration(0)
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, 800).Draw(t, "ms")) * time.Millisecond
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1, 2:
				if c, ok := r.s.Begin(now, time.Duration(rapid.IntRange(0, 3000).Draw(t, "timeout"))*time.Millisecond); ok {
					out = append(out, c)
					r.reports++
				}
			case 3, 4, 5, 6:
				if len(out) > 0 {
					i := rapid.IntRange(0, len(out)-1).Draw(t, "call")
					r.s.End(now, out[i], Outcome(rapid.IntRange(0, 2).Draw(t, "outcome")))
					out = append(out[:i], out[i+1:]...)
				}
			case 7, 8:
				ms := func(name string) time.Duration {
					return time.Duration(rapid.IntRange(0, 2000).Draw(t, name)) * time.Millisecond
				}
				seen = Observation{Samples: 25, Response: ms("response"), Queue: ms("queue"), Service: ms("service"), Offered: 2, Throughput: 1}
			case 9:
				if m := Mode(rapid.IntRange(0, 3).Draw(t, "mode")); rapid.Bool().Draw(t, "override") {
					_ = r.s.Override(now, m, time.Duration(n("for", 20))*time.Second)
				} else {
					r.s.ClearOverride(now)
				}
			}
			if err := r.look(now, seen); err != nil {
				t.Fatalf("at %s: %v", now, err)
			}
		}
	})
}

// TestSquareWaves: load that comes and goes in any rhythm never switches the mode more
// than once per dwell time, whether it is seen at once or through a window of 2 s.
func TestSquareWaves(t *testing.T) {
	const lasting, step = 3 * time.Minute, 25 * time.Millisecond
	for period := 50 * time.Millisecond; period <= 20*time.Second; period += period/8 + time.Millisecond {
		for _, window := range []time.Duration{step, 2 * time.Second} {
			for _, share := range []float64{0.1, 0.9} { // of waiting, while the wave is high
				r, err := newReferee(Config{})
				if err != nil {
					t.Fatal(err)
				}
				for now := time.Duration(0); now < lasting; now += step {
					response := 20 * time.Millisecond
					if (now%period) < period/2 || (now%period) < window { // a high percentile sees the worst of its window
						response = time.Second
					}
					queue := time.Duration(share * float64(response))
					o := Observation{Samples: 100, Response: response, Queue: queue, Service: response - queue, Offered: 2, Throughput: 1}
					if err := r.look(now, o); err != nil {
						t.Fatalf("period %s, window %s: %v", period, window, err)
					}
				}
			}
		}
	}
}

// TestChoosingTakesNoMemory: the calls' way, and a step that changes nothing.
func TestChoosingTakesNoMemory(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Duration(0)
	allocs := testing.AllocsPerRun(1000, func() {
		now += time.Millisecond
		c, _ := s.Begin(now, time.Second)
		s.End(now, c, OK)
		s.Step(now, Observation{Samples: 100, Response: time.Millisecond})
	})
	if allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Mode: Degraded}, "Mode: 3 cannot be configured"},
		{Config{MinCalls: -1}, "MinCalls: -1 is not between"},
		{Config{Probes: 1001}, "Probes: 1001 is not between"},
		{Config{CloseAfter: -1}, "CloseAfter: -1"},
		{Config{MinSamples: -1}, "MinSamples: -1"},
		{Config{Window: time.Millisecond}, "Window: 1ms is not between 100ms and 1h0m0s"},
		{Config{Backoff: -1}, "Backoff: -1ns"},
		{Config{Backoff: time.Minute, MaxBackoff: time.Second}, "MaxBackoff: 1s is not between 1m0s"},
		{Config{Threshold: 2 * time.Hour}, "Threshold: 2h0m0s"},
		{Config{Confirm: -1}, "Confirm: -1ns"},
		{Config{Dwell: 2 * time.Hour}, "Dwell: 2h0m0s"},
		{Config{OpenAt: math.NaN()}, "OpenAt: NaN"},
		{Config{OpenAt: 1.1}, "OpenAt: 1.1"},
		{Config{Leave: 1}, "Leave: 1"},
		{Config{Leave: math.NaN()}, "Leave: NaN"},
	} {
		if _, err := New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.want)
		}
	}
	if s, err := New(Config{Backoff: time.Minute}); err != nil || s.cfg.MaxBackoff != time.Minute {
		t.Errorf("%v", err)
	}
}

func TestNames(t *testing.T) {
	for v, want := range map[fmt.Stringer]string{
		Throughput: "throughput", Mode(9): "unknown", HalfOpen: "half-open", ShedNormal: "normal", SheddingChanged: "shed", Configured: "configured",
	} {
		if v.String() != want {
			t.Errorf("%s, want %s", v, want)
		}
	}
	for d, want := range map[time.Duration]string{
		1: "1ns", 1234567: "1.23ms", 12345678901: "12.3s", 999999 * time.Microsecond: "1s", 25 * time.Hour: "25h0m0s", 90*time.Minute + 1: "1h30m0s",
	} {
		if got := short(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}

// FuzzHostile: time that goes back, numbers that are none, calls that never were: the
// invariants hold all the same.
func FuzzHostile(f *testing.F) {
	f.Add([]byte{})
	seed := make([]byte, 0, 400)
	for i := range 40 {
		seed = append(seed, byte(i), byte(i*7), byte(i*31), 0xff, 0, 0x7f, byte(i), 0x80, 0xf8, byte(i*3))
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, script []byte) {
		r, err := newReferee(Config{MinCalls: 2, Dwell: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		var out []Call
		var seen Observation
		for len(script) >= 10 {
			op, a, word := script[0], script[1], binary.LittleEndian.Uint64(script[2:])
			script = script[10:]
			now := r.s.now + time.Duration(int16(word))*time.Millisecond
			if op&0x80 != 0 {
				now = time.Duration(word)
			}
			switch op % 6 {
			case 0:
				if c, ok := r.s.Begin(now, time.Duration(word)); ok {
					out = append(out, c)
					r.reports++
				}
			case 1:
				if len(out) > 0 {
					r.s.End(now, out[int(a)%len(out)], Outcome(a)) // again and again
				}
			case 2:
				r.s.End(now, Call{int(word), word}, Outcome(a))
			case 3:
				seen = Observation{
					Samples: int(int8(a)), Response: time.Duration(word), Queue: time.Duration(word << 1), Service: time.Duration(word >> 1),
					Queued: int(word), Offered: math.Float64frombits(word), Throughput: math.Float64frombits(word << 8),
				}
			case 4:
				_ = r.s.Override(now, Mode(a), time.Duration(word))
			case 5:
				_ = r.s.SetMode(now, Mode(a%4))
			}
			if err := r.look(now, seen); err != nil {
				t.Fatal(err)
			}
		}
	})
}
