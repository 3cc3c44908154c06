package fulcrum

import (
	"errors"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/mode"
	"github.com/fulcrum-data/fulcrum/internal/pick"
)

// attempt is a batch at one copy.
type attempt struct {
	copy     *copyOf
	began    time.Duration
	inFlight int         // calls at the copy then, itself included
	hedge    bool        // another one was out
	slow     bool        // the copy is much slower than another one; known when it is over
	late     atomic.Bool // it was counted as failed while it was out
}

// answered is an attempt that is over.
type answered[K comparable, V any] struct {
	*attempt
	query   *query[K, V]
	took    time.Duration
	outcome pick.Outcome
}

// race is a batch that is asked of one copy after the other until one answers.
type race[K comparable, V any] struct {
	reader   *Reader[K, V]
	lane     int
	query    *query[K, V]
	need     *need
	want     pick.Want
	expected time.Duration // what the model says; 0: nothing
	tried    []*attempt
	out      int
	behind   int // attempts that found their copy behind
	done     chan answered[K, V]
}

// askCopies asks a copy, another one if that fails or is far too late, and another one
// beside it if it is only slow. The first answer counts. Those that come later find
// nobody: their calls run on to their end, because to cut a query short costs a
// connection.
func (r *Reader[K, V]) askCopies(b *batchOf[K, V], q *query[K, V]) {
	c := &race[K, V]{reader: r, lane: int(b.Class), query: q}
	c.need, _ = b.Need.(*need)
	c.want = c.need.want()
	c.expected = r.expect(len(b.Items))
	c.done = make(chan answered[K, V], r.cfg.Backend.copies.count()+1) // each copy is asked once at most
	if !c.start(c.want) {
		q.whole = ErrUnavailable
		q.batch.fail(q.whole)
		return
	}
	c.run()
}

// expect is how long a batch takes by what was learnt; 0: nothing was.
func (r *Reader[K, V]) expect(n int) time.Duration {
	if n == 1 && r.cfg.One != nil {
		return time.Duration(r.lone.Load())
	}
	if cost := r.line.Load(); cost != nil {
		return cost.Of(n)
	}
	return 0
}

// learnLone takes in how long the plain query took. What took far longer than usual says
// little of what is usual.
func (r *Reader[K, V]) learnLone(took time.Duration) {
	const weight, unusual = 16, 4
	was := r.lone.Load()
	if was == 0 {
		r.lone.Store(int64(took))
		return
	}
	r.lone.Store(was + (min(int64(took), unusual*was)-was)/weight)
}

// maxBehind is how many replicas are asked for what they may not have seen yet, before the
// primary is.
const maxBehind = 2

// run waits for answers, and starts further attempts.
func (c *race[K, V]) run() {
	copies := c.reader.cfg.Backend.copies
	var last answered[K, V]
	hedge := c.alarm(copies.hedgeAfter(c.reader.now(), c.expected, c.lane))
	late := c.alarm(c.lateAfter())
	defer hedge.stop()
	defer late.stop()
	for {
		select {
		case a := <-c.done:
			c.out--
			switch a.outcome {
			case pick.OK, pick.Ignored:
				c.take(a)
				return
			case pick.Behind:
				if c.behind++; c.behind >= maxBehind {
					c.want = pick.Want{Fresh: true}
				}
			}
			last = a
			if !c.start(c.want) && c.out == 0 {
				c.take(last)
				return
			}
			late.reset(c.lateAfter())
		case <-hedge.C():
			w := c.want
			w.Idle = true
			c.start(w)
		case <-late.C():
			for _, t := range c.tried {
				c.overdue(t)
			}
			if c.start(c.want) {
				late.reset(c.lateAfter())
			}
		}
	}
}

// start sends the batch to another copy. False: there is none for it.
func (c *race[K, V]) start(w pick.Want) bool {
	r := c.reader
	b := r.cfg.Backend
	now := r.now()
	if len(c.tried) == cap(c.done) || !time.Now().Before(c.query.ctx.deadline) {
		return false
	}
	cp, inFlight, _ := b.copies.choose(now, w, c.tried)
	if cp == nil {
		return false
	}
	a := &attempt{copy: cp, began: now, inFlight: inFlight, hedge: w.Idle}
	c.tried = append(c.tried, a)
	c.out++
	q := &query[K, V]{batch: Batch[K, V]{keys: c.query.batch.keys, out: make([]outcome[V], len(c.query.batch.keys)), class: c.query.batch.class}}
	q.ctx.deadline, q.ctx.request.scope, q.ctx.request.copy = c.query.ctx.deadline, c.query.ctx.request.scope, cp.name
	q.ctx.request.past = c.query.ctx.request.past
	if c.need != nil {
		q.ctx.request.after = c.need.after
	}
	r.out.Add(1) // the batch itself is out as well: Shutdown cannot have seen none
	go c.ask(a, q)
	return true
}

