package dispatch

import (
	"math"
	"time"
)

// overload notices that more comes to a lane than leaves it, and says how much may
// queue then. A queue that stands is no overload by itself: a thousand callers who
// each wait for their answer before they ask again keep one for ever, and all are
// served. So the queue must stand above what leaves within the longest wait, and grow
// by as much again, over two intervals at least.
type overload struct {
	since     time.Duration // when the interval began
	came      int           // keys in the interval, less those given up
	left      int           // keys
	least     int           // keys that a batch left behind
	intervals int           // in a row that were over
	grown     int           // keys that the queue grew by in these
	on        bool
	refused   time.Duration // when something was refused last
	rate      float64       // keys that leave per second, smoothed
}

const (
	overloadEvery = 50 * time.Millisecond
	overloadAfter = 2           // intervals
	overloadOver  = 1.05        // keys that come for each that leaves
	overloadCalm  = time.Second // without a refusal, until it is over

	// AutoWait has the queues bounded by what batches take: see Limits.MaxWait.
	AutoWait = -1

	leastAutoWait   = 10 * time.Millisecond
	batchesAutoWait = 10
)

// maxWait is how long a key should be queued at most; 0 if there is no bound.
func (d *Dispatcher[K, P]) maxWait() time.Duration {
	if d.limits.MaxWait != AutoWait {
		return d.limits.MaxWait
	}
	return max(leastAutoWait, batchesAutoWait*d.cost.Of(d.limits.MaxBatch))
}

// Overloaded says that more comes to a lane than leaves it, so that requests are
// refused.
func (d *Dispatcher[K, P]) Overloaded(c Class) bool { return d.lanes[c].overload.on }

// weigh learns of a batch that has just taken keys out of a lane and left the rest.
func (o *overload) weigh(now time.Duration, taken, rest int, limit time.Duration) {
	o.left += taken
	o.least = min(o.least, rest)
	took := now - o.since
	if took < overloadEvery {
		return
	}
	rate := float64(o.left) / took.Seconds()
	o.rate += (rate - o.rate) / 2
	full := rate * limit.Seconds()
	if limit > 0 && float64(o.least) > full && float64(o.came) > overloadOver*float64(o.left) {
		o.intervals++
		o.grown += o.came - o.left
	} else {
		o.intervals, o.grown = 0, 0
	}
	switch {
	case limit == 0:
		o.on = false
	case !o.on && o.intervals >= overloadAfter && float64(o.grown) > full:
		o.on, o.refused = true, now
	case o.on && float64(o.least) < full/2 && now-o.refused >= overloadCalm:
		o.on = false
	}
	o.since, o.came, o.left, o.least = now, 0, 0, math.MaxInt
}

// overfull says whether a further key of the scope would wait too long: as much may
// queue as leaves within the longest wait, but always a batch. A scope that has not
// its equal part of that is let in, so that none is shut out by another.
func (d *Dispatcher[K, P]) overfull(now time.Duration, s *scope[K, P], c Class) bool {
	l := &d.lanes[c]
	asked := d.limits.Shed != Urgent && c >= d.limits.Shed
	if c == Urgent || !l.overload.on && !asked {
		return false
	}
	room := max(d.limits.MaxBatch, int(l.overload.rate*d.maxWait().Seconds()))
	if l.n < room || s.queues[c].n*l.scopes < room {
		return false
	}
	l.overload.refused = now
	return true
}
