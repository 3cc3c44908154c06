package fulcrum

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/dispatch"
	"github.com/fulcrum-data/fulcrum/internal/model"
)

// ReaderConfig says where a Reader reads.
type ReaderConfig[K comparable, V any] struct {
	// Name appears in statistics, hooks and errors. Default "reader".
	Name string

	// Fetch runs one query for b.Keys() and answers them with b.Set and b.Fail. It
	// must be safe for concurrent calls and should honour its context, which holds
	// a deadline and the scope and nothing of any caller. An error fails the whole
	// batch, whatever was set (see Divisible for errors that single keys cause).
	// Required.
	Fetch func(ctx context.Context, b *Batch[K, V]) error

	// One is the plain query for one key, used where a request goes alone. It
	// returns ErrNotFound for a key that is not there. Default: Fetch with one key.
	One func(ctx context.Context, key K) (V, error)

	// Clone copies a value. Where several callers asked for one key, each gets a clone
	// of its own, made on its own goroutine. Default: they share the value and must
	// not change it.
	Clone func(V) V

	// Timeout bounds one call to Fetch or One. Default and most 10 s.
	Timeout time.Duration

	// Policy holds the limits it starts with; SetPolicy changes them.
	Policy Policy

	// Cache keeps answers: a normal or bulk request asks it first. Get then waits for
	// another's query in flight if no write came since that began. Default: none.
	Cache Cache[K, V]

	// Backend is what it shares with other Readers: slots and their tuner. The
	// policy's InFlight then bounds this Reader's part, if it is set, and its Reserved
	// has no meaning. Default: none, and the policy's slots are its own.
	Backend *Backend

	// Hooks are told what happens. Default none.
	Hooks *Hooks
}

const maxTimeout = 10 * time.Second

// withDefaults checks the configuration and fills in what is missing.
func (c ReaderConfig[K, V]) withDefaults() (ReaderConfig[K, V], error) {
	orDefault(&c.Name, "reader")
	if c.Fetch == nil {
		return c, fmt.Errorf("fulcrum: reader %q: ReaderConfig.Fetch is missing: give it the function that runs the query", c.Name)
	}
	if c.Timeout < 0 {
		return c, fmt.Errorf("fulcrum: reader %q: ReaderConfig.Timeout: %s is negative", c.Name, c.Timeout)
	}
	orDefault(&c.Timeout, maxTimeout)
	c.Timeout = min(c.Timeout, maxTimeout)
	if c.Backend != nil {
		orDefault(&c.Policy.InFlight, mostInFlight)
	}
	c.Policy = c.Policy.withDefaults()
	if err := c.Policy.validate(); err != nil {
		return c, fmt.Errorf("%w (reader %q)", err, c.Name)
	}
	if c.Hooks == nil {
		c.Hooks = &Hooks{}
	}
	return c, nil
}

// Reader joins concurrent requests for single keys into shared queries. It is
// safe for use by many goroutines. Shutdown ends it.
type Reader[K comparable, V any] struct {
	cfg    ReaderConfig[K, V]
	epoch  time.Time // all times inside are since then
	policy atomic.Pointer[Policy]
	part   *member   // in the backend's slots; nil if it has its own
	calls  sync.Pool // of *call[K, V]
	rec    recorder
	inbox  inbox[K, V]
	fills  fills[K, V]                   // of the cache
	line   atomic.Pointer[dispatch.Cost] // of the model, if the backend has copies
	lone   atomic.Int64                  // ns that One takes, likewise
	needy  atomic.Bool                   // a request has asked something of the copy that answers it
	over   func(*Batch[K, V])            // of a Writer: told of each commit that is over, before its callers

	closing atomic.Bool  // set under the lock
	out     atomic.Int64 // batches whose callers and hooks are not through; raised under the lock

	mu        sync.Mutex // guards what follows; see lock and unlock
	dispatch  *dispatch.Dispatcher[K, *call[K, V]]
	limits    dispatch.Limits // as dispatch has them, but for a share of the backend
	stance    *stance         // of the backend, as limits has it
	others    int             // batches of other Readers in flight, when the lock was taken
	model     *model.Model
	refitAt   time.Duration // when to ask the model again
	joined    uint64
	drained   chan struct{} // closed when closing and nothing is left
	holdTimer *time.Timer   // looks again at a held batch; nil until one is held
}

