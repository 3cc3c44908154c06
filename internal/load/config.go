package load

import (
	"errors"
	"fmt"
	"time"
)

// Config is one run: a load and a target.
type Config struct {
	// Target is what is measured. Required.
	Target Target

	// Rate is the offered load of an open loop in keys per second. Required unless
	// Callers is set or Arrivals is a trace. At most 10,000,000.
	Rate float64
	// Arrivals are the due times of an open loop. Default Poisson.
	Arrivals Arrivals
	// Callers makes a closed loop of so many callers. Default 0: an open loop. At
	// most 100,000.
	Callers int

	// Duration is how long requests are due. Default 10 s, at most 24 h. A trace
	// that is shorter ends sooner.
	Duration time.Duration
	// Warmup is how long the same load is offered before, unrecorded. A trace has
	// none. Default none, at most 1 h.
	Warmup time.Duration
	// Drain is how long is waited for the last answers. What has none then is
	// censored. Default 2 s, at most 1 h.
	Drain time.Duration

	// Keys are the keys that are asked for. Default always key 1.
	Keys Keys
	// Mix holds the classes of the requests, and how many write. Default all normal, and none.
	Mix Mix
	// Chunk is the keys in each request. All counts of a step are of keys, so that
	// targets which ask for several at once compare with those that do not. Default
	// 1, at most 100,000.
	Chunk int
	// Outstanding is the most requests without answer. What is due beyond is not
	// sent, and censored. Default 20,000, at most 1,000,000.
	Outstanding int
	// Seed of due times, keys and classes: the same seed, the same load.
	Seed uint64

	// Window is called on a goroutine of its own as the window begins, and as it
	// ends, so that what the step costs elsewhere can be read. A step that is
	// interrupted may do without. Default nobody is told.
	Window func(begins bool)

	waiter func() waiter // default the precise one; tests put virtual time here
}

const (
	defaultDuration    = 10 * time.Second
	defaultDrain       = 2 * time.Second
	defaultOutstanding = 20_000

	maxRate        = 10_000_000
	maxCallers     = 100_000
	maxDuration    = 24 * time.Hour
	maxAround      = time.Hour
	maxChunk       = 100_000
	maxOutstanding = 1_000_000
)

func (c Config) withDefaults() (Config, error) {
	orDefault(&c.Duration, defaultDuration)
	orDefault(&c.Drain, defaultDrain)
	orDefault(&c.Chunk, 1)
	orDefault(&c.Outstanding, defaultOutstanding)
	if c.waiter == nil {
		c.waiter = newWaiter
	}
	if err := c.validate(); err != nil {
		return c, err
	}
	if c.Arrivals.Trace() && c.Callers == 0 {
		c.Warmup = 0
		c.Duration = min(c.Duration, c.Arrivals.Span())
		c.Rate = c.Arrivals.Rate()
	}
	return c, nil
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c Config) validate() error {
	open := c.Callers == 0 && !c.Arrivals.Trace()
	switch {
	case c.Target == nil:
		return errors.New("load: Config.Target is missing")
	case c.Callers < 0 || c.Callers > maxCallers:
		return fmt.Errorf("load: Config.Callers: %d is not between 0 and %d", c.Callers, maxCallers)
	case open && !(c.Rate > 0 && c.Rate <= maxRate):
		return fmt.Errorf("load: Config.Rate: %v is not over 0 and up to %d", c.Rate, maxRate)
	case c.Duration < 0 || c.Duration > maxDuration:
		return fmt.Errorf("load: Config.Duration: %s is not between 0 and %s", c.Duration, maxDuration)
	case c.Warmup < 0 || c.Warmup > maxAround:
		return fmt.Errorf("load: Config.Warmup: %s is not between 0 and %s", c.Warmup, maxAround)
	case c.Drain < 0 || c.Drain > maxAround:
		return fmt.Errorf("load: Config.Drain: %s is not between 0 and %s", c.Drain, maxAround)
	case c.Chunk < 1 || c.Chunk > maxChunk:
		return fmt.Errorf("load: Config.Chunk: %d is not between 1 and %d", c.Chunk, maxChunk)
	case c.Outstanding < 1 || c.Outstanding > maxOutstanding:
		return fmt.Errorf("load: Config.Outstanding: %d is not between 1 and %d", c.Outstanding, maxOutstanding)
	}
	return nil
}
