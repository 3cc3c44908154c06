package fulcrum

import (
	"context"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/pick"
)

// CopyStats is what a Backend knows of one of its Copies.
type CopyStats struct {
	Name, Region string
	Primary      bool
	InFlight     int           // K: what it can bear
	Out          int           // calls
	Calls        uint64        // ever
	Failures     uint64        // ever, those that took far too long included
	Behind       uint64        // calls that found it behind the write they had to see, ever
	Cost         float64       // what calls take to what the model expects, peak-sensitive; 0: not measured
	Ejected      time.Duration // until when, since the Backend was made; 0: it is not
	Lag          Lag           // as told last
	LagAge       time.Duration // since when that is
	LagKnown     bool
	Lags         bool // it is beyond the limits of Choice
}

// CopiesStats is how a Backend's Copies are used.
type CopiesStats struct {
	Copies []CopyStats
	Hedges HedgeStats
}

// Copies is a snapshot of its copies; empty if there are none.
func (b *Backend) Copies() (s CopiesStats) {
	c := b.copies
	if c == nil {
		return s
	}
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Hedges = c.hedges
	for i, n := range c.picker.Stats(now) {
		s.Copies = append(s.Copies, CopyStats{
			Name: n.Name, Region: n.Region, Primary: n.Primary, InFlight: c.all[i].tuner.Decision().InFlight, Out: n.InFlight,
			Calls: n.Picked, Failures: n.Failures, Behind: n.Behind, Cost: n.Cost, Ejected: n.Ejected,
			Lag: Lag(n.Lag), LagAge: n.LagAge, LagKnown: n.LagKnown, Lags: n.Level > 0,
		})
	}
	return s
}

// anyAnswers asks all copies and is content with the first that answers; without a Check,
// it is ping.
func (b *Backend) anyAnswers(ping func(context.Context) error) func(context.Context) error {
	c := b.copies
	c.mu.Lock()
	defer c.mu.Unlock()
	var checks []func(context.Context) (Lag, error)
	for _, cp := range c.all {
		if cp.check != nil {
			checks = append(checks, cp.check)
		}
	}
	if len(checks) == 0 {
		return ping
	}
	return func(ctx context.Context) error {
		answers := make(chan error, len(checks))
		for _, ask := range checks {
			go func() {
				answers <- guard(func() error {
					_, err := ask(ctx)
					return err
				})
			}()
		}
		var err error
		for range checks {
			if err = <-answers; err == nil {
				return nil
			}
		}
		return err
	}
}

// Copies are asked how far they lag.
const (
	checkEvery   = 200 * time.Millisecond
	checkTimeout = time.Second
)

// check asks each copy that is not being asked already how far it lags.
func (b *Backend) check(ctx context.Context) {
	c := b.copies
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cp := range c.all {
		if cp.check != nil && !cp.checking {
			cp.checking = true
			go b.checkOne(ctx, cp, cp.check)
		}
	}
}

func (b *Backend) checkOne(ctx context.Context, cp *copyOf, ask func(context.Context) (Lag, error)) {
	limited, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	began := b.now()
	var lag Lag
	err := guard(func() (err error) {
		lag, err = ask(limited)
		return err
	})
	if b.checked(ctx, cp, began, lag, err) {
		b.resettle()
	}
}

// checked tells the picker. True: whether the copy may be asked has changed.
func (b *Backend) checked(ctx context.Context, cp *copyOf, began time.Duration, lag Lag, err error) (changed bool) {
	c := b.copies
	c.mu.Lock()
	defer c.mu.Unlock()
	cp.checking = false
	if cp.at < 0 || ctx.Err() != nil {
		return false
	}
	was := c.picker.Able(cp.at)
	if err != nil {
		c.picker.Late(b.now(), cp.at)
	} else {
		c.picker.Alive(b.now(), cp.at)
		c.picker.Lag(began, cp.at, pick.Lag(lag))
	}
	return was != c.picker.Able(cp.at)
}
