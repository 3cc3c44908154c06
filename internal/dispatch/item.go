package dispatch

import "time"

// Waiter is one caller's interest in one key. The shell allocates it (and may
// use it again once it was answered, failed, cancelled or refused), sets
// Payload, Class, Deadline and Together, and leaves the rest alone.
type Waiter[K comparable, P any] struct {
	Payload  P
	Class    Class
	Deadline time.Duration // since the shell's epoch; 0: none
	Together bool          // others come with it: it never goes alone
	Admitted time.Duration // when Submit admitted it, since the epoch

	item       *Item[K, P]
	prev, next *Waiter[K, P]
}

// Next walks the waiters of an item.
func (w *Waiter[K, P]) Next() *Waiter[K, P] { return w.next }

// Leave lets go of a settled waiter and returns the next one. Afterwards it no
// longer keeps its neighbours from being collected.
func (w *Waiter[K, P]) Leave() (next *Waiter[K, P]) {
	next = w.next
	w.next = nil
	return next
}

// Settled says that the waiter's outcome is decided: the shell delivers it, or
// has delivered it already, and cancelling comes too late.
func (w *Waiter[K, P]) Settled() bool { return w.item == nil }

type itemState uint8

const (
	itemQueued itemState = iota
	itemInFlight
	itemSettled
)

// Item is one key on its way, with everybody who waits for it.
type Item[K comparable, P any] struct {
	Key    K
	Failed bool // set by the shell before Done: the outcome is an error

	waiters  *Waiter[K, P]
	last     *Waiter[K, P]
	n        int // waiters that are still there
	class    Class
	state    itemState
	queuedAt time.Duration
	deadline time.Duration // of its latest waiter; 0: none
	scope    *scope[K, P]
	batch    *Batch[K, P] // that it is in, once in flight

	prev, next *Item[K, P]
}

// Waiters is the first of those who wait for the item; walk on with Next.
func (it *Item[K, P]) Waiters() *Waiter[K, P] { return it.waiters }

// attach adds a waiter. The item lives as long as its latest waiter.
func (it *Item[K, P]) attach(w *Waiter[K, P]) {
	if it.n == 0 {
		it.deadline = w.Deadline
	} else if it.deadline != 0 {
		it.deadline = later(it.deadline, w.Deadline)
	}
	w.item, w.prev, w.next = it, it.last, nil
	if it.last == nil {
		it.waiters = w
	} else {
		it.last.next = w
	}
	it.last = w
	it.n++
}

// later is the later of two deadlines, where 0 means never.
func later(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return 0
	}
	return max(a, b)
}

// detach takes a waiter off.
func (it *Item[K, P]) detach(w *Waiter[K, P]) {
	if w.prev == nil {
		it.waiters = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		it.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.item, w.prev, w.next = nil, nil, nil
	it.n--
}

// settle decides the outcome of all who wait.
func (it *Item[K, P]) settle() {
	it.state = itemSettled
	for w := it.waiters; w != nil; w = w.next {
		w.item, w.prev = nil, nil
	}
}

// Has says whether the waiter's key is in the batch.
func (b *Batch[K, P]) Has(w *Waiter[K, P]) bool { return w.item != nil && w.item.batch == b }

// fifo is a queue of items that lets one leave from its middle.
type fifo[K comparable, P any] struct {
	head, tail *Item[K, P]
	n          int
	rush       time.Duration // the earliest deadline since it was last empty; 0: none
}

func (q *fifo[K, P]) push(it *Item[K, P]) {
	it.prev, it.next = q.tail, nil
	if q.tail == nil {
		q.head = it
	} else {
		q.tail.next = it
	}
	q.tail = it
	q.n++
	if it.deadline != 0 && (q.rush == 0 || it.deadline < q.rush) {
		q.rush = it.deadline
	}
}

func (q *fifo[K, P]) remove(it *Item[K, P]) {
	if it.prev == nil {
		q.head = it.next
	} else {
		it.prev.next = it.next
	}
	if it.next == nil {
		q.tail = it.prev
	} else {
		it.next.prev = it.prev
	}
	it.prev, it.next = nil, nil
	if q.n--; q.n == 0 {
		q.rush = 0
	}
}

// Batch is one call to the backend. The shell fetches its Items, sets Failed on
// those that failed, calls Done, delivers, and then hands it back with Recycle.
type Batch[K comparable, P any] struct {
	Scope    string
	Class    Class
	Reason   Reason
	Items    []*Item[K, P]
	Callers  int           // who waited for it when it left
	Started  time.Duration // when it left, since the epoch
	InFlight int           // batches of normal and bulk class in flight then, itself included
	Deadline time.Duration // of its latest waiter, since the epoch; 0: none
	Expired  []*Item[K, P] // dropped while gathering: their deadlines had passed

	Need any          // for the shell: what its waiters ask of the backend
	Link *Batch[K, P] // for the shell, to chain batches that it is done with
}
