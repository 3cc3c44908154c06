package fulcrum

import (
	"cmp"
	"context"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/dispatch"
)

// loop takes batches and runs them until there is nothing left to take. It keeps
// a promise made to the dispatcher.
func (r *Reader[K, V]) loop() {
	for again := true; again; {
		yield()
		b, _ := r.take(nil)
		again = b != nil && r.run(b, stay)
	}
}

// lead takes one batch on the goroutine of the caller that was the first to come:
// its own request is in there, and nobody has to be woken for it. A batch that it
// is not in is left to another goroutine, or a stranger's query could hold it up.
func (r *Reader[K, V]) lead(c *call[K, V]) {
	yield()
	switch b, own := r.take(c); {
	case b == nil:
	case own:
		r.run(b, leave)
	default:
		go r.run(b, leave)
	}
}

// take fetches the next batch, nil if there is none to run, and says whether c is in
// it. Requests whose deadlines passed in the queue are told so.
func (r *Reader[K, V]) take(c *call[K, V]) (b *batchOf[K, V], own bool) {
	now := r.now()
	r.lock()
	b = r.dispatch.Take(now)
	if b != nil {
		r.out.Add(1)
		b.InFlight += r.others
		own = c != nil && b.Has(&c.Waiter)
		r.gather(b)
	}
	r.unlock(now)
	if b == nil {
		return nil, false
	}
	for _, it := range b.Expired {
		answerAll(it, context.DeadlineExceeded)
	}
	if len(b.Items) == 0 {
		r.recycle(b)
		r.done()
		return nil, false
	}
	return b, own
}

// Whether the goroutine that runs a batch stays to take the next one.
const (
	stay  = true
	leave = false
)

// run asks the backend and answers everybody. It returns true if the goroutine,
// which stays, has promised to take again; otherwise another one keeps the promise.
func (r *Reader[K, V]) run(b *batchOf[K, V], stays bool) (again bool) {
	q := r.newQuery(b)
	defer func() {
		if !q.answered { // runtime.Goexit: this goroutine dies, its batch must not
			q.whole = &PanicError{Stack: debug.Stack()}
			q.batch.fail(q.whole)
			r.finish(b, q, leave)
		}
	}()
	switch {
	case !r.leaves(b, q):
	case r.hasCopies():
		r.askCopies(b, q)
	default:
		r.ask(q)
	}
	return r.finish(b, q, stays)
}

// finish frees the slot, answers all who wait and tells the hook. The hook comes
// last, when no promise is left that it could hold up.
func (r *Reader[K, V]) finish(b *batchOf[K, V], q *query[K, V], stays bool) (again bool) {
	defer r.done()
	q.answered = true
	if r.over != nil {
		r.over(&q.batch)
	}
	end := r.now()
	again, expected := r.settle(end, b, q)
	r.observeShared(b, q, end, expected)
	info := BatchInfo{
		Reader: r.cfg.Name, Scope: b.Scope, Class: q.batch.class, Reason: b.Reason.String(),
		Keys: len(b.Items), Callers: b.Callers, Calls: q.calls, Service: end - b.Started, Err: q.whole,
	}
	r.rec.batch(end, info, b.Class, b.Reason)
	info.Queued = r.deliver(end, b, &q.batch)
	if r.part != nil && q.whole == nil {
		r.cfg.Backend.answer(end, b.Class, b.Callers, info.Queued, info.Service)
	}
	r.recycle(b)
	hook := r.cfg.Hooks.OnBatch
	if again && (hook != nil || !stays) {
		go r.loop()
		again = false
	}
	if hook != nil {
		hook(info)
	}
	return again
}

// done counts a batch as over, hook and all; Shutdown may wait for it.
func (r *Reader[K, V]) done() {
	if r.out.Add(-1) == 0 && r.closing.Load() {
		r.lock()
		r.unlock(r.now())
	}
}

// settle gives the slot back and decides every caller's outcome. expected is how long
// such a batch takes, 0 if that is not known.
func (r *Reader[K, V]) settle(end time.Duration, b *batchOf[K, V], q *query[K, V]) (again bool, expected time.Duration) {
	for i, it := range b.Items {
		err := q.batch.out[i].err
		it.Failed = err != nil && !isNotFound(err)
	}
	r.lock()
	if q.whole == nil && q.calls == 1 && q.took != untaught && (len(b.Items) > 1 || r.cfg.One == nil) {
		r.observe(end, len(b.Items), cmp.Or(q.took, end-b.Started))
	}
	if q.whole == nil && q.took > 0 && len(b.Items) == 1 && r.cfg.One != nil {
		r.learnLone(q.took)
	}
	if q.whole != nil && r.model.TrustedUntil() > 0 {
		expected = r.model.Predict(len(b.Items))
	}
	again = r.dispatch.Done(end, b)
	r.unlock(end)
	return again, expected
}

// refitEvery is how often the model's line is drawn anew. Drawing it costs some
// microseconds, and a database does not change its ways faster.
const refitEvery = 10 * time.Millisecond

// observe tells the model of a batch, and now and then the dispatcher of the
// model. The lock is held.
func (r *Reader[K, V]) observe(now time.Duration, n int, service time.Duration) {
	r.model.Observe(now, n, service)
	if r.refitAt > now {
		return
	}
	r.refitAt = now + refitEvery
	cost := r.cost()
	r.dispatch.SetCost(cost)
	if r.hasCopies() {
		r.line.Store(&cost)
	}
	least := cost.Of(1)
	if now >= cost.TrustedUntil {
		least = 0
	}
	r.inbox.least.Store(int64(least))
}

// cost is what the model has learnt, as the dispatcher wants it. The lock is held.
func (r *Reader[K, V]) cost() dispatch.Cost {
	a, b, _ := r.model.Fit()
	return dispatch.Cost{A: time.Duration(a), B: time.Duration(b), TrustedUntil: r.model.TrustedUntil()}
}

// deliver gives each caller its answer and returns the longest time that one of
// them had been queued.
func (r *Reader[K, V]) deliver(end time.Duration, b *batchOf[K, V], fb *Batch[K, V]) (longest time.Duration) {
	for i, it := range b.Items {
		value, err := fb.result(i)
		w := it.Waiters()
		shared := w != nil && w.Next() != nil
		for w != nil {
			c, following := w.Payload, w.Leave()
			queued := max(0, b.Started-c.Admitted) // it may have come while the batch left
			longest = max(longest, queued)
			r.rec.answered(end, c.Class, queued, end-c.Admitted)
			if c.trace != nil {
				*c.trace = Trace{Class: fb.class, Reason: b.Reason.String(), Keys: len(b.Items), Queued: queued, Service: end - b.Started}
			}
			c.value, c.err, c.shared = value, err, shared
			c.announce()
			w = following
		}
	}
	return longest
}

// answerAll gives all who wait for an item the same error.
func answerAll[K comparable, V any](it *itemOf[K, V], err error) {
	for w := it.Waiters(); w != nil; {
		c, following := w.Payload, w.Leave()
		c.err = err
		c.announce()
		w = following
	}
}

// yield lets whoever was just woken queue up first: for nearly nothing it turns
// batches of one into batches of dozens.
func yield() { runtime.Gosched() }
