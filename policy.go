package fulcrum

import (
	"fmt"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/dispatch"
)

// Mode is the aim that a Reader serves.
type Mode uint8

// The modes. The zero value is ModeBalanced.
const (
	ModeBalanced   Mode = iota // as latency, until a tuner chooses between the two
	ModeLatency                // a batch never waits for company while a slot is free
	ModeThroughput             // a small batch may wait up to Linger behind one in flight
)

var modeNames = [...]string{"balanced", "latency", "throughput"}

// String names the mode as configuration does.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return "unknown"
}

// Policy holds the limits of a Reader. A zero field means its default; the zero
// Policy is a good start for a database on the same machine.
type Policy struct {
	Mode Mode // default ModeBalanced

	// InFlight is how many batches of normal and bulk requests may be in flight at
	// once: K. More fill a longer round trip, too many move the queue into the
	// database. Default 4, at most 10,000.
	InFlight int
	// Reserved is how many further slots only urgent requests may take: U. The
	// backend's pool must hold InFlight + Reserved connections. Default 2, -1 none.
	Reserved int
	// MaxBatch is the most keys in one call to Fetch. Default 200, at most 100,000.
	MaxBatch int
	// Linger is the longest that ModeThroughput holds a batch for company. Default
	// and least 2 ms (shorter timers do not work on Linux), at most 1 s.
	Linger time.Duration
	// MaxQueued is the most keys that may be queued in each lane; more are shed.
	// Default 50,000.
	MaxQueued int
	// MaxWaiters is the most callers that may wait for one key; more are shed.
	// Default 10,000.
	MaxWaiters int
	// MaxQueueTime is how long requests should be queued at most while more of a class
	// come than are answered: those that would wait longer are shed. A long queue alone
	// is no reason. Default with a Backend: the time of three batches that are large enough
	// to be efficient, between 10 and 50 ms; without one, and with -1: none, and none are
	// shed under stress. At most 1 min.
	MaxQueueTime time.Duration
	// UrgentCached has urgent requests ask the Reader's cache too. Default: they go straight
	// to the backend.
	UrgentCached bool
}

const (
	defaultInFlight   = 4
	defaultReserved   = 2
	defaultMaxBatch   = 200
	defaultLinger     = 2 * time.Millisecond
	defaultMaxQueued  = 50_000
	defaultMaxWaiters = 10_000

	mostInFlight = 10_000
)

// withDefaults fills the fields that are zero.
func (p Policy) withDefaults() Policy {
	orDefault(&p.InFlight, defaultInFlight)
	orDefault(&p.Reserved, defaultReserved)
	orDefault(&p.MaxBatch, defaultMaxBatch)
	orDefault(&p.Linger, defaultLinger)
	orDefault(&p.MaxQueued, defaultMaxQueued)
	orDefault(&p.MaxWaiters, defaultMaxWaiters)
	return p
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate says what is wrong with a policy, as SetPolicy would.
func (p Policy) Validate() error { return p.withDefaults().validate() }

// validate checks a policy whose defaults are filled in.
func (p Policy) validate() error {
	if int(p.Mode) >= len(modeNames) {
		return fmt.Errorf("fulcrum: Policy.Mode: %d is no mode; use ModeBalanced, ModeLatency or ModeThroughput", p.Mode)
	}
	for _, f := range []struct {
		name             string
		value, low, high int
	}{
		{"InFlight", p.InFlight, 1, mostInFlight},
		{"Reserved", p.Reserved, -1, 10_000},
		{"MaxBatch", p.MaxBatch, 1, 100_000},
		{"MaxQueued", p.MaxQueued, 1, 100_000_000},
		{"MaxWaiters", p.MaxWaiters, 1, 100_000_000},
	} {
		if f.value < f.low || f.value > f.high {
			return fmt.Errorf("fulcrum: Policy.%s: %d is not between %d and %d", f.name, f.value, f.low, f.high)
		}
	}
	if p.Linger < defaultLinger || p.Linger > time.Second {
		return fmt.Errorf("fulcrum: Policy.Linger: %s is not between %s and 1s", p.Linger, defaultLinger)
	}
	if p.MaxQueueTime != -1 && (p.MaxQueueTime < 0 || p.MaxQueueTime > time.Minute) {
		return fmt.Errorf("fulcrum: Policy.MaxQueueTime: %s is not between 0 and 1m; -1 means none", p.MaxQueueTime)
	}
	return nil
}

// limits translates the policy for the dispatcher of a Reader that shares a backend,
// or does not.
func (p Policy) limits(shares bool) dispatch.Limits {
	wait := max(0, p.MaxQueueTime)
	if shares && p.MaxQueueTime == 0 {
		wait = dispatch.AutoWait
	}
	return dispatch.Limits{
		InFlight:   p.InFlight,
		Reserved:   max(0, p.Reserved),
		MaxBatch:   p.MaxBatch,
		MaxWaiters: p.MaxWaiters,
		MaxQueued:  [dispatch.Lanes]int{p.MaxQueued, p.MaxQueued, p.MaxQueued},
		Hold:       p.Mode == ModeThroughput,
		Linger:     p.Linger,
		MaxWait:    wait,
	}
}
