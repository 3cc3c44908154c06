package dispatch

import "time"

// sharedSlot says whether normal or bulk work may take a slot.
func (d *Dispatcher[K, P]) sharedSlot() bool {
	return d.shared < d.limits.InFlight && d.shared+d.urgent < d.limits.InFlight+d.limits.Reserved
}

// urgentSlot says whether urgent work may take one. It may use idle shared slots
// as well as its own, but leaves one to other work that waits; where there is only
// one slot at all, it gives it up once in bulkEvery times.
func (d *Dispatcher[K, P]) urgentSlot() bool {
	total := d.limits.InFlight + d.limits.Reserved
	if d.shared == 0 && d.lanes[Normal].n+d.lanes[Bulk].n > 0 {
		if total > 1 {
			total--
		} else if d.sinceRest >= bulkEvery-1 {
			return false
		}
	}
	return d.shared+d.urgent < total
}

// Wanted says whether somebody should yield once and then Take: work and a slot
// are there, and nobody is on the way. One taker sees a whole wave; if it leaves
// any behind, the next is wanted. The caller must see to it if it returns true.
func (d *Dispatcher[K, P]) Wanted(now time.Duration) bool {
	return d.starting == 0 && d.promise(now)
}

// Busy says that a Take or a Done is sure to come and that spare requests more of
// normal or bulk class would not be refused for want of room: a taker is on its
// way or all slots are taken, and no cap is near.
func (d *Dispatcher[K, P]) Busy(spare int) bool {
	if d.starting == 0 && (d.shared == 0 || d.sharedSlot()) {
		return false
	}
	l := &d.limits
	return d.crowd+spare < l.MaxWaiters &&
		d.lanes[Normal].n+spare < l.MaxQueued[Normal] && d.lanes[Bulk].n+spare < l.MaxQueued[Bulk]
}

// promise counts the caller as being on its way to Take, if that is worth while.
func (d *Dispatcher[K, P]) promise(now time.Duration) bool {
	if !d.ready(now) {
		return false
	}
	d.starting++
	return true
}

// ready says whether a further taker would find work and a slot.
func (d *Dispatcher[K, P]) ready(now time.Duration) bool {
	if d.lanes[Urgent].n > 0 && d.urgentSlot() {
		return true
	}
	if d.lanes[Normal].n+d.lanes[Bulk].n == 0 || d.shared+d.starting >= d.limits.InFlight {
		return false
	}
	return d.sharedSlot() && !d.held(now)
}

// held says whether what is queued should wait for company: only in throughput
// mode, only behind a batch in flight, only until its linger ends.
func (d *Dispatcher[K, P]) held(now time.Duration) bool {
	if !d.limits.Hold || d.closing || d.shared == 0 {
		return false
	}
	until, ok := d.holdUntil()
	if ok && now < until {
		d.holding = true
		return true
	}
	return false
}

// holdUntil is when the queue must leave at the latest; false if it may leave now
// because a batch of the size aimed at has gathered. It looks at the scopes whose
// turn it is: their keys are what a Take would take.
func (d *Dispatcher[K, P]) holdUntil() (time.Duration, bool) {
	until, ok := time.Duration(0), false
	for c := Normal; c <= Bulk; c++ {
		s := d.lanes[c].next
		if s == nil {
			continue
		}
		q := &s.queues[c]
		if q.n >= d.target() {
			return 0, false
		}
		leave := q.head.queuedAt + d.limits.Linger
		if q.rush != 0 {
			leave = min(leave, q.rush-d.cost.Of(q.n+1)-timerSlack)
		}
		if !ok || leave < until {
			until, ok = leave, true
		}
	}
	return until, ok
}

// timerSlack is how late the shell's timer may come: over 1 ms on Linux.
const timerSlack = 2 * time.Millisecond

// target is the batch size at which nine tenths of the time are spent on keys
// rather than on the batch itself: 9A/B, within the maximum.
func (d *Dispatcher[K, P]) target() int { return d.cost.size(9, d.limits.MaxBatch) }

// NextTick is when held work must be looked at again (Wanted, then Take);
// false if nothing is held.
func (d *Dispatcher[K, P]) NextTick() (time.Duration, bool) {
	if !d.limits.Hold || d.closing || d.shared == 0 || !d.sharedSlot() {
		return 0, false
	}
	return d.holdUntil()
}

// Take keeps the promise to come: the next batch leaves. Nil if there is nothing
// to do by now. A batch without Items, but with Expired ones, holds no slot.
func (d *Dispatcher[K, P]) Take(now time.Duration) *Batch[K, P] {
	d.starting--
	class, ok := d.choose(now)
	if !ok {
		return nil
	}
	s := d.lanes[class].next
	b := d.newBatch(now, s.name, class)
	d.fill(now, b, s)
	d.lanes[class].overload.came -= len(b.Expired) // they have given up
	d.lanes[class].overload.weigh(now, d.lanes[class].n, d.maxWait())
	if len(b.Items) > 0 {
		d.hold(class, +1)
		b.InFlight = d.shared
	}
	d.count(class)
	if d.queued() == 0 {
		d.crowd, d.holding = 0, false
	}
	d.check()
	return b
}

