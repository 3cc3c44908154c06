package dispatch

import (
	"math"
	"time"
)

// Dispatcher is the state machine. K is the key, P what the shell hangs on each
// waiter. It is not safe for concurrent use.
type Dispatcher[K comparable, P any] struct {
	limits Limits
	cost   Cost
	counts Counts

	lanes  [Lanes]lane[K, P]
	scopes map[string]*scope[K, P]
	last   *scope[K, P] // the scope asked for last, to spare a look-up

	shared    int // normal and bulk batches in flight
	urgent    int // urgent batches in flight
	starting  int // takers on their way to Take
	crowd     int // most waiters that one key had since the queues were last empty
	arrived   uint64
	blocked   uint64
	missed    uint64
	sinceBulk int  // normal batches since bulk had its turn
	sinceRest int  // urgent batches since other work had its turn
	holding   bool // something was held since the queues were last empty
	closing   bool
	lastProbe time.Duration

	idleScopes []*scope[K, P]
	spare      []*Item[K, P]
	spareBatch []*Batch[K, P]
}

// New makes an empty dispatcher.
func New[K comparable, P any](limits Limits) *Dispatcher[K, P] {
	d := &Dispatcher[K, P]{limits: limits, scopes: make(map[string]*scope[K, P])}
	d.scopes[""] = d.newScope("")
	for c := range d.lanes {
		d.lanes[c].class = Class(c)
		d.lanes[c].overload.least = math.MaxInt
	}
	return d
}

// SetLimits changes the limits; what is queued or in flight stays.
func (d *Dispatcher[K, P]) SetLimits(l Limits) { d.limits = l }

// Allow sets K and U alone, which may change with every call where several
// dispatchers share a backend. K may be 0 then: somebody else has all slots.
func (d *Dispatcher[K, P]) Allow(inFlight, reserved int) {
	d.limits.InFlight, d.limits.Reserved = inFlight, reserved
}

// Pressure counts the requests of normal and bulk class: all, those that found every
// slot taken, and those refused or expired for want of room.
func (d *Dispatcher[K, P]) Pressure() (arrived, blocked, missed uint64) {
	return d.arrived, d.blocked, d.missed
}

// Coming says that a taker is on its way.
func (d *Dispatcher[K, P]) Coming() bool { return d.starting > 0 }

// SetCost tells what the model has learnt.
func (d *Dispatcher[K, P]) SetCost(c Cost) { d.cost = c }

// Counts is the ledger.
func (d *Dispatcher[K, P]) Counts() Counts { return d.counts }

// Queued is the number of keys (not callers) queued in a lane.
func (d *Dispatcher[K, P]) Queued(c Class) int { return d.lanes[c].n }

// InFlight is the number of batches in flight: shared by normal and bulk, and
// urgent.
func (d *Dispatcher[K, P]) InFlight() (shared, urgent int) { return d.shared, d.urgent }

// Submit admits a request for key on behalf of w, or refuses it.
func (d *Dispatcher[K, P]) Submit(now time.Duration, scopeName string, key K, w *Waiter[K, P]) Verdict[K, P] {
	if r, refused := d.refuse(now, w); refused {
		return Verdict[K, P]{Action: Refuse, Reason: r}
	}
	d.arrive(w.Class)
	if !w.Together && d.idleFor(w.Class) {
		return d.runAlone(now, scopeName, key, w)
	}
	empty := d.queued() == 0
	v := d.enter(now, scopeName, key, w)
	if v.Action == Wait && empty && d.Wanted(now) {
		v.Action = Lead
	}
	return v
}

// Queue admits a request as Submit does, but never lets it go at once.
func (d *Dispatcher[K, P]) Queue(now time.Duration, scopeName string, key K, w *Waiter[K, P]) Verdict[K, P] {
	if r, refused := d.refuse(now, w); refused {
		return Verdict[K, P]{Action: Refuse, Reason: r}
	}
	d.arrive(w.Class)
	return d.enter(now, scopeName, key, w)
}

func (d *Dispatcher[K, P]) arrive(c Class) {
	if c == Urgent {
		return
	}
	d.arrived++
	if !d.sharedSlot() {
		d.blocked++
	}
}

func (d *Dispatcher[K, P]) miss(c Class, n int) {
	if c != Urgent {
		d.missed += uint64(n)
	}
}

