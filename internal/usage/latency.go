package usage

import (
	"slices"
	"time"
)

// maxExact is how many durations are kept as they are; more are told within 0.1 %.
const maxExact = 1_000_000

// latencies are the durations of requests.
type latencies struct {
	exact []int64 // ns
	rough tally   // µs: all, once exact is full
	n     uint64

	threshold            time.Duration // of the Apdex
	satisfied, tolerated uint64
}

func (l *latencies) add(took time.Duration, failed bool, times int) {
	n := uint64(times)
	l.n += n
	switch {
	case failed:
	case took <= l.threshold:
		l.satisfied += n
	case took <= 4*l.threshold:
		l.tolerated += n
	}
	if l.rough.weight == nil && len(l.exact)+times <= maxExact {
		for range times {
			l.exact = append(l.exact, int64(took))
		}
		return
	}
	for _, ns := range l.exact {
		l.rough.add(float64(ns)/1e3, 1)
	}
	l.exact = nil
	l.rough.add(float64(took)/1e3, float64(times))
}

// quantile is the smallest duration that a share q did not exceed, in seconds; nil
// if fewer than ten lie beyond it.
func (l *latencies) quantiles(qs ...float64) []*float64 {
	all := make([]*float64, len(qs))
	slices.Sort(l.exact)
	for i, q := range qs {
		if float64(l.n)*(1-q) < 10-1e-9 {
			continue
		}
		rank := uint64(q * float64(l.n))
		if float64(rank) < q*float64(l.n) {
			rank++
		}
		rank = max(1, rank)
		var s float64
		if l.rough.weight == nil {
			s = time.Duration(l.exact[rank-1]).Seconds()
		} else {
			s = l.rough.value(float64(rank)) / 1e6
		}
		all[i] = &s
	}
	return all
}

// apdex is (satisfied + tolerated/2)/all: those within the threshold, and within four
// times it. Errors frustrate, however quick they are.
func (l *latencies) apdex() *float64 {
	if l.n == 0 {
		return nil
	}
	a := (float64(l.satisfied) + float64(l.tolerated)/2) / float64(l.n)
	return &a
}