// NewReader makes a Reader. It starts no goroutine and no timer.
func NewReader[K comparable, V any](cfg ReaderConfig[K, V]) (*Reader[K, V], error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &Reader[K, V]{
		cfg:     cfg,
		epoch:   time.Now(),
		limits:  cfg.Policy.limits(cfg.Backend != nil),
		model:   model.New(),
		drained: make(chan struct{}),
	}
	r.dispatch = dispatch.New[K, *call[K, V]](r.limits)
	if b := cfg.Backend; b != nil {
		r.epoch = b.epoch
		r.part = b.slots.join(r.tick)
	}
	r.policy.Store(&cfg.Policy)
	r.rec.init()
	r.calls.New = func() any { return newCall[K, V]() }
	return r, nil
}

// now is the time since the epoch. Reading the monotonic clock alone costs half
// of what time.Now costs.
func (r *Reader[K, V]) now() time.Duration { return time.Since(r.epoch) }

// Get returns the value of key, sharing its query with others who ask at the same
// time. Its errors: ErrNotFound, a ShedError, ErrClosed, the context's own error
// as soon as that ends, a CircuitOpenError if there is a Backend, or what Fetch said of
// this key.
func (r *Reader[K, V]) Get(ctx context.Context, key K, opts ...Option) (V, error) {
	req := requestFrom(ctx)
	req.apply(opts)
	if r.cfg.Cache != nil {
		return r.cached(ctx, key, req)
	}
	value, _, err := r.get(ctx, key, req)
	return value, err
}

// get is Get. left says that the caller left while its key was in flight: what becomes
// of it is not known yet.
func (r *Reader[K, V]) get(ctx context.Context, key K, req request) (value V, left bool, err error) {
	if err := admissible(ctx, key, req); err != nil {
		return value, false, err
	}
	if err := r.vet(ctx, req); err != nil {
		return value, false, err
	}
	c := r.newCall(ctx, req, key)
	if b := r.cfg.Backend; b != nil {
		if err := b.admit(c.Admitted); err != nil {
			r.release(c)
			return value, false, r.turnedAway(err, req.class)
		}
	}
	if req.class == ClassUrgent || !r.post(c) {
		verdict := r.submit(c)
		switch verdict.Action {
		case dispatch.Refuse:
			r.release(c)
			return value, false, r.refusal(verdict.Reason, req.class)
		case dispatch.Run:
			if req.patient || ctx.Done() == nil { // nothing to leave for
				r.run(verdict.Batch, leave)
			} else {
				go r.run(verdict.Batch, leave)
			}
		case dispatch.Lead:
			if ctx.Done() == nil {
				r.lead(c)
			} else {
				go r.loop()
			}
		}
	}
	return r.await(ctx, c)
}

// admissible refuses what no dispatcher needs to see.
func admissible[K comparable](ctx context.Context, key K, req request) error {
	if int(req.class) >= len(lanes) {
		return fmt.Errorf("fulcrum: class %d is unknown; use Urgent, Normal or Bulk", req.class)
	}
	if key != key { // NaN, which no map finds again
		return fmt.Errorf("fulcrum: key %v is not equal to itself and cannot be looked up", key)
	}
	return ctx.Err()
}

// newCall takes a call from the pool and sets what the dispatcher must know.
func (r *Reader[K, V]) newCall(ctx context.Context, req request, key K) *call[K, V] {
	c := r.calls.Get().(*call[K, V])
	c.key, c.scope, c.trace = key, req.scope, req.trace
	c.Class = lanes[req.class]
	c.Deadline = r.deadline(ctx)
	c.Admitted = r.now()
	c.need = r.needOf(req)
	return c
}

