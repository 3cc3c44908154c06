package tune

import (
	"fmt"
	"strings"
	"time"
)

// Observation is one finished batch and what the counters stood at then. Counters
// only ever rise.
type Observation struct {
	Keys     int           // n, keys in the batch
	Service  time.Duration // T, from sent to answered
	Left     time.Duration // when it was sent, since the same epoch as now
	InFlight int           // batches in flight as it left, itself included
	OK       bool          // the backend answered; single keys may have failed

	Arrived uint64 // requests ever admitted to the shared lanes, or shed
	Blocked uint64 // of them, those that found all K slots taken
	Shed    uint64 // of them, those refused or expired for want of capacity

	P95, P99 time.Duration // of response times in the last second or so; 0: not known
	Rate     float64       // requests per second over the same time
}

// Decision is what holds from now on, and why.
type Decision struct {
	InFlight int  // K
	MaxBatch int  // keys
	Hold     bool // small batches should wait for company, up to the policy's linger

	Name Name // what was done
	From int  // the K before
	Why  Why  // the figures behind it
}

// Changed says whether the decision changed K.
func (d Decision) Changed() bool { return d.From != d.InFlight }

// Why is what a decision rests on. Figures that a tuner does not use are 0.
type Why struct {
	M           float64       // inflation: T/(a+bn), the median of the window
	E, Limit    float64       // e, how m rose with K, and e*, how much it may; only if a trial was judged
	Tried       bool          // a trial was judged: E and Limit are set
	A, B        float64       // the learned cost: ns per batch, ns per key
	Share       float64       // u = bn/(a+bn), the keys' own share of T
	Keys        float64       // mean n
	Batches     int           // in the window
	Stress      bool          // requests were shed in the last 200 ms
	P95         time.Duration // as observed
	P99         time.Duration // as observed
	Rate        float64       // as observed
	MaxBatchWas int           // before the decision
}

// Name is what a decision did.
type Name uint8

// The decisions.
const (
	Start        Name = iota // nothing has been observed yet
	Learn                    // the first window set the baseline
	Hold                     // all as it was
	Double                   // the backend has room: twice as many
	Grow                     // under the level aimed at: more
	Try                      // a few more, to be judged
	Back                     // the trial did not pay: undone
	Shrink                   // the backend queues: fewer
	Rebase                   // fewer did not help: the backend itself is slower, or faster
	Reset                    // the baseline was set anew from scratch
	SmallerBatch             // the largest batch shrinks
	LargerBatch              // the largest batch grows

	names
)

var nameTexts = [names]string{
	"start", "learn", "hold", "double", "grow", "try", "back", "shrink", "rebase", "reset", "smaller batch", "larger batch",
}

// String names the decision as metrics and logs do.
func (n Name) String() string {
	if n < names {
		return nameTexts[n]
	}
	return "unknown"
}

// String is the decision with its figures: "double: m 1.02, e 0.10 <= e* 0.30, K 2→4".
func (d Decision) String() string {
	var s strings.Builder
	s.WriteString(d.Name.String())
	s.WriteString(":")
	w := &d.Why
	if w.M > 0 {
		fmt.Fprintf(&s, " m %.2f,", w.M)
	}
	if w.Tried {
		sign := "<="
		if w.E > w.Limit {
			sign = ">"
		}
		fmt.Fprintf(&s, " e %.2f %s e* %.2f,", w.E, sign, w.Limit)
	}
	if w.P95 > 0 {
		fmt.Fprintf(&s, " p95 %s,", w.P95.Round(rounded))
	}
	if w.P99 > 0 {
		fmt.Fprintf(&s, " p99 %s,", w.P99.Round(rounded))
	}
	if w.Rate > 0 {
		fmt.Fprintf(&s, " %.0f/s,", w.Rate)
	}
	if w.Stress {
		s.WriteString(" shedding,")
	}
	if w.MaxBatchWas != d.MaxBatch {
		fmt.Fprintf(&s, " max batch %d→%d,", w.MaxBatchWas, d.MaxBatch)
	}
	if d.Changed() {
		fmt.Fprintf(&s, " K %d→%d", d.From, d.InFlight)
	} else {
		fmt.Fprintf(&s, " K %d", d.InFlight)
	}
	return s.String()
}

const rounded = 100 * time.Microsecond

// Kind is which tuner decides.
type Kind uint8

