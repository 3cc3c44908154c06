package fulcrum

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/dispatch"
)

// loop takes batches and runs them until there is nothing left to take. It keeps
// a promise made to the dispatcher.
func (r *Reader[K, V]) loop() {
	var last *dispatch.Batch[K, answer[V]]
	for again := true; again; {
		yield()
		last = r.take(last)
		again = last != nil && r.run(last)
	}
	if last != nil {
		r.recycle(last)
	}
}

// lead takes one batch and runs it on the caller's goroutine: its own request is
// in there, and nobody has to be woken for it.
func (r *Reader[K, V]) lead() {
	yield()
	b := r.take(nil)
	if b == nil {
		return
	}
	again := r.run(b)
	r.recycle(b)
	if again {
		go r.loop()
	}
}

// runAlone runs a batch that the dispatcher let go at once.
func (r *Reader[K, V]) runAlone(b *dispatch.Batch[K, answer[V]]) {
	again := r.run(b)
	r.recycle(b)
	if again {
		go r.loop()
	}
}

// take gives the last batch back and fetches the next, nil if there is none to
// run. Requests whose deadlines passed in the queue are told so.
func (r *Reader[K, V]) take(last *dispatch.Batch[K, answer[V]]) *dispatch.Batch[K, answer[V]] {
	now := r.now()
	r.mu.Lock()
	if last != nil {
		r.dispatch.Recycle(last)
	}
	b, again := r.dispatch.Take(now)
	r.armHold(now)
	r.finishClosing()
	r.mu.Unlock()
	if again {
		go r.loop()
	}
	if b == nil {
		return nil
	}
	for _, it := range b.Expired {
		r.answerAll(it, context.DeadlineExceeded)
	}
	if len(b.Items) == 0 {
		r.recycle(b)
		return nil
	}
	return b
}

func (r *Reader[K, V]) recycle(b *dispatch.Batch[K, answer[V]]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dispatch.Recycle(b)
}

// run asks the backend and answers everybody. It returns true if the goroutine
// has promised to take again.
func (r *Reader[K, V]) run(b *dispatch.Batch[K, answer[V]]) (again bool) {
	keys := make([]K, len(b.Items))
	for i, it := range b.Items {
		keys[i] = it.Key
	}
	fb := newBatch[K, V](keys, classes[b.Class])
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
	err = r.ask(b, fb)
	ended = true
	return r.settle(b, fb, err)
}

// ask calls the backend within the batch's deadline.
func (r *Reader[K, V]) ask(b *dispatch.Batch[K, answer[V]], fb *Batch[K, V]) error {
	until := b.Started + r.cfg.Timeout
	if b.Deadline != 0 {
		until = min(until, b.Deadline)
	}
	ctx := &detached{request: request{class: fb.class, scope: b.Scope}, deadline: r.epoch.Add(until)}
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
func (r *Reader[K, V]) settle(b *dispatch.Batch[K, answer[V]], fb *Batch[K, V], err error) (again bool) {
	for i, it := range b.Items {
		e := fb.out[i].err
		it.Failed = e != nil && !isNotFound(e)
	}
	end := r.now()
	service := end - b.Started
	r.mu.Lock()
	callers := b.Waiting()
	if err == nil && (len(b.Items) > 1 || r.cfg.One == nil) {
		r.observe(end, len(b.Items), service)
	}
	again = r.dispatch.Done(end, b)
	r.armHold(end)
	r.finishClosing()
	r.mu.Unlock()

	info := BatchInfo{
		Reader: r.cfg.Name, Scope: b.Scope, Class: fb.class, Reason: b.Reason.String(),
		Keys: len(b.Items), Callers: callers, Service: service, Err: err,
	}
	r.rec.batch(end, info, b.Class, b.Reason)
	info.Queued = r.deliver(end, b, fb)
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
	r.dispatch.SetCost(r.cost())
}

// cost is what the model has learnt, as the dispatcher wants it. The lock is held.
func (r *Reader[K, V]) cost() dispatch.Cost {
	a, b, _ := r.model.Fit()
	return dispatch.Cost{A: time.Duration(a), B: time.Duration(b), TrustedUntil: r.model.TrustedUntil()}
}

// deliver gives each caller its answer and returns the longest time that one of
// them had been queued.
func (r *Reader[K, V]) deliver(end time.Duration, b *dispatch.Batch[K, answer[V]], fb *Batch[K, V]) (longest time.Duration) {
	for i, it := range b.Items {
		value, err := fb.result(i)
		for c := it.Waiters(); c != nil; {
			following := c.Next()
			queued := max(0, b.Started-c.Admitted) // it may have joined while the batch left
			longest = max(longest, queued)
			r.rec.answered(end, c.Class, queued, end-c.Admitted)
			if t := c.Payload.trace; t != nil {
				*t = Trace{Class: fb.class, Reason: b.Reason.String(), Keys: len(b.Items), Queued: queued, Service: end - b.Started}
			}
			c.Payload.value, c.Payload.err = value, err
			if following != nil && err == nil && r.cfg.Clone != nil { // the last one gets the original
				c.Payload.value, c.Payload.err = r.clone(value)
			}
			announce(c)
			c = following
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
func (r *Reader[K, V]) answerAll(it *dispatch.Item[K, answer[V]], err error) {
	for c := it.Waiters(); c != nil; {
		following := c.Next()
		c.Payload.err = err
		announce(c)
		c = following
	}
}

// announce tells the caller that its answer is there. The call is the caller's
// again from then on.
func announce[K comparable, V any](c *call[K, V]) {
	g := c.Payload.group
	if g == nil {
		c.Payload.ready <- struct{}{}
	} else if g.left.Add(-1) == 0 {
		g.ready <- struct{}{}
	}
}

// armHold sees to it that a held batch is looked at again. The lock is held.
func (r *Reader[K, V]) armHold(now time.Duration) {
	if r.policy.Load().Mode != ModeThroughput {
		return
	}
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

// tick is called when a held batch may have waited long enough.
func (r *Reader[K, V]) tick() {
	now := r.now()
	r.mu.Lock()
	start := r.dispatch.Promise(now)
	if !start {
		r.armHold(now)
	}
	r.mu.Unlock()
	if start {
		go r.loop()
	}
}
