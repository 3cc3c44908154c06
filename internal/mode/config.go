package mode

import (
	"fmt"
	"time"
)

// Config bounds a Switch. A zero field means its default.
type Config struct {
	Mode Mode // what is aimed at; default Balanced: the switch chooses

	// Window is how long an outcome counts. Default 10 s, between 100 ms and 1 h.
	Window time.Duration
	// MinCalls is how many calls must count before the circuit opens. It should be
	// no more than the slots, or a backend that hangs is not noticed. Default 5, at
	// most 1,000,000.
	MinCalls int
	// OpenAt is the share of failed calls at which the circuit opens. Default 0.5,
	// more than 0 and at most 1.
	OpenAt float64
	// Probes is how many calls may be out at once while the circuit is half-open.
	// Default 1, at most 1000.
	Probes int
	// CloseAfter is how many probes must succeed in a row to close the circuit.
	// Default 2, at most 1000.
	CloseAfter int
	// Backoff is how long the circuit stays open before a probe may go; each failure
	// doubles it. Default 1 s, between 1 ms and 1 h.
	Backoff time.Duration
	// MaxBackoff bounds the doubling. Default 30 s, or Backoff if that is more; at
	// most 24 h.
	MaxBackoff time.Duration

	// Threshold is the response time (95th percentile) from which on its cause
	// decides the mode. Default 500 ms, between 1 ms and 1 h.
	Threshold time.Duration
	// Leave is the share of Threshold below which responses are quick again. Default
	// 0.6, more than 0 and less than 1.
	Leave float64
	// MinSamples is how many answers an observation must rest on. Default 20, at most
	// 1,000,000.
	MinSamples int
	// Confirm is how long responses must be slow before the mode changes. Default 1 s,
	// between 1 ms and 1 h.
	Confirm time.Duration
	// Dwell is the least time between two choices of a mode, and how long responses
	// must be quick before the mode is balanced again. Default 5 s, between 1 ms and
	// 1 h.
	Dwell time.Duration
}

func (c Config) withDefaults() Config {
	orDefault(&c.Window, 10*time.Second)
	orDefault(&c.MinCalls, 5)
	orDefault(&c.OpenAt, 0.5)
	orDefault(&c.Probes, 1)
	orDefault(&c.CloseAfter, 2)
	orDefault(&c.Backoff, time.Second)
	orDefault(&c.MaxBackoff, max(30*time.Second, c.Backoff))
	orDefault(&c.Threshold, 500*time.Millisecond)
	orDefault(&c.Leave, 0.6)
	orDefault(&c.MinSamples, 20)
	orDefault(&c.Confirm, time.Second)
	orDefault(&c.Dwell, 5*time.Second)
	return c
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate checks a configuration whose defaults are filled in.
func (c Config) validate() error {
	if c.Mode > Throughput {
		return fmt.Errorf("mode: Mode: %d cannot be configured; use Balanced, Latency or Throughput", c.Mode)
	}
	for _, f := range []struct {
		name  string
		value int
		high  int
	}{
		{"MinCalls", c.MinCalls, 1_000_000},
		{"Probes", c.Probes, 1000},
		{"CloseAfter", c.CloseAfter, 1000},
		{"MinSamples", c.MinSamples, 1_000_000},
	} {
		if f.value < 1 || f.value > f.high {
			return fmt.Errorf("mode: %s: %d is not between 1 and %d", f.name, f.value, f.high)
		}
	}
	for _, f := range []struct {
		name      string
		value     time.Duration
		low, high time.Duration
	}{
		{"Window", c.Window, 100 * time.Millisecond, time.Hour},
		{"Backoff", c.Backoff, time.Millisecond, time.Hour},
		{"MaxBackoff", c.MaxBackoff, c.Backoff, 24 * time.Hour},
		{"Threshold", c.Threshold, time.Millisecond, time.Hour},
		{"Confirm", c.Confirm, time.Millisecond, time.Hour},
		{"Dwell", c.Dwell, time.Millisecond, time.Hour},
	} {
		if f.value < f.low || f.value > f.high {
			return fmt.Errorf("mode: %s: %s is not between %s and %s", f.name, f.value, f.low, f.high)
		}
	}
	if !(c.OpenAt > 0 && c.OpenAt <= 1) { // so that NaN is refused too
		return fmt.Errorf("mode: OpenAt: %g is not more than 0 and at most 1", c.OpenAt)
	}
	if !(c.Leave > 0 && c.Leave < 1) {
		return fmt.Errorf("mode: Leave: %g is not more than 0 and less than 1", c.Leave)
	}
	return nil
}
