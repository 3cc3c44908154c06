package dispatch

import (
	"math"
	"time"
)

// overload notices that more comes to a lane than is answered, and says how much may
// queue then. A queue that stands is no overload by itself: a thousand callers who each
// wait for their answer before they ask again keep one for ever, and all are served. So
// the queue must stand above what is answered within a noticeable time, and what is
// queued or in flight must grow, over several intervals and by what takes as long as
// these to answer.
type overload struct {
	since     time.Duration // when the interval began
	came      int           // keys in the interval, less those given up
	answered  int           // keys
	least     int           // keys that a batch left behind
	intervals int           // in a row that were over
	grown     int           // keys, in these
	on        bool
	refused   time.Duration // when something was refused last
	rate      float64       // keys answered per second, smoothed
}

const (
	overloadEvery = 50 * time.Millisecond
	overloadAfter = 4           // intervals
	overloadOver  = 1.05        // keys that come for each that is answered
	overloadCalm  = time.Second // without a refusal, until it is over

	// AutoWait has the queues bounded by what batches take: see Limits.MaxWait.
	AutoWait = -1

	leastAutoWait   = 10 * time.Millisecond
	mostAutoWait    = 50 * time.Millisecond // also what is noticeable: shorter queues are no overload
	batchesAutoWait = 3
	efficient       = 19 // a batch whose keys take 19 times what it takes by itself wastes 5 %
)

// maxWait is how long a key should be queued at most; 0 if there is no bound. The time
// of batches is not believed beyond a point: under overload they are slow because of it.
func (d *Dispatcher[K, P]) maxWait() time.Duration {
	if d.limits.MaxWait != AutoWait {
		return d.limits.MaxWait
	}
	return min(max(leastAutoWait, batchesAutoWait*d.cost.Of(d.efficient())), mostAutoWait)
}

// efficient is the batch size beyond which a longer queue buys hardly any throughput.
func (d *Dispatcher[K, P]) efficient() int { return d.cost.size(efficient, d.limits.MaxBatch) }

// Overloaded says that more comes to a lane than is answered, so that requests are
// refused.
func (d *Dispatcher[K, P]) Overloaded(c Class) bool { return d.lanes[c].overload.on }

// weigh learns that a batch has just left so many keys of a lane behind.
func (o *overload) weigh(now time.Duration, rest int, limit time.Duration) {
	o.least = min(o.least, rest)
	took := now - o.since
	if took < overloadEvery {
		return
	}
	rate := float64(o.answered) / took.Seconds()
	o.rate += (rate - o.rate) / 2
	standing := float64(o.least) > rate*max(limit, mostAutoWait).Seconds()
	if limit > 0 && standing && float64(o.came) > overloadOver*float64(o.answered) {
		o.intervals++
		o.grown += o.came - o.answered
	} else {
		o.intervals, o.grown = 0, 0
	}
	switch {
	case limit == 0:
		o.on = false
	case !o.on && o.intervals >= overloadAfter && float64(o.grown) > rate*(overloadAfter*overloadEvery).Seconds():
		o.on, o.refused = true, now
	case o.on && float64(o.least) < rate*limit.Seconds()/2 && now-o.refused >= overloadCalm:
		o.on = false
	}
	o.since, o.came, o.answered, o.least = now, 0, 0, math.MaxInt
}

// overfull says whether a further key of the scope would wait too long: as much may
// queue as is answered within the longest wait, but always an efficient batch. A scope that has not
// its equal part of that is let in, so that none is shut out by another. Where any wait will
// do, nobody is refused for it, whatever is asked.
func (d *Dispatcher[K, P]) overfull(now time.Duration, s *scope[K, P], c Class) bool {
	l := &d.lanes[c]
	asked := d.limits.Shed != Urgent && c >= d.limits.Shed
	if c == Urgent || d.maxWait() == 0 || !l.overload.on && !asked {
		return false
	}
	room := max(d.efficient(), int(l.overload.rate*d.maxWait().Seconds()))
	if l.n < room || s.queues[c].n*l.scopes < room {
		return false
	}
	l.overload.refused = now
	return true
}