// The tuners. The zero value is Auto.
const (
	Auto      Kind = iota // follows the backend
	Fixed                 // K and the largest batch stay as configured
	Threshold             // the obvious rule, for comparison
	kinds
)

var kindTexts = [kinds]string{"auto", "fixed", "threshold"}

// String names the tuner as configuration does.
func (k Kind) String() string {
	if k < kinds {
		return kindTexts[k]
	}
	return "unknown"
}

// ParseKind is the inverse of String.
func ParseKind(s string) (Kind, error) {
	for k, text := range kindTexts {
		if s == text {
			return Kind(k), nil
		}
	}
	return 0, fmt.Errorf("tune: %q is no tuner; use auto, fixed or threshold", s)
}

// Prefer says what to aim for where there is a choice.
type Prefer uint8

// The preferences. The zero value is PreferLatency.
const (
	PreferLatency Prefer = iota // the shortest response times
	PreferCost                  // the fewest queries: small batches wait for company
)

// Config bounds a tuner. A zero field means its default.
type Config struct {
	Kind Kind // default Auto
	// MinInFlight and MaxInFlight bound K, in batches. Default 1 and 64; at most 10,000.
	MinInFlight, MaxInFlight int
	// InFlight is the K of Fixed and Threshold, in batches. Default 4. Auto begins
	// at MinInFlight, because it must see the backend quiet once.
	InFlight int
	// MaxBatch is the most keys in a batch. Default 200; at most 100,000.
	MaxBatch int
	// P99 is the response time that 99 of 100 requests should keep: then Auto looks
	// for the most throughput within it. Default 0: none.
	P99 time.Duration
	// Prefer says what to aim for. Default PreferLatency.
	Prefer Prefer
}

const (
	defaultMinInFlight = 1
	defaultMaxInFlight = 64
	defaultInFlight    = 4
	defaultMaxBatch    = 200

	mostInFlight = 10_000
	mostBatch    = 100_000
)

func (c Config) withDefaults() Config {
	orDefault(&c.MinInFlight, defaultMinInFlight)
	orDefault(&c.MaxInFlight, max(defaultMaxInFlight, c.MinInFlight))
	orDefault(&c.InFlight, min(max(defaultInFlight, c.MinInFlight), c.MaxInFlight))
	orDefault(&c.MaxBatch, defaultMaxBatch)
	return c
}

func orDefault(field *int, value int) {
	if *field == 0 {
		*field = value
	}
}

func (c Config) validate() error {
	for _, f := range []struct {
		name             string
		value, low, high int
	}{
		{"MinInFlight", c.MinInFlight, 1, mostInFlight},
		{"MaxInFlight", c.MaxInFlight, 1, mostInFlight},
		{"MaxBatch", c.MaxBatch, 1, mostBatch},
	} {
		if f.value < f.low || f.value > f.high {
			return fmt.Errorf("tune: Config.%s: %d is not between %d and %d", f.name, f.value, f.low, f.high)
		}
	}
	switch {
	case c.Kind >= kinds:
		return fmt.Errorf("tune: Config.Kind: %d is no tuner; use Auto, Fixed or Threshold", c.Kind)
	case c.MinInFlight > c.MaxInFlight:
		return fmt.Errorf("tune: Config.MinInFlight: %d is more than MaxInFlight %d", c.MinInFlight, c.MaxInFlight)
	case c.InFlight < c.MinInFlight || c.InFlight > c.MaxInFlight:
		return fmt.Errorf("tune: Config.InFlight: %d is not between MinInFlight %d and MaxInFlight %d", c.InFlight, c.MinInFlight, c.MaxInFlight)
	case c.P99 < 0:
		return fmt.Errorf("tune: Config.P99: %s is negative", c.P99)
	case c.Prefer > PreferCost:
		return fmt.Errorf("tune: Config.Prefer: %d is no preference; use PreferLatency or PreferCost", c.Prefer)
	}
	return nil
}

// Tuner is one of the three. It is for one goroutine at a time.
type Tuner interface {
	// Step learns of a finished batch. It returns true if it has decided something,
	// be it that all stays as it is.
	Step(now time.Duration, o *Observation) (Decision, bool)
	// Decision is the last one, with what holds now.
	Decision() Decision
}

// New makes a tuner.
func New(c Config) (Tuner, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	switch c.Kind {
	case Fixed:
		return newFixed(c), nil
	case Threshold:
		return newThreshold(c), nil
	}
	return newAuto(c), nil
}