// enter joins a queued key or queues a new one.
func (d *Dispatcher[K, P]) enter(now time.Duration, scopeName string, key K, w *Waiter[K, P]) Verdict[K, P] {
	if d.hopeless(now, w) {
		d.miss(w.Class, 1)
		return Verdict[K, P]{Action: Refuse, Reason: RefusedDeadline}
	}
	s := d.scopeOf(scopeName)
	if it := s.index[key]; it != nil {
		return d.join(now, it, w)
	}
	d.lanes[w.Class].overload.came++
	if d.overfull(now, s, w.Class) {
		d.forget(s)
		d.miss(w.Class, 1)
		return Verdict[K, P]{Action: Refuse, Reason: RefusedOverload}
	}
	if d.lanes[w.Class].n >= d.limits.MaxQueued[w.Class] {
		d.forget(s)
		d.miss(w.Class, 1)
		return Verdict[K, P]{Action: Refuse, Reason: RefusedQueue}
	}
	it := d.newItem(now, key, s)
	d.admit(now, it, w)
	d.counts.Queued++
	s.index[key] = it
	s.most = max(s.most, len(s.index))
	d.enqueue(it, w.Class)
	d.check()
	return Verdict[K, P]{Action: Wait}
}

// refuse turns away what cannot be served at all.
func (d *Dispatcher[K, P]) refuse(now time.Duration, w *Waiter[K, P]) (Reason, bool) {
	switch {
	case d.closing:
		return RefusedClosed, true
	case w.Deadline == 0:
		return 0, false
	case w.Deadline <= now:
		return RefusedExpired, true
	}
	return 0, false
}

// hopeless says that by the model not even a batch of its own could answer the
// request in time. It is asked of requests that must queue: one that may go at
// once costs nobody anything.
func (d *Dispatcher[K, P]) hopeless(now time.Duration, w *Waiter[K, P]) bool {
	return w.Deadline != 0 && now < d.cost.TrustedUntil && w.Deadline-now < d.cost.Of(1) && !d.probe(now)
}

// probeEvery is how often a request that the model calls hopeless goes anyway,
// so that a wrong model can relearn.
const probeEvery = 100 * time.Millisecond

func (d *Dispatcher[K, P]) probe(now time.Duration) bool {
	if now-d.lastProbe < probeEvery {
		return false
	}
	d.lastProbe = now
	return true
}

// idleFor says whether a request of the class may go at once and alone. Urgent
// work needs a slot only; other work goes alone only where nobody else is,
// since the first of a wave must not run ahead of those it could share with.
func (d *Dispatcher[K, P]) idleFor(c Class) bool {
	if c == Urgent {
		return d.lanes[Urgent].n == 0 && d.urgentSlot()
	}
	return d.shared == 0 && d.starting == 0 && d.queued() == 0 && d.sharedSlot()
}

func (d *Dispatcher[K, P]) runAlone(now time.Duration, scopeName string, key K, w *Waiter[K, P]) Verdict[K, P] {
	it := d.newItem(now, key, nil)
	it.class = w.Class
	d.admit(now, it, w)
	it.state = itemInFlight
	reason := ReasonIdle
	if w.Class == Urgent {
		reason = ReasonUrgent
	}
	b := d.newBatch(now, scopeName, w.Class)
	b.Reason, b.Deadline = reason, it.deadline
	b.Items = append(b.Items, it)
	b.Callers = 1
	d.counts.InFlight++
	d.hold(w.Class, +1)
	b.InFlight = d.shared
	d.count(w.Class)
	d.check()
	return Verdict[K, P]{Action: Run, Reason: reason, Batch: b}
}

// join attaches a waiter to a key that is queued and has not left.
func (d *Dispatcher[K, P]) join(now time.Duration, it *Item[K, P], w *Waiter[K, P]) Verdict[K, P] {
	if it.n >= d.limits.MaxWaiters {
		return Verdict[K, P]{Action: Refuse, Reason: RefusedWaiters}
	}
	d.admit(now, it, w)
	d.crowd = max(d.crowd, it.n)
	d.counts.Queued++
	d.promote(it, w.Class)
	d.check()
	return Verdict[K, P]{Action: Wait, Joined: true}
}

func (d *Dispatcher[K, P]) admit(now time.Duration, it *Item[K, P], w *Waiter[K, P]) {
	w.Admitted = now
	it.attach(w)
	d.counts.Admitted++
}

func (d *Dispatcher[K, P]) newItem(now time.Duration, key K, s *scope[K, P]) *Item[K, P] {
	var it *Item[K, P]
	if n := len(d.spare); n > 0 {
		it = d.spare[n-1]
		d.spare = d.spare[:n-1]
	} else {
		it = new(Item[K, P])
	}
	*it = Item[K, P]{Key: key, scope: s, queuedAt: now}
	return it
}

