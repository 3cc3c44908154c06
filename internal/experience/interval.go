package experience

import (
	"fmt"
	"math"
)

// z95 is the number of standard deviations that hold 95 % of a normal distribution.
const z95 = 1.959963984540054

// Interval is a 95 % confidence interval.
type Interval struct {
	Low, High float64
}

// Contains says whether a value lies within, ends included.
func (i Interval) Contains(v float64) bool { return i.Low <= v && v <= i.High }

// Share is how many of how many, and what that says of the probability behind it.
type Share struct {
	Hits, N  int
	Value    float64  // Hits/N; NaN where N is 0
	Interval Interval // Wilson's; 0 to 1 where N is 0
}

// ShareOf is the share of hits among n. It panics if there cannot be such a share: the
// caller has counted wrongly.
func ShareOf(hits, n int) Share {
	if hits < 0 || hits > n {
		panic(fmt.Sprintf("experience: %d hits of %d", hits, n))
	}
	if n == 0 {
		return Share{Value: math.NaN(), Interval: Interval{0, 1}}
	}
	p, m := float64(hits)/float64(n), float64(n)
	centre := (p + z95*z95/(2*m)) / (1 + z95*z95/m)
	half := z95 / (1 + z95*z95/m) * math.Sqrt(p*(1-p)/m+z95*z95/(4*m*m))
	s := Share{Hits: hits, N: n, Value: p, Interval: Interval{max(0, centre-half), min(1, centre+half)}}
	if hits == 0 { // exactly, not but for rounding
		s.Interval.Low = 0
	}
	if hits == n {
		s.Interval.High = 1
	}
	return s
}

// Bounds are the least and the most that a share can be.
type Bounds struct {
	Missing   int // visits that began and never reported
	Low, High float64
}

// Survivors says how far a share can be off because only those report who stayed:
// started is how many visits the server saw begin. Low is the share if nobody who is
// missing was a hit, High if all were. More reports than starts count as none missing.
func Survivors(s Share, started int) Bounds {
	missing := max(0, started-s.N)
	all := float64(s.N + missing)
	if all == 0 {
		return Bounds{High: 1}
	}
	return Bounds{Missing: missing, Low: float64(s.Hits) / all, High: float64(s.Hits+missing) / all}
}