// choose picks the lane to serve.
func (d *Dispatcher[K, P]) choose(now time.Duration) (Class, bool) {
	if d.lanes[Urgent].n > 0 && d.urgentSlot() {
		return Urgent, true
	}
	if !d.sharedSlot() || d.held(now) {
		return 0, false
	}
	normal, bulk := d.lanes[Normal].n > 0, d.lanes[Bulk].n > 0
	switch {
	case bulk && (!normal || d.sinceBulk >= bulkEvery-1):
		return Bulk, true
	case normal:
		return Normal, true
	}
	return 0, false
}

// bulkEvery: while both wait, one batch in so many is that of the lesser lane.
const bulkEvery = 10

func (d *Dispatcher[K, P]) count(c Class) {
	if c == Urgent {
		d.sinceRest++
	} else {
		d.sinceRest = 0
	}
	switch {
	case c == Bulk:
		d.sinceBulk = 0
	case c == Normal && d.lanes[Bulk].n > 0:
		d.sinceBulk++
	}
}

// fill moves the keys of one scope into the batch.
func (d *Dispatcher[K, P]) fill(now time.Duration, b *Batch[K, P], s *scope[K, P]) {
	q := &s.queues[b.Class]
	n := d.size(b.Class, q.n)
	b.Reason = d.reason(now, b.Class, q, n)
	if it := d.tight(now, b.Class, q, n); it != nil {
		b.Reason = ReasonDeadline
		delete(s.index, it.Key)
		d.move(now, b, it)
	} else {
		s.unindex(q, n)
		for it := q.head; it != nil && n > 0; n-- {
			following := it.next
			d.move(now, b, it)
			it = following
		}
	}
	d.lanes[b.Class].rotate(s)
	d.forget(s)
}

// move takes one item, which is no longer in the index, from the queue into the
// batch, or aside if its last deadline has passed.
func (d *Dispatcher[K, P]) move(now time.Duration, b *Batch[K, P], it *Item[K, P]) {
	d.unqueue(it)
	d.counts.Queued -= it.n
	if it.deadline != 0 && it.deadline <= now {
		d.miss(it.class, it.n)
		d.fail(it)
		b.Expired = append(b.Expired, it)
		return
	}
	it.state, it.batch = itemInFlight, b
	d.counts.InFlight += it.n
	if len(b.Items) == 0 {
		b.Deadline = it.deadline
	} else {
		b.Deadline = later(b.Deadline, it.deadline)
	}
	b.Items = append(b.Items, it)
	b.Callers += it.n
}

// size is how many of q queued keys the next batch takes. Free slots share the
// queue evenly, but no batch is made so small that its own cost outweighs its
// keys' (A/B keys, where both weigh the same), nor so large that it takes long without
// being any better for it.
func (d *Dispatcher[K, P]) size(c Class, q int) int {
	if c == Urgent {
		return min(q, d.limits.MaxBatch)
	}
	free := max(1, d.limits.InFlight-d.shared)
	n := (q + free - 1) / free
	n = max(n, min(q, d.cost.size(1, d.limits.MaxBatch)))
	return max(1, min(n, d.cost.Most(d.limits.MaxBatch)))
}

// tight finds a key that would miss its deadline in a batch of n but could make
// it alone, if a slot is left for the others: one tight deadline never shrinks
// everyone's batch.
func (d *Dispatcher[K, P]) tight(now time.Duration, c Class, q *fifo[K, P], n int) *Item[K, P] {
	if c == Urgent || n < 2 || now >= d.cost.TrustedUntil || d.shared+1 >= d.limits.InFlight {
		return nil
	}
	it, all, one := q.head, d.cost.Of(n), d.cost.Of(1)
	for i := 0; i < n && it != nil; i, it = i+1, it.next {
		if it.deadline == 0 {
			continue
		}
		if slack := it.deadline - now; slack < all && slack >= one {
			return it
		}
	}
	return nil
}

func (d *Dispatcher[K, P]) reason(now time.Duration, c Class, q *fifo[K, P], n int) Reason {
	switch {
	case d.closing:
		return ReasonClose
	case c == Urgent:
		return ReasonUrgent
	case n == d.limits.MaxBatch:
		return ReasonFull
	case d.holding && d.shared > 0 && now-q.head.queuedAt >= d.limits.Linger:
		return ReasonHeld
	}
	return ReasonSlot
}