// needOf is what a request asks of whoever answers it; nil: nothing.
func (r *Reader[K, V]) needOf(req request) *need {
	n := req.need()
	if n != nil && !r.needy.Load() {
		r.needy.Store(true)
	}
	return n
}

// vet looks at the tokens of a request, before it can share its batch with others.
func (r *Reader[K, V]) vet(ctx context.Context, req request) error {
	if len(req.after) == 0 || !r.hasCopies() || r.cfg.Backend.copies.choice.Vet == nil {
		return nil
	}
	for _, t := range req.after {
		if err := r.cfg.Backend.copies.choice.Vet(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader[K, V]) hasCopies() bool { return r.cfg.Backend != nil && r.cfg.Backend.copies != nil }

// gather puts down what the callers of a batch ask of the copy that answers it. The lock
// is held.
func (r *Reader[K, V]) gather(b *batchOf[K, V]) {
	if !r.needy.Load() {
		return
	}
	var all *need
	for _, it := range b.Items {
		for w := it.Waiters(); w != nil; w = w.Next() {
			all = all.and(w.Payload.need)
		}
	}
	if all != nil {
		b.Need = all
	}
}

// deadline is the context's deadline since the epoch, 0 if it has none.
func (r *Reader[K, V]) deadline(ctx context.Context) time.Duration {
	d, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return max(1, d.Sub(r.epoch))
}

func (r *Reader[K, V]) release(c *call[K, V]) {
	c.reset()
	r.calls.Put(c)
}

// submit hands a call to the dispatcher.
func (r *Reader[K, V]) submit(c *call[K, V]) dispatch.Verdict[K, *call[K, V]] {
	r.lock()
	defer r.unlock(c.Admitted)
	verdict := r.dispatch.Submit(c.Admitted, c.scope, c.key, &c.Waiter)
	r.note(verdict)
	return verdict
}

// note keeps count of a verdict. The lock is held.
func (r *Reader[K, V]) note(v dispatch.Verdict[K, *call[K, V]]) {
	if v.Joined {
		r.joined++
	}
	if v.Action == dispatch.Run {
		r.out.Add(1)
		v.Batch.InFlight += r.others
		r.gather(v.Batch)
	}
}

// await waits for the answer or for the caller's own end, whichever is first.
func (r *Reader[K, V]) await(ctx context.Context, c *call[K, V]) (value V, left bool, err error) {
	select {
	case <-c.ready:
	default: // a context may need a timer before it can say that it is done
		select {
		case <-c.ready:
		case <-ctx.Done():
			if cancelled, inFlight := r.cancel(c); cancelled {
				r.release(c)
				return value, inFlight, ctx.Err()
			}
			<-c.ready // settled already: the answer is on its way
		}
	}
	value, err = r.answer(c)
	r.release(c)
	return value, false, err
}

// answer is what the caller gets. It clones what others got too on its own time.
func (r *Reader[K, V]) answer(c *call[K, V]) (value V, err error) {
	switch {
	case c.refused:
		return value, r.refusal(c.reason, classes[c.Class])
	case c.err == nil && c.shared && r.cfg.Clone != nil:
		return r.cfg.Clone(c.value), nil
	}
	return c.value, c.err
}

// cancel takes a call back, if its outcome is not decided already, and says whether its
// key was in flight.
func (r *Reader[K, V]) cancel(c *call[K, V]) (cancelled, inFlight bool) {
	r.lock()
	defer r.unlock(r.now())
	if c.Settled() {
		return false, false
	}
	return true, r.dispatch.Cancel(&c.Waiter)
}

// refusal turns a reason of the dispatcher into the caller's error.
func (r *Reader[K, V]) refusal(reason dispatch.Reason, class Class) error {
	r.rec.refuse(lanes[class], reason)
	if r.cfg.Hooks.OnShed != nil {
		r.cfg.Hooks.OnShed(ShedInfo{Reader: r.cfg.Name, Class: class, Reason: reason.String()})
	}
	switch reason {
	case dispatch.RefusedClosed:
		return ErrClosed
	case dispatch.RefusedExpired:
		return context.DeadlineExceeded
	}
	return &ShedError{Reason: reason.String(), RetryAfter: r.retryAfter(lanes[class])}
}

// turnedAway counts a request that the backend's circuit refused.
func (r *Reader[K, V]) turnedAway(err error, class Class) error {
	r.rec.refuse(lanes[class], dispatch.RefusedCircuit)
	if r.cfg.Hooks.OnShed != nil {
		r.cfg.Hooks.OnShed(ShedInfo{Reader: r.cfg.Name, Class: class, Reason: dispatch.RefusedCircuit.String()})
	}
	return err
}

// retryAfter is how long the lane's queue takes to drain at the rate of full
// batches that the model expects: queued/MaxBatch/K · T(MaxBatch).
func (r *Reader[K, V]) retryAfter(lane dispatch.Class) time.Duration {
	r.lock()
	defer r.unlock(r.now())
	size, slots := r.limits.MaxBatch, max(1, r.slots())
	batches := r.dispatch.Queued(lane)/(size*slots) + 1
	return max(time.Millisecond, time.Duration(batches)*r.model.Predict(size))
}

// Forget drops what the Cache keeps of the keys, in all scopes, so that a Get that begins
// afterwards reads them anew. Without a Cache there is nothing to drop: a Get never joins
// a query that has left. ErrClosed after Shutdown.
func (r *Reader[K, V]) Forget(ctx context.Context, keys ...K) error {
	r.lock()
	defer r.unlock(r.now())
	if r.closing.Load() {
		return ErrClosed
	}
	if r.cfg.Cache != nil {
		r.cfg.Cache.Forget(keys...)
	}
	return ctx.Err()
}

// SetPolicy swaps the limits while requests run; zero fields mean their defaults.
// An invalid policy is refused and the old one stays.
func (r *Reader[K, V]) SetPolicy(p Policy) error {
	if r.part != nil {
		orDefault(&p.InFlight, mostInFlight)
	}
	p = p.withDefaults()
	if err := p.validate(); err != nil {
		return fmt.Errorf("%w (reader %q)", err, r.cfg.Name)
	}
	r.lock()
	defer r.unlock(r.now())
	r.policy.Store(&p)
	r.limits, r.stance = p.limits(r.part != nil), nil
	r.dispatch.SetLimits(r.limits)
	r.look()
	return nil
}

// Policy is the one in force, with its defaults filled in.
func (r *Reader[K, V]) Policy() Policy { return *r.policy.Load() }

// Shutdown refuses new requests with ErrClosed and waits until all admitted ones
// are answered and their hooks have returned. If ctx ends first, those still queued get ErrClosed, those in
// flight are left to their own deadlines, and the context's error is returned.
// It may be called more than once.
func (r *Reader[K, V]) Shutdown(ctx context.Context) error {
	r.lock()
	r.closing.Store(true)
	r.dispatch.Close()
	r.unlock(r.now())
	select {
	case <-r.drained:
		return nil
	default:
	}
	select {
	case <-r.drained:
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), r.abort())
	}
}

// abort gives ErrClosed to all who are queued.
func (r *Reader[K, V]) abort() error {
	r.lock()
	items := r.dispatch.Abort()
	r.unlock(r.now())
	for _, it := range items {
		answerAll(it, ErrClosed)
	}
	if len(items) == 0 {
		return nil
	}
	return fmt.Errorf("fulcrum: reader %q: %d queued keys got ErrClosed", r.cfg.Name, len(items))
}
