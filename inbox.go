package fulcrum

import (
	"sync/atomic"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/dispatch"
)

// inbox is a stack of calls that wait to be submitted. While somebody is sure to
// hold the Reader's lock soon (a taker is on its way, or every slot is taken and a
// completion must come), a caller only leaves its call here and parks: two atomic
// operations instead of a contended lock. Whoever takes the lock submits for all.
//
//	caller    push the call, then look at busy
//	unlock    publish busy, then look at the stack
//
// Of the two at least one sees the other, so no call is left lying.
type inbox[K comparable, V any] struct {
	busy  atomic.Bool  // the lock will be taken soon, and there is room
	least atomic.Int64 // ns that a query takes at least; 0 if that is not sure
	_     [48]byte     // the top changes with every call: not on the same cache line
	top   atomic.Pointer[call[K, V]]
	used  atomic.Pointer[batchOf[K, V]] // delivered batches, for whoever locks next to recycle
}

// maxInbox is how many calls may lie in the inbox. Near the caps of the dispatcher
// nobody uses it, so that a refusal comes at once.
const maxInbox = 256

// post leaves a call in the inbox; false if it must be submitted instead.
func (r *Reader[K, V]) post(c *call[K, V]) bool {
	if c.Deadline != 0 && c.Deadline-c.Admitted < time.Duration(r.inbox.least.Load()) {
		return false // it may have to be refused
	}
	for {
		if !r.inbox.busy.Load() {
			return false
		}
		top := r.inbox.top.Load()
		depth := int32(1)
		if top != nil {
			depth += top.depth.Load()
		}
		if depth > maxInbox {
			return false
		}
		c.link = top
		c.depth.Store(depth)
		if r.inbox.top.CompareAndSwap(top, c) {
			break
		}
	}
	if !r.inbox.busy.Load() {
		r.lock()
		r.unlock(c.Admitted)
	}
	return true
}

// recycle gives a delivered batch back.
func (r *Reader[K, V]) recycle(b *batchOf[K, V]) {
	for {
		b.Link = r.inbox.used.Load()
		if r.inbox.used.CompareAndSwap(b.Link, b) {
			return
		}
	}
}

// lock takes the lock, recycles batches and submits what is in the inbox.
func (r *Reader[K, V]) lock() {
	r.mu.Lock()
	r.look()
	if r.inbox.used.Load() != nil {
		for b := r.inbox.used.Swap(nil); b != nil; {
			following := b.Link
			r.dispatch.Recycle(b)
			b = following
		}
	}
	if r.inbox.top.Load() != nil {
		r.empty()
	}
}

// empty submits what is in the inbox, oldest first. The lock is held. A promise
// to take is not made here: unlock does that.
func (r *Reader[K, V]) empty() {
	var oldest *call[K, V]
	for c := r.inbox.top.Swap(nil); c != nil; {
		older := c.link
		c.link = oldest
		oldest, c = c, older
	}
	for c := oldest; c != nil; {
		younger := c.link
		c.Together = true
		v := r.dispatch.Queue(c.Admitted, c.scope, c.key, &c.Waiter)
		r.note(v)
		if v.Action == dispatch.Refuse {
			c.refused, c.reason = true, v.Reason
			c.announce()
		}
		c = younger
	}
}

// maxLooks bounds how often one unlock looks for more slots.
const maxLooks = 4

// unlock sees to it that whatever can leave now has a taker on its way, that a
// held batch is looked at again and that a shutdown is announced; then it tells
// callers whether the inbox will do, and gives the lock back.
func (r *Reader[K, V]) unlock(now time.Duration) {
	hold := r.limits.Hold
	for looks := 0; ; looks++ {
		if r.dispatch.Wanted(now) {
			go r.loop()
		}
		if r.tell() {
			if looks < maxLooks {
				r.look()
				continue
			}
			go r.tick()
		}
		r.inbox.busy.Store(!hold && !r.closing.Load() && r.dispatch.Busy(maxInbox))
		if r.inbox.top.Load() == nil || r.inbox.busy.Load() {
			break
		}
		r.empty()
	}
	if hold {
		r.armHold(now)
	}
	if r.closing.Load() {
		r.finishClosing()
	}
	r.mu.Unlock()
}

// armHold sees to it that a held batch is looked at again. The lock is held.
func (r *Reader[K, V]) armHold(now time.Duration) {
	at, held := r.dispatch.NextTick()
	if !held {
		return
	}
	if r.holdTimer == nil {
		r.holdTimer = time.AfterFunc(at-now, r.tick)
		return
	}
	r.holdTimer.Reset(max(0, at-now))
}

// tick is called when a held batch may have waited long enough: unlock looks.
func (r *Reader[K, V]) tick() {
	r.lock()
	r.unlock(r.now())
}

// finishClosing announces that nothing is left, once. The lock is held.
func (r *Reader[K, V]) finishClosing() {
	if !r.dispatch.Drained() || r.out.Load() > 0 {
		return
	}
	select {
	case <-r.drained:
	default:
		close(r.drained)
		if r.part != nil {
			r.part.part()
		}
		if r.holdTimer != nil {
			r.holdTimer.Stop()
		}
	}
}
