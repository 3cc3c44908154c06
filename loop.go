package fulcrum

import (
	"context"
	"errors"
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
		b := r.take()
		again = b != nil && r.run(b)
	}
}

// lead takes one batch and runs it on the caller's goroutine: its own request is
// in there, and nobody has to be woken for it.
func (r *Reader[K, V]) lead() {
	yield()
	if b := r.take(); b != nil {
		r.runHere(b)
	}
}

// runHere runs one batch and leaves what comes next to another goroutine.
func (r *Reader[K, V]) runHere(b *batchOf[K, V]) {
	if r.run(b) {
		go r.loop()
	}
}

// take fetches the next batch, nil if there is none to run. Requests whose
// deadlines passed in the queue are told so.
func (r *Reader[K, V]) take() *batchOf[K, V] {
	now := r.now()
	r.lock()
	b := r.dispatch.Take(now)
	r.unlock(now)
	if b == nil {
		return nil
	}
	for _, it := range b.Expired {
		answerAll(it, context.DeadlineExceeded)
	}
	if len(b.Items) == 0 {
		r.recycle(b)
		return nil
	}
	return b
}

// asking is a batch on its way to the backend: what Fetch gets, in one piece.
type asking[K comparable, V any] struct {
	ctx   detached
	batch Batch[K, V]
}

// run asks the backend and answers everybody. It returns true if the goroutine
// has promised to take again.
func (r *Reader[K, V]) run(b *batchOf[K, V]) (again bool) {
	q := &asking[K, V]{batch: Batch[K, V]{
		keys:  make([]K, len(b.Items)),
		out:   make([]outcome[V], len(b.Items)),
		class: classes[b.Class],
	}}
	fb := &q.batch
	for i, it := range b.Items {
		fb.keys[i] = it.Key
	}
	q.ctx.request = request{class: fb.class, scope: b.Scope}
	q.ctx.deadline = r.epoch.Add(r.until(b))
	var err error
	ended := false
	defer func() {
		if !ended { // runtime.Goexit: this goroutine dies, its batch must not
			fb.fail(&PanicError{Stack: debug.Stack()})
			if r.settle(b, fb, errors.New("fulcrum: fetch called runtime.Goexit")) {
				go r.loop()
			}
		}
	}()
	err = r.ask(&q.ctx, fb)
	ended = true
	return r.settle(b, fb, err)
}

// until is when the batch must be done: its own time or its latest caller's.
func (r *Reader[K, V]) until(b *batchOf[K, V]) time.Duration {
	until := b.Started + r.cfg.Timeout
	if b.Deadline != 0 {
		until = min(until, b.Deadline)
	}
	return until
}

// ask calls the backend.
func (r *Reader[K, V]) ask(ctx *detached, fb *Batch[K, V]) error {
	defer ctx.end(context.Canceled)
	if len(fb.keys) == 1 && r.cfg.One != nil {
		return r.askOne(ctx, fb)
	}
	return r.askAll(ctx, fb)
}

// askOne runs the plain query.
func (r *Reader[K, V]) askOne(ctx context.Context, fb *Batch[K, V]) error {
	var value V
	err := guard(func() (err error) {
		value, err = r.cfg.One(ctx, fb.keys[0])
		return err
	})
	if err != nil {
		fb.FailAt(0, err)
		if isNotFound(err) {
			return nil
		}
		return err
	}
	fb.SetAt(0, value)
	return nil
}

// askAll runs the shared query. A panic or a Divisible error is narrowed down to
// the keys that cause it, so that their neighbours get their answers.
func (r *Reader[K, V]) askAll(ctx context.Context, fb *Batch[K, V]) error {
	err := guard(func() error { return r.cfg.Fetch(ctx, fb) })
	if err == nil {
		return nil
	}
	if len(fb.keys) == 1 || !isDivisible(err) {
		fb.fail(undivided(err))
		return err
	}
	if ended := ctx.Err(); ended != nil { // too late to find the guilty one: nobody is accused
		fb.fail(ended)
		return err
	}
	fb.reset()
	half := len(fb.keys) / 2
	return errors.Join(
		r.askAll(ctx, fb.part(0, half)),
		r.askAll(ctx, fb.part(half, len(fb.keys))))
}

func isDivisible(err error) bool {
	var d divisible
	var p *PanicError
	return errors.As(err, &d) || errors.As(err, &p)
}

// undivided takes the mark off an error before callers see it.
func undivided(err error) error {
	if d, ok := err.(divisible); ok { //nolint:errorlint // the outermost mark only
		return d.error
	}
	return err
}

// guard turns a panic into an error.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	return f()
}

// settle frees the slot, then answers all who wait.
func (r *Reader[K, V]) settle(b *batchOf[K, V], fb *Batch[K, V], err error) (again bool) {
	for i, it := range b.Items {
		e := fb.out[i].err
		it.Failed = e != nil && !isNotFound(e)
	}
	end := r.now()
	service := end - b.Started
	r.lock()
	callers := b.Waiting()
	if err == nil && (len(b.Items) > 1 || r.cfg.One == nil) {
		r.observe(end, len(b.Items), service)
	}
	again = r.dispatch.Done(end, b)
	r.unlock(end)

	info := BatchInfo{
		Reader: r.cfg.Name, Scope: b.Scope, Class: fb.class, Reason: b.Reason.String(),
		Keys: len(b.Items), Callers: callers, Service: service, Err: err,
	}
	r.rec.batch(end, info, b.Class, b.Reason)
	info.Queued = r.deliver(end, b, fb)
	r.recycle(b)
	if r.cfg.Hooks.OnBatch != nil {
		r.cfg.Hooks.OnBatch(info)
	}
	return again
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
		for w := it.Waiters(); w != nil; {
			c, following := w.Payload, w.Next()
			queued := max(0, b.Started-w.Admitted) // it may have come while the batch left
			longest = max(longest, queued)
			r.rec.answered(end, w.Class, queued, end-w.Admitted)
			if c.trace != nil {
				*c.trace = Trace{Class: fb.class, Reason: b.Reason.String(), Keys: len(b.Items), Queued: queued, Service: end - b.Started}
			}
			c.value, c.err = value, err
			if following != nil && err == nil && r.cfg.Clone != nil { // the last one gets the original
				c.value, c.err = r.clone(value)
			}
			c.announce()
			w = following
		}
	}
	return longest
}

// clone copies a value for a further caller; a panic there is that caller's error.
func (r *Reader[K, V]) clone(v V) (copied V, err error) {
	err = guard(func() error { copied = r.cfg.Clone(v); return nil })
	return copied, err
}

// answerAll gives all who wait for an item the same error.
func answerAll[K comparable, V any](it *itemOf[K, V], err error) {
	for w := it.Waiters(); w != nil; {
		c, following := w.Payload, w.Next()
		c.err = err
		c.announce()
		w = following
	}
}

// yield lets whoever was just woken queue up first: for nearly nothing it turns
// batches of one into batches of dozens.
func yield() { runtime.Gosched() }