// Cancel takes a waiter that is not Settled off its key. A queued key that
// nobody waits for any more leaves the queue; one in flight runs on, and Cancel says so.
func (d *Dispatcher[K, P]) Cancel(w *Waiter[K, P]) (inFlight bool) {
	it := w.item
	it.detach(w)
	d.counts.Cancelled++
	if it.state == itemInFlight {
		d.counts.InFlight--
		d.check()
		return true
	}
	d.counts.Queued--
	if it.n == 0 {
		d.lanes[it.class].overload.came-- // who gives up and asks again is no more load
		d.drop(it)
		d.release(it)
	}
	d.check()
	return false
}

// Promote has a queued key served with a more urgent class, if that one's lane has
// room.
func (d *Dispatcher[K, P]) Promote(scopeName string, key K, c Class) {
	s := d.scopes[scopeName]
	if s == nil {
		return
	}
	if it := s.index[key]; it != nil {
		d.promote(it, c)
		d.check()
	}
}

func (d *Dispatcher[K, P]) promote(it *Item[K, P], c Class) {
	if c >= it.class || d.lanes[c].n >= d.limits.MaxQueued[c] {
		return
	}
	d.lanes[it.class].overload.came--
	d.lanes[c].overload.came++
	d.unqueue(it)
	d.enqueue(it, c)
}

// drop takes an item out of its queue and its scope's index.
func (d *Dispatcher[K, P]) drop(it *Item[K, P]) {
	d.unqueue(it)
	delete(it.scope.index, it.Key)
	d.forget(it.scope)
}

func (d *Dispatcher[K, P]) release(it *Item[K, P]) {
	if len(d.spare) < maxIdle {
		*it = Item[K, P]{}
		d.spare = append(d.spare, it)
	}
}

// Done settles a batch: its slot is free, its waiters are counted and can no
// longer cancel. If it returns true the caller has promised to Take again.
func (d *Dispatcher[K, P]) Done(now time.Duration, b *Batch[K, P]) (again bool) {
	for _, it := range b.Items {
		if it.scope != nil { // it was queued
			d.lanes[b.Class].overload.answered++
		}
		d.counts.InFlight -= it.n
		if it.Failed {
			d.counts.Failed += uint64(it.n)
		} else {
			d.counts.Answered += uint64(it.n)
		}
		it.settle()
	}
	d.hold(b.Class, -1)
	d.check()
	return d.promise(now)
}

// Recycle takes back a batch that was delivered, with its items. The shell must
// not look at either again.
func (d *Dispatcher[K, P]) Recycle(b *Batch[K, P]) {
	for _, it := range b.Items {
		d.release(it)
	}
	for _, it := range b.Expired {
		d.release(it)
	}
	if len(d.spareBatch) < maxSpareBatches {
		clear(b.Items)
		d.spareBatch = append(d.spareBatch, b)
	}
}

// maxSpareBatches bounds the batches kept for reuse: about what is in flight.
const maxSpareBatches = 64

func (d *Dispatcher[K, P]) newBatch(now time.Duration, scopeName string, c Class) *Batch[K, P] {
	var b *Batch[K, P]
	if n := len(d.spareBatch); n > 0 {
		b = d.spareBatch[n-1]
		d.spareBatch = d.spareBatch[:n-1]
	} else {
		b = new(Batch[K, P])
	}
	*b = Batch[K, P]{Scope: scopeName, Class: c, Started: now, Items: b.Items[:0]}
	return b
}

// hold counts a slot taken (+1) or given back (-1).
func (d *Dispatcher[K, P]) hold(c Class, delta int) {
	if c == Urgent {
		d.urgent += delta
	} else {
		d.shared += delta
	}
}

// Close refuses all that comes from now on; what is queued leaves without being
// held.
func (d *Dispatcher[K, P]) Close() { d.closing = true }

// Drained says that nothing is queued or in flight.
func (d *Dispatcher[K, P]) Drained() bool {
	return d.queued() == 0 && d.shared == 0 && d.urgent == 0
}

// Abort empties the queues and returns the items, settled as failed, for the
// shell to deliver. What is in flight stays.
func (d *Dispatcher[K, P]) Abort() []*Item[K, P] {
	var all []*Item[K, P]
	for c := range d.lanes {
		for s := d.lanes[c].next; s != nil; s = d.lanes[c].next {
			for it := s.queues[c].head; it != nil; it = s.queues[c].head {
				d.drop(it)
				d.counts.Queued -= it.n
				d.fail(it)
				all = append(all, it)
			}
		}
	}
	d.check()
	return all
}

// fail settles an item that has left its queue as failed.
func (d *Dispatcher[K, P]) fail(it *Item[K, P]) {
	d.counts.Failed += uint64(it.n)
	it.Failed = true
	it.settle()
}

// queued is the number of keys in all lanes.
func (d *Dispatcher[K, P]) queued() int {
	return d.lanes[Urgent].n + d.lanes[Normal].n + d.lanes[Bulk].n
}
