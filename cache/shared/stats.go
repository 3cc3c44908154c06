package shared

import (
	"sync/atomic"
	"time"
)

// Stats is what a Tier has done since it was made.
type Stats struct {
	Hits          uint64 // keys that Redis had a value of
	Negative      uint64 // or knew not to be there
	Misses        uint64 // keys that it did not have
	Closed        uint64 // keys that somebody was writing, or that held what is not ours
	Passed        uint64 // keys that it was not asked for, or gave no answer to
	Foreign       uint64 // values that could not be read
	Fills         uint64 // values that were kept
	Refused       uint64 // that were not, because a write came between or Redis went away
	Left          uint64 // that were not, because too many were under way
	Large         uint64 // that were not, because they were larger than MaxValue
	Invalidations uint64 // keys that were written or forgotten; all of them at once count once
}

// HitRatio is hits by keys that Redis was asked for, 0 to 1; 0 if there were none.
func (s Stats) HitRatio() float64 {
	asked := s.Hits + s.Negative + s.Misses + s.Closed + s.Foreign
	if asked == 0 {
		return 0
	}
	return float64(s.Hits+s.Negative) / float64(asked)
}

type tierCounts struct {
	hits, negative, misses, closed, passed, foreign, fills, refused, left, large, invalidations atomic.Uint64
}

// Stats is a snapshot.
func (t *Tier[K, V]) Stats() Stats {
	c := &t.counts
	return Stats{
		Hits: c.hits.Load(), Negative: c.negative.Load(), Misses: c.misses.Load(), Closed: c.closed.Load(), Passed: c.passed.Load(),
		Foreign: c.foreign.Load(), Fills: c.fills.Load(), Refused: c.refused.Load(), Left: c.left.Load(), Large: c.large.Load(),
		Invalidations: c.invalidations.Load(),
	}
}

// Health is how things stand with a Redis.
type Health struct {
	Away     time.Time // since when nothing is read from it; zero: it is there
	Trouble  error     // why; nil if it is there
	Pending  int       // writes that it is yet to be told of
	Tracking bool      // near tiers hear of others' writes; if not, they are empty
	Since    time.Time // of Tracking
	Losses   uint64    // times that they stopped hearing
	Told     uint64    // writes that they heard of
	Errors   uint64    // calls that failed
	Lives    uint64    // Redis that were found, each from its start to its end
	Dropped  uint64    // times that too much was pending
}

type linkCounts struct{ errors, lives, overflows, told atomic.Uint64 }

// Health is a snapshot.
func (l *Link) Health() Health {
	h := Health{Errors: l.counts.errors.Load(), Lives: l.counts.lives.Load(), Dropped: l.counts.overflows.Load(), Told: l.counts.told.Load()}
	l.mu.Lock()
	h.Away, h.Trouble, h.Pending = l.away, l.awayFrom, len(l.pending.queue)
	l.mu.Unlock()
	l.tracker.mu.Lock()
	h.Tracking, h.Since, h.Losses = l.tracker.on, l.tracker.since, l.tracker.losses
	l.tracker.mu.Unlock()
	return h
}