// ask is one attempt, on a goroutine of its own.
func (c *race[K, V]) ask(a *attempt, q *query[K, V]) {
	r := c.reader
	defer r.done()
	keys := len(q.batch.keys)
	finished := false
	defer func() {
		if !finished { // runtime.Goexit
			q.whole = &PanicError{Stack: debug.Stack()}
			q.batch.fail(q.whole)
		}
		end := r.now()
		over := answered[K, V]{a, q, end - a.began, outcomeAt(q.whole, end-a.began, c.expected)}
		r.cfg.Backend.over(end, over.attempt, over.outcome, c.lane, keys, c.expected, q.calls == 1)
		c.done <- over
	}()
	r.ask(q)
	finished = true
}

// outcomeAt is what a call's error says of the copy.
func outcomeAt(err error, took, expected time.Duration) pick.Outcome {
	if isBehind(err) {
		return pick.Behind
	}
	switch outcomeOf(err, took, expected) {
	case mode.OK:
		return pick.OK
	case mode.Failed:
		return pick.Failed
	}
	return pick.Ignored
}

func isBehind(err error) (is bool) {
	defer func() { _ = recover() }() // as in isNotFound
	return errors.Is(err, ErrBehind)
}

// take makes an attempt's answers those of the batch.
func (c *race[K, V]) take(a answered[K, V]) {
	c.query.batch.out, c.query.whole, c.query.calls, c.query.took = a.query.batch.out, a.query.whole, a.query.calls, a.took
	if a.slow { // it would teach what is usual for batches that only it happened to get
		c.query.took = untaught
	}
	if a.hedge && a.outcome == pick.OK {
		c.reader.cfg.Backend.copies.won()
	}
}

// untaught says that the model learns nothing of a batch.
const untaught = -1

// overdue counts a call that is out for too long as a failure of its copy.
func (c *race[K, V]) overdue(t *attempt) {
	if t.late.Swap(true) {
		return
	}
	b := c.reader.cfg.Backend
	if b.copies.late(c.reader.now(), t.copy) {
		b.resettle()
	}
}

// A call that takes so much longer than it should is taken for lost, and another copy is
// asked; earlier if its batch would be too late otherwise, but not because a deadline is
// tight.
const (
	lostTimes  = 20
	lostAfter  = 250 * time.Millisecond
	lateTimely = 20 * time.Millisecond
)

func (c *race[K, V]) lateAfter() time.Duration {
	if c.expected == 0 {
		return c.reader.cfg.Backend.cfg.CallTimeout
	}
	d := min(c.reader.cfg.Backend.cfg.CallTimeout, max(lostAfter, lostTimes*c.expected))
	if half := time.Until(c.query.ctx.deadline) / 2; half < d && half >= max(lateTimely, lateTimes*c.expected) {
		return half
	}
	return d
}

// alarm is a timer that may be none.
type alarm struct{ timer *time.Timer }

func (c *race[K, V]) alarm(after time.Duration) *alarm {
	if after <= 0 {
		return &alarm{}
	}
	return &alarm{time.NewTimer(after)}
}

// C is its channel, nil if there is none.
func (a *alarm) C() <-chan time.Time {
	if a.timer == nil {
		return nil
	}
	return a.timer.C
}

func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
}

func (a *alarm) reset(after time.Duration) {
	if a.timer != nil {
		a.timer.Reset(max(after, time.Millisecond))
	}
}

// over tells the picker and the copy's tuner of a call that is over.
func (b *Backend) over(end time.Duration, a *attempt, o pick.Outcome, lane, keys int, expected time.Duration, once bool) {
	took := end - a.began
	ratio := 0.0
	if expected > 0 {
		ratio = float64(took) / float64(expected)
	}
	if a.late.Load() && o == pick.Failed {
		o = pick.Ignored // it was counted when it became late
	}
	var changed bool
	changed, a.slow = b.copies.end(end, a.copy, o, ratio, lane)
	if lane != int(lanes[ClassUrgent]) && o != pick.Behind {
		b.observe(a.copy, end, a.began, keys, a.inFlight, o == pick.OK && once)
	}
	if changed {
		b.resettle()
	}
}

// resettle has K be what the copies can bear that may be asked now.
func (b *Backend) resettle() {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stance.Load()
	b.settle(s.Decision, s.mode)
}
