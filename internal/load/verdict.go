package load

import (
	"fmt"
	"math"
	"time"

	"gonum.org/v1/gonum/stat/distuv"
)

// What makes a step invalid.
const (
	leastSent     = .99              // of what was offered
	leastLagLimit = time.Millisecond // the p99 of the lag may be this,
	lagShare      = .05              // or this share of the p99 of the response
	reported      = .99              // the highest quantile that is told
	agree         = 1.01             // the bounds of a quantile that is known are this close
)

// Verdict is empty if the step's numbers are those of the target. Otherwise it
// says why they are not, and they must not be told.
func (s *Step) Verdict() string {
	switch {
	case s.Interrupted:
		return "interrupted"
	case s.Due == 0:
		return "nothing was due"
	case s.SentRate() < leastSent*float64(s.Due)/s.Duration.Seconds():
		return fmt.Sprintf("only %.1f %% of the offered load was sent", 100*s.SentRate()*s.Duration.Seconds()/float64(s.Due))
	case s.tooMany(s.Failed):
		return fmt.Sprintf("%.1f %% of the requests failed: %s", 100*float64(s.Failed)/float64(s.Due), s.Errors[0].Text)
	}
	if s.Late() {
		return fmt.Sprintf("the generator was late: lag p99 %s, over %s", brief(s.Lag.Quantile(reported)), brief(s.lagLimit()))
	}
	if p99, known := s.Quantile(reported); !known {
		return fmt.Sprintf("%d requests without answer reach into the p99, which is at least %s", s.Censored, brief(p99))
	}
	return ""
}

// Late says whether the generator sent later than it may, so that its own delays
// would be told as the target's. What it then lacks is a processor of its own.
func (s *Step) Late() bool { return s.Callers == 0 && s.Lag.Quantile(reported) > s.lagLimit() }

func (s *Step) lagLimit() time.Duration {
	p99, _ := s.Quantile(reported)
	return max(leastLagLimit, time.Duration(lagShare*float64(p99)))
}

// tooMany says whether so many of the requests reach into the highest quantile.
func (s *Step) tooMany(n uint64) bool { return float64(n) > (1-reported)*float64(s.Due) }

// brief is a duration in three digits.
func brief(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.3g s", d.Seconds())
	}
	return fmt.Sprintf("%.3g ms", float64(d)/float64(time.Millisecond))
}

// Quantile is the response time that a share of q of the requests did not exceed,
// failed ones left out. Censored requests took at least as long as is known: the
// value counts that, and is known only if it is the same should they never have
// been answered at all.
func (s *Step) Quantile(q float64) (value time.Duration, known bool) {
	least := s.Response.Merge(s.Least)
	value = least.Quantile(q)
	if s.Censored == 0 {
		return value, true
	}
	most := s.unbounded(q, s.Good+s.Censored)
	return value, float64(most) <= agree*float64(value)
}

// unbounded is the quantile of n requests of which all but the good ones take for
// ever.
func (s *Step) unbounded(q float64, n uint64) time.Duration {
	if s.Good == 0 {
		return math.MaxInt64
	}
	share := math.Ceil(q*float64(n)*(1-0x1p-50)) / float64(s.Good)
	if share > 1 {
		return math.MaxInt64
	}
	return s.Response.Quantile(share)
}

// Upper is the upper confidence limit of a response quantile: with that confidence
// the true quantile is no more. It is an order statistic: of n independent
// responses, the k-th smallest exceeds the q quantile with probability
// P(Binomial(n, q) < k). Failed and censored requests count as never answered, so
// the limit is the largest duration there is if it falls among them, or if there
// are too few requests for it.
func (s *Step) Upper(q, confidence float64) time.Duration {
	k := upperRank(s.Due, q, confidence)
	if k > s.Good {
		return math.MaxInt64
	}
	return s.Response.Quantile(float64(k) / float64(s.Good))
}

// upperRank is the smallest k with P(Binomial(n, q) < k) ≥ confidence; n + 1 if
// there is none.
func upperRank(n uint64, q, confidence float64) uint64 {
	b := distuv.Binomial{N: float64(n), P: q}
	low, high := uint64(0), n+1 // low is too small, high is not
	for high-low > 1 {
		k := low + (high-low)/2
		if b.CDF(float64(k-1)) >= confidence {
			high = k
		} else {
			low = k
		}
	}
	return high
}
