package sim

import (
	"math"
	"time"
)

// Load is what arrives. Exactly one of Rate, Trace and Callers is given.
type Load struct {
	// Rate is the arrivals per second of an open loop, a Poisson process whose rate
	// changes at the given times.
	Rate []Rate
	// Bursts modulates Rate at random: Times as many for Length on average, else
	// times Otherwise, so that the mean is the rate (MMPP). Zero: not.
	Bursts Bursts
	// Trace has recorded arrivals, in rising order.
	Trace []time.Duration
	// Callers is how many callers of a closed loop each ask again as soon as they
	// have their answer and have thought for Think on average.
	Callers int
	// Think is a caller's pause, exponentially distributed. Default none.
	Think time.Duration
}

// Rate holds from a time on.
type Rate struct {
	From      time.Duration
	PerSecond float64
}

// Bursts are random and exponentially long.
type Bursts struct {
	Times     float64       // the rate within a burst
	Otherwise float64       // the rate between them
	Length    time.Duration // of a burst, on average
}

// gap is the mean time between bursts that leaves the mean rate as it is.
func (b Bursts) gap() float64 {
	return float64(b.Length) * (b.Times - 1) / (1 - b.Otherwise)
}

// Steady is a Poisson process of one rate.
func Steady(perSecond float64) Load { return Load{Rate: []Rate{{0, perSecond}}} }

// Square alternates between two rates, half a period each, starting with the first.
func Square(low, high float64, period, until time.Duration) Load {
	var l Load
	for at, i := time.Duration(0), 0; at < until; at, i = at+period/2, i+1 {
		r := low
		if i%2 == 1 {
			r = high
		}
		l.Rate = append(l.Rate, Rate{at, r})
	}
	return l
}

// arrivals draws from a Load.
type arrivals struct {
	load   Load
	random stream
	at     float64 // ns, of the last one
	i      int     // the rate that holds, or the trace's next
	burst  bool
	turnAt float64 // when the burst begins or ends
}

func newArrivals(l Load, seed uint64) *arrivals {
	a := &arrivals{load: l, random: newStream(seed, 1), turnAt: math.Inf(1)}
	if l.Bursts.Times > 0 {
		a.turnAt = a.random.ExpFloat64() * l.Bursts.gap()
	}
	return a
}

// next is when somebody comes; never if nobody does.
func (a *arrivals) next() time.Duration {
	if a.load.Trace != nil {
		if a.i >= len(a.load.Trace) {
			return never
		}
		a.i++
		return a.load.Trace[a.i-1]
	}
	if len(a.load.Rate) == 0 {
		return never
	}
	due := a.random.ExpFloat64() * 1e9 // what is left of the gap, in arrivals·s/1e9
	for {
		rate, until := a.now()
		if at := a.at + due/rate; at < until {
			a.at = at
			return time.Duration(at)
		}
		if math.IsInf(until, 1) {
			return never
		}
		due -= (until - a.at) * rate
		a.at = until
		a.turn()
	}
}

// now is the rate that holds, and until when.
func (a *arrivals) now() (rate, until float64) {
	rate = a.load.Rate[a.i].PerSecond
	until = a.turnAt
	if a.i+1 < len(a.load.Rate) {
		until = min(until, float64(a.load.Rate[a.i+1].From))
	}
	if b := a.load.Bursts; b.Times > 0 {
		if a.burst {
			rate *= b.Times
		} else {
			rate *= b.Otherwise
		}
	}
	return rate, until
}

// turn moves on to the next rate, or begins or ends a burst.
func (a *arrivals) turn() {
	if a.at >= a.turnAt {
		a.burst = !a.burst
		mean := a.load.Bursts.gap()
		if a.burst {
			mean = float64(a.load.Bursts.Length)
		}
		a.turnAt = a.at + a.random.ExpFloat64()*mean
	}
	if a.i+1 < len(a.load.Rate) && a.at >= float64(a.load.Rate[a.i+1].From) {
		a.i++
	}
}
